//! Streams that the topics of a pattern have of their own: plain data, and what follows of it.

use std::time::Duration;

use rikki_topics::{BadName, Pattern};

use crate::config::{BadConfig, NatsConfig};
use crate::subject::Names;

/// How many patterns may have one: each stream costs a connection, and a question a second.
const MOST: usize = 32;

rikki_limits::limits! {
    /// A stream that the topics of a pattern have of their own, so that others do not take their place: see
    /// [`NatsConfig::own_stream`].
    ///
    /// It is plain data. What is not set is as that of the topics that no pattern fits.
    #[derive(Clone, Debug, PartialEq)]
    #[must_use]
    pub struct StreamConfig, setters of StreamConfig by with, beside {
        pub(crate) name: String = String::new(),
    };

    pub(crate) retention: Option<Duration> {
        name: "retention", unit: Time, default: ["that of the others"],
        meaning: "How long the broker keeps messages of these topics", detail: "",
        setter: retention(Duration),
    }
    pub(crate) bytes: Option<usize> {
        name: "bytes", unit: Size, default: ["that of the others"],
        meaning: "What the broker keeps of these topics together", detail: ", beside what it keeps of others",
        setter: bytes(usize),
    }
    pub(crate) replicas: Option<usize> {
        name: "replicas", unit: Count, default: ["that of the others"], most: 5,
        meaning: "On how many servers of the broker each of their messages is", detail: "",
        setter: replicas(usize),
    }
}

rikki_limits::set_by_name!(StreamConfig, "`retention` to `1h`");

impl StreamConfig {
    /// A stream of this name: 1 to 32 ASCII letters, digits, `-` or `_`. In NATS that of all topics stands before it, and
    /// a `_`: as in `rikki_chat`, which is not to be the [`NatsConfig::stream`] of anybody else: that would be the same
    /// one.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

/// What one stream keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) retention: Duration,
    pub(crate) bytes: usize,
    pub(crate) replicas: usize,
    pub(crate) duplicates: Duration,
}

/// A stream as it has to be, and the topics that it is for.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) names: Names,
    pub(crate) bounds: Bounds,
    pub(crate) patterns: Vec<Pattern>,
}

impl NatsConfig {
    /// Gives the topics of a pattern a stream of their own, with bounds of its own: what is published to others takes none
    /// of their place. Patterns are those of [`TopicsConfig::topic`](rikki_topics::TopicsConfig::topic): a name, or a
    /// prefix with `*`; a name comes before a prefix, and a longer prefix before a shorter one; the same one again
    /// replaces it. Several may name one stream.
    ///
    /// It is to be the same on each node: otherwise they look for a topic in different places. A topic that goes over
    /// to another stream begins anew there. At most 32 patterns have one, and each stream costs a node one connection.
    ///
    /// ```
    /// use rikki_nats::{NatsConfig, StreamConfig};
    ///
    /// let chat = StreamConfig::named("chat").bytes(256_usize << 20);
    /// let config = NatsConfig::new("nats://127.0.0.1").own_stream("chat/*", chat)?;
    /// # Ok::<(), rikki_topics::BadName>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`BadName`], if no topic could have the name.
    pub fn own_stream(mut self, pattern: &str, stream: StreamConfig) -> Result<Self, BadName> {
        let pattern = Pattern::parse(pattern)?;
        self.own.retain(|(known, _)| *known != pattern);
        self.own.push((pattern, stream));
        Ok(self)
    }

    /// Whether the streams of patterns can be what they are.
    pub(crate) fn check_own(&self) -> Result<(), BadConfig> {
        if self.core && !self.own.is_empty() {
            return Err(BadConfig::CoreKeepsNone);
        }
        if self.own.len() > MOST {
            return Err(BadConfig::TooManyStreams { count: self.own.len(), most: MOST });
        }
        for (at, (_, stream)) in self.own.iter().enumerate() {
            check_name(&stream.name)?;
            let mut before = self.own.iter().take(at).filter(|(_, other)| other.name == stream.name);
            if before.any(|(_, other)| self.bounds_of(other) != self.bounds_of(stream)) {
                return Err(BadConfig::TwoStreams(stream.name.clone()));
            }
        }
        Ok(())
    }

