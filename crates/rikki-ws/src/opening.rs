//! What is known of a WebSocket from its opening handshake.

use std::net::SocketAddr;

use http::request::Parts;
use http::{Extensions, HeaderMap, Uri};
use rikki_proto::handshake::Subprotocol;

/// The request that opened a WebSocket, as a [`Handler`](super::Handler) sees it.
#[derive(Debug)]
pub struct Opening {
    pub(super) parts: Box<Parts>,
    pub(super) peer: Option<SocketAddr>,
    pub(super) subprotocol: Option<Subprotocol>,
    pub(super) is_compressed: bool,
}

impl Opening {
    /// The path and query of the request.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.parts.uri
    }

    /// The header fields of the request.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// What layers, the server and `Upgrade::attach` have attached to the request.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.parts.extensions
    }

    /// The address of the peer, where the server provides axum's `ConnectInfo`; rikki's own does, but for
    /// peers on a Unix socket, which have none.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The subprotocol that was agreed on.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.subprotocol.as_ref().map(Subprotocol::as_str)
    }

    /// Whether messages may be compressed: the client offered permessage-deflate, and it was agreed on.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.is_compressed
    }
}
