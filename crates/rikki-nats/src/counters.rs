//! What is counted of the broker, and whether it is there.

use rikki_limits::Count;

/// How the broker is, at one moment: see [`Nats::status`](crate::Nats::status).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct NatsStatus {
    /// Whether messages can be published now.
    pub connected: bool,
    /// Why not, as far as that is known.
    pub why_not: Option<String>,
    /// How often the stream is known to have lost what it had: see the [epoch](rikki_topics::Epoch).
    pub generation: u64,
    /// The latest message that the stream has, or had when it was last asked.
    pub last_sequence: u64,
    /// How long the latest answer took, in milliseconds.
    pub lag: u64,
    /// Topics that are followed in this process.
    pub topics: u64,
    /// Topics of which something is being got now.
    pub catching_up: u64,
    /// How often what was there, or was missing, has been got of a topic.
    pub catch_ups: u64,
    /// Gaps that subscribers were told of, since what was missing could not be got.
    pub gaps: u64,
    /// Messages that were acknowledged.
    pub acknowledged: u64,
    /// Messages that were sent again, since nobody had acknowledged them.
    pub retried: u64,
    /// Messages that may be published or not.
    pub unknown: u64,
    /// Messages that were refused, since the broker was away.
    pub refused: u64,
    /// Connections that were made.
    pub connections: u64,
    /// Bytes that came from the broker, and that went there.
    pub received_bytes: u64,
    /// See [`received_bytes`](Self::received_bytes).
    pub sent_bytes: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) topics: Count,
    pub(crate) catching_up: Count,
    pub(crate) catch_ups: Count,
    pub(crate) gaps: Count,
    pub(crate) acknowledged: Count,
    pub(crate) retried: Count,
    pub(crate) unknown: Count,
    pub(crate) refused: Count,
}

/// One more, as long as this is kept.
#[derive(Debug)]
pub(crate) struct Counted<'a>(&'a Count);

impl<'a> Counted<'a> {
    pub(crate) fn new(count: &'a Count) -> Self {
        count.up();
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.down();
    }
}
