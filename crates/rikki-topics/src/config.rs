//! What topics may hold, and what becomes of slow readers: plain data.

use std::time::Duration;

use crate::name::{BadName, Pattern};

rikki_limits::limits! {
    /// What all topics of a [`Topics`](crate::Topics) may hold together, and what each of them is like.
    ///
    /// It is plain data: equal to its copy, and without anything that lives. What is too small counts as the least that
    /// can be.
    ///
    /// ```
    /// use rikki_topics::{Policy, TopicConfig, TopicsConfig};
    ///
    /// let config = TopicsConfig::default()
    ///     .topic("chat/*", TopicConfig::default().history(100))?
    ///     .topic("price/*", TopicConfig::default().history(1).policy(Policy::Latest))?;
    /// # Ok::<(), rikki_topics::BadName>(())
    /// ```
    #[derive(Clone, Debug, PartialEq)]
    #[must_use]
    pub struct TopicsConfig, setters of TopicsConfig by with, beside {
        pub(crate) topics: Vec<(Pattern, TopicConfig)> = Vec::new(),
        pub(crate) others: Option<TopicConfig> = Some(TopicConfig::default()),
    };

    pub(crate) memory: Option<usize> {
        name: "topic-memory", unit: Size, default: "64MiB",
        meaning: "Memory of topics",
        detail: ", all together: where there is no more, a topic gives up its oldest messages for its new one, and what still has no \
                 room is refused",
        /// Messages count with their payload and about 250 bytes, and so do their compressed forms, names of topics,
        /// idempotency keys and who is present. Under the server of `rikki` a part of its memory, unless it is set.
        setter: memory(usize),
    }
    pub(crate) max_topics: usize {
        name: "max-topics", unit: Count, default: "100000",
        meaning: "Most topics", detail: " at a time; one more is refused",
        /// One that nobody is subscribed to is forgotten when its last message is older than its
        /// [`age`](TopicConfig::age). A topic takes about 300 bytes beside its messages and its name.
        setter: max_topics(usize),
    }
    pub(crate) max_subscriptions: usize {
        name: "max-subscriptions", unit: Count, default: "1000000",
        meaning: "Subscriptions of all connections", detail: "; one more is refused",
        /// Each takes at most 100 bytes.
        setter: max_subscriptions(usize),
    }
    pub(crate) max_publishing: usize {
        name: "max-publishing", unit: Count, default: "10000",
        meaning: "Messages on their way to a broker", detail: " that has not said yet that it has them; one more is refused",
        /// Where topics are in memory there are none. Each counts in [`memory`](Self::memory) until it is known what has
        /// become of it.
        setter: max_publishing(usize),
    }
    pub(crate) max_subscriptions_per_connection: usize {
        name: "max-subscriptions-per-connection", unit: Count, default: "128",
        meaning: "Subscriptions of one connection", detail: "; one more is refused",
        /// Of a WebSocket. Streams of events are requests, of which a connection of HTTP/2 may have many: they count in
        /// [`max_subscriptions`](Self::max_subscriptions) alone.
        setter: max_subscriptions_per_connection(usize),
    }
}

rikki_limits::set_by_name!(TopicsConfig, "`topic-memory` to `64MiB`");

impl TopicsConfig {
    /// Sets what the topics of a pattern are like: a name, or a prefix with `*` behind it for all names that begin so
    /// and go on. A name comes before a prefix, and a longer prefix before a shorter one; the same one again replaces
    /// it.
    ///
    /// # Errors
    ///
    /// [`BadName`], if no topic could have the name.
    pub fn topic(mut self, pattern: &str, config: TopicConfig) -> Result<Self, BadName> {
        let pattern = Pattern::parse(pattern)?;
        self.topics.retain(|(known, _)| *known != pattern);
        self.topics.push((pattern, config));
        Ok(self)
    }

    /// Sets what other topics are like, which no pattern fits; `None` refuses them. Default
    /// [`TopicConfig::default`].
    pub fn others(mut self, config: impl Into<Option<TopicConfig>>) -> Self {
        self.others = config.into();
        self
    }
}

