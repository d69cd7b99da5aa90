//! Why a WebSocket could not be opened.

use std::{fmt, io};

use bytes::Bytes;
use http::{Response, StatusCode};
use rikki_proto::handshake::HandshakeError;

use rikki_limits::{BadLimit, Excerpt};

#[cfg(feature = "tls")]
use crate::tls::TlsError;

/// Why a WebSocket could not be opened; its text is one line that names what to look at.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL cannot be understood.
    BadUrl {
        /// The URL as it was given.
        url: String,
        /// What is expected.
        why: &'static str,
    },
    /// A header field or the name of a subprotocol cannot be sent.
    BadHeader {
        /// Which one, and why.
        why: String,
    },
    /// A limit cannot be what was asked for.
    Limit(BadLimit),
    /// The host is not known, or nobody listens there.
    Unreachable {
        /// The host of the URL.
        host: String,
        /// The port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// Certificates could not be loaded.
    #[cfg(feature = "tls")]
    Tls(TlsError),
    /// The TLS handshake failed, most often because the server's certificate is not trusted.
    #[cfg(feature = "tls")]
    TlsHandshake {
        /// The host of the URL.
        host: String,
        /// What the TLS library said.
        source: io::Error,
    },
    /// The server expects TLS on this port: the URL has to begin with `wss://`.
    SpeaksTls,
    /// The server does not speak TLS on this port: the URL has to begin with `ws://`.
    #[cfg(feature = "tls")]
    SpeaksNoTls,
    /// The server answered with a redirect, which is not followed: it could lead the credentials of the request to
    /// somebody else.
    Redirected {
        /// The status, 3xx.
        status: StatusCode,
        /// Where the server wants the client to go.
        location: String,
    },
    /// The server answered with another status than 101; the body holds at most 4 KiB of what it said.
    Refused(Box<Response<Bytes>>),
    /// The request breaks a rule, or the server's 101 does
    /// ([RFC 6455 section 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)).
    Handshake(HandshakeError),
    /// The connection broke, or what came was not HTTP.
    Http(Box<dyn std::error::Error + Send + Sync>),
    /// It took longer than [`connect_timeout`](super::Builder::connect_timeout).
    TimedOut,
    /// The system has no random numbers for masks.
    NoRandom(io::Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl { url, why } => write!(f, "cannot connect to {url:?}: {why}"),
            Self::BadHeader { why } => f.write_str(why),
            Self::Limit(error) => error.fmt(f),
            Self::Unreachable { host, port, source } => write!(f, "cannot reach {host} port {port}: {source}"),
            #[cfg(feature = "tls")]
            Self::Tls(error) => error.fmt(f),
            #[cfg(feature = "tls")]
            Self::TlsHandshake { host, source } => write!(f, "the TLS handshake with {host} failed: {source}"),
            Self::SpeaksTls => f.write_str("this port speaks TLS: use wss://"),
            #[cfg(feature = "tls")]
            Self::SpeaksNoTls => f.write_str("this port does not speak TLS: use ws://"),
            Self::Redirected { status, location } => {
                write!(
                    f,
                    "the server answered {status}, a redirect to \"{}\", which is not followed",
                    Excerpt::of(location)
                )
            }
            Self::Refused(response) => {
                let text = response.body().trim_ascii();
                write!(f, "the server answered {} instead of 101 Switching Protocols", response.status())?;
                if text.is_empty() { Ok(()) } else { write!(f, ": \"{}\"", Excerpt::of(text)) }
            }
            Self::Handshake(error) => error.fmt(f),
            Self::Http(error) => {
                // hyper's own text does not include that of its cause.
                write!(f, "the opening handshake failed: {error}")?;
                error.source().map_or(Ok(()), |cause| write!(f, ": {cause}"))
            }
            Self::TimedOut => f.write_str("the server did not answer in time"),
            Self::NoRandom(error) => write!(f, "the system has no random numbers: {error}"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreachable { source, .. } | Self::NoRandom(source) => Some(source),
            #[cfg(feature = "tls")]
            Self::Tls(error) => Some(error),
            #[cfg(feature = "tls")]
            Self::TlsHandshake { source, .. } => Some(source),
            Self::Handshake(error) => Some(error),
            Self::Limit(error) => Some(error),
            Self::Http(error) => Some(error.as_ref()),
            Self::BadUrl { .. }
            | Self::BadHeader { .. }
            | Self::SpeaksTls
            | Self::Redirected { .. }
            | Self::Refused(_)
            | Self::TimedOut => None,
            #[cfg(feature = "tls")]
            Self::SpeaksNoTls => None,
        }
    }
}

impl From<HandshakeError> for ConnectError {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(error)
    }
}

impl ConnectError {
    /// What hyper says of a connection that broke or speaks something else.
    pub(super) fn http(error: hyper::Error) -> Self {
        Self::Http(error.into())
    }
}

#[cfg(feature = "tls")]
impl From<TlsError> for ConnectError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}
