//! What lives while WebSockets do: what they hold together, and what is counted of them.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rikki_limits::{Budget, Limit};
use rikki_proto::deflate::Decompressor;
use rikki_proto::{CloseCode, MessageMemory};

use super::counts::{Counters, Counts};
use super::meters::{Carrier, MeterReading, Meters};
use super::seen::{Details, Roll};

/// Budgets and counters that many WebSockets share. Clones share the same ones.
///
/// A server of `rikki` has its own, of which its `Monitor` tells. WebSockets under another server, and clients, have
/// [that of the process](Self::process), unless their [`Endpoint`](super::Endpoint) or client is given another. There may
/// be 256 MiB of unfinished messages, 64 MiB that are unsent and 64 MiB for compression, unless that is set.
///
/// ```
/// use rikki_ws::Live;
///
/// let live = Live::new();
/// live.message_memory(64 << 20);
/// live.queue_memory(16 << 20);
/// ```
#[derive(Clone, Debug)]
pub struct Live(Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) messages: Arc<MessageMemory>,
    pub(super) queues: Arc<Budget>,
    pub(super) compression: Arc<Budget>,
    pub(super) counts: Counts,
    /// What is counted of each endpoint.
    endpoints: Mutex<Vec<Arc<Meters>>>,
    /// Whether somebody may look at single connections, and at how long messages wait.
    is_watched: Arc<AtomicBool>,
    roll: Roll,
}

/// How many endpoints are told apart; those of a server are as many as it has routes.
const MOST_ENDPOINTS: usize = 256;

/// What an endpoint is called that has no route, or is one too many.
const OTHER: &str = "other";

rikki_limits::limits! {
    /// The budgets that have been set one by one; the others are parts of the memory of a server.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Budgets, setters of Budgets by none;

    pub messages: Option<usize> {
        name: "message-memory", unit: Size, default: "256MiB",
        meaning: "Memory for unfinished messages",
        detail: " of all WebSockets, but for the first 16 KiB of each: where there is no more, the oldest are closed \
                 with 1013",
    }
    pub queues: Option<usize> {
        name: "queue-memory", unit: Size, default: "64MiB",
        meaning: "Unsent data of all WebSockets",
        detail: ": a larger message that has no room there is refused, and beyond it each has 16 KiB",
    }
    pub compression: Option<usize> {
        name: "deflate-memory", unit: Size, default: "64MiB",
        meaning: "Memory of all compression",
        detail: ", over all connections: when it is used up, new `dedicated` connections go without; a `shared` one \
                 needs it for the moment of decompressing alone",
    }
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
}

