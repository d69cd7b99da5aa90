//! The client's end: the same [`WebSocket`] as on a server, after the client's side of the opening handshake.
//!
//! [`connect`] is the short form, [`Builder`] sets everything, and [`Reconnecting`] stays connected. The protocol, the
//! driver and its deadlines are those of the server; here are the connection, the request and the judgement of its
//! answer ([RFC 6455 section 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)).

mod control;
mod error;
mod exchange;
mod limits;
mod opening;
mod proxy;
mod reconnect;
mod route;
mod socks;
mod transient;

use std::fmt;
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Response};
use rikki_limits::BadLimit;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::terms::Terms;
use crate::{Config, InvalidSubprotocol, Live, Subprotocol, WebSocket};

use limits::Limits;
use proxy::{Environment, Proxy};
use route::Route;

#[cfg(feature = "tls")]
pub use crate::tls::client::ClientTls;
pub use control::Control;
pub(crate) use control::Watcher;
pub use error::{ConnectError, ProxyError};
pub use reconnect::{Backoff, ConnectHook, Event, Loss, ReconnectError, Reconnecting};
pub use rikki_proto::handshake::HandshakeError;

/// Opens a WebSocket with the defaults of [`Builder`].
///
/// # Errors
///
/// Each [`ConnectError`] says what to look at.
///
/// # Cancel safety
///
/// Dropping the future before it is ready closes the connection; nothing else is left behind.
///
/// ```no_run
/// use futures_util::{SinkExt, StreamExt};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut socket = rikki_ws::client::connect("wss://example.org/chat").await?;
/// socket.send("hello").await?;
/// while let Some(message) = socket.next().await {
///     println!("{:?}", message?);
/// }
/// # Ok(())
/// # }
/// ```
pub async fn connect(url: &str) -> Result<WebSocket, ConnectError> {
    Ok(Builder::new(url).connect().await?.0)
}

/// A connection under construction. Setting values never fails: what is wrong with them is reported by
/// [`connect`](Self::connect).
///
/// ```no_run
/// use std::time::Duration;
///
/// use rikki_ws::client::{Builder, ClientTls};
/// use rikki_ws::{Compression, Config};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let (socket, response) = Builder::new("wss://localhost:8443/websocket")
///     .header("authorization", "Bearer 42")
///     .protocols(["chat.v2", "chat.v1"])
///     .config(Config::default().compression(Compression::dedicated()).max_message_size(1 << 20))
///     .tls(ClientTls::ca("ca.crt")?)
///     .connect_timeout(Duration::from_secs(5))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing happens until `connect` is called"]
pub struct Builder {
    url: String,
    headers: HeaderMap,
    subprotocols: Vec<Subprotocol>,
    config: Config,
    terms: Arc<Terms>,
    watcher: Option<Watcher>,
    limits: Limits,
    route: Route,
    #[cfg(feature = "tls")]
    tls: Option<ClientTls>,
    /// The first setting that could not be understood.
    mistake: Option<Mistake>,
}

