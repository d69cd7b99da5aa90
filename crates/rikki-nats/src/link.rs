//! The connection, and what is known of the stream at its other end: whether it is there, and in which history.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_nats::Client;
use rikki_topics::{BrokerStatus, Epoch};
use tokio::sync::{Semaphore, watch};

use crate::config::NatsConfig;
use crate::counters::Counts;
use crate::own::{Bounds, Planned};
use crate::publishing::Publisher;
use crate::requests::{Requests, lock};
use crate::stream::Info;
use crate::subject::Names;

/// Of how many topics something is got at a time.
const CATCHING_UP: usize = 64;

/// Of how many topics it is read at a time who is there.
const READING_PRESENCE: usize = 64;

/// How much of the largest message that NATS takes is left to headers, in bytes.
const HEADROOM: usize = 4096;

/// What there is once there has been a connection.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) client: Client,
    pub(crate) requests: Arc<Requests>,
    pub(crate) publisher: Publisher,
}

/// What all tasks of one stream share.
pub(crate) struct Link {
    pub(crate) config: Arc<NatsConfig>,
    pub(crate) bounds: Bounds,
    pub(crate) names: Names,
    /// By which others know this process.
    pub(crate) process: u64,
    pub(crate) connected: OnceLock<Connected>,
    is_there: AtomicBool,
    why_not: Mutex<Option<String>>,
    /// The history that there is, and how often messages may have been lost on their way.
    pub(crate) history: watch::Sender<History>,
    pub(crate) generation: AtomicU64,
    first: AtomicU64,
    last: AtomicU64,
    /// The latest sequence that anybody here has seen in this history.
    highest: AtomicU64,
    /// How long the latest answer took, in microseconds.
    pub(crate) lag: AtomicU64,
    is_replicated: AtomicBool,
    pub(crate) catching_up: Semaphore,
    pub(crate) reading_presence: Semaphore,
    pub(crate) counts: Counts,
}

/// What topics have to go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    /// `None` until it is known.
    pub(crate) epoch: Option<Epoch>,
    /// Each time messages may have got lost on their way it is another one.
    pub(crate) round: u64,
}

impl Link {
    pub(crate) fn new(config: Arc<NatsConfig>, Planned { names, bounds, .. }: Planned) -> Self {
        Self {
            names,
            bounds,
            config,
            process: random(),
            connected: OnceLock::new(),
            is_there: AtomicBool::new(false),
            why_not: Mutex::new(Some("it is not connected yet".to_owned())),
            history: watch::Sender::new(History::default()),
            generation: AtomicU64::new(0),
            first: AtomicU64::new(0),
            last: AtomicU64::new(0),
            highest: AtomicU64::new(0),
            lag: AtomicU64::new(0),
            is_replicated: AtomicBool::new(false),
            catching_up: Semaphore::new(CATCHING_UP),
            reading_presence: Semaphore::new(READING_PRESENCE),
            counts: Counts::default(),
        }
    }

    /// Whether messages can be published, as far as is known.
    pub(crate) fn is_there(&self) -> bool {
        self.is_there.load(Relaxed)
    }

    /// It is away from now on, for this reason; whether it was there.
    pub(crate) fn set_away(&self, why: &str) -> bool {
        *lock(&self.why_not) = Some(why.to_owned());
        self.is_there.swap(false, Relaxed)
    }

    /// It is there from now on, with this history; what was on its way may be lost.
    pub(crate) fn set_there(&self, epoch: Epoch) {
        *lock(&self.why_not) = None;
        // Before the others look, who wait for what follows.
        self.is_there.store(true, Relaxed);
        self.history.send_modify(|history| {
            (history.epoch, history.round) = (Some(epoch), history.round + 1);
        });
    }

    /// Messages may have got lost on their way.
    pub(crate) fn look_again(&self) {
        self.history.send_modify(|history| history.round += 1);
    }

    pub(crate) fn set_info(&self, info: &Info) {
        self.first.store(info.state.first_seq, Relaxed);
        self.last.store(info.state.last_seq, Relaxed);
        self.is_replicated.store(info.is_replicated(), Relaxed);
    }

    /// Whether several servers have the stream.
    pub(crate) fn is_replicated(&self) -> bool {
        self.is_replicated.load(Relaxed)
    }

    /// The first and the last sequence that the stream had when it was last asked.
    pub(crate) fn state(&self) -> (u64, u64) {
        (self.first.load(Relaxed), self.last.load(Relaxed))
    }

    /// Somebody has seen this sequence.
    pub(crate) fn has_seen(&self, sequence: u64) {
        self.highest.fetch_max(sequence, Relaxed);
    }

    pub(crate) fn highest(&self) -> u64 {
        self.highest.load(Relaxed)
    }

    /// Another history has begun, of which so much has been seen.
    pub(crate) fn begin_anew(&self, highest: u64) {
        self.highest.store(highest, Relaxed);
    }

    /// The longest message that there is room for.
    pub(crate) fn longest(&self) -> usize {
        let most = self.connected.get().map_or(1 << 20, |connected| connected.client.server_info().max_payload);
        most.saturating_sub(HEADROOM)
    }

    pub(crate) fn status(&self) -> BrokerStatus {
        let counts = &self.counts;
        let statistics = self.connected.get().map(|connected| connected.client.statistics());
        let read = |count: fn(&async_nats::Statistics) -> u64| statistics.as_deref().map_or(0, count);
        let mut status = BrokerStatus::of(&self.names.stream);
        status.connected = self.is_there();
        status.why_not.clone_from(&lock(&self.why_not));
        status.generation = self.generation.load(Relaxed);
        status.last_sequence = self.last.load(Relaxed);
        status.lag = Duration::from_micros(self.lag.load(Relaxed));
        status.topics = counts.topics.get();
        status.catching_up = counts.catching_up.get();
        status.catch_ups = counts.catch_ups.get();
        status.gaps = counts.gaps.get();
        status.acknowledged = counts.acknowledged.get();
        status.retried = counts.retried.get();
        status.unknown = counts.unknown.get();
        status.refused = counts.refused.get();
        status.connections = read(|statistics| statistics.connects.load(Relaxed));
        status.received_bytes = read(|statistics| statistics.in_bytes.load(Relaxed));
        status.sent_bytes = read(|statistics| statistics.out_bytes.load(Relaxed));
        status
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// A number that nobody can guess, and nobody else has.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(())
}
