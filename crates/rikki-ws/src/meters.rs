//! What is counted on the way of messages, by endpoint and transport: plain integers of one thread each, which are
//! added up when somebody asks.
//!
//! What happens to a connection as a whole is counted here too, by numbers that all threads share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rikki_limits::Count;
use rikki_proto::CloseCode;

use super::seen::Seen;

/// How many sizes of messages are told apart, each twice the one before. In the last are those of no bytes.
const SIZES: usize = 64;

/// How many lags are told apart, each twice the one before, from this one on.
const LAGS: usize = 24;
const LEAST_LAG: Duration = Duration::from_micros(64);

/// What WebSockets go through to whoever serves them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "nothing else can be")]
pub enum Carrier {
    /// TCP without TLS.
    Tcp,
    /// TLS on TCP.
    Tls,
    /// A Unix socket.
    Unix,
    /// Whatever another server has.
    Other,
}

/// Who has ended a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "nothing else can be")]
pub enum ClosedBy {
    /// The peer, by its Close.
    Peer,
    /// This end, by a Close or by cutting the connection.
    Server,
    /// Nobody: the connection broke, or the peer ended it without a Close.
    Network,
}

/// What is counted of the WebSockets of one endpoint that come by one transport.
#[derive(Debug)]
pub(crate) struct Meters {
    /// What tells them from all others.
    pub(super) id: u64,
    /// What the endpoint is called: the pattern of its route.
    pub endpoint: Box<str>,
    /// How they come.
    pub carrier: Carrier,
    pub(super) open: Count,
    pub(super) opened: Count,
    closed: Closes,
    /// Messages dropped since their receiver did not read: the one that was sent, or older ones.
    pub(super) dropped_newest: Count,
    pub(super) dropped_oldest: Count,
    deflated: Pair,
    inflated: Pair,
    /// Whether it is looked at how long messages wait.
    times: Arc<AtomicBool>,
    /// Whether nobody is let in there.
    pub(super) is_closed: Arc<AtomicBool>,
    of_threads: Mutex<OfThreads>,
}

#[derive(Debug, Default)]
struct OfThreads {
    shards: Vec<Arc<Shard>>,
    /// Of threads that are gone.
    gone: Shard,
}

/// Bytes before and after compression.
#[derive(Debug, Default)]
pub(super) struct Pair {
    plain: Count,
    packed: Count,
}

impl Pair {
    pub(super) fn add(&self, plain: usize, packed: usize) {
        self.plain.add(plain);
        self.packed.add(packed);
    }

    pub(super) fn read(&self) -> Packed {
        Packed { plain: self.plain.get(), packed: self.packed.get() }
    }
}

/// How far messages were compressed: bytes before and after that, of those that were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "nothing else can be")]
pub struct Packed {
    /// As applications have them.
    pub plain: u64,
    /// As they are on the wire.
    pub packed: u64,
}

