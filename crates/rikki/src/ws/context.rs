//! What an upgrade finds of the server around it.

use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use hyper::upgrade::{OnUpgrade, Upgraded};
use rikki_proto::handshake::Subprotocol;
use tokio::sync::mpsc;

use super::settings::Settings;
use crate::http::{Guard, ListenerKind};
use crate::server::Place;

/// What lasts as long as a connection, whatever becomes of it: all that serves it holds a clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracker {
    held: Option<Arc<Held>>,
}

/// What goes when the connection does.
#[derive(Debug)]
struct Held {
    /// A draining server waits for the last of these.
    _drain: mpsc::Sender<Infallible>,
    /// Its place among the connections that the server takes, if it has one.
    place: Option<Place>,
    is_websocket: AtomicBool,
}

impl Tracker {
    pub(crate) fn new(drain: mpsc::Sender<Infallible>, place: Option<Place>) -> Self {
        Self { held: Some(Arc::new(Held { _drain: drain, place, is_websocket: AtomicBool::new(false) })) }
    }

    /// Whether the server is our own.
    pub(super) fn is_ours(&self) -> bool {
        self.held.is_some()
    }

    /// Whether the connection is one of those that the server takes.
    pub(crate) fn has_place(&self) -> bool {
        self.held.as_deref().is_some_and(|held| held.place.is_some())
    }

    /// The connection is a WebSocket from now on.
    pub(super) fn count_websocket(&self) {
        if let Some(Held { place: Some(place), is_websocket, .. }) = self.held.as_deref() {
            is_websocket.store(true, Relaxed);
            place.counts().websockets.up();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let (Some(place), true) = (&self.place, self.is_websocket.load(Relaxed)) {
            place.counts().websockets.down();
        }
    }
}

/// What the server around an endpoint adds to each request, for upgrades to find.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    pub(crate) terms: Arc<Terms>,
    pub(crate) tracker: Tracker,
    /// That of the request, gone when it has been answered. `None` under another server than ours, and for a request
    /// that asks for no upgrade.
    pub(crate) handover: Option<Weak<Handover>>,
}

/// What holds for all connections of a listener.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) settings: Arc<Settings>,
    pub(crate) subprotocols: Arc<[Subprotocol]>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) listener: ListenerKind,
}

impl Default for Terms {
    /// Under another server than ours: what bounds all connections together is one for the process.
    fn default() -> Self {
        static SETTINGS: LazyLock<Arc<Settings>> = LazyLock::new(Arc::default);
        Self {
            settings: SETTINGS.clone(),
            subprotocols: Arc::default(),
            guard: Arc::default(),
            listener: ListenerKind::default(),
        }
    }
}

/// Where an upgrade waits until its request has been answered, and then until the task that serves HTTP has ended doing
/// so, instead of waiting in one of its own.
#[derive(Default)]
pub(crate) struct Handover(Mutex<Option<Upgrading>>);

impl Handover {
    /// Keeps an upgrade; one before it has been given up.
    pub(super) fn put(&self, upgrading: Upgrading) {
        let before = self.slot().replace(upgrading);
        drop(before); // without the lock: it has what the application has attached
    }

    /// Keeps what is in that of a request, which has been answered with 101.
    pub(crate) fn take_from(&self, request: &Self) {
        if let Some(upgrading) = request.take() {
            self.put(upgrading);
        }
    }

    pub(crate) fn take(&self) -> Option<Upgrading> {
        self.slot().take()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Upgrading>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handover").finish_non_exhaustive()
    }
}

/// An upgrade that has been answered with 101 and waits for the stream. It holds no [`Tracker`], which would hold it.
pub(crate) struct Upgrading {
    pub(super) on_upgrade: OnUpgrade,
    pub(super) start: Box<dyn FnOnce(Upgraded, Tracker) + Send>,
}

impl Upgrading {
    /// Starts the WebSocket when hyper has sent the 101 and given up the stream; under our own server that has
    /// happened.
    pub(crate) async fn finish(self, tracker: Tracker) {
        match self.on_upgrade.await {
            Ok(upgraded) => {
                tracker.count_websocket();
                (self.start)(upgraded, tracker);
            }
            Err(error) => tracing::debug!(target: "rikki::ws", "client left during the handshake: {error}"),
        }
    }
}
