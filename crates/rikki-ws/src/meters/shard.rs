//! What each thread counts of messages, in numbers that it alone writes to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::Meters;
use super::reading::{LagCounts, SizeCounts};
use crate::seen::Seen;

/// How many sizes of messages are told apart, each twice the one before. In the last are those of no bytes.
pub(super) const SIZES: usize = 64;

/// How many lags are told apart, each twice the one before, from this one on.
pub(super) const LAGS: usize = 24;
pub(super) const LEAST_LAG: Duration = Duration::from_micros(64);

/// The numbers of one thread, which nobody else writes to.
#[derive(Debug)]
pub(crate) struct Shard {
    received: Sizes,
    sent: Sizes,
    lags: [AtomicU64; LAGS],
    /// In nanoseconds.
    lag_sum: AtomicU64,
}

/// How many messages there were of which size, and how many bytes.
#[derive(Debug)]
struct Sizes {
    counts: [AtomicU64; SIZES],
    bytes: AtomicU64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; SIZES], bytes: AtomicU64::new(0) }
    }
}

impl Default for Shard {
    fn default() -> Self {
        let (received, sent, lag_sum) = Default::default();
        Self { received, sent, lags: [const { AtomicU64::new(0) }; LAGS], lag_sum }
    }
}

/// So much more, of a number that this thread alone writes to: no more than an addition.
#[inline(always)]
pub(crate) fn grow(number: &AtomicU64, by: u64) {
    number.store(number.load(Relaxed).wrapping_add(by), Relaxed);
}

impl Sizes {
    #[inline(always)]
    fn count(&self, length: usize) {
        // The logarithm of the next power of two, less one: from one for 3 and 4 bytes on.
        let size = (length.wrapping_sub(1) | 1).ilog2() as usize;
        if let Some(count) = self.counts.get(size) {
            grow(count, 1);
        }
        grow(&self.bytes, length as u64);
    }

    fn add_to(&self, sum: &mut SizeCounts) {
        for (index, count) in self.counts.iter().enumerate() {
            let count = count.load(Relaxed);
            // Those of no bytes belong to the smallest.
            let index = if index == SIZES - 1 { 0 } else { index };
            if let Some(bucket) = sum.counts.get_mut(index / 2) {
                *bucket += count;
            }
        }
        sum.bytes += self.bytes.load(Relaxed);
    }

    fn take_over(&self, other: &Self) {
        self.counts.iter().zip(&other.counts).for_each(|(sum, count)| grow(sum, count.load(Relaxed)));
        grow(&self.bytes, other.bytes.load(Relaxed));
    }
}

impl Shard {
    pub(super) fn add_to(&self, received: &mut SizeCounts, sent: &mut SizeCounts, lags: &mut LagCounts) {
        self.received.add_to(received);
        self.sent.add_to(sent);
        lags.counts.iter_mut().zip(&self.lags).for_each(|(sum, count)| *sum += count.load(Relaxed));
        lags.sum += Duration::from_nanos(self.lag_sum.load(Relaxed));
    }

    pub(super) fn take_over(&self, other: &Self) {
        self.received.take_over(&other.received);
        self.sent.take_over(&other.sent);
        self.lags.iter().zip(&other.lags).for_each(|(sum, count)| grow(sum, count.load(Relaxed)));
        grow(&self.lag_sum, other.lag_sum.load(Relaxed));
    }

    /// So many messages have waited for so long.
    pub(crate) fn waited(&self, messages: usize, lag: Duration) {
        let doublings = (lag.as_micros() / LEAST_LAG.as_micros()).checked_ilog2().map_or(0, |log| log as usize + 1);
        if let Some(count) = self.lags.get(doublings.min(LAGS - 1)) {
            grow(count, messages as u64);
        }
        let nanoseconds = u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX);
        grow(&self.lag_sum, nanoseconds.saturating_mul(messages as u64));
    }
}

/// Where the messages of a turn are counted. There is one if somebody may look at the connection: nobody else would read
/// it.
#[derive(Debug)]
pub(crate) struct Tally<'a> {
    pub(crate) shard: &'a Shard,
    /// Of the connection.
    pub(crate) seen: &'a Seen,
}

