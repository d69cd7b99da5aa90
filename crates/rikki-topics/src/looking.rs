//! How far the broker has looked in a topic, who waits for that, and where a topic is in which nothing comes.

use crate::ring::{Millis, Ring};

/// How long nothing must have come until it is said where the topic is, and since that was said last: as long as the
/// heartbeat of a stream of events is by default.
pub(crate) const QUIET: Millis = 15_000;

/// How far the broker has looked.
#[derive(Debug, Default)]
pub(crate) struct Looking {
    /// How often it has begun to look how far the topic goes, and which of these looks is over.
    begun: u64,
    over: u64,
    /// The farthest offset that somebody has come with who waits for a look.
    wanted: u64,
    pub(crate) said: Said,
}

impl Looking {
    /// Another look; its number.
    pub(crate) fn begin(&mut self) -> u64 {
        self.begun += 1;
        self.begun
    }

    /// A look is over, and with it the waiting; whether a later one was not before it.
    pub(crate) fn end(&mut self, look: u64) -> bool {
        let is_later = look > self.over;
        (self.over, self.wanted) = (self.over.max(look), 0);
        is_later
    }

    pub(crate) fn want(&mut self, offset: u64) {
        self.wanted = self.wanted.max(offset);
    }

    pub(crate) fn begun(&self) -> u64 {
        self.begun
    }

    pub(crate) fn over(&self) -> u64 {
        self.over
    }

    pub(crate) fn wanted(&self) -> u64 {
        self.wanted
    }
}

/// Where a topic was said to be in which nothing came, for those who are told positions: what they know would grow older
/// than what there is, and what has gone meanwhile be taken for messages that they have missed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Said {
    /// How often it was said, round and round: who knows another number has not been told.
    pub(crate) times: u16,
    offset: u64,
    at: Millis,
}

impl Said {
    /// Says where the ring ends, if that is known to nobody and nothing has come or was said for so long; whether it does.
    pub(crate) fn say(&mut self, ring: &Ring, now: Millis) -> bool {
        let (offset, since) = (ring.last_offset(), ring.latest_at().unwrap_or_default().max(self.at));
        // In another epoch it may be less than it was.
        let is_said = offset != self.offset && offset > ring.latest_offset() && since.saturating_add(QUIET) <= now;
        if is_said {
            *self = Self { times: self.times.wrapping_add(1), offset, at: now };
        }
        is_said
    }

    /// Whether no message has come since.
    pub(crate) fn is_latest(&self, ring: &Ring) -> bool {
        self.offset > ring.latest_offset()
    }
}
