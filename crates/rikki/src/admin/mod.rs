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
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::Bytes;

use crate::live::{Monitor, Stage};
use guard::{Guard, Names};
use snapshot::{Lists, Snapshot};

pub use commands::Commands;
pub use warnings::{Warning, Warnings};

/// For how long a text is told again at least, and how many times as long as it took to read and to write: so those who
/// ask for it, however many they are, have it made in a twentieth of a processor at most.
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
    made_at: SystemTime,
    warnings: Warnings,
    hosts: RwLock<Vec<String>>,
    commands: OnceLock<Commands>,
    latest: Mutex<Texts>,
}

/// What was told last.
#[derive(Default)]
struct Texts {
    classic: Option<Latest>,
    open_metrics: Option<Latest>,
    status: Option<Latest>,
}

/// A text, when it was made, and for how long it is told.
struct Latest {
    text: Bytes,
    made: Instant,
    fresh_for: Duration,
}

/// What can be told.
#[derive(Clone, Copy)]
enum Told {
    Classic,
    OpenMetrics,
    Status,
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
        let (made, made_at) = (Instant::now(), SystemTime::now());
        let (monitor, warnings) = (monitor.clone(), warnings.clone());
        Self(Arc::new(Inside { monitor, made, made_at, warnings, hosts, commands, latest }))
    }

    /// Takes commands from now on, where there is a Unix socket for them: until then they get 503. What was said first
    /// holds.
    pub fn command(&self, commands: Commands) {
        let _ = self.0.commands.set(commands);
    }

    /// By what names it may be asked from now on, beside every address and `localhost`: for a proxy, or for a Prometheus
    /// that finds it by a name. `*` stands for all where only metrics and probes are shown; where more is, a page could
    /// come by any name, so that each is to be told.
    pub fn allow_hosts(&self, names: impl IntoIterator<Item = impl Into<String>>) {
        let names = names.into_iter().map(Into::into).collect();
        *self.0.hosts.write().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// `/metrics`, `/healthz` and `/readyz`, for a server of your own: whoever reaches it can read them.
    pub fn probes(&self) -> Router {
        faces::probes(self).layer(Guard::new(self, Names::Any).layer())
    }

    /// These and `/status`, with addresses of clients in it, for a server of your own that strangers cannot reach.
    pub fn router(&self) -> Router {
        faces::all(self).layer(Guard::new(self, Names::Any).layer())
    }

    /// The metrics, in the text format of Prometheus 0.0.4.
    #[must_use]
    pub fn metrics(&self) -> String {
        String::from_utf8_lossy(&self.text(Told::Classic)).into_owned()
    }

    /// The status, as `/status` has it: an object of JSON.
    #[must_use]
    pub fn status(&self) -> String {
        String::from_utf8_lossy(&self.text(Told::Status)).into_owned()
    }

    fn stage(&self) -> Stage {
        self.0.monitor.stage()
    }

    /// What there is now, or was a moment ago.
    fn text(&self, told: Told) -> Bytes {
        let mut texts = self.0.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = match told {
            Told::Classic => &mut texts.classic,
            Told::OpenMetrics => &mut texts.open_metrics,
            Told::Status => &mut texts.status,
        };
        if let Some(latest) = latest.as_ref().filter(|latest| latest.made.elapsed() < latest.fresh_for) {
            return latest.text.clone();
        }
        let began = Instant::now();
        let text = Bytes::from(match told {
            Told::Classic => metrics::classic(Snapshot::read(&self.0, Lists::Without)),
            Told::OpenMetrics => metrics::open_metrics(Snapshot::read(&self.0, Lists::Without)),
            Told::Status => Snapshot::read(&self.0, Lists::With).json(),
        });
        let fresh_for = began.elapsed().saturating_mul(SPARED).max(FRESH);
        *latest = Some(Latest { text: text.clone(), made: Instant::now(), fresh_for });
        text
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("stage", &self.stage()).finish_non_exhaustive()
    }
}
