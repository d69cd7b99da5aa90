//! What is counted of WebSockets: how many there are, and what was refused, closed, dropped or lost for which reason.

use rikki_limits::Count;

use super::live::Live;

/// What the WebSockets of a [`Live`] have come to, at one moment.
///
/// Each is exact; two of them may have been read at slightly different moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Counters {
    /// WebSockets open now.
    pub websockets: u64,
    /// Upgrades refused for their Origin.
    pub refused_origins: u64,
    /// Upgrades refused since they broke a rule of the opening handshake.
    pub refused_handshakes: u64,
    /// WebSockets closed with 1002 or 1007 since their peer broke a rule.
    pub closed_violations: u64,
    /// WebSockets closed with 1008 or 1009 since a message went past a limit.
    pub closed_limits: u64,
    /// WebSockets closed with 1008 for sending faster than they may.
    pub closed_rates: u64,
    /// WebSockets closed with 1013 since there was no memory left to decompress or to hold a message.
    pub closed_memory: u64,
    /// WebSockets closed or cut since a deadline had passed.
    pub closed_timeouts: u64,
    /// WebSockets cut for not reading, by [`Overflow::Close`](super::Overflow::Close).
    pub closed_overflows: u64,
    /// WebSockets closed with 1011 since their handler, or the task that served them, panicked.
    pub closed_panics: u64,
    /// Tasks that served a WebSocket and ended with an error; it is closed with 1011, or 1013 where too much waited for
    /// its peer, if it is still open.
    pub closed_errors: u64,
    /// Messages dropped since their receiver did not read.
    pub dropped_messages: u64,
    /// Messages that had been accepted and were not written when their WebSocket ended: it broke, ran into a deadline
    /// or was cut, or its peer closed first.
    pub lost_messages: u64,
    /// Bytes that wait now to be written.
    pub queued_bytes: u64,
}

/// The numbers behind [`Counters`].
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) websockets: Count,
    pub(crate) refused_origins: Count,
    pub(crate) refused_handshakes: Count,
    pub(crate) closed_violations: Count,
    pub(crate) closed_limits: Count,
    pub(crate) closed_rates: Count,
    pub(crate) closed_memory: Count,
    pub(crate) closed_timeouts: Count,
    pub(crate) closed_overflows: Count,
    pub(crate) closed_panics: Count,
    pub(crate) closed_errors: Count,
    pub(crate) dropped_messages: Count,
    pub(crate) lost_messages: Count,
}

impl Counters {
    pub(super) fn read(live: &Live) -> Self {
        let counts = live.counts();
        Self {
            websockets: counts.websockets.get(),
            refused_origins: counts.refused_origins.get(),
            refused_handshakes: counts.refused_handshakes.get(),
            closed_violations: counts.closed_violations.get(),
            closed_limits: counts.closed_limits.get(),
            closed_rates: counts.closed_rates.get(),
            closed_memory: counts.closed_memory.get(),
            closed_timeouts: counts.closed_timeouts.get(),
            closed_overflows: counts.closed_overflows.get(),
            closed_panics: counts.closed_panics.get(),
            closed_errors: counts.closed_errors.get(),
            dropped_messages: counts.dropped_messages.get(),
            lost_messages: counts.lost_messages.get(),
            queued_bytes: live.queues().used() as u64,
        }
    }
}