rikki_limits::limits! {
    /// What one topic is like, or each of a pattern.
    ///
    /// A topic is a ring of messages, of which the oldest give way. A subscriber is a place in it: who reads slowly
    /// costs no queue, and gets behind until the ring has gone on without them. Then the [`Policy`] holds.
    #[derive(Clone, Debug, PartialEq)]
    #[must_use]
    pub struct TopicConfig, setters of TopicConfig by with, beside {
        pub(crate) policy: Policy = Policy::Gap,
        pub(crate) last: bool = false,
        pub(crate) latest_by_key: bool = false,
        pub(crate) presence: PresenceMode = PresenceMode::Off,
        pub(crate) publish: bool = false,
    };

    pub(crate) history: usize {
        name: "history", unit: CountOrZero, default: "100",
        meaning: "Messages that newcomers may have", detail: ", the last ones",
        /// The ring itself holds at least 1,024 messages within [`bytes`](Self::bytes) and [`age`](Self::age), so that
        /// a burst overtakes nobody who reads, and a resume finds what came in a short absence: whoever knows a position,
        /// or asks for one, may have what is behind it, as far as the ring goes.
        setter: history(usize),
    }
    pub(crate) bytes: usize {
        name: "bytes", unit: Size, default: "1MiB",
        meaning: "Memory of the topic's messages", detail: ": the oldest give way, and a larger one is refused",
        setter: bytes(usize),
    }
    pub(crate) age: Duration {
        name: "age", unit: Time, default: "10m",
        meaning: "How long a message is kept", detail: ", and a topic that nobody uses",
        /// A topic to which nothing was published is kept for 10 s at most. Who reads slowly may get what is older, as long
        /// as it has not given way.
        setter: age(Duration),
    }
}

rikki_limits::set_by_name!(TopicConfig, "`age` to `10m`");

impl TopicConfig {
    /// Sets what becomes of a subscriber whom the ring has gone on without; default [`Policy::Gap`].
    pub fn policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Whether a newcomer who asks for nothing else gets the last message at once, as for a value that is shown;
    /// default not.
    pub fn last(self, last: bool) -> Self {
        Self { last, ..self }
    }

    /// Whether of the messages with one [key](crate::Publish::key) only the latest is kept; default not.
    ///
    /// What is kept no longer is missing for nobody: a subscriber who comes late or reads slowly gets the latest of
    /// each key, and no gap is told of the others.
    pub fn latest_by_key(self, enabled: bool) -> Self {
        Self { latest_by_key: enabled, ..self }
    }

    /// Whether it is known who is there; default [`PresenceMode::Off`].
    pub fn presence(self, presence: PresenceMode) -> Self {
        Self { presence, ..self }
    }

    /// Whether clients may publish by its URL; default not. Subscribing is open there.
    ///
    /// The application itself may always publish, and a [rule](crate::TopicUrl::authorize) of the URL decides in place
    /// of this.
    pub fn publish(self, allowed: bool) -> Self {
        Self { publish: allowed, ..self }
    }

    /// Whether clients may [publish](Self::publish) by its URL.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.publish
    }
}

/// What becomes of a subscriber who reads so slowly that messages have gone which they have not had.
///
/// Either way it is counted by [pattern](crate::TopicCounters), and other subscribers lose nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// They are told how many are missing, as far as that is known, and go on with the oldest there is.
    #[default]
    Gap,
    /// They are told, and go on with the latest alone: for values of which only the last counts.
    Latest,
    /// Their connection is closed with 1013, so that they come back and resume. A `Stream` ends.
    Close,
}

/// What is known of who is subscribed to a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PresenceMode {
    /// Nothing.
    #[default]
    Off,
    /// How many they are.
    Counts,
    /// Who they are: see [`Identity`](crate::Identity). At most 1,000 are told of one topic, and the others are
    /// counted.
    Members,
}
