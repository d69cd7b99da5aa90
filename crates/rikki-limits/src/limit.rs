//! Limits: the name, unit, default and meaning of each, written once.

use std::fmt;
use std::time::Duration;

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

/// The type of a field that is a limit.
///
/// An `Option` is `None` until it is set. That is no limit, or, where the table has a default, a budget that is a part
/// of something else.
pub trait Value: Sized {
    /// The largest number that it can be.
    const MOST: u64;

    /// The value of a number: things, bytes or milliseconds.
    fn of(number: u64) -> Self;

    /// What it is unless it is set.
    fn by_default(limit: &Limit) -> Self {
        Self::of(limit.default_number().unwrap_or(Self::MOST))
    }

    /// The number that it is: things, bytes or milliseconds; `None` where it is not set.
    fn number(&self) -> Option<u64>;

    /// Whether the limit can be this: a count or a time of none cannot, and there may be a most. A size of 0 in code is
    /// taken for what it says.
    ///
    /// # Errors
    ///
    /// [`BadNumber`] says what it has to be.
    fn check(&self, limit: &Limit) -> Result<(), BadNumber> {
        match self.number() {
            Some(number) if number < limit.unit.least() && limit.unit != Unit::Size => Err(BadNumber::Zero),
            Some(number) if number > limit.most => Err(BadNumber::Above(limit.most)),
            _ => Ok(()),
        }
    }

    /// What it is taken for, which is a year for a longer time: points in time that are further away may not exist.
    #[must_use]
    fn taken(self) -> Self {
        self
    }

    /// The nearest value that may be.
    #[must_use]
    fn within(self, limit: &Limit) -> Self;
}

macro_rules! number {
    ($($number:ident)*) => { $(
        impl Value for $number {
            const MOST: u64 = $number::MAX as u64;

            fn of(number: u64) -> Self {
                Self::try_from(number).unwrap_or(Self::MAX)
            }

            fn number(&self) -> Option<u64> {
                Some(*self as u64)
            }

            fn within(self, limit: &Limit) -> Self {
                let least = if limit.unit == Unit::Count { 1 } else { 0 };
                self.max(least).min(Self::of(limit.most))
            }
        }
    )* };
}

number!(u32 u64 usize);

impl Value for Duration {
    const MOST: u64 = u64::MAX;

    fn of(number: u64) -> Self {
        Self::from_millis(number)
    }

    fn number(&self) -> Option<u64> {
        Some(u64::try_from(self.as_millis()).unwrap_or(u64::MAX))
    }

    fn taken(self) -> Self {
        self.min(Self::from_secs(365 * 24 * 60 * 60))
    }

    fn within(self, limit: &Limit) -> Self {
        self.max(Self::of(limit.unit.least())).taken()
    }
}

impl<V: Value> Value for Option<V> {
    const MOST: u64 = V::MOST;

    fn of(number: u64) -> Self {
        Some(V::of(number))
    }

    fn number(&self) -> Option<u64> {
        self.as_ref().and_then(V::number)
    }

    fn by_default(_: &Limit) -> Self {
        None
    }

    fn taken(self) -> Self {
        self.map(V::taken)
    }

    fn within(self, limit: &Limit) -> Self {
        self.map(|value| value.within(limit))
    }
}

