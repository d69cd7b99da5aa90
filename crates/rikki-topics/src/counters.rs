//! What is counted of the topics of a pattern.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rikki_limits::Count;

/// What the topics of one pattern have come to, at one moment.
///
/// Each is exact; two of them may have been read at slightly different moments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TopicCounters {
    /// The pattern, as it was configured; `*` stands for topics that no other fits.
    pub pattern: String,
    /// Topics that there are now.
    pub topics: u64,
    /// Subscriptions that there are now.
    pub subscribers: u64,
    /// What the messages hold that are kept now, in bytes.
    pub ring_bytes: u64,
    /// Messages that were published.
    pub published: u64,
    /// Messages that were not published again, since their idempotency key had been seen.
    pub repeated: u64,
    /// Messages that were refused: too long, or no memory was left.
    pub refused: u64,
    /// Messages handed over to subscribers, counted for each.
    pub delivered: u64,
    /// Messages that subscribers were told to be missing, by [`Policy::Gap`](crate::Policy::Gap), as far as their number
    /// is known.
    pub missed: u64,
    /// Messages that were passed over for the latest one, by [`Policy::Latest`](crate::Policy::Latest), likewise.
    pub skipped: u64,
    /// Subscribers who were closed, by [`Policy::Close`](crate::Policy::Close).
    pub closed: u64,
    /// Resumes that found everything.
    pub resumed: u64,
    /// Resumes that did not.
    pub not_recovered: u64,
}

/// The numbers behind [`TopicCounters`].
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) topics: Count,
    pub(crate) subscribers: Gauge,
    pub(crate) ring_bytes: Gauge,
    pub(crate) published: Count,
    pub(crate) repeated: Count,
    pub(crate) refused: Count,
    pub(crate) delivered: Count,
    pub(crate) missed: Count,
    pub(crate) skipped: Count,
    pub(crate) closed: Count,
    pub(crate) resumed: Count,
    pub(crate) not_recovered: Count,
}

/// A number that many have a part of.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    /// One's part has become another.
    pub(crate) fn change(&self, before: usize, after: usize) {
        if before != after {
            self.0.fetch_add((after as u64).wrapping_sub(before as u64), Relaxed);
        }
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Counts {
    /// A topic with so many subscribers, and so many bytes in its ring, is counted here from now on, and no longer with
    /// `others`. What has been counted of it so far stays there.
    pub(crate) fn take_over(&self, others: &Self, subscribers: usize, ring_bytes: usize) {
        self.topics.up();
        others.topics.down();
        self.subscribers.change(0, subscribers);
        others.subscribers.change(subscribers, 0);
        self.ring_bytes.change(0, ring_bytes);
        others.ring_bytes.change(ring_bytes, 0);
    }

    pub(crate) fn read(&self, pattern: &str) -> TopicCounters {
        TopicCounters {
            pattern: pattern.to_owned(),
            topics: self.topics.get(),
            subscribers: self.subscribers.get(),
            ring_bytes: self.ring_bytes.get(),
            published: self.published.get(),
            repeated: self.repeated.get(),
            refused: self.refused.get(),
            delivered: self.delivered.get(),
            missed: self.missed.get(),
            skipped: self.skipped.get(),
            closed: self.closed.get(),
            resumed: self.resumed.get(),
            not_recovered: self.not_recovered.get(),
        }
    }
}
