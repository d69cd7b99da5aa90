//! Validators of a representation, and what conditional requests make of them (RFC 9110, section 13).

use std::time::{Duration, SystemTime};

use headers::{HeaderMapExt, IfModifiedSince, IfUnmodifiedSince};
use http::header::{ETAG, IF_MATCH, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue};
use httpdate::HttpDate;

use super::digest::Digest;
use super::encoding::Coding;
use super::facts::{Facts, SETTLED};

/// The last second that an HTTP date can name: the end of the year 9999.
const LAST_HTTP_DATE: Duration = Duration::from_secs(253_402_300_799);

/// What tells one state of a file from another.
#[derive(Clone)]
pub(super) struct Validators {
    /// `"..."`, with a mark in front if it is weak. Free of commas and quotes inside.
    tag: HeaderValue,
    weak: bool,
    last_modified: Option<(SystemTime, HeaderValue)>,
    /// Whether they will be the same at any later time.
    lasting: bool,
}

/// What the preconditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// The request is answered as if it had none.
    Proceed,
    /// The client has this state already: 304 (Not Modified).
    NotModified,
    /// The client means another state: 412 (Precondition Failed).
    Failed,
}

impl Validators {
    /// The validators of a file in this coding. Each has a tag of its own, since the bytes differ:
    /// <https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3.3>
    ///
    /// The digest of the content tells states apart and nothing else. Where there is none, the times do, and not the
    /// one of modification alone: a build or a copy may give a file of the same length the old one.
    pub(super) fn new(facts: &Facts, digest: Option<Digest>, coding: Option<Coding>, now: SystemTime) -> Self {
        let modified = facts.modified;
        let state = digest.map_or_else(|| u128::from(facts.hash()), |Digest(digest)| digest);
        let weak = !modified.is_some_and(|modified| now.duration_since(modified).is_ok_and(|age| age > SETTLED));
        let mut tag = String::with_capacity(56);
        tag.push_str(if weak { WEAK } else { "" });
        tag.push('"');
        push_hex(&mut tag, facts.length.into());
        tag.push('-');
        push_hex(&mut tag, state);
        if let Some(coding) = coding {
            tag.push('-');
            tag.push_str(coding.name());
        }
        tag.push('"');
        // A date in the future is not sent: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.2.1
        let last_modified = modified.map(|modified| http_time(modified).min(now));
        let with_value = |time: SystemTime| Some((time, HeaderValue::try_from(httpdate::fmt_http_date(time)).ok()?));
        Self { tag: value(tag), weak, last_modified: last_modified.and_then(with_value), lasting: !weak }
    }

    /// Makes the tag weak: for what is compressed anew each time, perhaps by another version.
    pub(super) fn weakened(self) -> Self {
        if self.weak {
            return self;
        }
        let tag = [WEAK, self.tag.to_str().unwrap_or_default()].concat();
        Self { tag: value(tag), weak: true, ..self }
    }

    /// Whether they will be the same at any later time, of the same state of a file.
    pub(super) fn are_lasting(&self) -> bool {
        self.lasting
    }

    /// Judges everything but `If-Range`, in the order of <https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2>: a tag
    /// makes the date of its kind meaningless, whatever that says. Dates that are none, or two, do not count.
    pub(super) fn judge(&self, headers: &HeaderMap) -> Verdict {
        // One look at the names costs less than one for each of them.
        if !headers.keys().any(|name| name.as_str().starts_with("if-")) {
            return Verdict::Proceed;
        }
        let as_expected = is_listed(headers, &IF_MATCH, |tag| self.strongly_matches(tag)).unwrap_or_else(|| {
            let since = headers.typed_get::<IfUnmodifiedSince>();
            since.zip(self.modified()).is_none_or(|(since, modified)| since.precondition_passes(modified))
        });
        if !as_expected {
            return Verdict::Failed;
        }
        let known = is_listed(headers, &IF_NONE_MATCH, |tag| self.weakly_matches(tag)).unwrap_or_else(|| {
            let since = headers.typed_get::<IfModifiedSince>();
            since.zip(self.modified()).is_some_and(|(since, modified)| !since.is_modified(modified))
        });
        if known { Verdict::NotModified } else { Verdict::Proceed }
    }

