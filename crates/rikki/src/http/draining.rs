//! Where HTTP learns that its server drains: requests under way are finished, no new ones taken.

use tokio::sync::watch;

/// A drain that has not begun, and the other end, of which each who has to know holds a clone.
pub(crate) fn draining() -> (Begin, Draining) {
    let (begin, draining) = watch::channel(false);
    (Begin(begin), Draining(draining))
}

/// Lets a drain begin: when it is told to, or is gone.
#[derive(Debug)]
pub(crate) struct Begin(watch::Sender<bool>);

impl Begin {
    pub(crate) fn now(&self) {
        self.0.send_replace(true);
    }
}

/// Whether the server drains.
///
/// A `watch` and no `CancellationToken`, in which a lock that all threads share is taken whenever one who waits is
/// polled: every connection waits here, and is polled with each request.
#[derive(Clone, Debug)]
pub(crate) struct Draining(watch::Receiver<bool>);

impl Draining {
    /// Cheap, as an answer asks it each time: nothing was ever seen by this clone, since nobody waits on it.
    pub(crate) fn has_begun(&self) -> bool {
        self.0.has_changed().unwrap_or(true)
    }

    /// Waits until the drain begins.
    pub(crate) async fn begun(&self) {
        let _ = self.0.clone().wait_for(|begun| *begun).await;
    }

    /// Waits until it has begun and the runtime has looked at the sockets once more: a request that has arrived is
    /// read.
    pub(super) async fn begun_and_read(&self) {
        self.begun().await;
        tokio::task::yield_now().await;
    }
}
