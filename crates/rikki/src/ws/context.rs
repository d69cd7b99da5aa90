//! What an upgrade finds of the server around it.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};

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

/// What the server around an endpoint adds to each request in an `Arc`, for upgrades to find.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) settings: Arc<Settings>,
    pub(crate) subprotocols: Arc<[Subprotocol]>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) listener: ListenerKind,
    pub(crate) tracker: Tracker,
}

impl Default for Context {
    /// Under another server than ours: what bounds all connections together is one for the process.
    fn default() -> Self {
        static SETTINGS: LazyLock<Arc<Settings>> = LazyLock::new(Arc::default);
        Self {
            settings: SETTINGS.clone(),
            subprotocols: Arc::default(),
            guard: Arc::default(),
            listener: ListenerKind::default(),
            tracker: Tracker::default(),
        }
    }
}
