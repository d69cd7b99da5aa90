//! Where to listen, written as a URL.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::str::FromStr;

use socket2::{Domain, Socket, Type};

use super::StartError;
use crate::net::{self, Listening, Owner};

/// How many connections may wait to be accepted.
pub(super) const BACKLOG: i32 = 1024;

/// Where to listen: `http://localhost:8000`, `wss://0.0.0.0`, `https://[::1]:8443`, `unix:/run/rikki.sock,mode=660`,
/// `fd:web`.
///
/// The scheme is `http` or `ws`, or `https` or `wss` for TLS; both of a pair mean the same. The host is an IP address,
/// `localhost`, which is 127.0.0.1 and, where there is one, `::1`, or `*`, which is every address of the machine. Port 0 takes a free one; without a port it is 80,
/// or 443 with TLS. A path is allowed and ignored.
///
/// `unix:` and a path is a Unix socket, for a reverse proxy on the same machine, without TLS, and on Unix alone. Who
/// may connect is up to the permissions of its folder and its own, which are `mode` in octal, or what the umask leaves.
/// It answers to every Host, since no web page can reach it, and clients have no address that limits could hold for. A
/// socket that nobody listens on any more is replaced; it is removed when the server stops listening. At most about 100
/// bytes, as systems have it, without a comma.
///
/// `fd:` and a name are the sockets that [`Server::socket`](super::Server::socket) was given under it, on Unix alone: they listen already.
/// `fd:web,tls` serves TLS on them, which is for TCP. Of a Unix socket among them holds what is said above, but that its
/// file is not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenUrl(pub(super) Place);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Port { tls: bool, host: ListenHost, port: u16 },
    Unix { path: PathBuf, mode: Option<u32> },
    Passed { name: String, tls: bool },
}

/// Sockets that listen already, by name.
pub(super) type Passed = Vec<(String, Listening)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListenHost {
    Localhost,
    /// All of IPv4 and, where there is any, of IPv6.
    Every,
    Address(IpAddr),
}

/// Who can reach a listener.
#[cfg(feature = "admin")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Whom the permissions of its folder and its own let in.
    Unix,
    /// Whoever is on this machine.
    Loopback,
    /// Others too.
    Open,
}

impl FromStr for ListenUrl {
    type Err = StartError;

    fn from_str(url: &str) -> Result<Self, StartError> {
        let refuse = |why| StartError::BadUrl { url: url.to_owned(), why };
        if let Some(socket) = url.strip_prefix("unix:") {
            return read_socket(socket).map(Self).map_err(refuse);
        }
        if let Some(passed) = url.strip_prefix("fd:") {
            return read_passed(passed).map(Self).map_err(refuse);
        }
        let (scheme, rest) =
            url.split_once("://").ok_or_else(|| refuse("write it as http://HOST:PORT, unix:PATH or fd:NAME"))?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(refuse("the scheme is http, ws, https, wss, unix or fd")),
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
            None if host == "*" => Some(ListenHost::Every),
            None => host.parse().map(IpAddr::V4).ok().map(ListenHost::Address),
        };
        let host =
            host.ok_or_else(|| refuse("the host is localhost, an IPv4 address, an [IPv6 address] or * for all"))?;
        Ok(Self(Place::Port { tls, host, port }))
    }
}

/// Reads what stands behind `unix:`.
fn read_socket(socket: &str) -> Result<Place, &'static str> {
    if !cfg!(unix) {
        return Err("this system has no Unix sockets");
    }
    let (path, option) = socket.split_once(',').map_or((socket, None), |(path, option)| (path, Some(option)));
    if path.is_empty() {
        return Err("the path is missing: write it as unix:/run/rikki.sock");
    }
    let mode = match option.map(|option| option.strip_prefix("mode=")) {
        None => None,
        Some(None) => return Err("what follows the comma is mode=, as in unix:/run/rikki.sock,mode=660"),
        Some(Some(digits)) => {
            let is_octal =
                (1..=4).contains(&digits.len()) && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
            let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
            Some(mode.ok_or("the mode is an octal number from 0 to 777, such as 660")?)
        }
    };
    Ok(Place::Unix { path: path.into(), mode })
}

