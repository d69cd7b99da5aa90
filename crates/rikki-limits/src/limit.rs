//! Limits: the name, unit, default and meaning of each, written once.

use std::fmt;

use crate::units::{BadNumber, Unit, is_same};

/// A limit as people are told of it, and as they set it by name: on a command line, in a file or in code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limit {
    /// Such as `max-fragments`.
    pub name: &'static str,
    /// What its number counts.
    pub unit: Unit,
    /// The default as a person writes it, such as `4MiB`.
    pub default: Option<&'static str>,
    /// What holds where there is no such default and none is set.
    pub otherwise: &'static str,
    /// The most that may be asked for.
    pub most: u64,
    /// In the words of a line of help.
    pub meaning: &'static str,
    /// What there is to say behind that, with the punctuation in front.
    pub detail: &'static str,
}

impl Limit {
    /// A limit that may be any number of its unit.
    #[must_use]
    pub const fn new(
        name: &'static str,
        unit: Unit,
        (default, otherwise): (Option<&'static str>, &'static str),
        meaning: &'static str,
        detail: &'static str,
    ) -> Self {
        Self { name, unit, default, otherwise, most: u64::MAX, meaning, detail }
    }

    /// Lowers the most that may be asked for, if this is lower.
    #[must_use]
    pub const fn at_most(self, most: u64) -> Self {
        Self { most: if most < self.most { most } else { self.most }, ..self }
    }

    /// The number that `text` says: things, bytes or milliseconds.
    ///
    /// # Errors
    ///
    /// [`BadNumber`] says what is accepted.
    pub const fn parse(&self, text: &str) -> Result<u64, BadNumber> {
        match self.unit.parse(text) {
            Ok(number) if number > self.most => Err(BadNumber::Above(self.most)),
            result => result,
        }
    }

    /// The number of its default, if it has one.
    ///
    /// # Panics
    ///
    /// If the default cannot be read. Tables are made by [`limits!`](crate::limits), which asks when it is compiled.
    #[must_use]
    pub const fn default_number(&self) -> Option<u64> {
        let Some(text) = self.default else { return None };
        let Ok(number) = self.parse(text) else { panic_at_compile_time("a default that cannot be read") };
        Some(number)
    }

    /// Its line in a table: `--max-guests` `N`, `12`, most guests at a time; more are sent away.
    #[must_use]
    pub fn row(&self) -> String {
        let Self { name, unit, meaning, detail, .. } = self;
        let default = self.default.map_or_else(|| self.otherwise.to_owned(), |default| format!("`{default}`"));
        let mut meaning = meaning.chars();
        let first = meaning.next().map(|first| first.to_ascii_lowercase()).unwrap_or_default();
        format!("| `--{name}` `{unit}` | {default} | {first}{}{detail} |", meaning.as_str())
    }

    /// The number of the default of one of a table: for names that are known when it is compiled.
    ///
    /// # Panics
    ///
    /// If there is no limit of this name, or it has no default.
    #[must_use]
    pub const fn default_of(limits: &'static [Self], name: &str) -> usize {
        let Some(number) = Self::named(limits, name).default_number() else {
            panic_at_compile_time("this limit has no default")
        };
        number as usize
    }

    /// The limit of a table that has this name: for names that are known when it is compiled.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[must_use]
    pub const fn named(mut limits: &'static [Self], name: &str) -> &'static Self {
        while let [limit, others @ ..] = limits {
            if is_same(limit.name.as_bytes(), name.as_bytes()) {
                return limit;
            }
            limits = others;
        }
        panic_at_compile_time("no limit has this name")
    }
}

#[allow(clippy::panic, reason = "the crates of rikki come here in constants alone, which then do not compile")]
const fn panic_at_compile_time(why: &str) -> ! {
    panic!("{}", why)
}

/// Why a limit was not set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadLimit {
    /// No limit has this name.
    Unknown(String),
    /// This is not a value for it.
    Value(&'static str, BadNumber),
}

impl fmt::Display for BadLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "there is no limit called {name:?}"),
            Self::Value(name, error) => write!(f, "{name}: {error}"),
        }
    }
}

impl std::error::Error for BadLimit {}

#[cfg(test)]
mod tests {
    use super::*;

    const N: Limit = Limit::new("most", Unit::Count, (None, "no limit"), "Most", "").at_most(10).at_most(20);

    #[test]
    fn texts() {
        let check = |limit: Limit, text: &str, expected| assert_eq!(limit.parse(text), expected, "{text}");
        check(N, "10", Ok(10));
        check(N, "11", Err(BadNumber::Above(10)));
        check(N, "0", Err(BadNumber::Zero));
        check(Limit { unit: Unit::CountOrZero, ..N }, "0", Ok(0));
        check(Limit { unit: Unit::Size, ..N }, "1KiB", Err(BadNumber::Above(10)));
        check(Limit { unit: Unit::Time, ..N }, "10ms", Ok(10));
        check(Limit { unit: Unit::TimeOrZero, ..N }, "0", Ok(0));
        assert_eq!(BadLimit::Value("most", BadNumber::Above(10)).to_string(), "most: it must be 10 or less");
    }

    #[test]
    fn rows() {
        let check = |default, expected: &str| assert_eq!(Limit { default, ..N }.row(), expected);
        check(None, "| `--most` `N` | no limit | most |");
        check(Some("7"), "| `--most` `N` | `7` | most |");
    }
}
