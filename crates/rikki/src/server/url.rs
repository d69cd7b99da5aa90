//! Where to listen, written as a URL.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::str::FromStr;

use socket2::{Domain, Socket, Type};

use super::StartError;

/// How many connections may wait to be accepted.
pub(super) const BACKLOG: i32 = 1024;

/// How much that has not been sent yet the system takes from us for one connection, in bytes. It takes more when half of it
/// has gone: less than the slowest client of a body has to take in its time, or it would be taken for one that takes nothing.
#[cfg(any(target_os = "linux", target_os = "android"))]
const NOTSENT_LOWAT: u32 = 16 * 1024;

/// Where to listen: `http://localhost:8000`, `wss://0.0.0.0`, `https://[::1]:8443`.
///
/// The scheme is `http` or `ws`, or `https` or `wss` for TLS; both of a pair mean the same. The host is an IP address
/// or `localhost`, which is 127.0.0.1 and, where there is one, `::1`. Port 0 takes a free one; without a port it is 80,
/// or 443 with TLS. A path is allowed and ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenUrl {
    pub(super) tls: bool,
    pub(super) host: ListenHost,
    pub(super) port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListenHost {
    Localhost,
    Address(IpAddr),
}

impl FromStr for ListenUrl {
    type Err = StartError;

    fn from_str(url: &str) -> Result<Self, StartError> {
        let refuse = |why| StartError::BadUrl { url: url.to_owned(), why };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| refuse("write it as http://HOST:PORT"))?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(refuse("the scheme is http, ws, https or wss")),
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| refuse("the port is a number from 0 to 65535"))?)
            }
            _ => (authority, if tls { 443 } else { 80 }),
        };
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => address.parse().map(IpAddr::V6).ok().map(ListenHost::Address),
            None if host.eq_ignore_ascii_case("localhost") => Some(ListenHost::Localhost),
            None => host.parse().map(IpAddr::V4).ok().map(ListenHost::Address),
        };
        let host = host.ok_or_else(|| refuse("the host is localhost, an IPv4 address or an [IPv6 address]"))?;
        Ok(Self { tls, host, port })
    }
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", if self.tls { "https" } else { "http" }, self.host, self.port)
    }
}

impl fmt::Display for ListenHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Localhost => f.write_str("localhost"),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl ListenUrl {
    /// The host as a certificate names it: `localhost`, or an IP address without brackets.
    #[must_use]
    pub fn host(&self) -> String {
        match self.host {
            ListenHost::Localhost => "localhost".to_owned(),
            ListenHost::Address(address) => address.to_string(),
        }
    }

    /// Opens the sockets, one for each address, all on one port.
    pub(super) fn bind(&self) -> Result<Vec<TcpListener>, StartError> {
        let failed = |address| move |source| StartError::Bind { address, source };
        let (first, second) = match self.host {
            ListenHost::Address(address) => (SocketAddr::new(address, self.port), None),
            ListenHost::Localhost => {
                (SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.port), Some(IpAddr::V6(Ipv6Addr::LOCALHOST)))
            }
        };
        let mut listeners = vec![listen(first).map_err(failed(first))?];
        let port =
            listeners.iter().find_map(|listener| listener.local_addr().ok()).map_or(self.port, |bound| bound.port());
        if let Some(address) = second.map(|address| SocketAddr::new(address, port)) {
            match listen(address) {
                Ok(listener) => listeners.push(listener),
                // A port that was free for IPv4 alone will do.
                Err(error) if self.port == 0 || is_absent(&error) => {}
                Err(source) => return Err(failed(address)(source)),
            }
        }
        Ok(listeners)
    }
}

/// Whether the machine has no such address, which systems say in many ways; a taken port is not among them.
fn is_absent(error: &io::Error) -> bool {
    !matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A restarted server takes over its port at once; on Windows the option would let two servers share it.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Progress of writing is to show in small steps, not when a third of megabytes is free; connections inherit it.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_notsent_lowat(NOTSENT_LOWAT)?;
    // Small frames go out at once. On Linux connections inherit this too, which spares each of them a system call.
    #[cfg(target_os = "linux")]
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: &str) {
        let parsed = url.parse::<ListenUrl>().map_or_else(|error| error.to_string(), |url| url.to_string());
        assert!(parsed.contains(expected), "{url}: {parsed}");
    }

    #[test]
    fn reads_urls() {
        check("http://localhost:8000", "http://localhost:8000");
        check("ws://LOCALHOST:8000/websocket", "http://localhost:8000");
        check("wss://0.0.0.0", "https://0.0.0.0:443");
        check("HTTPS://[::1]:8443", "https://[::1]:8443");
        check("http://[::]", "http://[::]:80");
        check("localhost:8000", "write it as http://");
        check("ftp://localhost", "the scheme is");
        check("http://localhost:70000", "the port is");
        check("http://localhost:", "the port is");
        check("http://example.com", "the host is");
        check("http://::1:80", "the host is");
        check("http://", "the host is");
    }

    #[test]
    fn localhost_shares_one_port() {
        let listeners = "http://localhost:0".parse::<ListenUrl>().unwrap().bind().unwrap();
        let ports: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        assert!(ports.iter().all(|port| *port == ports[0] && *port != 0), "{ports:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn connections_send_small_frames_at_once() {
        let listeners = "http://127.0.0.1:0".parse::<ListenUrl>().unwrap().bind().unwrap();
        listeners[0].set_nonblocking(false).unwrap();
        let _client = std::net::TcpStream::connect(listeners[0].local_addr().unwrap()).unwrap();
        let (accepted, _) = listeners[0].accept().unwrap();
        assert!(accepted.nodelay().unwrap());
    }
}
