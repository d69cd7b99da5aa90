//! Who is at the other end of a connection.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;
use http::{Extensions, StatusCode};

/// The client's end of a connection, an IP address with its port or a Unix socket: an extractor for routes.
///
/// Behind a reverse proxy it is the proxy, unless that is one that the server [trusts](crate::Server::trust): then it is
/// the client that the proxy names. rikki's server always provides it, and `axum::serve` does where it provides `ConnectInfo<SocketAddr>`; elsewhere a request is answered with 500. In a
/// layer or a handler of WebSockets, [`of`](Self::of) finds it among the extensions of the request.
///
/// ```
/// use axum::routing::get;
/// use rikki::{Peer, Server};
///
/// let server = Server::new().route("/who", get(async |peer: Peer| peer.to_string()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Peer {
    /// The address of a client on TCP.
    Ip(SocketAddr),
    /// A process of this machine on a Unix socket, which has no address: limits for each address do not hold for it.
    Unix,
}

impl Peer {
    /// Who has sent the request with these extensions, if the server says so; rikki's own always does.
    #[must_use]
    pub fn of(request: &Extensions) -> Option<Self> {
        let ip = request.get().map(|ConnectInfo(address)| Self::Ip(*address));
        ip.or_else(|| request.get().map(|ConnectInfo(peer)| *peer))
    }

    /// The IP address, if it has one.
    #[must_use]
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Unix => None,
        }
    }

    /// Who stands behind the address, as far as that can be told, for limits: `None` without one.
    pub(crate) fn client(self) -> Option<IpAddr> {
        // One client can come with both kinds: https://www.rfc-editor.org/rfc/rfc4291#section-2.5.5.2
        Some(match self.ip()?.to_canonical() {
            // A network of 2^64 addresses is what one client is given: https://www.rfc-editor.org/rfc/rfc6177#section-2
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
            v4 @ IpAddr::V4(_) => v4,
        })
    }

    /// Tells a request of it. Once, since each extension costs an allocation: [`Peer::of`] looks for both.
    pub(crate) fn tell(self, request: &mut Extensions) {
        match self {
            Self::Ip(address) => drop(request.insert(ConnectInfo(address))),
            Self::Unix => drop(request.insert(ConnectInfo(self))),
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl fmt::Display for Peer {
    /// The address with its port, or `unix`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let unknown = (StatusCode::INTERNAL_SERVER_ERROR, "the server does not say who is at the other end\n");
        Self::of(&parts.extensions).ok_or(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_behind_addresses() {
        let check = |address: &str, expected: &str| {
            let peer = Peer::Ip((address.parse::<IpAddr>().unwrap(), 1).into());
            assert_eq!(peer.client(), expected.parse().ok(), "{address}");
        };
        check("192.0.2.1", "192.0.2.1");
        check("::ffff:192.0.2.1", "192.0.2.1");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
        check("2001:db8:1:2:ffff::", "2001:db8:1:2::");
        check("2001:db8:1:3::1", "2001:db8:1:3::");
    }

    #[test]
    fn a_unix_socket_has_no_client() {
        assert_eq!(Peer::Unix.client(), None);
    }
}
