//! A running server: where it listens, and how it is stopped.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
#[cfg(feature = "admin")]
use std::time::Duration;

use axum::Router;
#[cfg(feature = "tls")]
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::accept::{Acceptor, Sockets};
use super::admission::Admission;
#[cfg(feature = "tls")]
use super::certificates::{Ask, Certificates, Reloaded};
use super::door::Arrival;
use super::drain::{Plan, Plans, Stop, Thread, Watch};
use super::event_loop::EventLoop;
use super::listen::Planned;
use super::manager::Manager;
use super::mount::Mounts;
use super::queue::{Queue, Queues};
use super::reload::Reloading;
use super::settings::{Listener, Settings, TakenOver};
use super::signals::Signals;
use super::sites::Common;
use super::url::Place;
use super::worker;
use super::{ListenUrl, Server, StartError};
use crate::counters::Counters;
use crate::http::{self, Current, Draining, Shared};
use crate::live::{Live, Monitor};
use crate::net::Listening;
#[cfg(feature = "admin")]
use crate::ws::CloseCode;
use crate::ws::internal::ListenerKind;

/// A running server. Clones are of the same one: dropping the last of them stops it in the background, as
/// [`shutdown`](Self::shutdown) does with nobody waiting. One that the server itself holds, in a route or a handler,
/// keeps it running: it may call `shutdown`.
///
/// ```
/// # async fn example() -> Result<(), rikki::StartError> {
/// let server = rikki::Server::new().listen("http://127.0.0.1:0").start().await?;
/// let address = server.local_addrs()[0];
/// server.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "dropping the last handle stops the server"]
pub struct Handle(pub(crate) Arc<Running>);

/// What the clones of a handle share. The server drains when it is gone.
#[derive(Debug)]
pub(crate) struct Running {
    bound: Vec<Bound>,
    addresses: Vec<SocketAddr>,
    pub(super) live: Arc<Live>,
    pub(super) settings: Settings,
    pub(super) reloading: Arc<Reloading>,
    #[cfg(feature = "tls")]
    certificates: Ask,
    /// Of the acceptor's thread and the workers'.
    event_loops: Vec<EventLoop>,
    stop: Stop,
}

/// A listen URL with the port that it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    url: ListenUrl,
    is_redirect: bool,
}

impl Bound {
    /// Whether the listener speaks TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.url.is_tls()
    }

    /// Whether it is one of those that [`redirect_http`](Server::redirect_http) adds, which come last.
    #[must_use]
    pub fn is_redirect(&self) -> bool {
        self.is_redirect
    }

    /// The host: `localhost`, `*` or an address, as it stands in a URL. A Unix socket has none.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        match &self.url.0 {
            Place::Port { host, .. } => Some(host.to_string()),
            Place::Unix { .. } | Place::Passed { .. } => None,
        }
    }

    /// The port; a Unix socket has none.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.url.port()
    }

    /// The path of a Unix socket.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.url.0 {
            Place::Unix { path, .. } => Some(path),
            Place::Port { .. } | Place::Passed { .. } => None,
        }
    }
}

impl fmt::Display for Bound {
    /// `host:port`, as it stands in a URL, `unix:` and the path of a socket, or `fd:` and the name of one without a path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.url.0 {
            Place::Port { host, port, .. } => write!(f, "{host}:{port}"),
            Place::Unix { path, .. } => write!(f, "unix:{}", path.display()),
            Place::Passed { name, .. } => write!(f, "fd:{name}"),
        }
    }
}

