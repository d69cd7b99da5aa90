//! What each thread counts of messages, in numbers that it alone writes to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::Meters;
use super::reading::{LagCounts, SizeCounts};
use crate::seen::Seen;

/// Of messages below this size there is a number for each size: most are, and nothing else is to be counted of those.
const SMALL: usize = 128;

/// Of larger ones there is one for those up to each power of two.
const POWERS: usize = 64;

/// How many sizes of messages are told apart, each four times the one before.
pub(super) const SIZES: usize = POWERS / 2;

/// How many lags are told apart, each twice the one before, from this one on.
pub(super) const LAGS: usize = 24;
pub(super) const LEAST_LAG: Duration = Duration::from_micros(64);

/// The numbers of one thread, which nobody else writes to.
#[derive(Debug)]
pub(crate) struct Shard {
    received: Sizes,
    sent: Sizes,
    lags: [AtomicU64; LAGS],
    /// In microseconds.
    lag_sum: AtomicU64,
}

/// What several threads have counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    pub(super) received: SizeCounts,
    pub(super) sent: SizeCounts,
    pub(super) lags: LagCounts,
}

/// How many messages there were of which size.
#[derive(Debug)]
struct Sizes {
    /// By length.
    small: [AtomicU64; SMALL],
    /// By the largest power of two that is less than the length.
    large: [AtomicU64; POWERS],
    /// Of large ones.
    bytes: AtomicU64,
}

impl Default for Sizes {
    fn default() -> Self {
        let (small, large) = ([const { AtomicU64::new(0) }; SMALL], [const { AtomicU64::new(0) }; POWERS]);
        Self { small, large, bytes: AtomicU64::new(0) }
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
    /// In line as a whole: a call in the middle of sending would cost more than counting does.
    #[inline(always)]
    fn count(&self, length: usize) {
        if let Some(count) = self.small.get(length) {
            grow(count, 1);
            return;
        }
        cold_path();
        if let Some(count) = (length - 1).checked_ilog2().and_then(|power| self.large.get(power as usize)) {
            grow(count, 1);
        }
        grow(&self.bytes, length as u64);
    }

    fn add_to(&self, sum: &mut SizeCounts) {
        for (length, count) in self.small.iter().enumerate() {
            let count = count.load(Relaxed);
            let power = length.saturating_sub(1).checked_ilog2().unwrap_or(0);
            sum.add(power as usize, count);
            sum.bytes += count * length as u64;
        }
        self.large.iter().enumerate().for_each(|(power, count)| sum.add(power, count.load(Relaxed)));
        sum.bytes += self.bytes.load(Relaxed);
    }
}

/// Whatever follows a call of this is laid out of the way: as that of `std::hint`, for older compilers.
#[cold]
#[inline]
fn cold_path() {}

impl Shard {
    pub(super) fn add_to(&self, sums: &mut Sums) {
        self.received.add_to(&mut sums.received);
        self.sent.add_to(&mut sums.sent);
        let lags = &mut sums.lags;
        lags.counts.iter_mut().zip(&self.lags).for_each(|(sum, count)| *sum += count.load(Relaxed));
        lags.sum += Duration::from_micros(self.lag_sum.load(Relaxed));
    }

    /// So many messages have waited for so long.
    pub(crate) fn waited(&self, messages: usize, lag: Duration) {
        let doublings = (lag.as_micros() / LEAST_LAG.as_micros()).checked_ilog2().map_or(0, |log| log as usize + 1);
        if let Some(count) = self.lags.get(doublings.min(LAGS - 1)) {
            grow(count, messages as u64);
        }
        let microseconds = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX);
        grow(&self.lag_sum, microseconds.saturating_mul(messages as u64));
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

/// How many endpoints a thread knows the numbers of at a time, beside the one that was polled last.
const KNOWN: usize = 64;

/// The numbers of a thread, by endpoint: those of the one that was polled last at hand.
#[derive(Debug)]
pub(crate) struct Shards {
    current: Known,
    others: Vec<Known>,
}

/// The numbers of a thread for one endpoint.
#[derive(Debug)]
struct Known {
    /// Held, so that no others come to be at their address: those of up to [`KNOWN`] and one that are gone, too.
    meters: Arc<Meters>,
    shard: Arc<Shard>,
}

impl Default for Shards {
    fn default() -> Self {
        // Nobody reads those of no endpoint.
        Self { current: Known { meters: Meters::unread(), shard: Arc::default() }, others: Vec::new() }
    }
}

impl Shards {
    /// Those of an endpoint.
    #[inline(always)]
    pub(crate) fn of(&mut self, meters: &Arc<Meters>) -> &Shard {
        if !Arc::ptr_eq(&self.current.meters, meters) {
            self.look_up(meters);
        }
        &self.current.shard
    }

    #[cold]
    #[inline(never)]
    fn look_up(&mut self, meters: &Arc<Meters>) {
        match self.others.iter_mut().find(|known| Arc::ptr_eq(&known.meters, meters)) {
            Some(known) => std::mem::swap(known, &mut self.current),
            None => {
                let known = Known { meters: meters.clone(), shard: meters.shard() };
                let before = std::mem::replace(&mut self.current, known);
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
        for length in [127, 128, 129, 256] {
            check(length, 256);
        }
        check(257, 1 << 10);
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

    /// Others at the same address, where nothing else held that.
    #[test]
    fn meters_come_and_go() {
        let mut shards = Shards::default();
        for _ in 0..200 {
            let meters = meters();
            shards.of(&meters).sent.count(1);
            assert_eq!(meters.read().sent.messages(), 1);
        }
    }

    /// What a thread has counted stays when it is gone, and it holds nothing then.
    #[test]
    fn threads_come_and_go() {
        let meters = meters();
        for _ in 0..3 {
            let of = meters.clone();
            let thread = std::thread::spawn(move || {
                let mut shards = Shards::default();
                for length in [7, 1000].repeat(500) {
                    shards.of(&of).sent.count(length);
                }
            });
            thread.join().unwrap();
        }
        let reading = meters.read();
        assert_eq!((reading.sent.messages(), reading.sent.bytes), (3000, 1500 * 1007));
        assert!(meters.of_threads.lock().unwrap().shards.is_empty());
    }
}
