//! The header field `traceparent`, by which others tell which of their traces a request is a part of:
//! [W3C Trace Context](https://www.w3.org/TR/trace-context/). It is read for the log, and sent to nobody.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

use http::{HeaderMap, HeaderName};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The trace of a request, and who has sent it there. As it is made of numbers, nothing else of what a client has
/// written gets anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: NonZeroU128,
    parent_id: NonZeroU64,
}

/// An id, in hex with all of its digits.
#[derive(Clone, Copy, Debug)]
pub struct Hex {
    number: u128,
    digits: usize,
}

impl TraceParent {
    /// That of a request, if it has a valid one. Several are as good as none, since nobody knows which it is.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let value = values.next()?;
        if values.next().is_some() {
            return None;
        }
        Self::read(value.as_bytes())
    }

    /// One by its text, such as `00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01`: [section
    /// 3.2](https://www.w3.org/TR/trace-context/#traceparent-header).
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        let [version, trace_id, parent_id, flags] = [0..2, 3..35, 36..52, 53..55].map(|at| text.get(at).and_then(hex));
        flags?;
        if [2, 35, 52].iter().any(|at| text.get(*at) != Some(&b'-')) {
            return None;
        }
        // Section 4.3: what a later version has more than these four fields is behind one more dash.
        match (version?, text.get(55)) {
            (0xff, _) | (0, Some(_)) => return None,
            (_, None | Some(b'-')) => {}
            (_, Some(_)) => return None,
        }
        let parent_id = u64::try_from(parent_id?).ok().and_then(NonZeroU64::new)?;
        Some(Self { trace_id: NonZeroU128::new(trace_id?)?, parent_id })
    }

    /// The trace, which others know by 32 digits.
    #[must_use]
    pub fn trace_id(self) -> Hex {
        Hex { number: self.trace_id.get(), digits: 32 }
    }

    /// The span of whoever has sent the request, which others know by 16 digits.
    #[must_use]
    pub fn parent_id(self) -> Hex {
        Hex { number: self.parent_id.get().into(), digits: 16 }
    }
}

/// A number in hex, whose letters are small ones: no other is valid.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some((number << 4) | u128::from(digit))
    })
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, digits } = *self;
        write!(f, "{number:0digits$x}")
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "00f067aa0ba902b7";

    #[track_caller]
    fn check(text: &str, is_valid: bool) {
        let read = TraceParent::read(text.as_bytes());
        let shown = read.map(|read| (read.trace_id().to_string(), read.parent_id().to_string()));
        assert_eq!(shown, is_valid.then(|| (TRACE.to_owned(), PARENT.to_owned())), "{text}");
    }

    #[test]
    fn what_is_valid() {
        let of = |version: &str, more: &str| format!("{version}-{TRACE}-{PARENT}-01{more}");
        check(&of("00", ""), true);
        check(&format!(" \t{} ", of("00", "")), true);
        check(&format!("00-{TRACE}-{PARENT}-00"), true);
        check(&format!("00-{TRACE}-{PARENT}-ff"), true);
        for later in ["01", "cc", "fe"] {
            check(&of(later, ""), true);
            check(&of(later, "-"), true);
            check(&of(later, "-what-the-future-will-be-like"), true);
            check(&of(later, ".what"), false);
            check(&of(later, "0"), false);
        }
        for (version, more) in [
            ("ff", ""),
            ("ff", "-x"),
            ("00", "-"),
            ("00", "-x"),
            ("0", ""),
            ("000", ""),
            (" 0", ""),
            ("0A", ""),
            ("0x", ""),
        ] {
            check(&of(version, more), false);
        }
        for wrong in [
            "",
            "-",
            "00",
            "00-",
            &of("00", "")[..54],
            &of("01", "")[..54],
            &of("00", "").to_uppercase(),
            &of("00", "").replace("-", "_"),
            &of("00", "").replacen('-', " ", 1),
            &of("00", "").replace(TRACE, &"0".repeat(32)),
            &of("00", "").replace(PARENT, &"0".repeat(16)),
            &of("00", "").replace(TRACE, &TRACE[1..]),
            &of("00", "").replace(PARENT, &PARENT[1..]),
            &of("00", "").replace("0af7", "0aF7"),
            &of("00", "").replace("0af7", "0ag7"),
            &of("00", "").replace("0af7", "+af7"),
            &of("00", "").replace("-01", "-0g"),
            &of("00", "").replace("-01", "-0A"),
            &of("00", "").replace("-01", "-1"),
            &of("00", "").replace("-01", "-"),
            &format!("{}, {0}", of("00", "")),
            &of("00", "\r\nx: y"),
            &of("00", "\u{1b}[2J"),
            &"0".repeat(100_000),
        ] {
            check(wrong, false);
        }
        // The shortest numbers have all of their digits.
        let least = TraceParent::read(format!("00-{:032}-{:016}-00", 1, 1).as_bytes()).unwrap();
        assert_eq!(least.trace_id().to_string(), format!("{:032}", 1));
        assert_eq!(least.parent_id().to_string(), format!("{:016}", 1));
    }

    #[test]
    fn one_field_is_one_and_two_are_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(TraceParent::of(&headers), None);
        let value = HeaderValue::try_from(format!("00-{TRACE}-{PARENT}-01")).unwrap();
        headers.insert(TRACEPARENT, value.clone());
        assert!(TraceParent::of(&headers).is_some());
        headers.append(TRACEPARENT, value);
        assert_eq!(TraceParent::of(&headers), None);
        headers.insert(TRACEPARENT, HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(TraceParent::of(&headers), None);
    }
}
