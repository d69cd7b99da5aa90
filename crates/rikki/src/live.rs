//! What lives while a server does: budgets and counters, and a view of them.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use rikki_limits::Budget;
#[cfg(feature = "admin")]
use rikki_limits::Count;

#[cfg(feature = "admin")]
use crate::counters::Transport;
use crate::counters::{Counters, Counts};
#[cfg(feature = "admin")]
use crate::pulse::{Pulses, Reading};
use crate::ws;

/// One for each server.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) websockets: ws::Live,
    pub(crate) counts: Arc<Counts>,
    pub(crate) connections: Arc<Budget>,
    #[cfg(feature = "tls")]
    pub(crate) http2: Arc<Budget>,
    pub(crate) mounted: RwLock<Mounted>,
    /// How far the workers are behind, as long as somebody looks.
    #[cfg(feature = "admin")]
    pub(crate) pulses: Arc<Pulses>,
    stage: AtomicU8,
    /// That of the server which has taken over what this one was to be.
    pub(crate) instead: OnceLock<Arc<Live>>,
}

/// The budgets of what a server has been given, once it has started.
#[derive(Debug, Default)]
pub(crate) struct Mounted {
    /// Of each folder, with the path that it is mounted at.
    pub(crate) folders: Vec<(String, Arc<Budget>)>,
    /// How often something was found in the cache of each, and how often not.
    #[cfg(feature = "admin")]
    pub(crate) caches: Vec<(String, Arc<[Count; 2]>)>,
    #[cfg(all(feature = "admin", feature = "tls"))]
    pub(crate) tls: Option<crate::tls::ServerTls>,
    pub(crate) topics: Vec<Arc<Budget>>,
    #[cfg(all(feature = "admin", feature = "topics"))]
    pub(crate) hubs: Vec<rikki_topics::Topics>,
}

impl Default for Live {
    /// Nothing is held or counted. How much there is of everything is told when the server starts.
    fn default() -> Self {
        Self {
            websockets: ws::Live::new(),
            counts: Arc::default(),
            connections: Arc::new(Budget::new("max-connections", usize::MAX)),
            #[cfg(feature = "tls")]
            http2: Arc::new(Budget::new("http2-memory", usize::MAX)),
            mounted: RwLock::default(),
            #[cfg(feature = "admin")]
            pulses: Arc::default(),
            stage: AtomicU8::new(Stage::Starting as u8),
            instead: OnceLock::new(),
        }
    }
}

const SERVING: u8 = Stage::Serving as u8;
const DRAINING: u8 = Stage::Draining as u8;

impl Live {
    /// The server has come so far: never back.
    pub(crate) fn reach(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Relaxed);
    }
}

/// Reads the counters and the budgets of a server: before it starts, while it runs and after it has stopped.
///
/// [`Server::monitor`](crate::Server::monitor) gives it for a route such as `/stats`, and
/// [`Handle::monitor`](crate::Handle::monitor) later. Clones read the same server, and do not keep it running.
///
/// ```
/// use axum::routing::get;
/// use rikki::Server;
///
/// let server = Server::new();
/// let monitor = server.monitor();
/// let stats = move || async move { monitor.counters().websockets.to_string() };
/// let server = server.route("/stats", get(stats));
/// ```
#[derive(Clone, Debug)]
pub struct Monitor(pub(crate) Arc<Live>);

/// How much of a budget is used, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct BudgetUse {
    /// What it is called: the name of its limit.
    pub name: &'static str,
    /// Where the folder is mounted that has it; `None` for what is the server's.
    pub mount: Option<String>,
    /// What is held, in bytes, or how many there are.
    pub used: usize,
    /// What may be held.
    pub most: usize,
}

/// How far a server has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "nothing else can be")]
pub enum Stage {
    /// It has not started, or is about to.
    Starting,
    /// Whoever comes is let in, as far as there is room.
    Serving,
    /// It ends, or has ended.
    Draining,
}

