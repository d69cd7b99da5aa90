//! A configuration as it is written: a map from the names of its limits to what people write, such as `"max-message":
//! "4MiB"`.
//!
//! Beside them are `compression` (`shared`, `dedicated` or `off`), `deflate` (what a compressor is made with) and
//! `overflow`. What is read is checked as it is on the command line.

use std::fmt;

use rikki_proto::deflate;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::compression::Compression;
use super::config::Config;

/// What the compression of a message may refer to.
#[derive(Clone, Copy, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    Shared,
    Dedicated,
    Off,
}

/// A number without a unit is one of things or of bytes.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Text(String),
}

impl Serialize for Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mode = match self.compression {
            None => Mode::Off,
            Some(compression) if compression.context_takeover => Mode::Dedicated,
            Some(_) => Mode::Shared,
        };
        map.serialize_entry("compression", &mode)?;
        if let Some(compression) = &self.compression {
            map.serialize_entry("deflate", &compression.deflate)?;
            for (name, text) in compression.limit_texts() {
                map.serialize_entry(name, &text)?;
            }
        }
        map.serialize_entry("overflow", &self.overflow)?;
        for (name, text) in self.limits.limit_texts().chain(self.limit_texts()) {
            map.serialize_entry(name, &text)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Limits;
        impl<'de> Visitor<'de> for Limits {
            type Value = Config;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from the names of limits to their values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Config, A::Error> {
                let mut config = Config::default();
                let (mut mode, mut deflate) = (Mode::Shared, deflate::Compression::default());
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "compression" => mode = map.next_value()?,
                        "deflate" => deflate = map.next_value()?,
                        "overflow" => config.overflow = map.next_value()?,
                        name => {
                            let text = match map.next_value()? {
                                Written::Number(number) => number.to_string(),
                                Written::Text(text) => text,
                            };
                            config = config.set(name, &text).map_err(A::Error::custom)?;
                        }
                    }
                }
                let context_takeover = matches!(mode, Mode::Dedicated);
                let compression = config.compression.filter(|_| !matches!(mode, Mode::Off));
                config.compression = compression.map(|limits| Compression { deflate, context_takeover, ..limits });
                Ok(config)
            }
        }
        deserializer.deserialize_map(Limits)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Overflow;

    #[test]
    fn what_is_written_is_read() {
        let small =
            Config::default().max_message_size(7).max_age(Duration::from_secs(9)).overflow(Overflow::DropOldest);
        let dedicated = Compression::dedicated().level(9).unwrap().threshold(5);
        for config in [Config::default(), small.clone().compression(None), small.compression(dedicated)] {
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config, "{text}");
        }
        assert_eq!(serde_json::from_str::<Config>("{}").unwrap(), Config::default());
        let people = r#"{"max-message": "64KiB", "max-fragments": 3, "ping-interval": "5s", "compression": "off"}"#;
        let expected =
            Config::default().max_message_size(64 << 10).max_fragments(3).ping_interval(Duration::from_secs(5));
        assert_eq!(serde_json::from_str::<Config>(people).unwrap(), expected.compression(None));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let check = |text: &str, expected: &str| {
            let error = serde_json::from_str::<Config>(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check(r#"{"max-mesage": 1}"#, "there is no limit called \"max-mesage\"");
        check(r#"{"max-message": "much"}"#, "max-message: expected a whole number of bytes");
        check(r#"{"write-queue": 0}"#, "write-queue: it must be above zero");
        check(r#"{"ping-interval": 5}"#, "ping-interval: expected a whole number with a unit");
        check(r#"{"deflate": {"level": 10}}"#, "level must be from 1 to 9, not 10");
        check(r#"{"deflate": {"speed": 1}}"#, "unknown field");
        check(r#"{"compression": "on"}"#, "unknown variant");
        check("[]", "a map from the names of limits to their values");
    }
}
