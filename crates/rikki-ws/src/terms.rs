//! What holds for the connections of an endpoint: its configuration, made ready, and what they share.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rikki_limits::{Budget, Hint, Hints};
use rikki_proto::handshake::Subprotocol;
use rikki_proto::{Connection, Limits};

#[cfg(feature = "client")]
use super::client::Watcher;
use super::clock::{NEVER, TICKS_PER_SECOND, Tick, ticks};
use super::compression::CodecSet;
use super::config::{Config, Overflow};
use super::counts::Counts;
use super::group::Group;
use super::live::Live;
use super::meters::{Carrier, Meters};
use super::origins::Origins;
use super::watched::Watching;

/// The mark of a connection when the memory for all of them is used up, in bytes.
const SCARCE_QUEUE: usize = 16 * 1024;

/// How much is framed ahead of a peer that does not read, in bytes, where the oldest messages are dropped: what has
/// been framed can no longer be.
const FRAMED_AHEAD: usize = 64 * 1024;

/// The same terms for each endpoint and transport that has them: made once for all of its connections.
#[derive(Debug, Default)]
struct Placed(Mutex<Vec<Arc<Terms>>>);

impl Clone for Placed {
    /// Other terms have others.
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Each connection holds one `Arc` of this.
#[derive(Clone, Debug)]
pub struct Terms {
    pub(crate) live: Live,
    /// The queue memory of `live`, which is looked at for each message.
    queues: Arc<Budget>,
    /// What is counted of its connections.
    pub(crate) meters: Arc<Meters>,
    placed: Placed,
    pub(crate) codecs: Option<CodecSet>,
    pub(crate) origins: Arc<Origins>,
    pub(crate) subprotocols: Arc<[Subprotocol]>,
    /// What each connection is a member of.
    pub(crate) groups: Arc<[Group]>,
    /// Who is told of pings and pongs beside the consumer.
    #[cfg(feature = "client")]
    pub(crate) watcher: Option<Watcher>,
    /// How the settings are written that would let in what is refused.
    pub(crate) hints: Hints,
    /// What is logged of each WebSocket, if anything is.
    pub(crate) watching: Option<Watching>,
    max_age: Option<Duration>,
    limits: Limits,
    pub(super) payload_rate: u32,
    pub(super) payload_window: Tick,
    pub(super) ping_interval: Tick,
    pub(super) pong_timeout: Tick,
    pub(super) max_message_rate: Option<u32>,
    pub(super) max_byte_rate: Option<u64>,
    pub(super) write_queue: usize,
    pub(super) overflow: Overflow,
    pub(super) write_timeout: Tick,
    pub(super) close_timeout: Tick,
    pub(super) linger_timeout: Tick,
}

impl Default for Terms {
    fn default() -> Self {
        Self::new(&Config::default(), &Live::process())
    }
}

impl Terms {
    /// Makes a configuration ready for connections that `live` counts.
    pub fn new(config: &Config, live: &Live) -> Self {
        let config = config.clone().within_limits();
        Self {
            live: live.clone(),
            queues: live.queues().clone(),
            meters: Meters::unread(),
            placed: Placed::default(),
            codecs: config.compression.map(|compression| CodecSet::new(compression, live.compression())),
            origins: Arc::default(),
            subprotocols: Arc::default(),
            groups: Arc::default(),
            #[cfg(feature = "client")]
            watcher: None,
            hints: |_: Hint<'_>| "rikki::ws::Upgrade::any_origin".to_owned(),
            watching: None,
            max_age: config.max_age,
            limits: config.limits,
            payload_rate: config.payload_rate,
            payload_window: ticks(config.payload_window),
            ping_interval: ticks(config.ping_interval),
            pong_timeout: ticks(config.pong_timeout),
            max_message_rate: config.max_message_rate,
            max_byte_rate: config.max_byte_rate,
            // With none at all nothing could ever be sent.
            write_queue: config.write_queue.max(1),
            overflow: config.overflow,
            write_timeout: ticks(config.write_timeout),
            close_timeout: ticks(config.close_timeout),
            linger_timeout: ticks(config.linger_timeout),
        }
    }

    /// Tells of pings and pongs.
    #[cfg(feature = "client")]
    pub(crate) fn with_watcher(self, watcher: Option<Watcher>) -> Self {
        Self { watcher, ..self }
    }

    /// Takes pages of these origins.
    pub fn with_origins(self, origins: Arc<Origins>) -> Self {
        Self { origins, ..self }
    }