impl Monitor {
    /// How far the server has come: what a probe for readiness asks.
    ///
    /// ```
    /// # async fn example() -> Result<(), rikki::StartError> {
    /// use rikki::{Server, Stage};
    ///
    /// let server = Server::new().listen("http://127.0.0.1:0");
    /// let monitor = server.monitor();
    /// assert_eq!(monitor.stage(), Stage::Starting);
    /// let server = server.start().await?;
    /// assert_eq!(monitor.stage(), Stage::Serving);
    /// server.shutdown().await;
    /// assert_eq!(monitor.stage(), Stage::Draining);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.live().stage.load(Relaxed) {
            SERVING => Stage::Serving,
            DRAINING => Stage::Draining,
            _ => Stage::Starting,
        }
    }

    /// What has been counted so far: how many connections there are, and how many were refused for what.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters::read(self.live())
    }

    /// How much of each budget is used. Until the server has started, `most` of `max-connections` and of `http2-memory`
    /// is `usize::MAX`. From then on there are `read-memory` and `file-cache` of each folder that
    /// is mounted, and those of the [topics](crate::Server::topics); what two mounts of the same [`Files`](crate::Files) share is there twice.
    #[must_use]
    pub fn budgets(&self) -> Vec<BudgetUse> {
        let Live { websockets, connections, mounted, .. } = self.live();
        let Mounted { folders, topics, .. } = &*mounted.read().unwrap_or_else(PoisonError::into_inner);
        let mut budgets = vec![connections];
        #[cfg(feature = "tls")]
        budgets.push(&self.live().http2);
        budgets.extend(websockets.budgets());
        budgets.extend(topics);
        let of_server = budgets.into_iter().map(|budget| BudgetUse::read(budget, None));
        of_server.chain(folders.iter().map(|(mount, budget)| BudgetUse::read(budget, Some(mount)))).collect()
    }

    /// Keeps details from now on.
    #[cfg(feature = "admin")]
    pub(crate) fn watch(&self) {
        self.live().websockets.watch();
        self.live().pulses.watch();
    }

    #[cfg(feature = "admin")]
    pub(crate) fn endpoints(&self) -> Vec<ws::internal::MeterReading> {
        self.live().websockets.endpoints()
    }

    #[cfg(feature = "admin")]
    pub(crate) fn slowest(&self, most: usize) -> Vec<ws::internal::Details> {
        self.live().websockets.slowest(most)
    }

    /// One WebSocket, if it is open and its details are kept.
    #[cfg(feature = "admin")]
    pub(crate) fn websocket(&self, id: u64) -> Option<ws::internal::Details> {
        self.live().websockets.details(id)
    }

    /// Closes a WebSocket, if it is open and its details are kept.
    #[cfg(feature = "admin")]
    pub(crate) fn close_websocket(&self, id: u64, code: ws::CloseCode) -> bool {
        self.live().websockets.close(id, code)
    }

    /// Lets nobody in at an endpoint from now on, or anybody again: who is there, if somebody ever was.
    #[cfg(feature = "admin")]
    pub(crate) fn close_endpoint(&self, endpoint: &str, is_closed: bool) -> Option<Vec<u64>> {
        self.live().websockets.close_endpoint(endpoint, is_closed)
    }

    #[cfg(feature = "admin")]
    pub(crate) fn pulses(&self) -> Vec<Reading> {
        self.live().pulses.read()
    }

    /// How often files were found in the cache of each folder, and how often not.
    #[cfg(feature = "admin")]
    pub(crate) fn caches(&self) -> Vec<(String, [u64; 2])> {
        let mounted = self.live().mounted.read().unwrap_or_else(PoisonError::into_inner);
        mounted.caches.iter().map(|(mount, looks)| (mount.clone(), looks.each_ref().map(Count::get))).collect()
    }

    /// When certificates expire, by what they are called in the settings.
    #[cfg(all(feature = "admin", feature = "tls"))]
    pub(crate) fn certificates(&self) -> Vec<(String, std::time::SystemTime)> {
        let tls = self.live().mounted.read().unwrap_or_else(PoisonError::into_inner).tls.clone();
        tls.map(|tls| tls.ends()).unwrap_or_default()
    }

    /// How many connections are open, by transport.
    #[cfg(feature = "admin")]
    pub(crate) fn open_by_transport(&self) -> [(&'static str, u64); 3] {
        Transport::ALL.map(|(transport, name)| (name, self.live().counts.open.of(transport).get()))
    }

    /// Handshakes of TLS that were done, by version.
    #[cfg(all(feature = "admin", feature = "tls"))]
    pub(crate) fn handshakes(&self) -> [(&'static str, u64); 2] {
        let counts = &self.live().counts.handshakes;
        [("1.2", counts.tls12.get()), ("1.3", counts.tls13.get())]
    }

    /// Those that failed, by reason.
    #[cfg(all(feature = "admin", feature = "tls"))]
    pub(crate) fn failed_handshakes(&self) -> [(&'static str, u64); 7] {
        self.live().counts.handshakes.failed().map(|(reason, count)| (reason, count.get()))
    }

    /// The topics with most subscribers.
    #[cfg(all(feature = "admin", feature = "topics"))]
    pub(crate) fn largest_topics(&self, most: usize) -> Vec<rikki_topics::internal::TopicSize> {
        let hubs = self.live().mounted.read().unwrap_or_else(PoisonError::into_inner).hubs.clone();
        let mut largest: Vec<_> = hubs.iter().flat_map(|hub| hub.largest(most)).collect();
        largest.sort_by_key(|topic| std::cmp::Reverse(topic.subscribers));
        largest.truncate(most);
        largest
    }

    /// What is counted of the topics that the server knows.
    #[cfg(all(feature = "admin", feature = "topics"))]
    pub(crate) fn topics(&self) -> Vec<rikki_topics::TopicCounters> {
        let hubs = self.live().mounted.read().unwrap_or_else(PoisonError::into_inner).hubs.clone();
        hubs.iter().flat_map(rikki_topics::Topics::counters).collect()
    }

    /// How the brokers of these topics are, each stream once.
    #[cfg(all(feature = "admin", feature = "topics"))]
    pub(crate) fn brokers(&self) -> Vec<rikki_topics::BrokerStatus> {
        let hubs = self.live().mounted.read().unwrap_or_else(PoisonError::into_inner).hubs.clone();
        let mut all: Vec<rikki_topics::BrokerStatus> = Vec::new();
        for status in hubs.iter().flat_map(rikki_topics::Topics::broker_statuses) {
            match all.iter_mut().find(|known| known.stream == status.stream) {
                Some(known) => *known = known.clone().with(&status),
                None => all.push(status),
            }
        }
        all
    }

    /// What counts, if it was made for a server that another one has taken over.
    fn live(&self) -> &Live {
        self.0.instead.get().unwrap_or(&self.0)
    }
}

impl BudgetUse {
    fn read(budget: &Budget, mount: Option<&String>) -> Self {
        Self { name: budget.name(), mount: mount.cloned(), used: budget.used(), most: budget.most() }
    }
}

impl Counters {
    fn read(live: &Live) -> Self {
        let Counts {
            accepted,
            refused_connections,
            refused_addresses,
            refused_proxy_headers,
            refused_peers,
            refused_streams,
            replaced_idle,
            refused_requests,
            refused_heads,
            refused_hosts,
            refused_certificates,
            swapped_certificates,
            reloads,
            refused_reloads,
            issued_certificates,
            failed_orders,
            closed_slow,
            ..
        } = &*live.counts;
        let websockets = live.websockets.counters();
        Self {
            accepted: accepted.get(),
            connections: live.connections.used() as u64,
            websockets: websockets.websockets,
            refused_connections: refused_connections.get(),
            refused_addresses: refused_addresses.get(),
            refused_proxy_headers: refused_proxy_headers.get(),
            refused_peers: refused_peers.get(),
            refused_streams: refused_streams.get(),
            replaced_idle: replaced_idle.get(),
            refused_requests: refused_requests.get(),
            refused_heads: refused_heads.get(),
            refused_hosts: refused_hosts.get(),
            refused_certificates: refused_certificates.get(),
            swapped_certificates: swapped_certificates.get(),
            reloads: reloads.get(),
            refused_reloads: refused_reloads.get(),
            issued_certificates: issued_certificates.get(),
            failed_orders: failed_orders.get(),
            refused_origins: websockets.refused_origins,
            refused_handshakes: websockets.refused_handshakes,
            closed_slow: closed_slow.get(),
            closed_violations: websockets.closed_violations,
            closed_limits: websockets.closed_limits,
            closed_rates: websockets.closed_rates,
            closed_memory: websockets.closed_memory,
            closed_timeouts: websockets.closed_timeouts,
            closed_overflows: websockets.closed_overflows,
            closed_panics: websockets.closed_panics,
            closed_errors: websockets.closed_errors,
            dropped_messages: websockets.dropped_messages,
            lost_messages: websockets.lost_messages,
            queued_bytes: websockets.queued_bytes,
        }
    }
}
