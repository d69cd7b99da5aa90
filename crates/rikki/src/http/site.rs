//! What a listener serves, and how: swapped whole by a reload, while connections go on.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use axum::Router;

use super::serving::Serving;
#[cfg(feature = "tls")]
use crate::tls::ServerTls;

/// What a listener serves, and how.
#[derive(Debug)]
pub(crate) struct Site {
    /// What answers the requests of those that are let in.
    pub(crate) router: Router,
    pub(crate) serving: Arc<Serving>,
    /// Whether each connection says from whom it is, before anything else.
    pub(crate) is_proxied: bool,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<ServerTls>,
}

#[cfg(test)]
impl Site {
    /// One with nothing but defaults.
    pub(crate) fn empty(draining: super::Draining) -> Self {
        let serving = Serving::new(Default::default(), Default::default(), Default::default(), draining);
        Self {
            router: Router::new(),
            serving: Arc::new(serving),
            is_proxied: false,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// The site of a listener, as it is now. A connection is served as it was when it began, but each of its requests is
/// judged and answered as things are when it comes.
#[derive(Debug)]
pub(crate) struct Current(ArcSwap<Site>);

impl Site {
    /// One of which every request gets this answer.
    pub(crate) fn refusing(&self, router: Router) -> Current {
        Current::new(Self {
            router,
            serving: self.serving.clone(),
            is_proxied: self.is_proxied,
            #[cfg(feature = "tls")]
            tls: self.tls.clone(),
        })
    }
}

impl Current {
    pub(crate) fn new(site: Site) -> Self {
        Self(ArcSwap::from_pointee(site))
    }

    /// Gives back what was served until now.
    pub(crate) fn swap(&self, site: Site) -> Arc<Site> {
        self.0.swap(Arc::new(site))
    }

    /// For a moment: whoever keeps a site keeps its router, with all that the application has in it.
    pub(crate) fn now(&self) -> Guard<Arc<Site>> {
        self.0.load()
    }
}
