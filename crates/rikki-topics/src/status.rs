//! How a broker is, for those who operate it.

use std::time::Duration;

/// How a broker is at one moment, or one of the streams that it has: see [`Broker::statuses`](crate::Broker::statuses).
///
/// What a broker does not know of itself it leaves at nothing. Each number is exact; two of them may have been read at
/// slightly different moments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct BrokerStatus {
    /// What the operator calls it.
    pub stream: String,
    /// Whether messages can be published now.
    pub connected: bool,
    /// Why not, as far as that is known.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub why_not: Option<String>,
    /// How often it is known to have lost what it had: see the [epoch](crate::Epoch).
    pub generation: u64,
    /// The latest message that it has, or had when it was last asked.
    pub last_sequence: u64,
    /// How long the latest answer took.
    #[cfg_attr(feature = "serde", serde(rename = "lag_ms", serialize_with = "millis"))]
    pub lag: Duration,
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
    /// Messages that were refused, since it was away.
    pub refused: u64,
    /// Connections that were made.
    pub connections: u64,
    /// Bytes that came from it, and that went there.
    pub received_bytes: u64,
    /// See [`received_bytes`](Self::received_bytes).
    pub sent_bytes: u64,
}

impl BrokerStatus {
    /// The status of a stream of this name, of which nothing is known yet: it is not connected.
    #[must_use]
    pub fn of(stream: impl Into<String>) -> Self {
        Self { stream: stream.into(), ..Self::default() }
    }

    /// This and another one as one, under the name of this: connected if both are, with the longer lag, the later
    /// generation and sequence, and the sums of what is counted.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        self.connected &= other.connected;
        self.why_not = self.why_not.or_else(|| other.why_not.clone());
        self.lag = self.lag.max(other.lag);
        self.generation = self.generation.max(other.generation);
        self.last_sequence = self.last_sequence.max(other.last_sequence);
        let sums = [
            (&mut self.topics, other.topics),
            (&mut self.catching_up, other.catching_up),
            (&mut self.catch_ups, other.catch_ups),
            (&mut self.gaps, other.gaps),
            (&mut self.acknowledged, other.acknowledged),
            (&mut self.retried, other.retried),
            (&mut self.unknown, other.unknown),
            (&mut self.refused, other.refused),
            (&mut self.connections, other.connections),
            (&mut self.received_bytes, other.received_bytes),
            (&mut self.sent_bytes, other.sent_bytes),
        ];
        for (sum, more) in sums {
            *sum = sum.saturating_add(more);
        }
        self
    }
}

#[cfg(feature = "serde")]
fn millis<S: serde::Serializer>(lag: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(lag.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_as_one() {
        let status = |connected, number: u64| BrokerStatus {
            connected,
            why_not: (!connected).then(|| "it is away".to_owned()),
            generation: number,
            last_sequence: number,
            lag: Duration::from_millis(number),
            acknowledged: number,
            ..BrokerStatus::of("a")
        };
        let both = status(true, 5).with(&status(false, 3));
        assert_eq!((both.connected, both.why_not.as_deref()), (false, Some("it is away")));
        assert_eq!((both.generation, both.last_sequence, both.lag), (5, 5, Duration::from_millis(5)));
        assert_eq!(both.acknowledged, 8);
    }
}