    /// The stream of the topics that no pattern fits, and those that patterns have.
    pub(crate) fn streams(&self) -> (Planned, Vec<Planned>) {
        let common = Planned { names: Names::new(&self.stream), bounds: self.bounds(), patterns: Vec::new() };
        let mut own: Vec<Planned> = Vec::new();
        for (pattern, stream) in &self.own {
            let names = Names::own(&self.stream, &stream.name);
            match own.iter_mut().find(|known| known.names.stream == names.stream) {
                Some(known) => known.patterns.push(pattern.clone()),
                None => own.push(Planned { names, bounds: self.bounds_of(stream), patterns: vec![pattern.clone()] }),
            }
        }
        (common, own)
    }

    pub(crate) fn bounds(&self) -> Bounds {
        let Self { retention, bytes, replicas, duplicates, .. } = *self;
        Bounds { retention, bytes, replicas, duplicates }
    }

    fn bounds_of(&self, stream: &StreamConfig) -> Bounds {
        let StreamConfig { retention, bytes, replicas, .. } = stream.clone().within_limits();
        Bounds {
            retention: retention.unwrap_or(self.retention),
            bytes: bytes.unwrap_or(self.bytes),
            replicas: replicas.unwrap_or(self.replicas),
            duplicates: self.duplicates,
        }
    }
}

/// A name that stands in subjects, and in the names of streams and buckets: NATS has room for two of them.
pub(crate) fn check_name(name: &str) -> Result<(), BadConfig> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    match (1..=32).contains(&name.len()) && name.bytes().all(is_plain) {
        true => Ok(()),
        false => Err(BadConfig::Stream(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(streams: &[(&str, StreamConfig)]) -> NatsConfig {
        let add =
            |config: NatsConfig, (pattern, stream): &(&str, StreamConfig)| config.own_stream(pattern, stream.clone());
        streams.iter().try_fold(NatsConfig::new("a").replicas(3_usize), add).unwrap()
    }

    #[test]
    fn what_can_be() {
        let named = |name: &str| StreamConfig::named(name);
        let check =
            |streams: &[(&str, StreamConfig)], expected| assert_eq!(own(streams).check(), expected, "{streams:?}");
        check(&[("a/*", named("a")), ("b", named("b").bytes(5_usize))], Ok(()));
        // What is not set is that of the others.
        check(&[("a/*", named("a")), ("b", named("a").replicas(3_usize))], Ok(()));
        let two = || Err(BadConfig::TwoStreams("a".to_owned()));
        check(&[("a/*", named("a")), ("b", named("a").replicas(1_usize))], two());
        check(&[("a/*", named("a")), ("b", named("b")), ("c", named("a").retention(Duration::from_secs(1)))], two());
        // The same pattern again replaces what it had.
        check(&[("a/*", named("a")), ("b", named("a").bytes(1_usize)), ("a/*", named("b"))], Ok(()));
        let longest = "n".repeat(33);
        check(&[("a", named(&longest[1..]))], Ok(()));
        for name in ["", "a.b", "a b", "\u{fc}", "a*", ">", &longest] {
            check(&[("a", named(name))], Err(BadConfig::Stream(name.to_owned())));
        }
        let many = |count: usize| {
            let add = |config: NatsConfig, number: usize| config.own_stream(&number.to_string(), named("a")).unwrap();
            (0..count).fold(NatsConfig::new("a"), add)
        };
        assert_eq!(many(MOST).check(), Ok(()));
        assert_eq!(many(MOST + 1).check(), Err(BadConfig::TooManyStreams { count: MOST + 1, most: MOST }));
        assert_eq!(own(&[("a", named("a"))]).core(true).check(), Err(BadConfig::CoreKeepsNone));
        assert_eq!(NatsConfig::new("a").own_stream("", named("a")), Err(BadName::Empty));
    }

    #[test]
    fn what_comes_of_it() {
        let chat = || StreamConfig::named("chat").bytes(5_usize);
        let config = own(&[("chat/*", chat()), ("b", StreamConfig::named("b").replicas(9_usize)), ("talk/*", chat())]);
        let (common, own) = config.stream("s").streams();
        let told = |planned: &Planned| {
            let patterns: Vec<_> = planned.patterns.iter().map(Pattern::as_str).collect();
            (planned.names.stream.clone(), patterns.join(" "), planned.bounds.bytes, planned.bounds.replicas)
        };
        assert_eq!(told(&common), ("s".to_owned(), String::new(), 1 << 30, 3));
        let expected =
            [("s_chat".to_owned(), "chat/* talk/*".to_owned(), 5, 3), ("s_b".to_owned(), "b".to_owned(), 1 << 30, 5)];
        assert_eq!(own.iter().map(told).collect::<Vec<_>>(), expected);
    }
}
