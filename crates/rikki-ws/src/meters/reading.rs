//! What has been counted, at one moment.

use std::time::Duration;

use super::Carrier;
use super::closes::Closings;
use super::shard::{LAGS, LEAST_LAG, SIZES};

/// How far messages were compressed: bytes before and after that, of those that were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "nothing else can be")]
pub struct Packed {
    /// As applications have them.
    pub plain: u64,
    /// As they are on the wire.
    pub packed: u64,
}

/// Messages by size: how many there are of each, up to 4, 16, 64 bytes and so on, and all of their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "nothing else can be")]
pub struct SizeCounts {
    /// How many of up to 4 bytes, of up to 16 and so on.
    pub counts: [u64; SIZES],
    /// The bytes of all.
    pub bytes: u64,
}

impl SizeCounts {
    /// How many there are.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// So many more of more bytes than this power of two, up to the next.
    pub(super) fn add(&mut self, power: usize, count: u64) {
        self.counts.get_mut(power / 2).into_iter().for_each(|sum| *sum += count);
    }

    /// How large the messages of a bucket are at most, in bytes.
    #[must_use]
    pub fn bound(bucket: usize) -> u64 {
        4u64.saturating_pow(u32::try_from(bucket + 1).unwrap_or(u32::MAX))
    }
}

/// How long messages have waited: how many up to 64 µs, 128 µs and so on, and all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "nothing else can be")]
pub struct LagCounts {
    /// How many up to 64 µs, up to 128 µs and so on; the last has all others.
    pub counts: [u64; LAGS],
    /// All of it.
    pub sum: Duration,
}

impl LagCounts {
    /// Up to how long those of a bucket have waited; `None` for the last, which has no end.
    #[must_use]
    pub fn bound(bucket: usize) -> Option<Duration> {
        let doublings = u32::try_from(bucket).ok().filter(|_| bucket + 1 < LAGS)?;
        LEAST_LAG.checked_mul(1 << doublings)
    }
}

/// What has been counted of an endpoint, at one moment.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "of this project alone")]
pub struct MeterReading {
    /// The pattern of its route.
    pub endpoint: String,
    /// How they come.
    pub carrier: Carrier,
    /// WebSockets open now.
    pub open: u64,
    /// All that were opened.
    pub opened: u64,
    /// How those were closed that are gone.
    pub closed: Vec<Closings>,
    /// Messages received.
    pub received: SizeCounts,
    /// Messages framed for peers.
    pub sent: SizeCounts,
    /// Messages dropped since their receiver did not read: the one that was sent, or older ones.
    pub dropped: [u64; 2],
    /// Whether nobody is let in there.
    pub is_closed: bool,
    /// How far sent messages were compressed.
    pub deflated: Packed,
    /// How far received messages had been.
    pub inflated: Packed,
    /// How long messages have waited, from senders and topics, until they were framed.
    pub lags: LagCounts,
}
