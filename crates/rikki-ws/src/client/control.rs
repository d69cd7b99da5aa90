//! Pings and pongs as a client may see them.

use std::fmt;
use std::sync::Arc;

use super::Builder;
use crate::terms::Terms;

/// A ping or a pong that the server has sent, with its payload of at most 125 bytes
/// ([RFC 6455 section 5.5](https://www.rfc-editor.org/rfc/rfc6455#section-5.5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control<'a> {
    /// It is being answered.
    Ping(&'a [u8]),
    /// It answers a ping, which may be one that was sent after a silence, or none.
    Pong(&'a [u8]),
}

/// Who is told of them.
#[derive(Clone)]
pub(crate) struct Watcher(Arc<dyn Fn(Control<'_>) + Send + Sync>);

impl Watcher {
    pub(crate) fn tell(&self, control: Control<'_>) {
        (self.0)(control);
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").finish_non_exhaustive()
    }
}

impl Builder {
    /// Tells `watch` of each ping and pong of the server, in the order in which they come among the messages.
    ///
    /// It is called while the [`WebSocket`](crate::WebSocket) is polled, and must not take long. A server may send as
    /// many of them as it likes: what is kept of them has to be bounded.
    ///
    /// ```
    /// use rikki_ws::client::{Builder, Control};
    ///
    /// let builder = Builder::new("wss://example.org/feed").on_control(|control| {
    ///     if let Control::Ping(payload) = control {
    ///         println!("a ping of {} bytes", payload.len());
    ///     }
    /// });
    /// ```
    pub fn on_control(mut self, watch: impl Fn(Control<'_>) + Send + Sync + 'static) -> Self {
        self.watcher = Some(Watcher(Arc::new(watch)));
        let live = self.terms.live.clone();
        self.terms = self.terms_with(&live);
        self
    }

    /// What holds for its connections.
    pub(super) fn terms_with(&self, live: &crate::Live) -> Arc<Terms> {
        Arc::new(Terms::new(&self.config, live).with_watcher(self.watcher.clone()))
    }
}
