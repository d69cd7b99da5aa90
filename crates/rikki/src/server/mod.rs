//! The server: what is configured, and how listeners, workers and routes are put together.

mod accept;
#[cfg(feature = "acme")]
mod acme;
mod admission;
mod allowed;
#[cfg(feature = "tls")]
mod certificates;
mod config;
mod door;
mod drain;
mod error;
mod event_loop;
mod handle;
#[cfg(feature = "client")]
mod in_memory;
mod layers;
mod listen;
#[cfg(target_os = "linux")]
mod manager;
#[cfg(not(target_os = "linux"))]
#[path = "unmanaged.rs"]
mod manager;
mod memory;
#[cfg(feature = "files")]
mod mount;
#[cfg(not(feature = "files"))]
#[path = "unmounted.rs"]
mod mount;
mod proxied;
mod proxies;
mod queue;
#[cfg(feature = "tls")]
mod redirect;
mod reload;
mod routes;
mod settings;
mod signals;
mod sites;
mod start;
mod url;
mod worker;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue};

use crate::http::{self, Guard};
use crate::live::{Live, Monitor};

#[cfg(feature = "tls")]
use crate::tls::ServerTls;
use crate::ws::internal::Origins;
use crate::ws::{self, CloseCode, Subprotocol};

use layers::Layers;
use mount::Mounts;
use rikki_limits::{BadLimit, BadNumber, Hint};

#[cfg(feature = "tls")]
pub use certificates::Reloaded;
pub(crate) use config::Limits;
pub use error::StartError;
#[cfg(feature = "admin")]
pub(crate) use handle::Running;
pub use handle::{Bound, Handle};
pub use listen::Listen;
pub use memory::Memory;
pub use reload::Reload;
pub use url::ListenUrl;
#[cfg(feature = "admin")]
pub(crate) use url::Reach;

/// A server under construction: WebSockets, HTTP routes and files on the same ports.
///
/// One thread per core serves connections, each from its first byte to its last. Setting values never fails and never
/// panics; the first that is wrong is noted, and reported by [`start`](Self::start) or [`run`](Self::run). What is
/// built apart from the server, such as an [`Endpoint`](ws::Endpoint) or [`Files`](crate::Files), tells at once.
///
/// ```no_run
/// use axum::routing::get;
/// use rikki::Server;
/// use rikki::ws::{Message, Socket};
///
/// fn main() -> Result<(), rikki::StartError> {
///     Server::new()
///         .websocket("/websocket", |socket: &mut Socket, message: Message<'_>| socket.send(message))
///         .route("/rest", get(|| async { "hello" }))
///         .files(".")
///         .listen("http://localhost:8000")
///         .run()
/// }
/// ```
#[derive(Debug)]
#[must_use = "a server does nothing until it is started"]
pub struct Server {
    router: Router,
    layers: Layers,
    listen: Vec<Listen>,
    passed: url::Passed,
    #[cfg(feature = "tls")]
    tls: Option<ServerTls>,
    #[cfg(feature = "tls")]
    redirect_http: Option<u16>,
    mounts: Mounts,
    #[cfg(feature = "topics")]
    topics: Vec<rikki_topics::Topics>,
    websockets: ws::Config,
    http: http::Config,
    guard: Guard,
    origins: Origins,
    proxy_protocol: bool,
    /// Whether it was said where proxies say what they do.
    needs_trust: bool,
    subprotocols: Vec<Subprotocol>,
    workers: Option<usize>,
    limits: Limits,
    websocket_budgets: ws::internal::Budgets,
    live: Arc<Live>,
    drain_code: CloseCode,
    /// What is to be done when these settings are in force.
    in_force: InForce,
    /// Whether nothing is logged of its drain, since it is a part of another server.
    is_quiet: bool,
    /// The first setting that could not be understood.
    mistake: Option<StartError>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            router: Router::new(),
            layers: Layers::default(),
            listen: Vec::new(),
            passed: Vec::new(),
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            redirect_http: None,
            mounts: Mounts::default(),
            #[cfg(feature = "topics")]
            topics: Vec::new(),
            websockets: ws::Config::default(),
            http: http::Config::default(),
            guard: Guard::default(),
            origins: Origins::default(),
            proxy_protocol: false,
            needs_trust: false,
            subprotocols: Vec::new(),
            workers: None,
            limits: Limits::default(),
            websocket_budgets: ws::internal::Budgets::default(),
            live: Arc::default(),
            drain_code: CloseCode::GOING_AWAY,
            in_force: InForce::default(),
            is_quiet: false,
            mistake: None,
        }
    }
}

