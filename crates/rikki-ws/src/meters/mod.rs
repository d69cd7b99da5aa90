//! What is counted on the way of messages, by endpoint and transport: plain integers of one thread each, which are
//! added up when somebody asks.
//!
//! What happens to a connection as a whole is counted here too, by numbers that all threads share.

mod closes;
mod reading;
mod shard;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rikki_limits::Count;
use rikki_proto::CloseCode;

use closes::Closes;
pub use closes::Closings;
pub use reading::{LagCounts, MeterReading, Packed, SizeCounts};
use shard::{Shard, Sums};
pub(crate) use shard::{Shards, Tally, grow};

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
    gone: Sums,
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
        let (open, opened, closed, dropped_newest, dropped_oldest) = Default::default();
        let (deflated, inflated, of_threads) = Default::default();
        let endpoint = endpoint.into();
        Arc::new(Self {
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
        let Sums { received, sent, lags } = {
            let mut of_threads = self.of_threads.lock().unwrap_or_else(PoisonError::into_inner);
            of_threads.fold();
            let mut sums = of_threads.gone.clone();
            of_threads.shards.iter().for_each(|shard| shard.add_to(&mut sums));
            sums
        };
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
        for shard in std::mem::take(&mut self.shards) {
            match Arc::try_unwrap(shard) {
                Ok(gone) => gone.add_to(&mut self.gone),
                Err(shard) => self.shards.push(shard),
            }
        }
    }
}
