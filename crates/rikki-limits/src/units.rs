//! Sizes, durations and counts as people write them: `64KiB`, `30s`, `100`.
//!
//! A number is whole and is never guessed at: what is not a known unit, is too large or is zero where zero would turn
//! the limit into nonsense, is refused with a text that says what is accepted.

use std::fmt;
use std::time::Duration;

/// What the number of a limit counts, and whether it may be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// Things, at least one.
    Count,
    /// Things; zero means none at all.
    CountOrZero,
    /// Bytes, at least one.
    Size,
    /// Bytes; zero means nothing at all.
    SizeOrZero,
    /// Time, at least a millisecond.
    Time,
    /// Time; zero means not to wait at all.
    TimeOrZero,
}

/// What is wrong with the text of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadNumber {
    /// It is not of the unit's form.
    Form(Unit),
    /// It is zero.
    Zero,
    /// It is more than can be counted.
    TooLarge(Unit),
    /// It is more than this, which is the most that may be.
    Above(u64),
}

/// Units of size, with their bytes. `k`, `m` and `g` alone are left out: half the world means 1,000 by
/// them and the other half 1,024.
const SIZES: &[(&str, u64)] = &[
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
const TIMES: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

impl Unit {
    /// A number of it, as it is read.
    #[must_use]
    pub fn text(self, number: u64) -> String {
        match self {
            Self::Time | Self::TimeOrZero => format!("{number}ms"),
            Self::Count | Self::CountOrZero | Self::Size | Self::SizeOrZero => number.to_string(),
        }
    }

    /// The least number of it: things, bytes or milliseconds.
    #[must_use]
    pub const fn least(self) -> u64 {
        match self {
            Self::CountOrZero | Self::SizeOrZero | Self::TimeOrZero => 0,
            Self::Count | Self::Size | Self::Time => 1,
        }
    }

    /// What stands for a value in the help.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Count | Self::CountOrZero => "N",
            Self::Size | Self::SizeOrZero => "SIZE",
            Self::Time | Self::TimeOrZero => "DUR",
        }
    }

    /// The number that `text` says: things, bytes or milliseconds.
    ///
    /// # Errors
    ///
    /// [`BadNumber`] says what is accepted.
    pub const fn parse(self, text: &str) -> Result<u64, BadNumber> {
        let text = text.as_bytes();
        // Zero needs no unit.
        if let (Self::TimeOrZero, [b'0']) = (self, text) {
            return Ok(0);
        }
        let units = match self {
            Self::Count | Self::CountOrZero => &[("", 1)],
            Self::Size | Self::SizeOrZero => SIZES,
            Self::Time | Self::TimeOrZero => TIMES,
        };
        let (mut rest, mut number) = (text, Some(0_u64));
        while let [digit @ b'0'..=b'9', behind @ ..] = rest {
            number = match number {
                Some(number) => match number.checked_mul(10) {
                    Some(number) => number.checked_add((*digit - b'0') as u64),
                    None => None,
                },
                None => None,
            };
            rest = behind;
        }
        let Some(factor) = factor(units, rest) else { return Err(BadNumber::Form(self)) };
        if rest.len() == text.len() {
            return Err(BadNumber::Form(self));
        }
        let Some(number) = number else { return Err(BadNumber::TooLarge(self)) };
        match number.checked_mul(factor) {
            None => Err(BadNumber::TooLarge(self)),
            Some(0) if self.least() > 0 => Err(BadNumber::Zero),
            Some(number) => Ok(number),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a unit of this name counts for.
const fn factor(mut units: &[(&str, u64)], name: &[u8]) -> Option<u64> {
    while let [(unit, factor), others @ ..] = units {
        if is_same(unit.as_bytes(), name) {
            return Some(*factor);
        }
        units = others;
    }
    None
}

/// Whether two texts are the same but for the case of letters.
pub(crate) const fn is_same(mut a: &[u8], mut b: &[u8]) -> bool {
    while let ([first, a_behind @ ..], [other, b_behind @ ..]) = (a, b) {
        if !first.eq_ignore_ascii_case(other) {
            return false;
        }
        (a, b) = (a_behind, b_behind);
    }
    a.is_empty() && b.is_empty()
}

impl fmt::Display for BadNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, before) = match self {
            Self::Zero => return f.write_str("it must be above zero"),
            Self::Above(most) => return write!(f, "it must be {most} or less"),
            Self::Form(unit) => (unit, ""),
            Self::TooLarge(unit) => (unit, "the number is too large; "),
        };
        let forms = match unit {
            Unit::Count | Unit::CountOrZero => "expected a whole number such as 100",
            Unit::Size | Unit::SizeOrZero => "expected a whole number of bytes such as 65536, 64KiB, 4MiB or 1GB",
            Unit::Time | Unit::TimeOrZero => "expected a whole number with a unit, such as 500ms, 30s, 2m or 1h",
        };
        write!(f, "{before}{forms}")
    }
}

impl std::error::Error for BadNumber {}

/// A size in bytes, above zero.
///
/// # Errors
///
/// A text that says what is accepted; so below.
pub fn size(text: &str) -> Result<usize, BadNumber> {
    number(Unit::Size, text)
}

/// A duration above zero.
///
/// # Errors
///
/// As [`size`].
pub fn duration(text: &str) -> Result<Duration, BadNumber> {
    Unit::Time.parse(text).map(Duration::from_millis)
}

/// A whole number above zero.
///
/// # Errors
///
/// As [`size`].
pub fn count(text: &str) -> Result<usize, BadNumber> {
    number(Unit::Count, text)
}

fn number(unit: Unit, text: &str) -> Result<usize, BadNumber> {
    usize::try_from(unit.parse(text)?).map_err(|_| BadNumber::TooLarge(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE_FORMS: &str = "expected a whole number of bytes such as 65536, 64KiB, 4MiB or 1GB";
    const DURATION_FORMS: &str = "expected a whole number with a unit, such as 500ms, 30s, 2m or 1h";

    fn too_large(forms: &str) -> String {
        format!("the number is too large; {forms}")
    }

    // As the command says it.
    fn size(text: &str) -> Result<usize, String> {
        super::size(text).map_err(|error| error.to_string())
    }

    fn size_or_zero(text: &str) -> Result<u64, String> {
        Unit::SizeOrZero.parse(text).map_err(|error| error.to_string())
    }

    fn duration(text: &str) -> Result<Duration, String> {
        super::duration(text).map_err(|error| error.to_string())
    }

    fn duration_or_zero(text: &str) -> Result<Duration, String> {
        Unit::TimeOrZero.parse(text).map(Duration::from_millis).map_err(|error| error.to_string())
    }

    fn count(text: &str) -> Result<usize, String> {
        super::count(text).map_err(|error| error.to_string())
    }

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