impl Handle {
    /// The addresses listened on, with the ports that were free where port 0 was asked for; `localhost` may be two.
    /// Unix sockets have none.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.0.addresses
    }

    /// The listen URLs, in the order in which they were given, with the ports that they got, and where each socket of an
    /// `fd:` is; then those from which requests are [sent on to TLS](Server::redirect_http).
    #[must_use]
    pub fn bound(&self) -> &[Bound] {
        &self.0.bound
    }

    /// What the server has counted so far: how many connections there are, and how many were refused for what.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.monitor().counters()
    }

    /// A view of what is counted and held, which can be kept.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        Monitor(self.0.live.clone())
    }

    /// Reads the files of certificates and of the authorities of clients again, and says what came of it. The server
    /// does so by itself every 10 seconds, and a second later again where it has found something that cannot be used.
    ///
    /// Each certificate with its key is judged for itself. One that fits its key and is valid now is shown in handshakes
    /// that begin from then on; connections that are open stay as they are, and no session from before is resumed. What
    /// cannot be read, is cut off, does not fit or has expired is refused, and what was loaded before stays in use: that
    /// is a line in the log at the level `error`, and one more in
    /// [`refused_certificates`](Counters::refused_certificates), once for each change of the files. A certificate that
    /// is used and expires within 7 days is a warning in the log, once a day.
    ///
    /// Where there are no files, or the server has drained, nothing is found. What is no file, such as a pipe, is read
    /// once, at the start.
    ///
    /// # Cancel safety
    ///
    /// A look that has been asked for goes on.
    #[cfg(feature = "tls")]
    pub async fn reload_certificates(&self) -> Reloaded {
        let (asker, answer) = oneshot::channel();
        if self.0.certificates.send(asker).await.is_err() {
            return Reloaded::default();
        }
        answer.await.unwrap_or_default()
    }

    /// Serves until SIGINT or SIGTERM arrives (Ctrl-C elsewhere), then drains as [`shutdown`](Self::shutdown) does, or until
    /// somebody else has it drain. A second signal returns at once.
    ///
    /// From the call on the signals no longer end the process, also before the future is polled.
    ///
    /// Where `NOTIFY_SOCKET` names the socket of a service manager, as it does in a systemd service of `Type=notify`,
    /// that is told `READY` when this is first polled, `STOPPING` as the drain begins, and in `STATUS` where the server
    /// listens or how far the drain is. With `WATCHDOG_USEC`, which `WatchdogSec=` sets, it is told twice in that period
    /// that the event loops of all threads have turned, for as long as they do. A manager that takes nothing holds up
    /// nobody: at the end it is waited for a second. On Linux alone, and meant for one server of a process.
    ///
    /// # Errors
    ///
    /// The signals cannot be waited for; the server is stopped.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O enabled, which signals need.
    ///
    /// # Cancel safety
    ///
    /// The future holds a clone of the handle. Dropping it before a signal has come stops the server if there is no
    /// other clone; where there is, the server goes on, and the signals still do not end the process: `run` waits for
    /// them anew. A drain that has begun goes on with nobody waiting.
    pub fn run(&self) -> impl Future<Output = io::Result<()>> + Send + use<> {
        let (handle, signals) = (self.clone(), Signals::new(false));
        async move {
            let mut signals = handle.catching(signals)?;
            let manager = handle.manager();
            manager.ready();
            tokio::select! {
                () = signals.stop() => {}
                // Somebody else has stopped it.
                () = handle.0.settings.draining.begun() => {}
            }
            handle.drain_until(&mut signals, &manager).await;
            Ok(())
        }
    }

    /// Drains the server, and returns when it has stopped.
    ///
    /// It stops listening, closes every WebSocket with [`drain_code`](Server::drain_code), by default 1001, spread over
    /// [`drain_window`](Server::drain_window), 1 s, and lets HTTP requests finish. What is left after
    /// [`drain_timeout`](Server::drain_timeout), 8 s, is cut. A worker that a callback holds up for half a second more is
    /// left behind with its thread; a single worker accepts too, so its sockets close when such a callback returns.
    ///
    /// [`counters`](Self::counters) tell how far it has come; they are logged once a second too.
    ///
    /// Awaited on one of the server's own threads, as in a route or by what serves a WebSocket, it begins the drain and
    /// returns at once, since it would wait for itself. At the end it joins threads that have drained.
    ///
    /// # Cancel safety
    ///
    /// Draining starts when this is first polled and goes on if it is dropped then.
    pub async fn shutdown(&self) {
        self.0.stop.shutdown().await;
        // What is kept of files is nobody's any more.
        self.0.settings.forget_mounts();
    }

    /// The signals, or the server is stopped.
    pub(super) fn catching(&self, signals: io::Result<Signals>) -> io::Result<Signals> {
        signals.inspect_err(|_| self.0.stop.begin())
    }

    /// The service manager, as this server is to tell it.
    pub(super) fn manager(&self) -> Arc<Manager> {
        let manager = Manager::of_environment(self.bound(), self.monitor(), self.0.event_loops.clone());
        let manager = Arc::new(manager);
        self.0.reloading.is_told_to(&manager);
        manager
    }

    /// Until another signal asks to stop.
    pub(super) async fn drain_until(&self, signals: &mut Signals, manager: &Manager) {
        self.0.reloading.stopping(manager);
        let drained = async {
            self.shutdown().await;
            manager.end().await;
        };
        tokio::select! {
            () = drained => {}
            // Without a line in the log: it may be what the first one waits for.
            () = signals.stop() => {}
        }
    }
}

impl Running {
    /// What WebSockets would be closed with, and over what time.
    #[cfg(feature = "admin")]
    pub(crate) fn drain_plan(&self) -> (CloseCode, Duration) {
        let plan = self.settings.plans.now();
        (plan.code, plan.window)
    }

    /// Begins to drain, with nobody waiting.
    #[cfg(feature = "admin")]
    pub(crate) fn begin_drain(&self) {
        self.stop.begin();
    }
}

/// Where a server listens already, and what answers the requests that come there.
pub(super) struct Opened {
    pub(super) planned: Planned,
    pub(super) sockets: Vec<Listening>,
    pub(super) router: Router,
    pub(super) is_redirect: bool,
}

