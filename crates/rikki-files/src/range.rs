//! The `Range` field: which bytes of a representation a request asks for (RFC 9110, section 14).

use std::ops::Range;

use http::HeaderMap;
use http::header::RANGE;

/// More ranges than this are answered with the whole representation.
const MAX_RANGES: usize = 16;

/// What a request asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Requested {
    /// Everything: there is no range, or none that counts.
    Whole,
    /// At least one range, in the order of the request. They lie within the length and do not overlap.
    Ranges(Vec<Range<u64>>),
    /// Only what lies beyond the end.
    Unsatisfiable,
}

impl Requested {
    /// What `headers` ask for of a representation of `length` bytes.
    pub(super) fn new(headers: &HeaderMap, length: u64) -> Self {
        let mut fields = headers.get_all(RANGE).iter();
        // Ranges in two fields are no list, since the unit stands in front.
        let (Some(field), None) = (fields.next(), fields.next()) else { return Self::Whole };
        // What is malformed or of another unit is ignored: https://www.rfc-editor.org/rfc/rfc9110#section-14.2
        parse(field.as_bytes()).map_or(Self::Whole, |specs| Self::resolve(&specs, length))
    }

    fn resolve(specs: &[Spec], length: u64) -> Self {
        let ranges: Vec<_> = specs.iter().filter_map(|spec| spec.resolve(length)).collect();
        if ranges.is_empty() {
            return Self::Unsatisfiable;
        }
        let mut sorted = ranges.clone();
        sorted.sort_unstable_by_key(|range| range.start);
        // Overlapping ranges make an answer longer than the file, and are a sign of an attack or a broken client:
        // https://www.rfc-editor.org/rfc/rfc9110#section-14.2
        let overlapping = sorted.windows(2).any(|pair| matches!(pair, [a, b] if a.end > b.start));
        // The last bytes of an empty file are all of it, but no Content-Range can say so.
        if overlapping || length == 0 { Self::Whole } else { Self::Ranges(ranges) }
    }
}

/// The value of `Content-Range` for a range that is not empty: <https://www.rfc-editor.org/rfc/rfc9110#section-14.4>.
pub(super) fn content_range(range: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", range.start, range.end.saturating_sub(1))
}

/// One range as it was sent: <https://www.rfc-editor.org/rfc/rfc9110#section-14.1.1>.
#[derive(Clone, Copy)]
enum Spec {
    From(u64),
    /// From the one byte to the other, both included.
    FromTo(u64, u64),
    /// So many bytes at the end of the file.
    Suffix(u64),
}

impl Spec {
    fn parse(text: &[u8]) -> Option<Self> {
        let dash = text.iter().position(|&byte| byte == b'-')?;
        let (first, last) = (text.get(..dash)?, text.get(dash + 1..)?);
        match (first, last) {
            (b"", last) => Some(Self::Suffix(number(last)?)),
            (first, b"") => Some(Self::From(number(first)?)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::FromTo(first, last))
            }
        }
    }

    /// The bytes that are meant, or `None` if there are none: <https://www.rfc-editor.org/rfc/rfc9110#section-14.1.2>.
    fn resolve(self, length: u64) -> Option<Range<u64>> {
        match self {
            Self::From(first) => (first < length).then_some(first..length),
            Self::FromTo(first, last) => (first < length).then(|| first..last.saturating_add(1).min(length)),
            Self::Suffix(count) => (count > 0).then(|| length.saturating_sub(count)..length),
        }
    }
}

/// The ranges of a well-formed field, at most [`MAX_RANGES`].
fn parse(field: &[u8]) -> Option<Vec<Spec>> {
    let equals = field.iter().position(|&byte| byte == b'=')?;
    let (unit, set) = (field.get(..equals)?, field.get(equals + 1..)?);
    // Empty elements count, so that a list of them costs nothing either.
    let many = set.iter().filter(|&&byte| byte == b',').nth(MAX_RANGES - 1).is_some();
    if many || !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    // Empty elements are allowed: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1.2
    let elements = set.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty());
    let specs: Option<Vec<_>> = elements.map(Spec::parse).collect();
    specs.filter(|specs| !specs.is_empty())
}