    /// Whether a range may be taken from this state: without `If-Range` from any, with it only from the very same.
    ///
    /// Not with `headers::IfRange`, for which a later date is as good as the right one.
    /// <https://www.rfc-editor.org/rfc/rfc9110#section-13.1.5>
    pub(super) fn allow_range(&self, headers: &HeaderMap) -> bool {
        let Some(validator) = headers.get(IF_RANGE) else { return true };
        if self.strongly_matches(validator.as_bytes()) {
            return true;
        }
        let date = validator.to_str().ok().and_then(|text| text.parse::<HttpDate>().ok());
        // A date is a strong validator where a tag would be one.
        !self.weak && date.zip(self.modified()).is_some_and(|(date, modified)| date == HttpDate::from(modified))
    }

    fn modified(&self) -> Option<SystemTime> {
        self.last_modified.as_ref().map(|(time, _)| *time)
    }

    /// Both are strong and the same: <https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3.2>
    fn strongly_matches(&self, tag: &[u8]) -> bool {
        !self.weak && self.tag.as_bytes() == tag
    }

    /// They are the same, weak or not: <https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3.2>
    fn weakly_matches(&self, tag: &[u8]) -> bool {
        opaque(tag) == opaque(self.tag.as_bytes())
    }

    pub(super) fn insert_into(&self, headers: &mut HeaderMap) {
        headers.insert(ETAG, self.tag.clone());
        if let Some((_, last_modified)) = &self.last_modified {
            headers.insert(LAST_MODIFIED, last_modified.clone());
        }
    }
}

/// What stands in front of a weak tag.
const WEAK: &str = "W/";

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(WEAK.as_bytes()).unwrap_or(tag)
}

fn value(tag: String) -> HeaderValue {
    // Digits and names are always a value; nothing would match this.
    HeaderValue::try_from(tag).unwrap_or(const { HeaderValue::from_static("W/\"\"") })
}

