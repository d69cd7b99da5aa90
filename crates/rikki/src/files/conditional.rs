//! Validators of a file, and the conditional requests that are answered from them alone (RFC 9110, section 13).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, SystemTime};

use headers::{HeaderMapExt, IfModifiedSince, LastModified};
use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};

use super::source::Facts;

/// The last second that an HTTP date can name: the end of the year 9999.
const LAST_HTTP_DATE: Duration = Duration::from_secs(253_402_300_799);

/// A file that changed within this time may change again without its time of modification showing it.
const SETTLED: Duration = Duration::from_secs(2);

/// What tells one state of a file from another.
pub(super) struct Validators {
    /// `"..."`, without the mark of a weak one. Free of commas and quotes inside.
    opaque_tag: String,
    weak: bool,
    last_modified: Option<SystemTime>,
}

impl Validators {
    pub(super) fn new(facts: &Facts, now: SystemTime) -> Self {
        // As the hash of the inode and the full time: neither is anybody's business.
        let mut hasher = DefaultHasher::new();
        let modified = facts.modified;
        (facts.inode, modified).hash(&mut hasher);
        let mut opaque_tag = String::with_capacity(36);
        opaque_tag.push('"');
        push_hex(&mut opaque_tag, facts.length);
        opaque_tag.push('-');
        push_hex(&mut opaque_tag, hasher.finish());
        opaque_tag.push('"');
        Self {
            opaque_tag,
            weak: !modified.is_some_and(|modified| now.duration_since(modified).is_ok_and(|age| age > SETTLED)),
            // A date in the future is not sent: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.2.1
            last_modified: modified.map(|modified| http_time(modified).min(now)),
        }
    }

    /// Whether the client has this state already: the answer is then 304 (Not Modified).
    pub(super) fn match_request(&self, headers: &HeaderMap) -> bool {
        // With If-None-Match, If-Modified-Since does not count, whatever it says.
        // https://www.rfc-editor.org/rfc/rfc9110#section-13.1.3
        if headers.contains_key(IF_NONE_MATCH) {
            return headers.get_all(IF_NONE_MATCH).iter().any(|list| self.is_in(list));
        }
        let since = headers.typed_get::<IfModifiedSince>();
        since.zip(self.last_modified).is_some_and(|(since, modified)| !since.is_modified(modified))
    }

    /// Weak comparison: <https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2>
    ///
    /// `headers::IfNoneMatch` has a debug assertion that a tag with a space in it fails. Splitting at every comma is
    /// right for our tags, which contain none: no part of a foreign tag can look like one.
    fn is_in(&self, list: &HeaderValue) -> bool {
        list.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii).any(|tag| {
            let opaque_tag = tag.strip_prefix(b"W/").unwrap_or(tag);
            tag == b"*" || opaque_tag == self.opaque_tag.as_bytes()
        })
    }

    pub(super) fn insert_into(&self, headers: &mut HeaderMap) {
        let tag = match self.weak {
            true => HeaderValue::try_from(format!("W/{}", self.opaque_tag)),
            false => HeaderValue::from_str(&self.opaque_tag),
        };
        if let Ok(value) = tag {
            headers.insert(ETAG, value);
        }
        if let Some(last_modified) = self.last_modified {
            headers.typed_insert(LastModified::from(last_modified));
        }
    }
}

/// As `{:x}` does, which takes eight times as many instructions: this is done for each request.
fn push_hex(text: &mut String, number: u64) {
    let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
    text.extend((0..digits).rev().filter_map(|digit| char::from_digit((number >> (4 * digit)) as u32 & 15, 16)));
}

/// The nearest time that an HTTP date can name; formatting any other would panic.
pub(super) fn http_time(time: SystemTime) -> SystemTime {
    time.clamp(SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + LAST_HTTP_DATE)
}

