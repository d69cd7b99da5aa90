//! Why a server does not start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::{fmt, io};

use crate::http::BadHost;
#[cfg(feature = "tls")]
use crate::ws::TlsError;
use crate::ws::{BadOrigin, CloseCode, InvalidSubprotocol};
use rikki_limits::BadLimit;

/// Why a server could not be started; its text is one line that names what to change.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A listen URL cannot be understood.
    BadUrl {
        /// The URL as it was given.
        url: String,
        /// What is expected.
        why: &'static str,
    },
    /// A listen URL asks for TLS and the server has no certificate.
    NoCertificate {
        /// The URL as it was given.
        url: String,
    },
    /// A certificate cannot take the place of another while the server runs: it is not valid now.
    #[cfg(feature = "tls")]
    Certificate(TlsError),
    /// Requests are to be redirected to TLS, and no listener has it.
    NoRedirect,
    /// The server drains, or has: it takes no other settings.
    Draining,
    /// An address cannot be listened on, most often because the port is taken.
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A Unix socket cannot be listened on, most often because another server does.
    Socket {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no socket to listen on of those that were [passed](super::Server::socket), or it is of another kind.
    Passed {
        /// The name under which it was, or should have been.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The folder to serve, or a file not to serve, cannot be opened.
    Files {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A route cannot be added.
    Route {
        /// Its path; empty for those of an application that was merged.
        path: String,
        /// What is wrong with it, mostly in axum's words.
        why: String,
    },
    /// A layer cannot be put around what is answered.
    Layer {
        /// What it has said when it panicked.
        why: String,
    },
    /// A limit cannot be what was asked for.
    Limit(BadLimit),
    /// A code that no Close can have was set for the drain.
    DrainCode(CloseCode),
    /// Files cannot be served below a path.
    Mount {
        /// The path in the URLs of the server.
        path: String,
        /// What is expected.
        why: &'static str,
    },
    /// A header field cannot be added to answers.
    Header {
        /// Its name, if it is one.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An allowed origin cannot be understood.
    Origin(BadOrigin),
    /// An allowed host cannot be understood.
    Host(BadHost),
    /// Nobody can be believed what they say of others, as it was asked for.
    Trust {
        /// The network as it was given; empty if none was.
        given: String,
        /// What is expected.
        why: &'static str,
    },
    /// What is to be answered alone is no network.
    Network {
        /// The network as it was given.
        given: String,
        /// What is expected.
        why: &'static str,
    },
    /// A field of requests is none in which proxies say from whom they are.
    Forwarded {
        /// Its name as it was given.
        given: String,
    },
    /// The name of a subprotocol is not a token.
    Subprotocol(InvalidSubprotocol),
    /// The system gave no thread or no event queue.
    Runtime(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl { url, why } => write!(f, "cannot listen on {url}: {why}"),
            Self::NoCertificate { url } => {
                write!(f, "cannot listen on {url}: TLS needs a certificate, which Server::tls sets")
            }
            #[cfg(feature = "tls")]
            Self::Certificate(error) => write!(f, "cannot use a certificate: {error}"),
            Self::Draining => f.write_str("the server drains: it takes no other settings"),
            Self::NoRedirect => {
                f.write_str("there is nothing to redirect to: redirect_http needs an https or wss URL to listen on")
            }
            Self::Bind { address, source } if source.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "cannot listen on {address}: the port is taken; choose another one")
            }
            Self::Bind { address, source } => write!(f, "cannot listen on {address}: {source}"),
            Self::Socket { path, source } if source.kind() == io::ErrorKind::AddrInUse => {
                write!(
                    f,
                    "cannot listen on unix:{}: a server listens there; stop it or choose another path",
                    path.display()
                )
            }
            Self::Socket { path, source } => write!(f, "cannot listen on unix:{}: {source}", path.display()),
            Self::Passed { name, why } => write!(f, "cannot listen on fd:{name}: {why}"),
            Self::Files { path, source } => write!(f, "cannot serve {}: {source}", path.display()),
            Self::Route { path, why } if path.is_empty() => write!(f, "cannot add the routes of an application: {why}"),
            Self::Route { path, why } => write!(f, "cannot add a route for {path}: {why}"),
            Self::Layer { why } => write!(f, "cannot put a layer around what is answered: {why}"),
            Self::Limit(error) => error.fmt(f),
            Self::DrainCode(code) => {
                write!(
                    f,
                    "cannot close with {} when the server drains: use 1001 (going away) or 1012 (restarting)",
                    code.0
                )
            }
            Self::Mount { path, why } => write!(f, "cannot serve files at {path}: {why}"),
            Self::Header { name, why } => write!(f, "cannot add the header {name}: {why}"),
            Self::Origin(error) => error.fmt(f),
            Self::Host(error) => error.fmt(f),
            Self::Trust { given, why } if given.is_empty() => f.write_str(why),
            Self::Trust { given, why } => write!(f, "cannot trust {given}: {why}"),
            Self::Network { given, why } => write!(f, "cannot answer {given} alone: {why}"),
            Self::Forwarded { given } => {
                write!(f, "proxies say nothing in {given:?}: write X-Forwarded-For or Forwarded")
            }
            Self::Subprotocol(error) => error.fmt(f),
            Self::Runtime(error) => write!(f, "cannot start the workers: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { source, .. }
            | Self::Socket { source, .. }
            | Self::Files { source, .. }
            | Self::Runtime(source) => Some(source),
            Self::Origin(error) => Some(error),
            Self::Host(error) => Some(error),
            Self::Subprotocol(error) => Some(error),
            Self::Limit(error) => Some(error),
            #[cfg(feature = "tls")]
            Self::Certificate(error) => Some(error),
            Self::BadUrl { .. }
            | Self::NoCertificate { .. }
            | Self::NoRedirect
            | Self::Passed { .. }
            | Self::Draining
            | Self::Route { .. }
            | Self::Layer { .. }
            | Self::DrainCode(_)
            | Self::Mount { .. }
            | Self::Header { .. }
            | Self::Trust { .. }
            | Self::Network { .. }
            | Self::Forwarded { .. } => None,
        }
    }
}

impl From<BadOrigin> for StartError {
    fn from(error: BadOrigin) -> Self {
        Self::Origin(error)
    }
}

impl From<BadLimit> for StartError {
    fn from(error: BadLimit) -> Self {
        Self::Limit(error)
    }
}

impl From<BadHost> for StartError {
    fn from(error: BadHost) -> Self {
        Self::Host(error)
    }
}

impl From<InvalidSubprotocol> for StartError {
    fn from(error: InvalidSubprotocol) -> Self {
        Self::Subprotocol(error)
    }
}
