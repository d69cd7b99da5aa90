//! A look inside a server that runs, for those who operate it: metrics, probes, a status, a live page and commands.
//!
//! What is told is read from what there is when somebody asks; nothing of it is on the way of a message. Who may ask is
//! judged here, by Host, Origin and the kind of listener; connections, their places and deadlines are those of the
//! [`Server`](crate::Server) that this is a part of, which is one of its own in [`Admin::server`].

mod commands;
mod faces;
mod guard;
mod listener;
mod metrics;
mod page;
mod snapshot;
mod warnings;

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::Router;

use crate::live::{Monitor, Stage};
use guard::Guard;
use snapshot::{Lists, Snapshot};

pub use commands::Commands;
pub use warnings::{Warning, Warnings};

/// For how long what was read of a server is told again at least, and how many times as long as it took to read: so those
/// who ask, however many they are, take a twentieth of a processor at most.
const FRESH: Duration = Duration::from_millis(50);
const SPARED: u32 = 20;

/// A look inside a [`Server`](crate::Server): `/metrics` for Prometheus, `/healthz` and `/readyz` for probes, `/status` as
/// JSON, and a live page on a [listener of its own](Self::server).
///
/// From when this is made, details of each WebSocket are kept that opens, and its messages are counted: make it before the
/// server starts. A clone is of the same one. It does not keep the server running.
///
/// ```
/// use rikki::{Server, admin::Admin};
///
/// # async fn example() -> Result<(), rikki::StartError> {
/// let server = Server::new().listen("http://127.0.0.1:0");
/// let admin = Admin::new(&server.monitor());
/// let inside = admin.server("http://127.0.0.1:0")?.start().await?;
/// // Until then /readyz says 503.
/// let server = server.start().await?;
/// # server.shutdown().await;
/// # inside.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Admin(Arc<Inside>);

/// What clones share.
struct Inside {
    monitor: Monitor,
    made: Instant,
    warnings: Warnings,
    hosts: RwLock<Vec<String>>,
    commands: OnceLock<Commands>,
    /// What was read last, without the lists and with them.
    latest: Mutex<[Option<Latest>; 2]>,
}

/// What was read, when, and for how long it is told.
struct Latest {
    snapshot: Arc<Snapshot>,
    read_at: Instant,
    fresh_for: Duration,
}

impl Admin {
    /// A look inside the server that this monitor is of, before it starts or while it runs.
    #[must_use]
    pub fn new(monitor: &Monitor) -> Self {
        Self::with_warnings(monitor, &Warnings::default())
    }

    /// The same, which tells of the latest [`Warnings`] too.
    #[must_use]
    pub fn with_warnings(monitor: &Monitor, warnings: &Warnings) -> Self {
        let (hosts, commands, latest) = Default::default();
        monitor.watch();
        let (monitor, made, warnings) = (monitor.clone(), Instant::now(), warnings.clone());
        Self(Arc::new(Inside { monitor, made, warnings, hosts, commands, latest }))
    }

    /// Takes commands from now on, where there is a Unix socket for them: until then they get 503. What was said first
    /// holds.
    pub fn command(&self, commands: Commands) {
        let _ = self.0.commands.set(commands);
    }

    /// By what names it may be asked from now on, beside every address and `localhost`: for a proxy, or for a Prometheus
    /// that finds it by a name. `*` stands for all.
    pub fn allow_hosts(&self, names: impl IntoIterator<Item = impl Into<String>>) {
        let names = names.into_iter().map(Into::into).collect();
        *self.0.hosts.write().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// `/metrics`, `/healthz` and `/readyz`, for a server of your own: whoever reaches it can read them.
    pub fn probes(&self) -> Router {
        faces::probes(self).layer(Guard::new(self, false).layer())
    }

    /// These and `/status`, with addresses of clients in it, for a server of your own that strangers cannot reach.
    pub fn router(&self) -> Router {
        faces::all(self).layer(Guard::new(self, false).layer())
    }

    /// The metrics, in the text format of Prometheus 0.0.4.
    #[must_use]
    pub fn metrics(&self) -> String {
        metrics::classic(&self.snapshot(Lists::Without))
    }

    /// The status, as `/status` has it: an object of JSON.
    #[must_use]
    pub fn status(&self) -> String {
        self.snapshot(Lists::With).json()
    }

    fn stage(&self) -> Stage {
        self.0.monitor.stage()
    }

    /// What there is now, or was a moment ago.
    fn snapshot(&self, lists: Lists) -> Arc<Snapshot> {
        let mut latest = self.0.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let [without, with] = &mut *latest;
        let latest = if lists == Lists::With { with } else { without };
        if let Some(latest) = latest.as_ref().filter(|latest| latest.read_at.elapsed() < latest.fresh_for) {
            return latest.snapshot.clone();
        }
        let began = Instant::now();
        let snapshot = Arc::new(Snapshot::read(&self.0, lists));
        let fresh_for = began.elapsed().saturating_mul(SPARED).max(FRESH);
        *latest = Some(Latest { snapshot: snapshot.clone(), read_at: Instant::now(), fresh_for });
        snapshot
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("stage", &self.stage()).finish_non_exhaustive()
    }
}