/// Reads what stands behind `fd:`.
fn read_passed(passed: &str) -> Result<Place, &'static str> {
    if !cfg!(unix) {
        return Err("this system passes no sockets");
    }
    let (name, option) = passed.split_once(',').map_or((passed, None), |(name, option)| (name, Some(option)));
    if name.is_empty() {
        return Err("the name is missing: write it as fd:web");
    }
    // What systemd allows: https://www.freedesktop.org/software/systemd/man/latest/systemd.socket.html
    if name.len() > 255 || !name.bytes().all(|byte| (b' '..0x7f).contains(&byte) && byte != b':') {
        return Err("the name has at most 255 characters of ASCII, without a colon");
    }
    let tls = match option {
        None => false,
        Some("tls") => true,
        Some(_) => return Err("what follows the comma is tls, as in fd:web,tls"),
    };
    Ok(Place::Passed { name: name.to_owned(), tls })
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Port { tls, host, port } => write!(f, "{}://{host}:{port}", if *tls { "https" } else { "http" }),
            Place::Unix { path, mode } => {
                write!(f, "unix:{}", path.display())?;
                mode.map_or(Ok(()), |mode| write!(f, ",mode={mode:o}"))
            }
            Place::Passed { name, tls } => write!(f, "fd:{name}{}", if *tls { ",tls" } else { "" }),
        }
    }
}

