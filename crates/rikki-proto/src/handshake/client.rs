//! The client's side of the handshake: <https://www.rfc-editor.org/rfc/rfc6455#section-4.1>.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};

use super::fields::{VERSION, accept_value, contains, only};
use super::subprotocol::Subprotocol;
use crate::deflate::{self, Agreed, ClientOptions, ExtensionError};

/// The fields that the handshake writes itself, and those that would announce a body.
const RESERVED: [HeaderName; 10] = [
    HOST,
    UPGRADE,
    CONNECTION,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION,
];

/// One opening handshake of a client: makes the request, then judges the response.
#[derive(Clone, Debug)]
pub struct ClientHandshake {
    key: String,
    subprotocols: Vec<Subprotocol>,
    deflate: Option<ClientOptions>,
}

impl ClientHandshake {
    /// A handshake with this nonce, offering these subprotocols, the preferred one first.
    ///
    /// The nonce must be random and new for each connection (RFC 6455 section 4.1 item 7). A subprotocol named twice
    /// is offered once.
    #[must_use]
    pub fn new(nonce: [u8; 16], subprotocols: &[Subprotocol]) -> Self {
        let mut offered: Vec<Subprotocol> = Vec::with_capacity(subprotocols.len());
        for name in subprotocols {
            if !offered.contains(name) {
                offered.push(name.clone());
            }
        }
        Self { key: STANDARD.encode(nonce), subprotocols: offered, deflate: None }
    }

    /// Offers permessage-deflate ([RFC 7692](https://www.rfc-editor.org/rfc/rfc7692)); default not.
    #[must_use]
    pub fn offer_deflate(mut self, options: ClientOptions) -> Self {
        self.deflate = Some(options);
        self
    }

    /// The request for a `ws`, `wss`, `http` or `https` URI, with these headers beside those of the handshake.
    ///
    /// Its target is in origin form (`/chat?room=1`), as it goes on the wire to the server itself.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Uri`] if the URI has no host, another scheme or credentials,
    /// [`HandshakeError::ReservedHeader`] if `headers` has a field that belongs to the handshake.
    pub fn request(&self, uri: &Uri, headers: HeaderMap) -> Result<Request<()>, HandshakeError> {
        if let Some(name) = RESERVED.into_iter().find(|name| headers.contains_key(name)) {
            return Err(HandshakeError::ReservedHeader(name));
        }
        // `Uri::path` is `/` where the URI has none, `Uri::path_and_query` is not.
        let target = uri.query().map_or_else(|| uri.path().to_owned(), |query| format!("{}?{query}", uri.path()));
        let mut request = Request::get(target)
            .header(HOST, host(uri)?)
            .header(UPGRADE, "websocket")
            .header(CONNECTION, "Upgrade")
            .header(SEC_WEBSOCKET_KEY, &self.key)
            .header(SEC_WEBSOCKET_VERSION, VERSION);
        if !self.subprotocols.is_empty() {
            let names: Vec<&str> = self.subprotocols.iter().map(Subprotocol::as_str).collect();
            request = request.header(SEC_WEBSOCKET_PROTOCOL, names.join(", "));
        }
        if let Some(options) = &self.deflate {
            request = request.header(SEC_WEBSOCKET_EXTENSIONS, deflate::offer(options));
        }
        let mut request = request.body(()).map_err(|_| HandshakeError::Uri)?;
        request.headers_mut().extend(headers);
        Ok(request)
    }