impl Live {
    /// Budgets of which nothing is held, with their defaults, and counters at zero.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            messages: Arc::new(MessageMemory::new(const { Limit::default_of(Budgets::LIMITS, "message-memory") })),
            queues: Arc::new(Budget::new("queue-memory", const { Limit::default_of(Budgets::LIMITS, "queue-memory") })),
            compression: Arc::new(Budget::new(
                "deflate-memory",
                const { Limit::default_of(Budgets::LIMITS, "deflate-memory") },
            )),
            counts: Counts::default(),
            endpoints: Mutex::default(),
            is_watched: Arc::default(),
            roll: Roll::default(),
        }))
    }

    /// The one of all WebSockets that have no other.
    #[must_use]
    pub fn process() -> Self {
        static PROCESS: LazyLock<Live> = LazyLock::new(Live::new);
        PROCESS.clone()
    }

    /// What unfinished messages may hold over all connections, in bytes.
    ///
    /// A message that has not arrived whole holds up to twice what has come of it, or where its length is known four
    /// times that and the 32 KiB that may be read next. Beyond 16 KiB it is counted. Where nothing is left the oldest
    /// give way: their connections are closed with 1013. One alone may always be as large as
    /// [`max_message_size`](super::Config::max_message_size).
    pub fn message_memory(&self, bytes: usize) {
        self.0.messages.budget().set_most(bytes);
    }

    /// What may wait to be written over all connections, in bytes.
    ///
    /// A message of more than 16 KiB is not taken where it would go beyond that, unless nothing else waits:
    /// [`SendError::Full`](super::SendError::Full), or as [`overflow`](super::Config::overflow) says. Then each
    /// connection has a mark of 16 KiB, so that one whose peer reads is served on; and each thread may hold one message
    /// more while it tries to write it.
    pub fn queue_memory(&self, bytes: usize) {
        self.0.queues.set_most(bytes);
    }

    /// The memory that compression may take, in bytes over all connections.
    ///
    /// [Shared](super::Compression::shared), it bounds what decompresses: one message at a time for each thread.
    /// [Dedicated](super::Compression::dedicated), it is set aside for a connection at the handshake: enough for about
    /// 200, and further connections go without compression.
    pub fn compression_memory(&self, bytes: usize) {
        self.0.compression.set_most(bytes.max(Decompressor::MEMORY));
    }

    #[doc(hidden)]
    #[must_use]
    pub fn budgets(&self) -> [&Arc<Budget>; 3] {
        [self.0.messages.budget(), &self.0.queues, &self.0.compression]
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters::read(self)
    }

    /// What is counted of the WebSockets of an endpoint that come by one transport; one that has no route has no name.
    pub(crate) fn meters(&self, endpoint: Option<&str>, carrier: Carrier) -> Arc<Meters> {
        let mut endpoints = self.0.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let find = |endpoints: &[Arc<Meters>], endpoint: &str| {
            let is_it = |known: &&Arc<Meters>| *known.endpoint == *endpoint && known.carrier == carrier;
            endpoints.iter().find(is_it).cloned()
        };
        let endpoint = endpoint.unwrap_or(OTHER);
        if let Some(known) = find(&endpoints, endpoint) {
            return known;
        }
        let endpoint = if endpoints.len() < MOST_ENDPOINTS { endpoint } else { OTHER };
        find(&endpoints, endpoint).unwrap_or_else(|| {
            let is_closed = endpoints.iter().find(|known| *known.endpoint == *endpoint);
            let is_closed = is_closed.map(|known| known.is_closed.clone()).unwrap_or_default();
            let meters = Meters::new(endpoint, carrier, self.0.is_watched.clone(), is_closed);
            endpoints.push(meters.clone());
            meters
        })
    }

    /// Keeps details of each WebSocket that opens from now on.
    #[doc(hidden)]
    pub fn watch(&self) {
        self.0.is_watched.store(true, Relaxed);
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.0.is_watched.load(Relaxed)
    }

    /// What has been counted of each endpoint.
    #[doc(hidden)]
    #[must_use]
    pub fn endpoints(&self) -> Vec<MeterReading> {
        let endpoints = self.0.endpoints.lock().unwrap_or_else(PoisonError::into_inner).clone();
        endpoints.iter().map(|meters| meters.read()).collect()
    }

    /// One WebSocket, if it is open and its details are kept.
    #[doc(hidden)]
    #[must_use]
    pub fn details(&self, id: u64) -> Option<Details> {
        self.0.roll.details(id)
    }

    /// Those on which most waits to be written.
    #[doc(hidden)]
    #[must_use]
    pub fn slowest(&self, most: usize) -> Vec<Details> {
        self.0.roll.slowest(most)
    }

    /// Closes a WebSocket behind what has been accepted for it, if it is open and its details are kept.
    #[doc(hidden)]
    #[must_use]
    pub fn close(&self, id: u64, code: CloseCode) -> bool {
        self.0.roll.close(id, code)
    }

    /// Refuses whoever comes to an endpoint from now on, or no longer: the WebSockets that are open there, or `None` if
    /// none has ever been.
    #[doc(hidden)]
    #[must_use]
    pub fn close_endpoint(&self, endpoint: &str, is_closed: bool) -> Option<Vec<u64>> {
        let endpoints = self.0.endpoints.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let of_it = endpoints.iter().find(|known| *known.endpoint == *endpoint)?;
        of_it.is_closed.store(is_closed, Relaxed);
        Some(self.0.roll.of_endpoint(endpoint))
    }

    pub(crate) fn roll(&self) -> &Roll {
        &self.0.roll
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.0.counts
    }

    pub(super) fn messages(&self) -> &Arc<MessageMemory> {
        &self.0.messages
    }

    pub(super) fn queues(&self) -> &Arc<Budget> {
        &self.0.queues
    }

    pub(super) fn compression(&self) -> &Arc<Budget> {
        &self.0.compression
    }

    #[cfg(test)]
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
