//! A whole application in memory: requests and WebSockets over HTTP/1.1, without a port.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::response::Response;
use http::header::{HOST, SEC_WEBSOCKET_PROTOCOL};
use http::request::Parts;
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rikki_proto::handshake::Subprotocol;
use tokio::io::{DuplexStream, duplex};
use tokio::time::timeout;
use tower_service::Service as _;

use super::PIPE;
use crate::client::{Builder, ConnectError};
use crate::live::Live;
use crate::stream::WebSocket;

/// How long an answer is waited for, or its body: longer than what a test would wait for on purpose.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// From where requests come, unless a test says another.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50_000);

/// An application in memory: an axum `Router`, or a whole server of `rikki`, that is asked for pages and WebSockets
/// without a port.
///
/// Each request and each WebSocket is a connection of its own, of HTTP/1.1 on a stream in memory, served by a task of the
/// runtime that the test runs on; what a route finds in a request is what it would find on a network, such as
/// `ConnectInfo<SocketAddr>`. There is no TLS and no HTTP/2. With a clock that is paused (`#[tokio::test(start_paused =
/// true)]`) all deadlines and timers pass in an instant. Needs the features `axum` and `client`. Clones are of the same
/// application.
///
/// ```
/// use std::time::Duration;
///
/// use axum::routing::{any, get};
/// use axum::{Router, response::Response};
/// use rikki_ws::testing::{App, Expect, text};
/// use rikki_ws::{Endpoint, Message, Socket, Upgrade};
///
/// fn application() -> Router {
///     let echo = Endpoint::new(|socket: &mut Socket<'_>, message: Message<'_>| socket.send(message));
///     let upgrade = async move |upgrade: Upgrade| -> Response { upgrade.serve(&echo) };
///     Router::new().route("/echo", any(upgrade)).route("/health", get(|| async { "fine" }))
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let app = App::new(application());
/// assert_eq!(text(app.get("/health").await).await, "fine");
/// assert_eq!(app.get("/echo").await.status(), 426, "it is no handshake");
/// let mut socket = app.websocket("/echo").await;
/// socket.send("hello").await.unwrap();
/// assert_eq!(socket.recv_within(Duration::from_secs(1)).await.unwrap().as_text(), Some("hello"));
/// # });
/// ```
///
/// # Panics
///
/// The methods panic outside of a tokio runtime with time, where nothing is answered within 60 s, and where what is asked
/// for is no request.
#[derive(Clone)]
#[must_use = "nothing is asked of it"]
pub struct App {
    serve: Serve,
    peer: SocketAddr,
}

/// Serves one connection of a peer to its end.
type Serve = Arc<dyn Fn(DuplexStream, SocketAddr) -> Served + Send + Sync>;
type Served = Pin<Box<dyn Future<Output = ()> + Send>>;