/// Decimal digits and nothing else. Beyond 64 bits it is the largest number: no file is that long.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |sum: u64, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn requested(field: &str, length: u64) -> Requested {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, field.parse().unwrap());
        Requested::new(&headers, length)
    }

    #[track_caller]
    fn whole(field: &str) {
        assert_eq!(requested(field, 100), Requested::Whole, "{field}");
    }

    #[track_caller]
    fn unsatisfiable(field: &str) {
        assert_eq!(requested(field, 100), Requested::Unsatisfiable, "{field}");
    }

    #[track_caller]
    fn check(field: &str, expected: &[Range<u64>]) {
        assert_eq!(requested(field, 100), Requested::Ranges(expected.to_vec()), "{field}");
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init)]
    fn single_ranges() {
        check("bytes=0-0", &[0..1]);
        check("bytes=10-19", &[10..20]);
        check("bytes=90-", &[90..100]);
        check("bytes=0-", &[0..100]);
        check("bytes=-1", &[99..100]);
        check("bytes=-100", &[0..100]);
        check("bytes=-1000", &[0..100]);
        check("bytes=-18446744073709551616", &[0..100]);
        check("bytes=99-99", &[99..100]);
        check("bytes=50-1000", &[50..100]);
        check("bytes=50-18446744073709551615", &[50..100]);
        check("bytes=50-99999999999999999999999999", &[50..100]);
        check("bytes=0010-0019", &[10..20]);
        check("BYTES=1-2", &[1..3]);
        check("bytes= 1-2 ", &[1..3]);
        check("bytes=,1-2,", &[1..3]);
        check("bytes=1-2,200-300", &[1..3]);
    }

    #[test]
    fn several_ranges() {
        check("bytes=0-0,2-2", &[0..1, 2..3]);
        check("bytes=0-0 , \t2-2,,4-4", &[0..1, 2..3, 4..5]);
        check("bytes=90-99,0-9", &[90..100, 0..10]);
        check("bytes=0-9,10-19", &[0..10, 10..20]);
        check("bytes=0-9,-10", &[0..10, 90..100]);
        let sixteen: Vec<_> = (0..16).map(|index| index * 2..index * 2 + 1).collect();
        let field: Vec<_> = sixteen.iter().map(|range| format!("{0}-{0}", range.start)).collect();
        check(&format!("bytes={}", field.join(",")), &sixteen);
        whole(&format!("bytes={},50-50", field.join(",")));
    }

    #[test]
    fn what_is_beyond_the_end() {
        unsatisfiable("bytes=100-");
        unsatisfiable("bytes=100-200");
        unsatisfiable("bytes=18446744073709551615-");
        unsatisfiable("bytes=18446744073709551616-99999999999999999999");
        unsatisfiable("bytes=-0");
        unsatisfiable("bytes=-0,100-,200-300");
    }

    #[test]
    fn what_is_ignored() {
        for field in [
            "",
            "bytes",
            "bytes=",
            "bytes=,,,",
            "bytes= ",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=1-2-3",
            "bytes=--1",
            "bytes=2-1",
            "bytes=1-2,2-1",
            "bytes=1-2,x",
            "bytes=+1-2",
            "bytes=1 - 2",
            "bytes =1-2",
            "lines=1-2",
            "=1-2",
            "bytes=0x1-0x2",
            "bytes:1-2",
            "bytes=1-2;q=1",
            "bytes=1-\u{661}",
        ] {
            whole(field);
        }
        // Overlapping, in any order.
        for field in ["bytes=0-9,9-19", "bytes=0-,0-", "bytes=-1,99-", "bytes=50-60,0-9,5-5", "bytes=0-0,0-0"] {
            whole(field);
        }
        whole(&format!("bytes={}", "0-,".repeat(10_000)));
        whole(&format!("bytes=0-0{}", ",".repeat(16)));
        let mut headers = HeaderMap::new();
        assert_eq!(Requested::new(&headers, 100), Requested::Whole);
        headers.append(RANGE, "bytes=0-0".parse().unwrap());
        headers.append(RANGE, "bytes=2-2".parse().unwrap());
        assert_eq!(Requested::new(&headers, 100), Requested::Whole);
    }

    #[test]
    fn an_empty_file() {
        assert_eq!(requested("bytes=0-", 0), Requested::Unsatisfiable);
        assert_eq!(requested("bytes=-0", 0), Requested::Unsatisfiable);
        assert_eq!(requested("bytes=-1", 0), Requested::Whole);
    }

    proptest! {
        /// Nothing panics, and whatever comes out lies within the length and apart from each other.
        #[test]
        fn any_field(field in "(bytes=)?([0-9]{0,20}-?[0-9]{0,20}[, \t]{0,2}){0,20}", length in 0..1_000_u64) {
            if let Requested::Ranges(ranges) = requested(&field, length) {
                prop_assert!((1..=MAX_RANGES).contains(&ranges.len()));
                let mut taken = vec![false; length as usize];
                for range in ranges {
                    prop_assert!(range.start < range.end && range.end <= length);
                    for index in range {
                        prop_assert!(!std::mem::replace(&mut taken[index as usize], true));
                    }
                }
            }
        }

        /// One range is the slice that it says.
        #[test]
        fn one_range(first in 0..300_u64, count in 0..300_u64, length in 1..200_u64) {
            let content: Vec<_> = (0..length).collect();
            let expected = content.iter().copied().filter(|index| (first..=first + count).contains(index));
            match requested(&format!("bytes={first}-{}", first + count), length) {
                Requested::Ranges(ranges) => prop_assert!(expected.eq(ranges.into_iter().flatten())),
                requested => {
                    prop_assert_eq!(requested, Requested::Unsatisfiable);
                    prop_assert!(first >= length);
                }
            }
        }
    }
}
