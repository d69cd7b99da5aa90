//! Tables of limits: a struct of them, with a default and a setter for each.

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
