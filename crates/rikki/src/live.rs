//! What lives while a server does: budgets and counters, and a view of them.

use std::sync::Arc;

use rikki_limits::Budget;

use crate::counters::{Counters, Counts};
use crate::memory::Memory;
use crate::ws;

/// One for each server.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) websockets: ws::Live,
    pub(crate) counts: Arc<Counts>,
    pub(crate) connections: Arc<Budget>,
    #[cfg(feature = "tls")]
    pub(crate) http2: Arc<Budget>,
}

impl Default for Live {
    fn default() -> Self {
        let memory = Memory::default();
        Self {
            websockets: ws::Live::new(),
            counts: Arc::default(),
            connections: Arc::new(Budget::new("max-connections", memory.connections)),
            #[cfg(feature = "tls")]
            http2: Arc::new(Budget::new("http2-memory", memory.http2)),
        }
    }
}

/// A view of what a server counts and holds, which can be had before it starts: for a route that tells, or a log.
///
/// Clones are the same view. It keeps nothing of the server running.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct BudgetUse {
    /// What it is called: the name of its limit.
    pub name: &'static str,
    /// What is held, in bytes, or how many there are.
    pub used: usize,
    /// What may be held.
    pub most: usize,
}

impl Monitor {
    /// What has been counted so far: how many connections there are, and how many were refused for what.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters::read(&self.0)
    }

    /// How much of each budget is used.
    #[must_use]
    pub fn budgets(&self) -> Vec<BudgetUse> {
        let Live { websockets, connections, .. } = &*self.0;
        let mut budgets = vec![connections];
        #[cfg(feature = "tls")]
        budgets.push(&self.0.http2);
        budgets.extend(websockets.budgets());
        let read = |budget: &Arc<Budget>| BudgetUse { name: budget.name(), used: budget.used(), most: budget.most() };
        budgets.into_iter().map(read).collect()
    }
}