/// A struct of limits, each of them written once: its field, its line in the table, its default and its setter come of
/// it.
///
/// ```
/// use std::time::Duration;
///
/// rikki_limits::limits! {
///     /// What a guest may do.
///     #[derive(Clone, Debug, PartialEq)]
///     pub struct Config, setters of Config by changed;
///
///     pub max_guests: u32 {
///         name: "max-guests", unit: Count, default: "12",
///         meaning: "Most guests at a time", detail: "; more are sent away",
///         /// They are counted at the door.
///         setter: max_guests(u32),
///     }
///     pub stay: Option<Duration> {
///         name: "max-stay", unit: Time, default: none,
///         meaning: "Longest stay of a guest", detail: "",
///         setter: max_stay(impl Into<Option<Duration>>),
///     }
/// }
///
/// impl Config {
///     fn changed(mut self, change: impl FnOnce(&mut Self)) -> Self {
///         change(&mut self);
///         self
///     }
/// }
///
/// let mut config = Config::default().max_stay(Duration::from_secs(60));
/// assert_eq!(config.set_limit("max-guests", "100"), Ok(true));
/// assert_eq!(config, Config { max_guests: 100, stay: Some(Duration::from_secs(60)) });
/// assert_eq!(Config::LIMITS[0].default, Some("12"));
/// let row = "| `--max-guests` `N` | `12` | most guests at a time; more are sent away |";
/// assert_eq!(Config::LIMITS[0].row(), row);
/// ```
///
/// The setters are methods of whatever has the limits, and `changed` is how it lets them be changed. They keep what
/// they are given: `check_limits` says whether that can be, for who can tell, and `within_limits` gives the nearest,
/// for who cannot. A limit without a `setter` has one that is written by hand. What is no limit stands in front:
/// `beside { field: Type = value, }`.
#[macro_export]
macro_rules! limits {
    (
        $(#[$attribute:meta])*
        $vis:vis struct $config:ident, setters of $builder:ident by $change:ident $(, beside {
            $($(#[$beside_attribute:meta])* $beside_seen:vis $beside:ident: $beside_type:ty = $value:expr,)*
        })?;
        $(
            $seen:vis $field:ident: $type:ty {
                name: $name:literal, unit: $unit:ident, default: $default:tt, $(most: $most:expr,)?
                meaning: $meaning:literal, detail: $detail:literal,
                $($(#[$doc:meta])* setter: $setter:ident($argument:ty),)?
            }
        )*
    ) => {
        $(#[$attribute])*
        $vis struct $config {
            $(
                #[doc = $crate::sentence!($unit $default $meaning $detail)]
                $seen $field: $type,
            )*
            $($($(#[$beside_attribute])* $beside_seen $beside: $beside_type,)*)?
        }

        impl $config {
            /// Each limit, in the order in which people are told of them.
            $vis const LIMITS: &'static [$crate::Limit] = &[$(
                $crate::Limit::new($name, $crate::Unit::$unit, $crate::default!($default), $meaning, $detail)
                    .at_most(<$type as $crate::Value>::MOST)
                    $(.at_most($most))?,
            )*];

            /// Sets a limit by its name, as a person writes it, and tells whether there is one of that name.
            ///
            /// # Errors
            ///
            /// When this is not a value for it.
            $vis fn set_limit(&mut self, name: &str, text: &str) -> Result<bool, $crate::BadLimit> {
                match name {
                    $($name => {
                        let limit = const { $crate::Limit::named(Self::LIMITS, $name) };
                        let number = limit.parse(text).map_err(|error| $crate::BadLimit::Value($name, error))?;
                        self.$field = $crate::Value::taken($crate::Value::of(number));
                    })*
                    _ => return Ok(false),
                }
                Ok(true)
            }

            /// Each limit that is set, as [`set_limit`](Self::set_limit) reads it.
            $vis fn limit_texts(&self) -> impl Iterator<Item = (&'static str, String)> {
                let numbers = [$($crate::Value::number(&self.$field),)*];
                let texts = Self::LIMITS.iter().zip(numbers);
                texts.filter_map(|(limit, number)| Some((limit.name, limit.unit.text(number?))))
            }

            /// Whether each limit of the table can be what it is.
            ///
            /// # Errors
            ///
            /// The first that cannot.
            #[doc(hidden)]
            #[allow(dead_code, reason = "who cannot tell takes the nearest")]
            $vis fn check_limits(&self) -> Result<(), $crate::BadLimit> {
                $(
                    $crate::Value::check(&self.$field, const { $crate::Limit::named(Self::LIMITS, $name) })
                        .map_err(|error| $crate::BadLimit::Value($name, error))?;
                )*
                Ok(())
            }

            /// The nearest that each limit of the table can be.
            #[doc(hidden)]
            #[allow(dead_code, reason = "what was checked needs none")]
            #[must_use]
            $vis fn within_limits(mut self) -> Self {
                $(
                    let limit = const { $crate::Limit::named(Self::LIMITS, $name) };
                    self.$field = $crate::Value::within(self.$field, limit);
                )*
                self
            }
        }

        impl Default for $config {
            fn default() -> Self {
                // A default that cannot be read does not compile.
                $( const _: Option<u64> = $crate::Limit::named($config::LIMITS, $name).default_number(); )*
                Self {
                    $($field: $crate::Value::by_default(const { $crate::Limit::named(Self::LIMITS, $name) }),)*
                    $($($beside: $value,)*)?
                }
            }
        }

        impl $builder {
            $($(
                #[doc = $crate::sentence!($unit $default $meaning $detail)]
                ///
                $(#[$doc])*
                pub fn $setter(self, value: $argument) -> Self {
                    let value = $crate::Value::taken(value.into());
                    self.$change(|limits| limits.$field = value)
                }
            )?)*
        }
    };
}

/// What plain data has beside its [`limits!`](crate::limits), of which `with` is the way to change it: all of them, and a
/// way to set one by its name, of which there is an example.
///
/// ```
/// rikki_limits::limits! {
///     #[derive(Debug, PartialEq)]
///     pub struct Config, setters of Config by with;
///
///     pub max_guests: u32 {
///         name: "max-guests", unit: Count, default: "12",
///         meaning: "Most guests at a time", detail: "",
///         setter: max_guests(u32),
///     }
/// }
/// rikki_limits::set_by_name!(Config, "`max-guests` to `20`");
///
/// assert_eq!(Config::default().set("max-guests", "20"), Ok(Config::default().max_guests(20_u32)));
/// assert!(Config::default().set("max-hosts", "20").is_err());
/// ```
#[macro_export]
macro_rules! set_by_name {
    ($config:ident, $example:literal) => {
        impl $config {
            /// The limits, which [`set`](Self::set) sets by name.
            pub fn limits() -> impl Iterator<Item = &'static $crate::Limit> {
                Self::LIMITS.iter()
            }

            #[doc = concat!("Sets a limit by its name, as a person writes it: ", $example, ".")]
            ///
            /// # Errors
            ///
            /// [`BadLimit`](rikki_limits::BadLimit), if there is no limit of this name or this is no value for it.
            pub fn set(mut self, name: &str, text: &str) -> Result<Self, $crate::BadLimit> {
                match self.set_limit(name, text)? {
                    true => Ok(self),
                    false => Err($crate::BadLimit::Unknown(name.to_owned())),
                }
            }

            fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
                change(&mut self);
                self
            }
        }
    };
}

/// What a limit is unless it is set: a text, `none`, or `["what holds then"]`.
#[doc(hidden)]
#[macro_export]
macro_rules! default {
    (none) => {
        (None, "no limit")
    };
    ([$otherwise:literal]) => {
        (None, $otherwise)
    };
    ($default:literal) => {
        (Some($default), "")
    };
}

/// What a setter says of itself.
#[doc(hidden)]
#[macro_export]
macro_rules! sentence {
    (Size $default:tt $meaning:literal $detail:literal) => {
        concat!($meaning, $detail, $crate::default_words!($default), "; here in bytes.")
    };
    (SizeOrZero $($rest:tt)*) => { $crate::sentence!(Size $($rest)*) };
    ($unit:ident $default:tt $meaning:literal $detail:literal) => {
        concat!($meaning, $detail, $crate::default_words!($default), ".")
    };
}

/// What a setter says of a default.
#[doc(hidden)]
#[macro_export]
macro_rules! default_words {
    (none) => {
        ". Default: no limit"
    };
    ([$otherwise:literal]) => {
        concat!(". Default: ", $otherwise)
    };
    ($default:literal) => {
        concat!(". Default: ", $default)
    };
}

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
    fn values_that_may_not_be() {
        assert_eq!([0_usize, 1, 10, 11].map(|number| number.within(&N)), [1, 1, 10, 10]);
        let checked = [0_usize, 1, 10, 11].map(|number| number.check(&N));
        assert_eq!(checked, [Err(BadNumber::Zero), Ok(()), Ok(()), Err(BadNumber::Above(10))]);
        assert_eq!((Some(0_u32).check(&N), None::<u32>.check(&N)), (Err(BadNumber::Zero), Ok(())));
        assert_eq!(0_u64.check(&Limit { unit: Unit::Size, ..N }), Ok(()));
        assert_eq!(Duration::ZERO.check(&Limit { unit: Unit::Time, ..N }), Err(BadNumber::Zero));
        assert_eq!(Some(0_u32).within(&N), Some(1));
        assert_eq!(0_u64.within(&Limit { unit: Unit::SizeOrZero, ..N }), 0);
        let year = Duration::from_secs(365 * 24 * 60 * 60);
        assert_eq!(Duration::MAX.within(&N), year);
        for (unit, least) in [(Unit::TimeOrZero, 0), (Unit::Time, 1)] {
            assert_eq!(Duration::ZERO.within(&Limit { unit, ..N }), Duration::from_millis(least));
        }
    }

    #[test]
    fn rows() {
        let check = |default, expected: &str| assert_eq!(Limit { default, ..N }.row(), expected);
        check(None, "| `--most` `N` | no limit | most |");
        check(Some("7"), "| `--most` `N` | `7` | most |");
    }
}