impl App {
    /// The routes of an application, as `axum::serve` would serve them.
    ///
    /// For a server of `rikki` with its limits, hosts, header fields and folders there is `Server::in_memory`.
    pub fn new(router: Router) -> Self {
        Self::served_by(move |stream, peer| {
            let router = router.clone();
            let service = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(ConnectInfo(peer));
                router.clone().call(request.map(Body::new))
            });
            let serving = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            async move {
                // How it ends is told by what the client gets.
                let _ = serving.with_upgrades().await;
            }
        })
    }

    /// An application whose connections are served by this.
    #[doc(hidden)]
    pub fn served_by<F>(serve: impl Fn(DuplexStream, SocketAddr) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { serve: Arc::new(move |stream, peer| Box::pin(serve(stream, peer))), peer: PEER }
    }

    /// Lets connections come from this address; default 127.0.0.1, port 50000.
    pub fn peer(self, peer: SocketAddr) -> Self {
        Self { peer, ..self }
    }

    /// Answers a GET for a path and query.
    pub async fn get(&self, path: &str) -> Response {
        let request = match Request::get(path).body(Body::empty()) {
            Ok(request) => request,
            Err(error) => panic!("{path:?} cannot be asked for: {error}"),
        };
        self.request(request).await
    }

    /// Answers a request. `Host` is `localhost`, unless the request has one or its URI is absolute. Its body may still
    /// be on its way: [`text`] reads it.
    ///
    /// ```
    /// use axum::{Router, routing::post};
    /// use http::Request;
    /// use rikki_ws::testing::{App, text};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let app = App::new(Router::new().route("/shout", post(async |body: String| body.to_uppercase())));
    /// let request = Request::post("/shout").header("content-type", "text/plain").body("hello").unwrap();
    /// assert_eq!(text(app.request(request).await).await, "HELLO");
    /// # });
    /// ```
    pub async fn request(&self, request: Request<impl Into<Body>>) -> Response {
        let mut request = request.map(Into::into);
        let what = format!("{} {}", request.method(), request.uri());
        let authority = request.uri().authority().map_or("localhost", |authority| authority.as_str());
        let host = HeaderValue::from_str(authority);
        if let (Ok(host), false) = (host, request.headers().contains_key(HOST)) {
            request.headers_mut().insert(HOST, host);
        }
        // What is asked of an origin is a path: https://www.rfc-editor.org/rfc/rfc9112#section-3.2.1
        if let Some(path) = request.uri().path_and_query() {
            *request.uri_mut() = path.clone().into();
        }
        let answer = async {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(self.connect())).await?;
            tokio::spawn(connection);
            sender.send_request(request).await
        };
        match timeout(ANSWER_TIME, answer).await {
            Ok(Ok(response)) => response.map(Body::new),
            Ok(Err(error)) => panic!("no answer to {what}: {error}"),
            Err(_) => panic!("no answer to {what} within {ANSWER_TIME:?}"),
        }
    }

    /// Opens a WebSocket at a path, or with a request that has header fields too, such as `origin`, `cookie` and
    /// `sec-websocket-protocol`. It goes by the defaults of [`Config`](crate::Config), and offers compression as they do.
    ///
    /// # Panics
    ///
    /// Also if it is refused: the panic says how.
    pub async fn websocket(&self, request: impl IntoOpening) -> WebSocket {
        let request = request.into_opening();
        let at = request.uri().clone();
        match self.try_websocket(request).await {
            Ok(socket) => socket,
            Err(error) => panic!("no WebSocket at {at}: {error}"),
        }
    }

    /// Opens a WebSocket as [`websocket`](Self::websocket) does, where it may be refused.
    ///
    /// # Errors
    ///
    /// A [`ConnectError`], such as [`ConnectError::Refused`] with the answer.
    ///
    /// ```
    /// use axum::response::Response;
    /// use axum::{Router, routing::any};
    /// use http::Request;
    /// use rikki_ws::Upgrade;
    /// use rikki_ws::client::ConnectError;
    /// use rikki_ws::testing::App;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let chat = async |upgrade: Upgrade| -> Response { upgrade.on_upgrade(async |socket| drop(socket)) };
    /// let app = App::new(Router::new().route("/chat", any(chat)));
    /// let request = Request::get("/chat").header("origin", "https://evil.example").body(()).unwrap();
    /// let Err(ConnectError::Refused(answer)) = app.try_websocket(request).await else { panic!("it was let in") };
    /// assert_eq!(answer.status(), 403);
    /// # });
    /// ```
    pub async fn try_websocket(&self, request: impl IntoOpening) -> Result<WebSocket, ConnectError> {
        match timeout(ANSWER_TIME, self.open(request.into_opening())).await {
            Ok(opened) => opened,
            Err(_) => panic!("no answer to the handshake within {ANSWER_TIME:?}"),
        }
    }

    async fn open(&self, request: Request<()>) -> Result<WebSocket, ConnectError> {
        let Parts { uri, mut headers, .. } = request.into_parts().0;
        let host = headers.remove(HOST);
        let host = host.as_ref().and_then(|host| host.to_str().ok()).map(str::to_owned);
        let authority = host.or_else(|| uri.authority().map(ToString::to_string));
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let builder = Builder::new(format!("ws://{}{path}", authority.as_deref().unwrap_or("localhost")));
        let offered = offered(headers.remove(SEC_WEBSOCKET_PROTOCOL));
        let builder = builder.live(&Live::new()).protocols(offered.iter().map(Subprotocol::as_str));
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(name, value));
        Ok(builder.connect_over(self.connect()).await?.0)
    }

    /// The client's end of a connection that is served.
    fn connect(&self) -> DuplexStream {
        let (client, server) = duplex(PIPE);
        tokio::spawn((self.serve)(server, self.peer));
        client
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// The subprotocols of the field of a request.
fn offered(field: Option<HeaderValue>) -> Vec<Subprotocol> {
    let Some(field) = field else { return Vec::new() };
    let names = field.to_str().unwrap_or_default().split(',').map(|name| name.trim().parse());
    match names.collect() {
        Ok(names) => names,
        Err(error) => panic!("{field:?} cannot be offered: {error}"),
    }
}

/// What a WebSocket can be asked for with: a path and query, or a request with header fields. A method or version is
/// that of the handshake, whatever the request says, and extensions are not sent.
pub trait IntoOpening: sealed::Sealed {
    #[doc(hidden)]
    fn into_opening(self) -> Request<()>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for &str {}
    impl Sealed for http::Request<()> {}
}

impl IntoOpening for &str {
    fn into_opening(self) -> Request<()> {
        match Request::get(self).body(()) {
            Ok(request) => request,
            Err(error) => panic!("{self:?} cannot be asked for: {error}"),
        }
    }
}

impl IntoOpening for Request<()> {
    fn into_opening(self) -> Request<()> {
        self
    }
}

/// The whole body of an answer, as text.
///
/// # Panics
///
/// If it does not end within 60 s, breaks or is no UTF-8.
pub async fn text(response: Response) -> String {
    let bytes = match timeout(ANSWER_TIME, to_bytes(response.into_body(), usize::MAX)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => panic!("the body broke: {error}"),
        Err(_) => panic!("the body has not ended within {ANSWER_TIME:?}"),
    };
    match String::from_utf8(bytes.into()) {
        Ok(text) => text,
        Err(error) => panic!("the body is no text: {error}"),
    }
}
