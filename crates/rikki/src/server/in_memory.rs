//! A server without a port, for tests.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::DuplexStream;

use super::admission::{Admission, Place};
use super::listen::Planned;
use super::sites::Common;
use super::url::{self, ListenHost};
use super::{Server, StartError};
use crate::http::{self, Begin, Connection, Current, Shared};
use crate::live::Stage;
use crate::net::Peer;
use crate::testing::App;
use crate::ws::internal::{ListenerKind, Tracked, Tracker};

impl Server {
    /// The server in memory, for tests that ask it for pages and WebSockets without a port: what a test sees is what a
    /// client on its first listener would, or on `http://localhost:8000`.
    ///
    /// Routes, WebSockets, endpoints, folders, rules for Host and Origin, added header fields, limits and deadlines are
    /// those of the server, and what is set for files is judged and opened as at a start. Connections count as those of
    /// a server that runs, which [`monitor`](Self::monitor) shows. Left out are sockets and threads: TLS, HTTP/2, the
    /// PROXY protocol, workers, certificates that are read again, and the drain. It is served by the runtime that the
    /// test runs on, so that a clock that is paused holds for all of it. Needs the feature `client`.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check): what [`start`](Self::start) would say, but for what listening may come to.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use axum::routing::get;
    /// use rikki::testing::{Expect, text};
    /// use rikki::ws::{Message, Socket};
    /// use rikki::{Server, axum};
    ///
    /// fn server() -> Server {
    ///     let echo = |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message);
    ///     Server::new().header("x-frame-options", "DENY").websocket("/echo", echo).route("/", get(|| async { "hello" }))
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let app = server().in_memory().unwrap();
    /// let answer = app.get("/").await;
    /// assert_eq!(answer.headers()["x-frame-options"], "DENY");
    /// assert_eq!(text(answer).await, "hello");
    /// let mut socket = app.websocket("/echo").await;
    /// socket.send("hello").await.unwrap();
    /// assert_eq!(socket.recv_within(Duration::from_secs(1)).await.unwrap().as_text(), Some("hello"));
    /// # });
    /// ```
    pub fn in_memory(mut self) -> Result<App, StartError> {
        let planned = self
            .prepare()?
            .into_iter()
            .next()
            .ok_or_else(|| StartError::BadUrl { url: String::new(), why: "there is nothing to listen on" })?;
        let (router, mounts) = self.arrange()?;
        let (begin, draining) = http::draining();
        let kind = kind(&planned);
        let is_unix = matches!(planned.url.0, url::Place::Unix { .. });
        let mut common = Common::new(&self, &draining, &Shared::default());
        let site = common.site(&planned, kind, router, None);
        let admission = Arc::new(Admission::new(self.live.clone(), self.limits.max_connections_per_address));
        std::mem::take(&mut self.in_force).call();
        self.share_memory(&mounts);
        self.live.reach(Stage::Serving);
        let doors = Doors { current: Arc::new(Current::new(site)), admission, is_unix, begin: Arc::new(begin) };
        Ok(App::served_by(move |stream, peer| doors.serve(stream, peer)))
    }
}

/// What a listener at this place would be: `localhost` and loopback addresses answer to names of theirs alone.
fn kind(planned: &Planned) -> ListenerKind {
    let loopback = match &planned.url.0 {
        url::Place::Port { host: ListenHost::Localhost, .. } => true,
        url::Place::Port { host: ListenHost::Address(address), .. } => address.is_loopback(),
        url::Place::Port { host: ListenHost::Every, .. } | url::Place::Unix { .. } => false,
    };
    let unix = matches!(planned.url.0, url::Place::Unix { .. });
    ListenerKind { tls: planned.url.is_tls(), loopback, unix }
}

/// Where connections come in.
struct Doors {
    current: Arc<Current>,
    admission: Arc<Admission>,
    is_unix: bool,
    begin: Arc<Begin>,
}

impl Doors {
    fn serve(&self, stream: DuplexStream, peer: SocketAddr) -> impl Future<Output = ()> + Send + use<> {
        let peer = if self.is_unix { Peer::Unix } else { Peer::Ip(peer) };
        let site = self.current.now();
        let (place, current) =
            match self.admission.admit(peer, site.serving.transport(), || site.serving.send_idle_away()) {
                Ok(place) => (Some(place), self.current.clone()),
                Err(excess) => (None, Arc::new(site.refusing(excess.router()))),
            };
        let has_place = place.is_some();
        let tracker = Tracker::new(Belongings { _place: place, _begin: self.begin.clone() });
        Connection::new(current, peer, tracker, has_place).serve_http1(stream)
    }
}

/// What goes when a connection does.
#[derive(Debug)]
struct Belongings {
    _place: Option<Place>,
    /// The drain never begins while there is one.
    _begin: Arc<Begin>,
}

impl Tracked for Belongings {}
