//! What all connections of a listener share, whoever answers their requests.

use std::pin::pin;
use std::sync::Arc;

use http::HeaderValue;
use hyper::server::conn::http1;
use tokio::time::timeout;

use super::config::{Config, Limits, Shared};
use super::draining::Draining;
use super::guard::Guard;
use super::linger::LINGER;
use crate::counters::{Counts, Transport};
use crate::live::Live;
use crate::net::{Networks, Peer};
use crate::ws;
use crate::ws::internal::ListenerKind;
use rikki_limits::Hints;

/// How much of a body is taken ahead of what the client takes, in bytes; by default hyper takes six times as much.
pub(super) const AHEAD: usize = 64 * 1024;

/// What holds for all connections of a listener.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) live: Arc<Live>,
    pub(crate) websockets: Arc<ws::internal::Terms>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) listener: ListenerKind,
    /// What tells those who judge the certificates of clients from others; `None` if there are none.
    #[cfg(feature = "tls")]
    pub(crate) authorities: Option<u64>,
}

/// What all connections of a listener share, whoever answers their requests.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(super) config: Config,
    pub(super) shared: Shared,
    pub(super) terms: Terms,
    pub(super) draining: Draining,
    pub(super) http1: http1::Builder,
    /// What `Keep-Alive` says, unless it would be nothing.
    pub(super) keep_alive: Option<HeaderValue>,
}

impl Serving {
    pub(crate) fn new(config: Config, shared: Shared, terms: Terms, draining: Draining) -> Self {
        let limits = &config.limits;
        let mut http1 = http1::Builder::new();
        // Each connection has a timer of its own, which knows how long.
        http1.header_read_timeout(limits.head_timeout);
        // Who has sent all is answered whole; who is gone is seen below: `watch`.
        http1.half_close(true);
        http1.max_header_size(limits.max_head).max_buf_size(AHEAD.max(limits.max_head));
        // Setting it at all makes hyper allocate for each request.
        if limits.max_headers != Limits::default().max_headers {
            http1.max_headers(limits.max_headers);
        }
        let seconds = limits.keep_alive.as_secs();
        let keep_alive = HeaderValue::try_from(format!("timeout={seconds}")).ok().filter(|_| seconds > 0);
        Self { config, shared, terms, draining, http1, keep_alive }
    }

    /// Lets the connection that has idled longest end, if any idles.
    pub(crate) fn send_idle_away(&self) -> bool {
        self.shared.idling.send_away()
    }

    /// What its connections know of one another.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Who is believed what they say of others.
    pub(crate) fn trust(&self) -> &Networks {
        &self.config.trust
    }

    /// Whether somebody who has connected is answered at all.
    pub(crate) fn lets_in(&self, peer: Peer) -> bool {
        let peers = self.config.peers.as_deref();
        peers.is_none_or(|peers| peer == Peer::Unix || peers.has_peer(peer))
    }

    /// What its connections come by.
    pub(crate) fn transport(&self) -> Transport {
        match self.terms.listener {
            ListenerKind { unix: true, .. } => Transport::Unix,
            ListenerKind { tls: true, .. } => Transport::Tls,
            _ => Transport::Tcp,
        }
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.terms.live.counts
    }

    pub(crate) fn hints(&self) -> Hints {
        self.config.hints.0
    }

    /// What comes before HTTP, which has the time of a request head: `None` if it takes longer.
    pub(crate) async fn in_time<F: Future>(&self, before: F) -> Option<F::Output> {
        let mut before = pin!(before);
        tokio::select! {
            done = timeout(self.config.limits.head_timeout, before.as_mut()) => done.ok(),
            // Cutting it in the middle would reset the connection; a client that is silent is not waited for long.
            () = self.draining.begun() => timeout(LINGER, before).await.ok(),
        }
    }
}