/// Starts workers and acceptors.
pub(super) fn start(mut server: Server, listeners: Vec<Opened>, mounts: Mounts) -> Result<Handle, StartError> {
    let (begin, draining) = http::draining();
    let release = CancellationToken::new().drop_guard();
    let (count, live) = (server.worker_count(), server.live.clone());
    let plans = Plans::new(server.drain_plan());
    let admission = Arc::new(Admission::new(live.clone(), server.limits.max_connections_per_address));
    let shared = worker::Shared {
        admission: admission.clone(),
        draining: draining.clone(),
        release: release.token().clone(),
        plans: plans.clone(),
    };
    let Open { mut sockets, bound, addresses, sites, shared: known } = open(&server, listeners, &draining)?;
    std::mem::take(&mut server.in_force).call();
    // Behind that, since it may have told topics how much they have.
    server.share_memory(&mounts);
    let (workers, queues) = start_workers(count, &shared, &mut sockets).map_err(StartError::Runtime)?;
    let drained = workers.iter().map(|worker| worker.drained.clone()).collect();
    let mut event_loops: Vec<EventLoop> = workers.iter().map(|worker| worker.event_loop.clone()).collect();
    let watch = Watch { plans: plans.clone(), workers: drained, monitor: Monitor(live.clone()) };
    #[cfg(feature = "tls")]
    let (tls, loaded) = watch::channel(server.tls.clone());
    #[cfg(feature = "tls")]
    let (ask, certificates) = Certificates::new(loaded, live.clone());
    let acceptor = Acceptor {
        sockets,
        queues,
        draining: draining.clone(),
        watch,
        #[cfg(feature = "tls")]
        certificates,
    };
    let (over, event_loop) = acceptor.start().map_err(StartError::Runtime)?;
    event_loops.push(event_loop);
    let settings = Settings {
        sites,
        workers: server.workers,
        #[cfg(feature = "tls")]
        redirect_http: server.redirect_http,
        #[cfg(feature = "tls")]
        tls,
        admission,
        plans,
        draining,
        taken_over: Mutex::new(TakenOver { mounts, shared: known }),
        turn: Mutex::default(),
    };
    let stop = Stop::new(live.clone(), begin, over, release, workers);
    Ok(Handle(Arc::new(Running {
        bound,
        addresses,
        live,
        settings,
        reloading: Arc::default(),
        #[cfg(feature = "tls")]
        certificates: ask,
        event_loops,
        stop,
    })))
}

/// Starts the workers, with what deals connections to them.
fn start_workers(
    count: usize,
    shared: &worker::Shared,
    sockets: &mut Sockets,
) -> io::Result<(Vec<Thread>, Queues<Arrival>)> {
    // One alone accepts itself: while it is busy nothing else could be done with a connection anyway.
    let mut own = if count == 1 { std::mem::take(sockets) } else { Sockets::new() };
    let of_workers: Vec<Arc<Queue<Arrival>>> = (0..count).map(|_| Arc::default()).collect();
    let queues = Queues::new(of_workers.clone());
    let workers = (0..count).zip(of_workers);
    let workers = workers.map(|(index, queue)| worker::start(index, shared.clone(), queue, std::mem::take(&mut own)));
    Ok((workers.collect::<io::Result<_>>()?, queues))
}

/// Sockets, and what is known of them.
#[derive(Default)]
struct Open {
    sockets: Sockets,
    bound: Vec<Bound>,
    addresses: Vec<SocketAddr>,
    sites: Vec<Listener>,
    /// Of the listeners that have no rate of requests of their own.
    shared: Shared,
}

/// What the connections of each socket share, and where the sockets are.
fn open(server: &Server, listeners: Vec<Opened>, draining: &Draining) -> Result<Open, StartError> {
    let mut common = Common::new(server, draining, &Shared::default());
    let mut open = Open::default();
    for (number, Opened { planned, sockets, router, is_redirect }) in listeners.into_iter().enumerate() {
        // One URL has one port; those that were passed under one name may be anywhere.
        let places = if planned.url.passed_name().is_some() { sockets.len() } else { 1 };
        for socket in sockets.iter().take(places) {
            let mut url = planned.url.clone();
            url.tell(socket).map_err(StartError::Runtime)?;
            open.bound.push(Bound { url, is_redirect });
        }
        for socket in sockets {
            let address = socket.local_addr().map_err(StartError::Runtime)?;
            open.addresses.extend(address);
            // A Unix socket answers to any name: no name resolves to it.
            let loopback = address.is_some_and(|address| address.ip().is_loopback());
            let kind = ListenerKind { tls: planned.url.is_tls(), loopback, unix: address.is_none() };
            let current = Arc::new(Current::new(common.site(&planned, kind, router.clone(), None)));
            open.sockets.push((socket, current.clone()));
            open.sites.push(Listener {
                number,
                asked: planned.url.clone(),
                kind,
                is_redirect,
                current: Arc::downgrade(&current),
            });
        }
    }
    open.shared = common.shared();
    Ok(open)
}

impl Server {
    fn worker_count(&self) -> usize {
        self.workers.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
    }

    pub(super) fn drain_plan(&self) -> Plan {
        let (window, timeout) = (self.limits.drain_window, self.limits.drain_timeout);
        Plan { is_quiet: self.is_quiet, code: self.drain_code, window, timeout }
    }
}
