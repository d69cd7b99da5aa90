//! From what was set to what connections go by: at the start, and at each reload.

use std::sync::Arc;

use axum::Router;

use super::Server;
use super::listen::Planned;
use crate::http::{Draining, Guard, Serving, Shared, Site, Terms};
use crate::live::Live;
#[cfg(feature = "tls")]
use crate::tls::ServerTls;
use crate::ws;
use crate::ws::Subprotocol;
use crate::ws::internal::{ListenerKind, Origins, Watching};
use rikki_limits::Hints;

/// What the sites of a server have in common.
pub(super) struct Common {
    live: Arc<Live>,
    guard: Arc<Guard>,
    origins: Arc<Origins>,
    subprotocols: Arc<[Subprotocol]>,
    hints: Hints,
    watching: Option<Watching>,
    draining: Draining,
    is_proxied: bool,
    #[cfg(feature = "tls")]
    tls: Option<ServerTls>,
    /// What connections know of one another, on listeners that have no rate of requests of their own.
    shared: Shared,
    /// What WebSockets have in common, by configuration.
    websockets: Vec<(ws::Config, Arc<ws::internal::Terms>)>,
}

impl Common {
    /// Where there were sites before, what connections know of one another goes on.
    pub(super) fn new(server: &Server, draining: &Draining, before: &Shared) -> Self {
        Self {
            live: server.live.clone(),
            guard: Arc::new(server.guard.clone()),
            origins: Arc::new(server.origins.clone()),
            subprotocols: server.subprotocols.clone().into(),
            hints: server.http.hints.0,
            watching: match (server.http.message_log, server.http.access_log) {
                (true, _) => Some(Watching::Messages),
                (false, true) => Some(Watching::Ends),
                (false, false) => None,
            },
            draining: draining.clone(),
            is_proxied: server.proxy_protocol,
            #[cfg(feature = "tls")]
            tls: server.tls.clone(),
            shared: before.with_rate(&server.http.limits, Some(before)),
            websockets: Vec::new(),
        }
    }

    /// What connections know of one another, on listeners that have no rate of requests of their own.
    pub(super) fn shared(self) -> Shared {
        self.shared
    }

    /// What is served on a listener, and how. Where it has had a rate of its own, `own` goes on.
    pub(super) fn site(
        &mut self,
        planned: &Planned,
        listener: ListenerKind,
        router: Router,
        own: Option<&Shared>,
    ) -> Site {
        let shared = match planned.has_own_rate {
            true => self.shared.with_rate(&planned.http.limits, own),
            false => self.shared.clone(),
        };
        #[cfg(feature = "tls")]
        let tls = self.tls.clone().filter(|_| listener.tls);
        let terms = Terms {
            live: self.live.clone(),
            websockets: self.terms(&planned.websockets),
            guard: self.guard.clone(),
            listener,
            #[cfg(feature = "tls")]
            authorities: tls.as_ref().and_then(ServerTls::authorities),
        };
        Site {
            router,
            serving: Arc::new(Serving::new(planned.http.clone(), shared, terms, self.draining.clone())),
            is_proxied: self.is_proxied,
            #[cfg(feature = "tls")]
            tls,
        }
    }

    fn terms(&mut self, config: &ws::Config) -> Arc<ws::internal::Terms> {
        if let Some((_, terms)) = self.websockets.iter().find(|(known, _)| known == config) {
            return terms.clone();
        }
        let terms = ws::internal::Terms::new(config, &self.live.websockets)
            .with_subprotocols(self.subprotocols.clone())
            .with_origins(self.origins.clone())
            .with_hints(self.hints)
            .with_watching(self.watching);
        let terms = Arc::new(terms);
        self.websockets.push((config.clone(), terms.clone()));
        terms
    }
}
