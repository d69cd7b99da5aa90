//! What an upgrade finds of the server around it.

use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use http::{Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};

use super::origins::ListenerKind;
use super::terms::Terms;
use super::tracker::Tracker;
use super::transport::Transport;

/// What the server around an endpoint adds to each request, for upgrades to find.
#[derive(Clone, Debug)]
pub struct Context {
    /// What holds for WebSockets here.
    pub terms: Arc<Terms>,
    /// Where the request has come in.
    pub listener: ListenerKind,
    /// What the connection holds of the server.
    pub tracker: Tracker,
    /// That of the request, gone when it has been answered. `None` under another server than ours, and for a request
    /// that asks for no upgrade.
    pub handover: Option<Weak<Handover>>,
}

impl Default for Context {
    /// Under another server than ours: what bounds all connections together is one for the process.
    fn default() -> Self {
        static TERMS: LazyLock<Arc<Terms>> = LazyLock::new(Arc::default);
        let (listener, tracker, handover) = Default::default();
        Self { terms: TERMS.clone(), listener, tracker, handover }
    }
}

/// Where an upgrade waits until its request has been answered, and then until the task that serves HTTP has ended doing
/// so, instead of waiting in one of its own.
#[derive(Default)]
pub struct Handover(Mutex<Option<Upgrading>>);

impl Handover {
    /// Keeps an upgrade; one before it has been given up.
    pub(super) fn put(&self, upgrading: Upgrading) {
        let before = self.slot().replace(upgrading);
        drop(before); // without the lock: it has what the application has attached
    }

    /// Keeps what is in that of a request, whose answer starts it.
    pub fn take_from(&self, request: &Self) {
        if let Some(upgrading) = request.take() {
            self.put(upgrading);
        }
    }

    /// Takes the upgrade out, if there is one.
    pub fn take(&self) -> Option<Upgrading> {
        self.slot().take()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Upgrading>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mark of an answer that starts the WebSocket of its request, as long as it has the status that it was given: an answer
/// in its place has no mark. How an answer says so to the client is for each version of HTTP to tell.
#[derive(Clone, Copy, Debug)]
pub struct Starts(StatusCode);

impl Starts {
    pub(super) fn mark<B>(response: &mut Response<B>) {
        let status = response.status();
        response.extensions_mut().insert(Self(status));
    }

    /// Whether it does; takes the mark off.
    pub fn take_from<B>(response: &mut Response<B>) -> bool {
        response.extensions_mut().remove().is_some_and(|Self(status)| status == response.status())
    }
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handover").finish_non_exhaustive()
    }
}

/// An upgrade that has been answered with 101 and waits for the stream. It holds no [`Tracker`], which would hold it.
pub struct Upgrading {
    pub(super) on_upgrade: OnUpgrade,
    pub(super) start: Box<dyn FnOnce(Transport, Tracker) + Send>,
}

impl Upgrading {
    /// Starts the WebSocket when hyper has sent the 101 and given up the stream; under our own server that has
    /// happened.
    ///
    /// `take` finds the bare stream.
    pub async fn finish(self, tracker: Tracker, take: fn(Upgraded) -> Transport) {
        match self.on_upgrade.await {
            Ok(upgraded) => (self.start)(take(upgraded), tracker),
            Err(error) => tracing::debug!(target: "rikki::ws", "client left during the handshake: {error}"),
        }
    }
}