impl Server {
    /// A server with nothing but defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header field to every answer that does not have it, apart from the 101 of a WebSocket and the refusal of
    /// what is no request. Repeated, it adds several of a name.
    ///
    /// At most 100 of them. Those that HTTP itself needs, such as `content-length`, are an error of
    /// [`start`](Self::start).
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => {
                if let Err(why) = Arc::make_mut(&mut self.http.added).header(&name, value) {
                    self.note(StartError::Header { name: name.to_string(), why });
                }
            }
            (Ok(name), Err(_)) => self.note(StartError::Header {
                name: name.to_string(),
                why: "the value has bytes that no header can have",
            }),
            (Err(_), _) => self.note(StartError::Header { name: String::new(), why: "the name is not a token" }),
        }
        self
    }

    /// Listens on a [`ListenUrl`], also repeatedly; default `http://localhost:8000`. [`Listen`] gives one limits of its
    /// own.
    pub fn listen(mut self, listener: impl Into<Listen>) -> Self {
        self.listen.push(listener.into());
        self
    }

    /// Gives the server a socket that listens already, of TCP or Unix, which [`listen`](Self::listen) names as `fd:NAME`:
    /// one that systemd has opened, so that no client is refused while the server is restarted. Several may have one
    /// name, as those of one unit have.
    ///
    /// Taking what a process was passed needs a crate for it, such as listenfd. A drain stops accepting and leaves those
    /// who wait in the queue of the socket to whoever listens there next. What is of another kind is an error of
    /// [`start`](Self::start); one that nobody listens on is closed, with a warning in the log. A
    /// [reload](Handle::reload) needs the name alone: the server goes on with what it has.
    ///
    /// ```
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let server = rikki::Server::new().socket("web", socket).listen("fd:web").start().await?;
    /// # server.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(unix)]
    pub fn socket(mut self, name: impl Into<String>, socket: impl Into<std::os::fd::OwnedFd>) -> Self {
        let name = name.into();
        match crate::net::Listening::passed(socket.into()) {
            Ok(socket) => self.passed.push((name, socket)),
            Err(why) => self.note(StartError::Passed { name, why }),
        }
        self
    }

    /// Sets the certificates for `https` and `wss` listeners. Those from files are renewed while the server runs: see
    /// [`Handle::reload_certificates`].
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Listens without TLS on this port, usually 80, of each host that an `https` or `wss` listener has, and answers
    /// every request with 308 (Permanent Redirect) to the same host, path and query there; default not.
    ///
    /// Host is judged as everywhere: one that is none is answered with 400. Without a TLS listener it is an error of
    /// [`start`](Self::start).
    #[cfg(feature = "tls")]
    pub fn redirect_http(mut self, port: u16) -> Self {
        self.redirect_http = Some(port);
        self
    }

    /// Sets limits and deadlines of WebSockets, of those that have no [`endpoint`](Self::endpoint) with its own.
    pub fn websocket_config(mut self, config: ws::Config) -> Self {
        self.websockets = config;
        self
    }

    /// Sets what unfinished messages may hold over all connections, in bytes: see
    /// [`Live::message_memory`](ws::Live::message_memory).
    pub fn message_memory(mut self, bytes: usize) -> Self {
        self.websocket_budgets.messages = Some(bytes);
        self
    }

    /// Sets what may wait to be written to all WebSockets, in bytes: see
    /// [`Live::queue_memory`](ws::Live::queue_memory).
    pub fn queue_memory(mut self, bytes: usize) -> Self {
        self.websocket_budgets.queues = Some(bytes);
        self
    }

    /// Sets the memory that compression of messages may take over all connections, in bytes: see
    /// [`Live::compression_memory`](ws::Live::compression_memory).
    pub fn compression_memory(mut self, bytes: usize) -> Self {
        self.websocket_budgets.compression = Some(bytes);
        self
    }

    /// Gives these topics a part of the server's [`memory`](Self::memory), unless they have been told how much they may
    /// have, and shows their budgets with the others. May be repeated: several share that part.
    ///
    /// Handlers and routes use topics whether or not the server knows them.
    #[cfg(feature = "topics")]
    pub fn topics(mut self, topics: &rikki_topics::Topics) -> Self {
        self.topics.push(topics.clone());
        self
    }

    /// A view of what is counted and held, before the server starts and after.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        Monitor(self.live.clone())
    }

    /// Sets the subprotocols that are spoken, the preferred one first; default none. The first that a client offers is
    /// agreed on.
    pub fn protocols(mut self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        match names.into_iter().map(|name| name.as_ref().parse()).collect() {
            Ok(names) => self.subprotocols = names,
            Err(error) => self.note(StartError::Subprotocol(error)),
        }
        self
    }

    /// Sets how much of a request's body a client has to send, and of a response it has to take, while it is waited
    /// for: in each `window` of waiting, `bytes_per_second` on average. A slower connection is closed, and a slower
    /// stream of HTTP/2 is reset; a handler that reads the body gets an error. A stream has the window and the time
    /// that 16 KiB may take, since no smaller progress of it shows; 100 streams that share a link need 31 KiB a second
    /// of it by default.
    ///
    /// A window of no time is an error of [`start`](Self::start).
    pub fn min_body_rate(mut self, bytes_per_second: u32, window: Duration) -> Self {
        let limits = &mut self.http.limits;
        (limits.min_body_rate, limits.body_window) = (bytes_per_second, window.min(LONGEST));
        self
    }

    /// Logs each request when it has been answered, at the level `info` with the target `rikki::access`; default not.
    ///
    /// What the client wrote is cut, and escaped but for `agent`, a string which a subscriber escapes as it does others;
    /// queries are left out, since they may hold secrets. A WebSocket is logged when it is opened, with status 101, and
    /// when it has ended, with its code, who has closed it, how long it was open, and messages and bytes in both directions. `id` is the [`ConnectionId`](crate::ws::ConnectionId) of each
    /// line, and `request` which of the connection's requests it is; `trace_id` and `parent_id` are those of a valid
    /// `traceparent` ([W3C Trace Context](https://www.w3.org/TR/trace-context/)).
    ///
    /// Memory: about 400 bytes for each WebSocket.
    pub fn access_log(mut self, enabled: bool) -> Self {
        self.http.access_log = enabled;
        self
    }

    /// Logs each message of each WebSocket, at the level `info` with the target `rikki::messages`: where it goes, how long
    /// it is, and the first 200 letters of a text or 100 bytes of a binary message; default not. For development: what
    /// people write is in it.
    pub fn message_log(mut self, enabled: bool) -> Self {
        self.http.message_log = enabled;
        self
    }

    /// Sets how a setting is written here, for the refusals that say which one would let a client in: to the client and
    /// in the log. Default as a method of this type, such as `Server::allow_origin("https://app.example")`; a command
    /// says its flag, and an application what it has in its configuration.
    ///
    /// ```
    /// let server = rikki::Server::new().hints(|hint| match hint.value {
    ///     Some(value) => format!("a line {} = \"{value}\" in chat.toml", hint.setting),
    ///     None => format!("a larger {} in chat.toml", hint.setting),
    /// });
    /// ```
    pub fn hints(mut self, hints: fn(Hint<'_>) -> String) -> Self {
        self.http.hints = http::Wording(hints);
        self
    }

    /// Sets how many threads serve connections; default one per core. None is an error of [`start`](Self::start).
    ///
    /// A single one accepts them too, which saves waking it from another thread; several have one more that does.
    ///
    /// Each is a tokio runtime of that thread alone: what blocks there holds up all of its connections, and
    /// `tokio::task::block_in_place` panics. `spawn_blocking` does such work elsewhere.
    pub fn workers(mut self, threads: usize) -> Self {
        if threads == 0 {
            self.note(BadLimit::Value("workers", BadNumber::Zero).into());
        }
        self.workers = Some(threads);
        self
    }

    /// Sets the code that a drain closes WebSockets with: default [`CloseCode::GOING_AWAY`], 1001;
    /// [`CloseCode::SERVICE_RESTART`], 1012, tells clients to come back. One that must not be sent is an error of
    /// [`start`](Self::start).
    pub fn drain_code(mut self, code: CloseCode) -> Self {
        if !code.may_be_sent() {
            self.note(StartError::DrainCode(code));
        }
        self.drain_code = code;
        self
    }

    /// Does this right before these settings are in force: before a server that starts lets anybody in, and before one
    /// that is [reloaded](Handle::reload) goes by them. For what an application keeps beside it, such as a log filter, or
    /// what its topics are like: nothing of it happens where a setting is wrong.
    ///
    /// It is called by whoever starts or reloads, which waits for it, once all has been judged; may be repeated, and is
    /// called in order. If it panics, that is a line in the log, and all else is done.
    pub fn when_in_force(mut self, then: impl FnOnce() + Send + 'static) -> Self {
        self.in_force.0.push(Box::new(then));
        self
    }

    /// Logs nothing of its drain.
    #[cfg(feature = "admin")]
    pub(crate) fn quietly(mut self) -> Self {
        self.is_quiet = true;
        self
    }

    fn with_limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    pub(crate) fn with_http(mut self, change: impl FnOnce(&mut http::Limits)) -> Self {
        change(&mut self.http.limits);
        self
    }

    fn note(&mut self, mistake: StartError) {
        self.mistake.get_or_insert(mistake);
    }
}

/// What is done once, later.
#[derive(Default)]
struct InForce(Vec<Box<dyn FnOnce() + Send>>);

impl InForce {
    fn call(self) {
        for then in self.0 {
            if catch_unwind(AssertUnwindSafe(then)).is_err() {
                tracing::error!(target: "rikki::server", "what was to be done with the settings has panicked");
            }
        }
    }
}

impl fmt::Debug for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InForce").field(&self.0.len()).finish()
    }
}

/// Longer deadlines are taken for this long: points in time that are further away may not exist.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
