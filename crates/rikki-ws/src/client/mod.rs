//! The client's end: the same [`WebSocket`] as on a server, after the client's side of the opening handshake.
//!
//! [`connect`] is the short form, [`Builder`] sets everything. The protocol, the driver and its deadlines are those of
//! the server; here are the connection, the request and the judgement of its answer
//! ([RFC 6455 section 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)).

mod error;
pub(crate) mod exchange;
mod limits;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri};
use http_body_util::Empty;
use rand::rngs::{StdRng, SysRng};
use rand::{Rng as _, SeedableRng as _};
use rikki_limits::BadLimit;
use rikki_proto::handshake::ClientHandshake;
#[cfg(feature = "tls")]
use rustls::InvalidMessage;
#[cfg(feature = "tls")]
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
#[cfg(feature = "tls")]
use tokio::task::spawn_blocking;
use tokio::time::timeout;
#[cfg(feature = "tls")]
use tokio_rustls::TlsConnector;

use crate::stream::Io;
use crate::terms::Terms;
#[cfg(feature = "tls")]
use crate::tls::TlsStream;
use crate::trace::Trace;
use crate::tracker::Tracker;
use crate::{Config, InvalidSubprotocol, Live, Subprotocol, WebSocket};

use limits::Limits;

#[cfg(feature = "tls")]
pub use crate::tls::client::ClientTls;
pub use error::ConnectError;
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
#[derive(Clone, Debug)]
#[must_use = "nothing happens until `connect` is called"]
pub struct Builder {
    url: String,
    headers: HeaderMap,
    subprotocols: Vec<Subprotocol>,
    config: Config,
    terms: Arc<Terms>,
    limits: Limits,
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
            limits: Limits::default(),
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
        self.terms = Arc::new(Terms::new(&config, &self.terms.live));
        self.config = config;
        self
    }

    /// Counts the connection among those of `live`; default [those of the process](Live::process), of which about 200
    /// clients may have compression of their own. A server in the same process has a `Live` of its own, and its
    /// `--memory` is without clients.
    pub fn live(mut self, live: &Live) -> Self {
        self.terms = Arc::new(Terms::new(&self.config, live));
        self
    }

    /// Sets whom to trust and how to identify; by default the system's authorities are trusted, read for each
    /// connection. To read them once, clone one [`ClientTls`].
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = Some(tls);
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
        match timeout(self.limits.connect_timeout, self.connect_in_time()).await {
            Ok(connected) => connected,
            Err(_) => Err(ConnectError::TimedOut),
        }
    }

    async fn connect_in_time(&self) -> Result<(WebSocket, Response<()>), ConnectError> {
        if let Some(mistake) = &self.mistake {
            return Err(mistake.clone().into());
        }
        self.config.check().map_err(ConnectError::Limit)?;
        let uri = self.uri()?;
        let mut rng = StdRng::try_from_rng(&mut SysRng)
            .map_err(|error| ConnectError::NoRandom(std::io::Error::other(error.to_string())))?;
        let mut nonce = [0; 16];
        rng.fill_bytes(&mut nonce);
        let mut handshake = ClientHandshake::new(nonce, &self.subprotocols);
        let offer = self.terms.codecs.as_ref().and_then(|codecs| Some((codecs, codecs.offer()?)));
        if let Some((_, offer)) = &offer {
            handshake = handshake.offer_deflate(offer.options);
        }
        let request = handshake.request(&uri, self.headers.clone())?.map(|()| Empty::new());
        let (answer, peer) = self.exchange(&uri, request).await?;
        let established = handshake.verify(&answer.response)?;
        let mut connection = self.terms.client(move || rng.next_u32().to_ne_bytes());
        if let (Some((codecs, offer)), Some(agreed)) = (offer, established.agreed())
            && let Some(codecs) = codecs.confirmed(offer, agreed)
        {
            connection.set_codecs(codecs);
        }
        let subprotocol = established.subprotocol().cloned();
        let (terms, tracker) = (self.terms.clone(), Tracker::default());
        let trace = Trace::begin(peer, uri.path(), None);
        let socket = WebSocket::new(answer.io, &answer.read_ahead, connection, terms, subprotocol, tracker, trace);
        Ok((socket, answer.response))
    }

    /// [Section 3](https://www.rfc-editor.org/rfc/rfc6455#section-3): "Fragment identifiers are meaningless in the
    /// context of WebSocket URIs and MUST NOT be used on these URIs."
    fn uri(&self) -> Result<Uri, ConnectError> {
        let refuse = |why| ConnectError::BadUrl { url: self.url.clone(), why };
        if self.url.contains('#') {
            return Err(refuse("a WebSocket has no fragment: leave out # and what follows it"));
        }
        let uri: Uri = self.url.parse().map_err(|_| refuse("write it as ws://HOST[:PORT]/PATH or wss://"))?;
        if is_scheme(&uri, "ws") || is_scheme(&uri, "wss") {
            Ok(uri)
        } else {
            Err(refuse("write it as ws://HOST[:PORT]/PATH or wss://"))
        }
    }

    /// The answer, and whose it is.
    async fn exchange(
        &self,
        uri: &Uri,
        request: Request<Empty<Bytes>>,
    ) -> Result<(exchange::Answer, Option<SocketAddr>), ConnectError> {
        let is_tls = is_scheme(uri, "wss");
        // An address in brackets is an IPv6 address without them.
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let unreachable = |source| ConnectError::Unreachable { host: host.to_owned(), port, source };
        let stream = TcpStream::connect((host, port)).await.map_err(unreachable)?;
        // Small messages are not to wait for the acknowledgement of those before them.
        stream.set_nodelay(true).map_err(unreachable)?;
        let peer = stream.peer_addr().ok();
        let io: Box<dyn Io> = if is_tls { self.secure(host, stream).await? } else { Box::new(stream) };
        Ok((exchange::exchange(io, request).await?, peer))
    }

    #[cfg(feature = "tls")]
    async fn secure(&self, host: &str, stream: TcpStream) -> Result<Box<dyn Io>, ConnectError> {
        let tls = match &self.tls {
            Some(tls) => tls.clone(),
            // Reads files.
            None => spawn_blocking(ClientTls::system).await.map_err(|error| ConnectError::Http(error.into()))??,
        };
        let failed = |source: std::io::Error| match source.get_ref().and_then(|error| error.downcast_ref()) {
            // What came does not begin as TLS does.
            Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => ConnectError::SpeaksNoTls,
            _ => ConnectError::TlsHandshake { host: host.to_owned(), source },
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(std::io::Error::other(error)))?;
        let stream = TlsConnector::from(tls.client_config()).connect(name, stream).await.map_err(failed)?;
        Ok(Box::new(TlsStream::from(stream)))
    }

    #[cfg(not(feature = "tls"))]
    async fn secure(&self, _: &str, _: TcpStream) -> Result<Box<dyn Io>, ConnectError> {
        Err(ConnectError::BadUrl { url: self.url.clone(), why: "TLS needs the feature `tls`" })
    }

    fn note(&mut self, mistake: Mistake) {
        self.mistake.get_or_insert(mistake);
    }
}

/// What was set wrong.
#[derive(Clone, Debug)]
enum Mistake {
    Header(String),
    Limit(BadLimit),
}

impl From<Mistake> for ConnectError {
    fn from(mistake: Mistake) -> Self {
        match mistake {
            Mistake::Header(why) => Self::BadHeader { why },
            Mistake::Limit(error) => Self::Limit(error),
        }
    }
}

/// Without case: [RFC 3986 section 3.1](https://www.rfc-editor.org/rfc/rfc3986#section-3.1).
fn is_scheme(uri: &Uri, scheme: &str) -> bool {
    uri.scheme_str().is_some_and(|given| given.eq_ignore_ascii_case(scheme))
}