    /// Judges the response to that request: <https://www.rfc-editor.org/rfc/rfc6455#section-4.1>, the second list.
    ///
    /// # Errors
    ///
    /// The first rule that the response breaks; the connection must then be closed without a Close frame.
    pub fn verify<B>(&self, response: &Response<B>) -> Result<Established, HandshakeError> {
        let headers = response.headers();
        // Item 1.
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(HandshakeError::Status(response.status()));
        }
        // Item 2.
        if !only(headers, &UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket")) {
            return Err(HandshakeError::Upgrade);
        }
        // Item 3.
        if !contains(headers, &CONNECTION, "upgrade") {
            return Err(HandshakeError::Connection);
        }
        // Item 4.
        let accept = accept_value(self.key.as_bytes());
        if only(headers, &SEC_WEBSOCKET_ACCEPT).is_none_or(|value| value != accept.as_str()) {
            return Err(HandshakeError::Accept);
        }
        // Item 5.
        let agreed = match &self.deflate {
            Some(options) => deflate::confirm(headers, options).map_err(HandshakeError::Extensions)?,
            None if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) => {
                return Err(HandshakeError::Extensions(ExtensionError::NotOffered));
            }
            None => None,
        };
        Ok(Established { subprotocol: self.chosen(headers)?, agreed })
    }

    /// Item 6 of that list.
    fn chosen(&self, headers: &HeaderMap) -> Result<Option<Subprotocol>, HandshakeError> {
        if !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
            return Ok(None);
        }
        let chosen = only(headers, &SEC_WEBSOCKET_PROTOCOL).ok_or(HandshakeError::Subprotocol)?;
        let mut offered = self.subprotocols.iter();
        let subprotocol = offered.find(|name| name.header() == chosen).ok_or(HandshakeError::Subprotocol)?;
        Ok(Some(subprotocol.clone()))
    }
}

/// What client and server have agreed on.
#[derive(Clone, Debug)]
pub struct Established {
    subprotocol: Option<Subprotocol>,
    agreed: Option<Agreed>,
}

impl Established {
    /// The subprotocol the server chose among those offered, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&Subprotocol> {
        self.subprotocol.as_ref()
    }

    /// What was agreed on for compression; `None` if messages are not compressed.
    #[must_use]
    pub fn agreed(&self) -> Option<Agreed> {
        self.agreed
    }
}

/// Why a client cannot make its request, or does not take the server's response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The URI is not that of a WebSocket.
    Uri,
    /// A header given by the caller belongs to the handshake.
    ReservedHeader(HeaderName),
    /// The status is not 101.
    Status(StatusCode),
    /// `Upgrade` is not `websocket`.
    Upgrade,
    /// `Connection` does not name `upgrade`.
    Connection,
    /// `Sec-WebSocket-Accept` does not answer the key.
    Accept,
    /// `Sec-WebSocket-Extensions` does not answer what was offered.
    Extensions(ExtensionError),
    /// `Sec-WebSocket-Protocol` names a subprotocol that was not offered.
    Subprotocol,
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri => f.write_str("the URI must be ws://host[:port]/path or wss://, with a host and no credentials"),
            Self::ReservedHeader(name) => write!(f, "the header {name} is written by the handshake: leave it out"),
            Self::Status(status) if status.is_redirection() => {
                write!(f, "the server answered {status}, a redirect, which a WebSocket does not follow")
            }
            Self::Status(status) => write!(f, "the server answered {status} instead of 101 Switching Protocols"),
            Self::Upgrade => f.write_str("the server's header Upgrade is not websocket"),
            Self::Connection => f.write_str("the server's header Connection does not name upgrade"),
            Self::Accept => f.write_str("the server's header Sec-WebSocket-Accept does not answer the key"),
            Self::Extensions(error) => write!(f, "in the server's answer {error}"),
            Self::Subprotocol => f.write_str("the server chose a subprotocol that was not offered"),
        }
    }
}

impl std::error::Error for HandshakeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Extensions(error) => Some(error),
            _ => None,
        }
    }
}

/// The value of `Host`: <https://www.rfc-editor.org/rfc/rfc6455#section-4.1> item 4, without a default port.
fn host(uri: &Uri) -> Result<HeaderValue, HandshakeError> {
    // https://www.rfc-editor.org/rfc/rfc3986#section-3.1: without case.
    let default_port = match uri.scheme_str().map(str::to_ascii_lowercase).as_deref() {
        Some("ws" | "http") => 80,
        Some("wss" | "https") => 443,
        _ => return Err(HandshakeError::Uri),
    };
    let authority = uri.authority().ok_or(HandshakeError::Uri)?;
    // https://www.rfc-editor.org/rfc/rfc9110#section-4.2.4: credentials are not sent in a target.
    if authority.host().is_empty() || authority.as_str().contains('@') {
        return Err(HandshakeError::Uri);
    }
    let value = match authority.port_u16() {
        Some(port) if port != default_port => format!("{}:{port}", authority.host()),
        None if authority.as_str() != authority.host() => return Err(HandshakeError::Uri),
        _ => authority.host().to_owned(),
    };
    HeaderValue::try_from(value).map_err(|_| HandshakeError::Uri)
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