#[cfg(test)]
mod tests {
    use cap_std::fs::Metadata;
    use http::HeaderName;
    use http::header::IF_MODIFIED_SINCE;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// The test's own executable: any file will do.
    fn facts() -> Facts {
        Facts::new(&Metadata::from_just_metadata(std::fs::metadata(std::env::current_exe().unwrap()).unwrap()))
    }

    fn modified() -> SystemTime {
        facts().modified.unwrap()
    }

    #[track_caller]
    fn check(lines: &[(HeaderName, &str)], expected: bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value.parse().unwrap());
        }
        let validators = Validators::new(&facts(), modified() + DAY);
        assert_eq!(validators.match_request(&headers), expected, "{lines:?}");
    }

    #[test]
    fn entity_tags() {
        let tag = Validators::new(&facts(), modified() + DAY).opaque_tag;
        check(&[], false);
        check(&[(IF_NONE_MATCH, &tag)], true);
        check(&[(IF_NONE_MATCH, &format!("W/{tag}"))], true);
        check(&[(IF_NONE_MATCH, "*")], true);
        check(&[(IF_NONE_MATCH, &format!("\"a\", \"b,c\" ,W/{tag},\"d\""))], true);
        check(&[(IF_NONE_MATCH, "\"a\""), (IF_NONE_MATCH, &tag)], true);
        check(&[(IF_NONE_MATCH, "\"other\"")], false);
        check(&[(IF_NONE_MATCH, "\"with a space\", \"\"")], false);
        check(&[(IF_NONE_MATCH, tag.trim_matches('"'))], false);
        check(&[(IF_NONE_MATCH, &format!("w/{tag}"))], false);
        check(&[(IF_NONE_MATCH, "")], false);
        check(&[(IF_NONE_MATCH, &",".repeat(10_000))], false);
    }

    #[test]
    fn dates() {
        let exact = httpdate::fmt_http_date(modified());
        let later = httpdate::fmt_http_date(modified() + DAY);
        let earlier = httpdate::fmt_http_date(modified() - Duration::from_secs(1));
        check(&[(IF_MODIFIED_SINCE, &exact)], true);
        check(&[(IF_MODIFIED_SINCE, &later)], true);
        check(&[(IF_MODIFIED_SINCE, "Fri, 31 Dec 9999 23:59:59 GMT")], true);
        check(&[(IF_MODIFIED_SINCE, &earlier)], false);
        check(&[(IF_MODIFIED_SINCE, "yesterday")], false);
        check(&[(IF_MODIFIED_SINCE, &exact), (IF_MODIFIED_SINCE, &exact)], false);
        check(&[(IF_MODIFIED_SINCE, &exact), (IF_NONE_MATCH, "\"other\"")], false);
        check(&[(IF_MODIFIED_SINCE, &earlier), (IF_NONE_MATCH, "*")], true);
    }

    #[test]
    fn a_fresh_file_has_a_weak_tag() {
        assert!(Validators::new(&facts(), modified() + Duration::from_secs(1)).weak);
        assert!(!Validators::new(&facts(), modified() + Duration::from_secs(3)).weak);
    }

    #[test]
    fn hexadecimal_digits() {
        for number in [0, 9, 15, 16, 0x1234_5678_9abc_def0, u64::MAX] {
            let mut text = String::new();
            push_hex(&mut text, number);
            assert_eq!(text, format!("{number:x}"));
        }
    }

    #[test]
    fn times_that_no_http_date_can_name() {
        let before = SystemTime::UNIX_EPOCH - DAY;
        let after = SystemTime::UNIX_EPOCH + LAST_HTTP_DATE + DAY;
        assert_eq!(httpdate::fmt_http_date(http_time(before)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(httpdate::fmt_http_date(http_time(after)), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(http_time(modified()), modified());
    }

    #[test]
    fn a_date_in_the_future_is_not_sent() {
        let now = modified() - DAY;
        let mut headers = HeaderMap::new();
        Validators::new(&facts(), now).insert_into(&mut headers);
        assert_eq!(headers["last-modified"], httpdate::fmt_http_date(now));
    }
}