    /// Writes settings like this where one would let in what is refused.
    pub fn with_hints(self, hints: Hints) -> Self {
        Self { hints, ..self }
    }

    /// Logs this of each WebSocket.
    pub fn with_watching(self, watching: Option<Watching>) -> Self {
        Self { watching, ..self }
    }

    /// Speaks these subprotocols, the preferred one first.
    pub fn with_subprotocols(self, subprotocols: Arc<[Subprotocol]>) -> Self {
        Self { subprotocols, ..self }
    }

    /// Lets each connection be a member of these groups.
    pub(crate) fn with_groups(self, groups: Arc<[Group]>) -> Self {
        Self { groups, ..self }
    }

    /// The same for the connections of an endpoint that come by one transport, which are counted by themselves.
    pub(crate) fn at(&self, endpoint: Option<&str>, carrier: Carrier) -> Arc<Self> {
        let meters = self.live.meters(endpoint, carrier);
        let mut placed = self.placed.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = placed.iter().find(|known| Arc::ptr_eq(&known.meters, &meters)) {
            return known.clone();
        }
        let codecs = self.codecs.as_ref().map(|codecs| codecs.metered(&meters));
        let terms = Arc::new(Self { meters, codecs, ..self.clone() });
        placed.push(terms.clone());
        terms
    }

    pub(crate) fn counts(&self) -> &Counts {
        self.live.counts()
    }

    /// One more WebSocket, from when its client may know of it.
    pub(super) fn opened(self: &Arc<Self>) -> Opened {
        self.counts().websockets.up();
        self.meters.opened.up();
        self.meters.open.up();
        Opened(Some(self.clone()))
    }

    /// One WebSocket less.
    pub(super) fn gone(&self) {
        self.counts().websockets.down();
        self.meters.open.down();
    }

    /// The server's end of a connection.
    pub(super) fn server(&self) -> Connection {
        self.with_memory(Connection::server(self.limits))
    }

    /// The client's end of one.
    pub(crate) fn client(&self, keys: impl rikki_proto::MaskKeys + 'static) -> Connection {
        self.with_memory(Connection::client(self.limits, keys))
    }

    fn with_memory(&self, mut connection: Connection) -> Connection {
        connection.set_message_memory(self.live.messages().clone());
        connection
    }

    /// What has to come of a message in a window, in bytes: something at least.
    pub(super) fn least_payload(&self) -> u64 {
        (u64::from(self.payload_rate) * u64::from(self.payload_window) / u64::from(TICKS_PER_SECOND)).max(1)
    }

    /// When a connection that begins `now` has lasted long enough.
    pub(super) fn end_of_life(&self, now: Tick) -> Tick {
        let Some(age) = self.max_age else { return NEVER };
        let jitter = age.as_millis() as u64 / 10;
        let shorter = RandomState::new().hash_one(now).checked_rem(jitter).unwrap_or(0);
        now.saturating_add(ticks(age.saturating_sub(Duration::from_millis(shorter))))
    }

    /// What waits to be written, over all connections.
    pub(super) fn queues(&self) -> &Arc<Budget> {
        &self.queues
    }

    /// The mark that holds now.
    pub(super) fn mark(&self) -> usize {
        if self.queues.is_spent() { self.write_queue.min(SCARCE_QUEUE) } else { self.write_queue }
    }

    /// Whether a message of so many bytes may wait: one alone may, and a small one.
    #[inline]
    pub(super) fn has_memory_for(&self, bytes: usize) -> bool {
        bytes <= SCARCE_QUEUE || self.has_much_memory_for(bytes)
    }

    fn has_much_memory_for(&self, bytes: usize) -> bool {
        self.queues.used() == 0 || self.queues.has_room_for(bytes)
    }

    /// How much may be framed where `mark` holds: less where what waits may still be dropped.
    #[inline]
    pub(super) fn framed_ahead(&self, mark: usize) -> usize {
        if self.overflow == Overflow::DropOldest { mark.min(FRAMED_AHEAD) } else { mark }
    }
}

/// A WebSocket that is counted and has no driver yet: no longer if it never gets one.
pub(super) struct Opened(Option<Arc<Terms>>);

impl Opened {
    /// From now on the driver tells when it ends.
    pub(super) fn hand_over(mut self) {
        self.0 = None;
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(terms) = &self.0 {
            terms.gone();
        }
    }
}