/// The codes that are told apart; peers choose among the others.
const CODES: [u16; 14] = [1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
/// Of libraries, of applications, and what is none of all.
const GROUPS: [&str; 3] = ["3xxx", "4xxx", "other"];

#[derive(Debug, Default)]
struct Closes([[Count; 3]; CODES.len() + GROUPS.len()]);

impl Closes {
    fn up(&self, code: CloseCode, by: ClosedBy) {
        let group = match code.0 {
            3000..=3999 => 0,
            4000..=4999 => 1,
            _ => 2,
        };
        let row = CODES.iter().position(|known| *known == code.0).unwrap_or(CODES.len() + group);
        if let Some(count) = self.0.get(row).and_then(|row| row.get(by as usize)) {
            count.up();
        }
    }

    fn read(&self) -> Vec<Closings> {
        let codes = CODES.iter().map(u16::to_string).chain(GROUPS.map(str::to_owned));
        let rows = codes.zip(&self.0).flat_map(|(code, row)| {
            let by = [ClosedBy::Peer, ClosedBy::Server, ClosedBy::Network].into_iter().zip(row);
            by.map(move |(by, count)| Closings { code: code.clone(), by, count: count.get() })
        });
        rows.filter(|closings| closings.count > 0).collect()
    }
}

/// How many WebSockets were closed with a code by somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "nothing else can be")]
pub struct Closings {
    /// The code, or `3xxx`, `4xxx` or `other`.
    pub code: String,
    /// Who.
    pub by: ClosedBy,
    /// How many.
    pub count: u64,
}

/// The numbers of one thread, which nobody else writes to.
#[derive(Debug)]
pub(super) struct Shard {
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
pub(super) fn grow(number: &AtomicU64, by: u64) {
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
    fn take_over(&self, other: &Self) {
        self.received.take_over(&other.received);
        self.sent.take_over(&other.sent);
        self.lags.iter().zip(&other.lags).for_each(|(sum, count)| grow(sum, count.load(Relaxed)));
        grow(&self.lag_sum, other.lag_sum.load(Relaxed));
    }

    /// So many messages have waited for so long.
    pub(super) fn waited(&self, messages: usize, lag: Duration) {
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
pub(super) struct Tally<'a> {
    pub(super) shard: &'a Shard,
    /// Of the connection.
    pub(super) seen: Arc<Seen>,
}

impl Tally<'_> {
    #[inline(always)]
    pub(super) fn received(&self, length: usize) {
        self.shard.received.count(length);
        self.seen.received(length);
    }

    #[inline(always)]
    pub(super) fn sent(&self, length: usize) {
        self.shard.sent.count(length);
        self.seen.sent(length);
    }

    /// So many messages have waited since then, if that is known.
    pub(super) fn waited_since(&self, messages: usize, since: Option<Instant>) {
        if let Some(since) = since
            && messages > 0
        {
            self.shard.waited(messages, since.elapsed());
        }
    }
}

/// Messages by size: how many there are of each, up to 4, 16, 64 bytes and so on, and all of their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "nothing else can be")]
pub struct SizeCounts {
    /// How many of up to 4 bytes, of up to 16 and so on.
    pub counts: [u64; SIZES / 2],
    /// The bytes of all.
    pub bytes: u64,
}

impl SizeCounts {
    /// How many there are.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.counts.iter().sum()
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

impl Meters {
    /// Those of whatever is no endpoint of a server, which nobody reads.
    pub(super) fn unread() -> Arc<Self> {
        static UNREAD: LazyLock<Arc<Meters>> =
            LazyLock::new(|| Meters::new("", Carrier::Other, Arc::default(), Arc::default()));
        UNREAD.clone()
    }

    pub(super) fn new(
        endpoint: &str,
        carrier: Carrier,
        times: Arc<AtomicBool>,
        is_closed: Arc<AtomicBool>,
    ) -> Arc<Self> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let (open, opened, closed, dropped_newest, dropped_oldest) = Default::default();
        let (deflated, inflated, of_threads) = Default::default();
        let id = LAST.fetch_add(1, Relaxed) + 1;
        let endpoint = endpoint.into();
        Arc::new(Self {
            id,
            endpoint,
            carrier,
            open,
            opened,
            closed,
            dropped_newest,
            dropped_oldest,
            deflated,
            inflated,
            times,
            is_closed,
            of_threads,
        })
    }

    /// Whether somebody looks at how long messages wait.
    #[inline]
    pub(super) fn are_timed(&self) -> bool {
        self.times.load(Relaxed)
    }

    /// Whether nobody is let in there.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Relaxed)
    }

    /// The numbers of one thread more.
    pub(super) fn shard(&self) -> Arc<Shard> {
        let shard = Arc::<Shard>::default();
        let mut of_threads = self.of_threads.lock().unwrap_or_else(PoisonError::into_inner);
        of_threads.fold();
        of_threads.shards.push(shard.clone());
        shard
    }

    pub(super) fn count_closed(&self, code: CloseCode, by: ClosedBy) {
        self.closed.up(code, by);
    }

    pub(super) fn count_deflated(&self, plain: usize, packed: usize) {
        self.deflated.add(plain, packed);
    }

    pub(super) fn count_inflated(&self, plain: usize, packed: usize) {
        self.inflated.add(plain, packed);
    }

    /// What has been counted so far.
    pub(super) fn read(&self) -> MeterReading {
        let (mut received, mut sent, mut lags) = <(SizeCounts, SizeCounts, LagCounts)>::default();
        let mut of_threads = self.of_threads.lock().unwrap_or_else(PoisonError::into_inner);
        of_threads.fold();
        for shard in of_threads.shards.iter().map(|shard| &**shard).chain([&of_threads.gone]) {
            shard.received.add_to(&mut received);
            shard.sent.add_to(&mut sent);
            lags.counts.iter_mut().zip(&shard.lags).for_each(|(sum, count)| *sum += count.load(Relaxed));
            lags.sum += Duration::from_nanos(shard.lag_sum.load(Relaxed));
        }
        MeterReading {
            endpoint: self.endpoint.to_string(),
            carrier: self.carrier,
            open: self.open.get(),
            opened: self.opened.get(),
            closed: self.closed.read(),
            received,
            sent,
            dropped: [self.dropped_newest.get(), self.dropped_oldest.get()],
            is_closed: self.is_closed.load(Relaxed),
            deflated: self.deflated.read(),
            inflated: self.inflated.read(),
            lags,
        }
    }
}

impl OfThreads {
    /// Keeps the sums of threads that are gone, and nothing else of them.
    fn fold(&mut self) {
        for index in (0..self.shards.len()).rev() {
            match Arc::try_unwrap(self.shards.swap_remove(index)) {
                Ok(gone) => self.gone.take_over(&gone),
                Err(shard) => {
                    self.shards.push(shard);
                    let last = self.shards.len() - 1;
                    self.shards.swap(index, last);
                }
            }
        }
    }
}

/// How many endpoints a thread knows the numbers of at a time.
const KNOWN: usize = 64;

/// The numbers of a thread, by endpoint: those of the one that was polled last at hand.
#[derive(Debug, Default)]
pub(super) struct Shards {
    current: (u64, Arc<Shard>),
    others: Vec<(u64, Arc<Shard>)>,
}

impl Shards {
    /// Those of an endpoint, of which the id is at hand.
    #[inline(always)]
    pub(super) fn of(&mut self, id: u64, meters: &Meters) -> &Shard {
        if self.current.0 != id {
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

    /// What a thread has counted stays when it is gone, and it holds nothing then.
    #[test]
    fn threads_come_and_go() {
        let meters = meters();
        for _ in 0..3 {
            let of = meters.clone();
            let thread = std::thread::spawn(move || {
                let mut shards = Shards::default();
                for _ in 0..1000 {
                    shards.of(of.id, &of).sent.count(7);
                }
            });
            thread.join().unwrap();
        }
        let reading = meters.read();
        assert_eq!((reading.sent.messages(), reading.sent.bytes), (3000, 21_000));
        assert!(meters.of_threads.lock().unwrap().shards.is_empty());
    }

    #[test]
    fn a_thread_finds_its_numbers_again() {
        let all: Vec<_> = (0..KNOWN + 10).map(|_| meters()).collect();
        let mut shards = Shards::default();
        for _ in 0..2 {
            for meters in &all {
                shards.of(meters.id, meters).received.count(1);
            }
        }
        assert!(all.iter().all(|meters| meters.read().received.messages() == 2));
        assert!(shards.others.len() <= KNOWN);
    }

    #[test]
    fn codes_that_peers_choose_are_not_told_apart() {
        let meters = meters();
        for code in [1000, 1000, 1004, 1015, 2999, 3000, 3999, 4000, 4999, 5000, 0] {
            meters.count_closed(CloseCode(code), ClosedBy::Peer);
        }
        let closed = meters.read().closed;
        let closed: Vec<_> = closed.iter().map(|closed| (&*closed.code, closed.count)).collect();
        assert_eq!(closed, [("1000", 2), ("3xxx", 2), ("4xxx", 2), ("other", 5)]);
    }
}