/// Whether the field `name` has a tag that `matches`, or stands for any. `None` without such a field.
///
/// `headers::IfNoneMatch` has a debug assertion that a tag with a space in it fails. Splitting at every comma is
/// right for our tags, which contain none: no part of a foreign tag can look like one.
fn is_listed(headers: &HeaderMap, name: &HeaderName, matches: impl Fn(&[u8]) -> bool) -> Option<bool> {
    let mut fields = headers.get_all(name).iter().peekable();
    fields.peek()?;
    let mut tags = fields.flat_map(|field| field.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
    Some(tags.any(|tag| tag == b"*" || matches(tag)))
}

/// Appends a number in hexadecimal, for each request: `{:x}` takes eight times as many instructions.
fn push_hex(text: &mut String, number: u128) {
    let digits = (u128::BITS - number.leading_zeros()).div_ceil(4).max(1);
    text.extend((0..digits).rev().filter_map(|digit| char::from_digit((number >> (4 * digit)) as u32 & 15, 16)));
}

/// The nearest time that an HTTP date can name; formatting any other would panic.
pub(super) fn http_time(time: SystemTime) -> SystemTime {
    time.clamp(SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + LAST_HTTP_DATE)
}

#[cfg(test)]
mod tests {
    use cap_std::fs::Metadata;
    use http::header::{IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE};

    use super::Verdict::{Failed, NotModified, Proceed};
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
    fn check(lines: &[(HeaderName, &str)], expected: Verdict) {
        check_at(modified() + DAY, lines, expected);
    }

    #[track_caller]
    fn check_at(now: SystemTime, lines: &[(HeaderName, &str)], expected: Verdict) {
        assert_eq!(Validators::new(&facts(), None, None, now).judge(&fields(lines)), expected, "{lines:?}");
    }

    fn fields(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    fn tag() -> String {
        opaque_of(&Validators::new(&facts(), None, None, modified() + DAY))
    }

    fn opaque_of(validators: &Validators) -> String {
        String::from_utf8(opaque(validators.tag.as_bytes()).to_vec()).unwrap()
    }

    /// A build or a copy may set the time of modification.
    #[test]
    fn a_change_that_only_the_time_of_change_shows_is_another_state() {
        let now = modified() + DAY;
        let later = Facts { changed: Some(now), ..facts() };
        assert_ne!(opaque_of(&Validators::new(&later, None, None, now)), tag());
        // Where the content is known, that tells.
        let tag =
            |facts: &Facts, content: &[u8]| opaque_of(&Validators::new(facts, Some(Digest::of(content)), None, now));
        assert_eq!(tag(&later, b"a"), tag(&facts(), b"a"));
        assert_ne!(tag(&facts(), b"a"), tag(&facts(), b"b"));
    }

    #[test]
    fn if_none_match() {
        let tag = tag();
        check(&[], Proceed);
        check(&[(IF_NONE_MATCH, &tag)], NotModified);
        check(&[(IF_NONE_MATCH, &format!("W/{tag}"))], NotModified);
        check(&[(IF_NONE_MATCH, "*")], NotModified);
        check(&[(IF_NONE_MATCH, &format!("\"a\", \"b,c\" ,W/{tag},\"d\""))], NotModified);
        check(&[(IF_NONE_MATCH, "\"a\""), (IF_NONE_MATCH, &tag)], NotModified);
        check(&[(IF_NONE_MATCH, "\"other\"")], Proceed);
        check(&[(IF_NONE_MATCH, "\"with a space\", \"\"")], Proceed);
        check(&[(IF_NONE_MATCH, tag.trim_matches('"'))], Proceed);
        check(&[(IF_NONE_MATCH, &format!("w/{tag}"))], Proceed);
        check(&[(IF_NONE_MATCH, "")], Proceed);
        check(&[(IF_NONE_MATCH, &",".repeat(10_000))], Proceed);
        // A fresh file: weak tags do here.
        check_at(modified(), &[(IF_NONE_MATCH, &tag)], NotModified);
        check_at(modified(), &[(IF_NONE_MATCH, &format!("W/{tag}"))], NotModified);
    }

    #[test]
    fn if_match() {
        let tag = tag();
        check(&[(IF_MATCH, &tag)], Proceed);
        check(&[(IF_MATCH, "*")], Proceed);
        check(&[(IF_MATCH, &format!("\"a\", {tag}"))], Proceed);
        check(&[(IF_MATCH, "\"a\""), (IF_MATCH, &tag)], Proceed);
        check(&[(IF_MATCH, &format!("W/{tag}"))], Failed);
        check(&[(IF_MATCH, "\"other\"")], Failed);
        check(&[(IF_MATCH, "")], Failed);
        check(&[(IF_MATCH, tag.trim_matches('"'))], Failed);
        // A fresh file has no strong tag to match.
        check_at(modified(), &[(IF_MATCH, &tag)], Failed);
        check_at(modified(), &[(IF_MATCH, &format!("W/{tag}"))], Failed);
        check_at(modified(), &[(IF_MATCH, "*")], Proceed);
    }

    #[test]
    fn dates() {
        let exact = httpdate::fmt_http_date(modified());
        let later = httpdate::fmt_http_date(modified() + DAY);
        let earlier = httpdate::fmt_http_date(modified() - Duration::from_secs(1));
        check(&[(IF_MODIFIED_SINCE, &exact)], NotModified);
        check(&[(IF_MODIFIED_SINCE, &later)], NotModified);
        check(&[(IF_MODIFIED_SINCE, "Fri, 31 Dec 9999 23:59:59 GMT")], NotModified);
        check(&[(IF_MODIFIED_SINCE, &earlier)], Proceed);
        check(&[(IF_MODIFIED_SINCE, "yesterday")], Proceed);
        check(&[(IF_MODIFIED_SINCE, &exact), (IF_MODIFIED_SINCE, &exact)], Proceed);
        check(&[(IF_UNMODIFIED_SINCE, &exact)], Proceed);
        check(&[(IF_UNMODIFIED_SINCE, &later)], Proceed);
        check(&[(IF_UNMODIFIED_SINCE, &earlier)], Failed);
        check(&[(IF_UNMODIFIED_SINCE, "yesterday")], Proceed);
        check(&[(IF_UNMODIFIED_SINCE, &earlier), (IF_UNMODIFIED_SINCE, &earlier)], Proceed);
    }

    #[test]
    fn precedence() {
        let tag = tag();
        let exact = httpdate::fmt_http_date(modified());
        let earlier = httpdate::fmt_http_date(modified() - Duration::from_secs(1));
        check(&[(IF_MODIFIED_SINCE, &exact), (IF_NONE_MATCH, "\"other\"")], Proceed);
        check(&[(IF_MODIFIED_SINCE, &earlier), (IF_NONE_MATCH, "*")], NotModified);
        check(&[(IF_UNMODIFIED_SINCE, &earlier), (IF_MATCH, &tag)], Proceed);
        check(&[(IF_UNMODIFIED_SINCE, &exact), (IF_MATCH, "\"other\"")], Failed);
        check(&[(IF_NONE_MATCH, &tag), (IF_MATCH, &tag)], NotModified);
        check(&[(IF_NONE_MATCH, &tag), (IF_MATCH, "\"other\"")], Failed);
        check(&[(IF_NONE_MATCH, &tag), (IF_UNMODIFIED_SINCE, &earlier)], Failed);
        check(&[(IF_MODIFIED_SINCE, &exact), (IF_UNMODIFIED_SINCE, &exact)], NotModified);
    }

    #[test]
    fn if_range() {
        let check = |now: SystemTime, value: &str, expected: bool| {
            let validators = Validators::new(&facts(), None, None, now);
            assert_eq!(validators.allow_range(&fields(&[(IF_RANGE, value)])), expected, "{value}");
        };
        let (tag, settled) = (tag(), modified() + DAY);
        let exact = httpdate::fmt_http_date(modified());
        assert!(Validators::new(&facts(), None, None, settled).allow_range(&HeaderMap::new()));
        check(settled, &tag, true);
        check(settled, &format!("W/{tag}"), false);
        check(settled, "\"other\"", false);
        check(settled, "*", false);
        check(settled, &format!("{tag}, \"other\""), false);
        check(settled, &exact, true);
        check(settled, &httpdate::fmt_http_date(modified() + DAY), false);
        check(settled, &httpdate::fmt_http_date(modified() - DAY), false);
        check(settled, "yesterday", false);
        check(settled, "", false);
        // Neither validator of a fresh file is strong.
        check(modified(), &tag, false);
        check(modified(), &format!("W/{tag}"), false);
        check(modified(), &exact, false);
    }

    #[test]
    fn each_coding_has_its_tag() {
        let plain = tag();
        let coded = Validators::new(&facts(), None, Some(Coding::Brotli), modified() + DAY);
        assert_eq!(opaque_of(&coded), format!("{}-br\"", plain.trim_end_matches('"')));
        let judge = |validators: &Validators, name, tag: &str| validators.judge(&fields(&[(name, tag)]));
        assert_eq!(judge(&coded, IF_NONE_MATCH, &plain), Proceed);
        assert_eq!(judge(&coded, IF_MATCH, &opaque_of(&coded)), Proceed);
        let weak = coded.weakened();
        assert_eq!(judge(&weak, IF_NONE_MATCH, &opaque_of(&weak)), NotModified);
        assert_eq!(judge(&weak, IF_MATCH, &opaque_of(&weak)), Failed);
    }

    #[test]
    fn a_fresh_file_has_a_weak_tag() {
        assert!(Validators::new(&facts(), None, None, modified() + Duration::from_secs(1)).weak);
        let settled = Validators::new(&facts(), None, None, modified() + Duration::from_secs(3));
        assert!(!settled.weak && settled.are_lasting());
    }

    #[test]
    fn hexadecimal_digits() {
        for number in [0, 9, 15, 16, 0x1234_5678_9abc_def0, u64::MAX.into(), u128::MAX] {
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
        Validators::new(&facts(), None, None, now).insert_into(&mut headers);
        assert_eq!(headers["last-modified"], httpdate::fmt_http_date(now));
    }
}