impl fmt::Display for ListenHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Localhost => f.write_str("localhost"),
            Self::Every => f.write_str("*"),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl ListenUrl {
    /// The host as a certificate names it: `localhost`, or an IP address without brackets. A Unix socket has none, and
    /// neither has `*` or `fd:`.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        match self.0 {
            Place::Port { host: ListenHost::Localhost, .. } => Some("localhost".to_owned()),
            Place::Port { host: ListenHost::Address(address), .. } => Some(address.to_string()),
            Place::Port { host: ListenHost::Every, .. } | Place::Unix { .. } | Place::Passed { .. } => None,
        }
    }

    /// The port; a Unix socket has none, and neither has `fd:`.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self.0 {
            Place::Port { port, .. } => Some(port),
            Place::Unix { .. } | Place::Passed { .. } => None,
        }
    }

    /// The name of sockets that are passed.
    pub(super) fn passed_name(&self) -> Option<&str> {
        match &self.0 {
            Place::Passed { name, .. } => Some(name),
            Place::Port { .. } | Place::Unix { .. } => None,
        }
    }

    /// Who can reach it, if it is listened on.
    #[cfg(feature = "admin")]
    pub(crate) fn reach(&self) -> Reach {
        match &self.0 {
            Place::Unix { .. } => Reach::Unix,
            Place::Port { host: ListenHost::Localhost, .. } => Reach::Loopback,
            Place::Port { host: ListenHost::Address(address), .. } if address.is_loopback() => Reach::Loopback,
            // Where a socket is that was passed shows when it is taken.
            Place::Port { .. } | Place::Passed { .. } => Reach::Open,
        }
    }

    /// A Unix socket of which nothing else is said has this mode.
    #[cfg(feature = "admin")]
    pub(crate) fn with_mode(mut self, default: u32) -> Self {
        if let Place::Unix { mode, .. } = &mut self.0 {
            mode.get_or_insert(default);
        }
        self
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.0, Place::Port { tls: true, .. } | Place::Passed { tls: true, .. })
    }

    /// Where that is, once its first socket tells: the port that was free, or where a socket is that was passed.
    pub(super) fn tell(&mut self, socket: &Listening) -> io::Result<()> {
        match (&mut self.0, socket.local_addr()?) {
            (Place::Port { port, .. }, Some(address)) => *port = address.port(),
            (Place::Passed { tls, .. }, Some(address)) => {
                self.0 = Place::Port { tls: *tls, host: ListenHost::Address(address.ip()), port: address.port() };
            }
            #[cfg(unix)]
            (place @ Place::Passed { .. }, None) => {
                if let Some(path) = socket.path() {
                    *place = Place::Unix { path, mode: None };
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Opens the sockets: one for each address, all on one port, or that at the path. Those that were passed under its
    /// name are taken.
    pub(super) fn bind(&self, passed: &mut Passed) -> Result<Vec<Listening>, StartError> {
        match &self.0 {
            Place::Port { host, port, .. } => {
                let ours = |socket| Listening::Tcp(socket, Owner::server());
                Ok(host.bind(*port)?.into_iter().map(ours).collect())
            }
            Place::Passed { name, tls } => take(passed, name, *tls),
            #[cfg(unix)]
            Place::Unix { path, mode } => {
                let failed = |source| StartError::Socket { path: path.clone(), source };
                Ok(vec![Listening::unix(path, *mode, BACKLOG).map_err(failed)?])
            }
            // None is read from a URL.
            #[cfg(not(unix))]
            Place::Unix { path, .. } => {
                Err(StartError::Socket { path: path.clone(), source: io::ErrorKind::Unsupported.into() })
            }
        }
    }
}

/// The sockets of this name, of those that were passed.
fn take(passed: &mut Passed, name: &str, tls: bool) -> Result<Vec<Listening>, StartError> {
    let refuse = |why: String| StartError::Passed { name: name.to_owned(), why };
    let (taken, left): (Vec<_>, Passed) = std::mem::take(passed).into_iter().partition(|(known, _)| known == name);
    *passed = left;
    if taken.is_empty() {
        return Err(refuse(match passed.as_slice() {
            [] => "no socket was passed under this name".to_owned(),
            others => {
                let names: Vec<_> = others.iter().map(|(name, _)| name.as_str()).collect();
                format!("no socket was passed under this name; there is {}", names.join(", "))
            }
        }));
    }
    let sockets: Vec<_> = taken.into_iter().map(|(_, socket)| socket).collect();
    // Nobody stands between the two ends of a Unix socket.
    if tls && sockets.iter().any(|socket| !matches!(socket, Listening::Tcp(..))) {
        return Err(refuse("TLS is for TCP, and it is a Unix socket".to_owned()));
    }
    Ok(sockets)
}

impl ListenHost {
    fn bind(self, port: u16) -> Result<Vec<TcpListener>, StartError> {
        let failed = |address| move |source| StartError::Bind { address, source };
        let (first, second) = match self {
            Self::Address(address) => (SocketAddr::new(address, port), None),
            Self::Localhost => {
                (SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port), Some(IpAddr::V6(Ipv6Addr::LOCALHOST)))
            }
            Self::Every => {
                (SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port), Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)))
            }
        };
        let mut listeners = vec![listen(first, false).map_err(failed(first))?];
        let bound = listeners.iter().find_map(|listener| listener.local_addr().ok()).map_or(port, |bound| bound.port());
        if let Some(address) = second.map(|address| SocketAddr::new(address, bound)) {
            match listen(address, true) {
                Ok(listener) => listeners.push(listener),
                // A port that was free for IPv4 alone will do.
                Err(error) if port == 0 || is_absent(&error) => {}
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

/// `is_second` beside one of IPv4, which has the port for that.
fn listen(address: SocketAddr, is_second: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if is_second {
        socket.set_only_v6(true)?;
    }
    // A restarted server takes over its port at once; on Windows the option would let two servers share it.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    net::tune(&socket)?;
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
        check("https://*:8443", "https://*:8443");
        check("http://*.test", "the host is");
        check("localhost:8000", "write it as http://");
        check("ftp://localhost", "the scheme is");
        check("http://localhost:70000", "the port is");
        check("http://localhost:", "the port is");
        check("http://example.com", "the host is");
        check("http://::1:80", "the host is");
        check("http://", "the host is");
    }

    #[cfg(unix)]
    #[test]
    fn reads_paths_of_sockets() {
        check("unix:/run/rikki.sock", "unix:/run/rikki.sock");
        check("unix:rikki.sock,mode=0660", "unix:rikki.sock,mode=660");
        check("unix:", "the path is missing");
        check("unix:,mode=660", "the path is missing");
        check("unix:a,b", "what follows the comma is mode=");
        for mode in ["", "8", "rw", "+66", "1777", "00660", "660,mode=660"] {
            check(&format!("unix:a,mode={mode}"), "the mode is an octal number");
        }
    }

    #[cfg(unix)]
    #[test]
    fn reads_names_of_sockets() {
        check("fd:web", "fd:web");
        check("fd:rikki.socket,tls", "fd:rikki.socket,tls");
        check("fd:", "the name is missing");
        check("fd:,tls", "the name is missing");
        check("fd:web,mode=660", "what follows the comma is tls");
        check("fd:web,tls,tls", "what follows the comma is tls");
        for name in ["a:b", "a\nb", "\u{e9}", &"x".repeat(256)] {
            check(&format!("fd:{name}"), "the name has at most 255");
        }
    }

    #[test]
    fn localhost_shares_one_port() {
        let listeners = ListenHost::Localhost.bind(0).unwrap();
        let ports: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        assert!(ports.iter().all(|port| *port == ports[0] && *port != 0), "{ports:?}");
    }

    #[test]
    fn every_address_is_listened_on() {
        let listeners = ListenHost::Every.bind(0).unwrap();
        let first = listeners[0].local_addr().unwrap();
        assert!(first.ip().is_unspecified() && first.is_ipv4(), "{first}");
        // A machine may have no IPv6.
        for other in &listeners[1..] {
            let other = other.local_addr().unwrap();
            assert!(other.ip().is_unspecified() && other.is_ipv6() && other.port() == first.port(), "{other}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn connections_send_small_frames_at_once() {
        let listeners = ListenHost::Address(Ipv4Addr::LOCALHOST.into()).bind(0).unwrap();
        listeners[0].set_nonblocking(false).unwrap();
        let _client = std::net::TcpStream::connect(listeners[0].local_addr().unwrap()).unwrap();
        let (accepted, _) = listeners[0].accept().unwrap();
        assert!(accepted.nodelay().unwrap());
    }
}
