//! Sizes, durations and counts as people write them on a command line: `64KiB`, `30s`, `100`.
//!
//! A number is whole and is never guessed at: what is not a known unit, is too large or is zero where zero would turn the
//! limit into nonsense, is refused with a text that says what is accepted.

use std::time::Duration;

const SIZE_FORMS: &str = "expected a whole number of bytes such as 65536, 64KiB, 4MiB or 1GB";
const DURATION_FORMS: &str = "expected a whole number with a unit, such as 500ms, 30s, 2m or 1h";

/// Units of size, with their bytes. `k`, `m` and `g` alone are left out: half the world means 1,000 by
/// them and the other half 1,024.
const SIZE_UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("b", 1),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
];

/// Units of time, with their milliseconds.
const DURATION_UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// A size in bytes, above zero.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    not_zero(size_or_zero(text)?)
}

/// A size in bytes that may be zero, where that means nothing at all.
pub(crate) fn size_or_zero(text: &str) -> Result<usize, String> {
    usize::try_from(number_with_unit(text, &SIZE_UNITS, SIZE_FORMS)?).map_err(|_| too_large(SIZE_FORMS))
}

/// A duration above zero.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    not_zero(number_with_unit(text, &DURATION_UNITS, DURATION_FORMS)?).map(Duration::from_millis)
}

/// A duration that may be zero, where that means not to wait at all.
pub(crate) fn duration_or_zero(text: &str) -> Result<Duration, String> {
    // Zero needs no unit.
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    number_with_unit(text, &DURATION_UNITS, DURATION_FORMS).map(Duration::from_millis)
}

/// A whole number above zero.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    const FORMS: &str = "expected a whole number such as 100";
    let number = number_with_unit(text, &[("", 1)], FORMS)?;
    usize::try_from(not_zero(number)?).map_err(|_| too_large(FORMS))
}

fn number_with_unit(text: &str, units: &[(&str, u64)], forms: &str) -> Result<u64, String> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let factor = units.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name)).map(|(_, factor)| *factor);
    let (Some(factor), false) = (factor, digits.is_empty()) else {
        return Err(forms.to_owned());
    };
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(|| too_large(forms))
}

fn not_zero<N: Default + PartialEq>(number: N) -> Result<N, String> {
    if number == N::default() { Err("it must be above zero".to_owned()) } else { Ok(number) }
}

fn too_large(forms: &str) -> String {
    format!("the number is too large; {forms}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let check = |text: &str, expected: Result<usize, &str>| {
            let actual = size(text);
            assert_eq!(actual.as_ref().map_err(String::as_str), expected.as_ref().map_err(|text| *text), "{text:?}");
        };
        check("1", Ok(1));
        check("4194304", Ok(4_194_304));
        check("007", Ok(7));
        check("7B", Ok(7));
        check("64KiB", Ok(65_536));
        check("64kib", Ok(65_536));
        check("4MiB", Ok(4_194_304));
        check("1GiB", Ok(1_073_741_824));
        check("64KB", Ok(64_000));
        check("64kB", Ok(64_000));
        check("3mb", Ok(3_000_000));
        check("1GB", Ok(1_000_000_000));
        check("0", Err("it must be above zero"));
        check("0MiB", Err("it must be above zero"));
        for text in
            ["", " ", "KiB", "64k", "64K", "1TiB", "1.5MiB", "-1", "+1", "1_000", " 1", "1 ", "1 KiB", "1KiB2", "١"]
        {
            check(text, Err(SIZE_FORMS));
        }
        // 2^64 - 1 is the last number, and 2^34 GiB is the first product that is larger.
        check("18446744073709551615", usize::try_from(u64::MAX).map_err(|_| ""));
        for text in ["18446744073709551616", "17179869184GiB", "99999999999999999999999999KiB"] {
            check(text, Err(&too_large(SIZE_FORMS)));
        }
    }

    #[test]
    fn sizes_that_may_be_zero() {
        assert_eq!(size_or_zero("0"), Ok(0));
        assert_eq!(size_or_zero("0MiB"), Ok(0));
        assert_eq!(size_or_zero("32MiB"), Ok(32 << 20));
        assert_eq!(size_or_zero("off"), Err(SIZE_FORMS.to_owned()));
    }

    #[test]
    fn durations() {
        let check = |text: &str, expected: Result<u64, &str>| {
            let actual = duration(text);
            let expected = expected.map(Duration::from_millis);
            assert_eq!(actual.as_ref().map_err(String::as_str), expected.as_ref().map_err(|text| *text), "{text:?}");
        };
        check("1ms", Ok(1));
        check("500ms", Ok(500));
        check("30s", Ok(30_000));
        check("30S", Ok(30_000));
        check("2m", Ok(120_000));
        check("1h", Ok(3_600_000));
        check("0s", Err("it must be above zero"));
        for text in ["", "30", "0", "s", "1.5s", "-1s", "1d", "1us", "1min", "1m30s"] {
            check(text, Err(DURATION_FORMS));
        }
        check("18446744073709551615ms", Ok(u64::MAX));
        check("18446744073709551615s", Err(&too_large(DURATION_FORMS)));
    }

    #[test]
    fn durations_that_may_be_zero() {
        assert_eq!(duration_or_zero("0"), Ok(Duration::ZERO));
        assert_eq!(duration_or_zero("0s"), Ok(Duration::ZERO));
        assert_eq!(duration_or_zero("8s"), Ok(Duration::from_secs(8)));
        assert_eq!(duration_or_zero("8"), Err(DURATION_FORMS.to_owned()));
    }

    #[test]
    fn counts() {
        assert_eq!(count("16384"), Ok(16_384));
        assert_eq!(count("0"), Err("it must be above zero".to_owned()));
        for text in ["", "many", "1k", "-1", "1.0"] {
            assert_eq!(count(text), Err("expected a whole number such as 100".to_owned()), "{text:?}");
        }
        assert!(count("18446744073709551616").is_err());
    }
}