impl Builder {
    /// Starts with a URL: `ws://HOST[:PORT][/PATH][?QUERY]`, or `wss://` for TLS.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            headers: HeaderMap::new(),
            subprotocols: Vec::new(),
            config: Config::default(),
            terms: Arc::default(),
            watcher: None,
            limits: Limits::default(),
            route: Route::default(),
            #[cfg(feature = "tls")]
            tls: None,
            mistake: None,
        }
    }

    /// Adds a header field to the request, such as `authorization`, `cookie` or `origin`.
    ///
    /// The fields of the handshake itself cannot be set.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => {
                self.headers.append(name, value);
            }
            (Ok(name), Err(_)) => {
                self.note(Mistake::Header(format!("the value of header {name} has bytes that no header can have")));
            }
            (Err(_), _) => self.note(Mistake::Header("the name of a header is not a token".to_owned())),
        }
        self
    }

    /// Offers these subprotocols, the preferred one first; default none.
    /// [`WebSocket::protocol`] is the one that the server chose.
    pub fn protocols(mut self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        match names.into_iter().map(|name| name.as_ref().parse()).collect() {
            Ok(subprotocols) => self.subprotocols = subprotocols,
            Err(error) => self.note(Mistake::Header(InvalidSubprotocol::to_string(&error))),
        }
        self
    }

    /// Sets limits, deadlines, keepalive and compression; the defaults are those of a server.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        let live = self.terms.live.clone();
        self.terms = self.terms_with(&live);
        self
    }

    /// Counts the connection among those of `live`; default [those of the process](Live::process), of which about 200
    /// clients may have compression of their own. A server in the same process has a `Live` of its own, and its
    /// `--memory` is without clients.
    pub fn live(mut self, live: &Live) -> Self {
        self.terms = self.terms_with(live);
        self
    }

    /// Sets whom to trust and how to identify; by default the system's authorities are trusted, read for each
    /// connection. To read them once, clone one [`ClientTls`].
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Connects by way of a proxy: `http://[USER:PASSWORD@]HOST[:PORT]` or `socks5://[USER:PASSWORD@]HOST[:PORT]`;
    /// default none, whatever the environment says. It takes the place of an earlier one.
    ///
    /// An HTTP proxy is asked for a tunnel by CONNECT
    /// ([RFC 9110 section 9.3.6](https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6)), for `ws` too, with basic
    /// authentication ([RFC 7617](https://www.rfc-editor.org/rfc/rfc7617)) if there is a user. SOCKS is version 5
    /// ([RFC 1928](https://www.rfc-editor.org/rfc/rfc1928)), with a user and a password of at most 255 bytes each
    /// ([RFC 1929](https://www.rfc-editor.org/rfc/rfc1929)) or without, and the proxy looks up the name of the host, as
    /// for curl's `socks5h`, which means the same here. Ports are 80 and 1080 where none is given. What is special in
    /// user and password is written in percent encoding. They are shown by no error and no log; to the proxy they go
    /// unencrypted, as everything does but what is in `wss`.
    ///
    /// TLS is spoken with the host of the URL, through the proxy. All of it has to be done within
    /// [`connect_timeout`](Self::connect_timeout). `http://` may be left out. What is no proxy is an error of
    /// [`connect`](Self::connect).
    ///
    /// ```no_run
    /// use rikki_ws::client::Builder;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = Builder::new("wss://example.org/chat").proxy("socks5://user:pass%40word@localhost");
    /// let (socket, _) = builder.connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn proxy(mut self, url: &str) -> Self {
        match Proxy::parse(url) {
            Ok(proxy) => self.route = Route::Proxy(proxy),
            Err(why) => self.note(Mistake::Proxy(why)),
        }
        self
    }

    /// Connects by way of the proxy that the environment names now for the URL, if it does, as curl would.
    ///
    /// For `wss` it is in `https_proxy` or `HTTPS_PROXY`, for `ws` in `http_proxy`, else in `all_proxy` or `ALL_PROXY`,
    /// and a lower-case name counts before an upper-case one. `HTTP_PROXY` is not read: where a program serves CGI it
    /// is what a client has written. Hosts that `no_proxy` or `NO_PROXY` lists, with commas between them, are reached
    /// without: names, which stand for what is below them too, addresses, networks such as `10.0.0.0/8`, or `*` for all.
    /// A variable that is empty is as if it were not there. Values are those of [`proxy`](Self::proxy), and what is none
    /// is an error of [`connect`](Self::connect) with a URL that it is for.
    pub fn proxy_from_env(mut self) -> Self {
        self.route = Route::Environment(Arc::new(Environment::read(|name| std::env::var(name).ok())));
        self
    }

    /// Connects to the Unix socket at this path, in place of the host of the URL, which is told to the server all the
    /// same: see [`connect_over`](Self::connect_over). It takes the place of a proxy.
    #[cfg(unix)]
    pub fn unix_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.route = Route::Unix(path.into());
        self
    }

    /// Connects, and returns the WebSocket with the server's answer to the handshake. It can be called again, for
    /// another connection.
    ///
    /// Compression is offered as the configuration says, unless the memory for it is used up. The masks of
    /// [section 5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.3) come from a ChaCha generator that the system
    /// has seeded. Memory: about 400 bytes a connection beside those of the [`WebSocket`].
    ///
    /// # Errors
    ///
    /// Each [`ConnectError`] says what to look at. A redirect is not followed: see [`ConnectError::Redirected`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is ready closes the connection; nothing else is left behind.
    pub async fn connect(&self) -> Result<(WebSocket, Response<()>), ConnectError> {
        self.in_time(self.open()).await
    }

    /// Opens the WebSocket over a stream of one's own, such as a tunnel or one half of a pair in memory, in place of a
    /// connection to the host of the URL. It can be called again, with another stream.
    ///
    /// The URL is told to the server: its host and port in the field `Host`, its path and query in the request. It also
    /// says whether TLS is spoken over the stream: with `wss` it is, as [`tls`](Self::tls) says and with the host's
    /// name in the certificate; over a stream that is encrypted already the URL is one of `ws`. A proxy and the path of
    /// a Unix socket are not used.
    ///
    /// # Errors
    ///
    /// Each [`ConnectError`] says what to look at.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is ready drops the stream; nothing else is left behind.
    ///
    /// ```no_run
    /// use rikki_ws::client::Builder;
    ///
    /// # async fn example(tunnel: tokio::io::DuplexStream) -> Result<(), Box<dyn std::error::Error>> {
    /// let (mut socket, _) = Builder::new("ws://device/control").connect_over(tunnel).await?;
    /// socket.send("hello").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect_over<S>(&self, stream: S) -> Result<(WebSocket, Response<()>), ConnectError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.in_time(self.open_over(stream)).await
    }

    async fn in_time<T>(&self, step: impl Future<Output = Result<T, ConnectError>>) -> Result<T, ConnectError> {
        timeout(self.limits.connect_timeout, step).await.unwrap_or(Err(ConnectError::TimedOut))
    }

    fn note(&mut self, mistake: Mistake) {
        self.mistake.get_or_insert(mistake);
    }
}

impl fmt::Debug for Builder {
    /// Header fields by their names alone: any of them may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("url", &opening::without_credentials(&self.url))
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("subprotocols", &self.subprotocols)
            .field("limits", &self.limits)
            .field("config", &self.config)
            .field("route", &self.route)
            .field("mistake", &self.mistake)
            .finish_non_exhaustive()
    }
}

/// What was set wrong.
#[derive(Clone, Debug)]
enum Mistake {
    Header(String),
    Proxy(&'static str),
    Limit(BadLimit),
}

impl From<Mistake> for ConnectError {
    fn from(mistake: Mistake) -> Self {
        match mistake {
            Mistake::Header(why) => Self::BadHeader { why },
            Mistake::Proxy(why) => Self::BadProxy { why: why.to_owned() },
            Mistake::Limit(error) => Self::Limit(error),
        }
    }
}