impl Tally<'_> {
    #[inline(always)]
    pub(crate) fn received(&self, length: usize) {
        self.shard.received.count(length);
        self.seen.received(length);
    }

    #[inline(always)]
    pub(crate) fn sent(&self, length: usize) {
        self.shard.sent.count(length);
        self.seen.sent(length);
    }

    /// So many messages have waited since then, if that is known.
    pub(crate) fn waited_since(&self, messages: usize, since: Option<Instant>) {
        if let Some(since) = since
            && messages > 0
        {
            self.shard.waited(messages, since.elapsed());
        }
    }
}

/// How many endpoints a thread knows the numbers of at a time.
const KNOWN: usize = 64;

/// The numbers of a thread, by endpoint: those of the one that was polled last at hand.
#[derive(Debug, Default)]
pub(crate) struct Shards {
    current: (u64, Arc<Shard>),
    others: Vec<(u64, Arc<Shard>)>,
}

impl Shards {
    /// Those of an endpoint.
    #[inline(always)]
    pub(crate) fn of(&mut self, meters: &Meters) -> &Shard {
        if self.current.0 != meters.id {
            self.look_up(meters);
        }
        &self.current.1
    }

    #[cold]
    #[inline(never)]
    fn look_up(&mut self, meters: &Meters) {
        match self.others.iter_mut().find(|(id, _)| *id == meters.id) {
            Some(known) => std::mem::swap(known, &mut self.current),
            None => {
                let before = std::mem::replace(&mut self.current, (meters.id, meters.shard()));
                if self.others.len() == KNOWN {
                    self.others.remove(0);
                }
                self.others.push(before);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Carrier;
    use super::*;

    fn meters() -> Arc<Meters> {
        Meters::new("/chat", Carrier::Tcp, Arc::default(), Arc::default())
    }

    #[test]
    fn each_size_has_its_bucket() {
        let check = |length: usize, bound: u64| {
            let meters = meters();
            meters.shard().received.count(length);
            let received = meters.read().received;
            let bucket = received.counts.iter().position(|count| *count == 1).unwrap();
            assert_eq!((SizeCounts::bound(bucket), received.messages()), (bound, 1), "{length}");
            assert_eq!(received.bytes, length as u64);
        };
        for (length, bound) in [(0, 4), (1, 4), (4, 4), (5, 16), (16, 16), (17, 64), (64, 64), (65, 256)] {
            check(length, bound);
        }
        check(1 << 20, 1 << 20);
        check((1 << 20) + 1, 1 << 22);
    }

    #[test]
    fn lags_are_told_apart() {
        let check = |lag: Duration, bound: Option<Duration>| {
            let meters = meters();
            meters.shard().waited(2, lag);
            let lags = meters.read().lags;
            let bucket = lags.counts.iter().position(|count| *count == 2).unwrap();
            assert_eq!((LagCounts::bound(bucket), lags.sum), (bound, lag * 2), "{lag:?}");
        };
        check(Duration::ZERO, Some(LEAST_LAG));
        check(Duration::from_micros(63), Some(LEAST_LAG));
        check(Duration::from_micros(64), Some(LEAST_LAG * 2));
        check(Duration::from_secs(1), Some(LEAST_LAG * (1 << 14)));
        check(Duration::from_secs(1 << 20), None);
    }

    #[test]
    fn a_thread_finds_its_numbers_again() {
        let all: Vec<_> = (0..KNOWN + 10).map(|_| meters()).collect();
        let mut shards = Shards::default();
        for _ in 0..2 {
            for meters in &all {
                shards.of(meters).received.count(1);
            }
        }
        assert!(all.iter().all(|meters| meters.read().received.messages() == 2));
        assert!(shards.others.len() <= KNOWN);
    }

    /// What a thread has counted stays when it is gone, and it holds nothing then.
    #[test]
    fn threads_come_and_go() {
        let meters = meters();
        for _ in 0..3 {
            let of = meters.clone();
            let thread = std::thread::spawn(move || {
                let mut shards = Shards::default();
                for _ in 0..1000 {
                    shards.of(&of).sent.count(7);
                }
            });
            thread.join().unwrap();
        }
        let reading = meters.read();
        assert_eq!((reading.sent.messages(), reading.sent.bytes), (3000, 21_000));
        assert!(meters.of_threads.lock().unwrap().shards.is_empty());
    }
}
