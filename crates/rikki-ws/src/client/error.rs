//! Why a WebSocket could not be opened.

#[cfg(unix)]
use std::path::PathBuf;
use std::{fmt, io};

use bytes::Bytes;
use http::{Response, StatusCode, header};
use rikki_limits::{BadLimit, Excerpt};
use rikki_proto::handshake::HandshakeError;

#[cfg(feature = "tls")]
use crate::tls::TlsError;

/// Why a WebSocket could not be opened; its text is one line that names what to look at.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL cannot be understood.
    BadUrl {
        /// The URL as it was given, but for a user and a password.
        url: String,
        /// What is expected.
        why: &'static str,
    },
    /// A header field or the name of a subprotocol cannot be sent.
    BadHeader {
        /// Which one, and why.
        why: String,
    },
    /// A proxy cannot be what was asked for, by [`proxy`](super::Builder::proxy) or by the environment.
    BadProxy {
        /// What is expected. The URL may have a password in it, and is not quoted.
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
    /// Nobody listens at the path of a Unix socket, or this process may not connect to it.
    #[cfg(unix)]
    UnixSocket {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The proxy did not lead to the server.
    Proxy {
        /// The proxy, as a URL without user and password.
        proxy: String,
        /// Why it did not.
        source: ProxyError,
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

/// Why a proxy did not lead to the server.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxyError {
    /// The proxy itself cannot be reached.
    Unreachable(io::Error),
    /// It wants a user and a password, or others than these: 407 or 401, or what SOCKS has for it.
    Unauthorized,
    /// An HTTP proxy answered CONNECT with another status than 2xx; the body holds at most 4 KiB of what it said.
    Refused(Box<Response<Bytes>>),
    /// A SOCKS proxy answered with this code
    /// ([RFC 1928 section 6](https://www.rfc-editor.org/rfc/rfc1928#section-6)).
    Reply(u8),
    /// SOCKS has names of at most 255 bytes.
    NameTooLong,
    /// What came is not the protocol of such a proxy.
    Protocol(&'static str),
    /// The connection broke, or what came was not HTTP.
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(source) => write!(f, "cannot be reached: {source}"),
            Self::Unauthorized => f.write_str("wants a user and a password, or others than these"),
            Self::Refused(response) => {
                write!(f, "answered {}", response.status())?;
                quote(f, response)
            }
            Self::Reply(code) => match reply(*code) {
                Some(meaning) => write!(f, "answered: {meaning}"),
                None => write!(f, "answered with the unknown code {code}"),
            },
            Self::NameTooLong => f.write_str("takes no name of a host of more than 255 bytes"),
            Self::Protocol(why) => f.write_str(why),
            Self::Broken(error) => told(f, "broke off", error.as_ref()),
        }
    }
}

impl std::error::Error for ProxyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreachable(source) => Some(source),
            Self::Broken(error) => Some(error.as_ref()),
            Self::Unauthorized | Self::Refused(_) | Self::Reply(_) | Self::NameTooLong | Self::Protocol(_) => None,
        }
    }
}

/// The codes of [RFC 1928 section 6](https://www.rfc-editor.org/rfc/rfc1928#section-6).
fn reply(code: u8) -> Option<&'static str> {
    Some(match code {
        1 => "the proxy failed",
        2 => "its rules do not allow it",
        3 => "the network is unreachable",
        4 => "the host is unreachable",
        5 => "the host refused the connection",
        6 => "the time to live expired",
        7 => "it does not know CONNECT",
        8 => "it does not know this kind of address",
        _ => return None,
    })
}

/// The beginning of a text that somebody else wrote, if there is one; of a page of HTML its title, or else its first
/// line.
fn quote(f: &mut fmt::Formatter<'_>, response: &Response<Bytes>) -> fmt::Result {
    let text = response.body().trim_ascii();
    let is_named =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| begins(kind.as_bytes(), "text/html"));
    let is_html = is_named || begins(text, "<!doctype html") || begins(text, "<html");
    let text = if is_html { title(text).unwrap_or_else(|| first_line(text)) } else { text };
    if text.is_empty() { Ok(()) } else { write!(f, ": \"{}\"", Excerpt::of(text)) }
}

fn begins(text: &[u8], with: &str) -> bool {
    text.get(..with.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(with.as_bytes()))
}

fn title(html: &[u8]) -> Option<&[u8]> {
    const OPEN: &str = "<title>";
    let start = (0..html.len()).find(|start| html.get(*start..).is_some_and(|rest| begins(rest, OPEN)))?;
    let rest = html.get(start + OPEN.len()..)?;
    let title = first_line(rest.split(|byte| *byte == b'<').next()?.trim_ascii());
    (!title.is_empty()).then_some(title)
}

fn first_line(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii()
}

/// hyper's own text does not include that of its cause.
fn told(f: &mut fmt::Formatter<'_>, what: &str, error: &(dyn std::error::Error + 'static)) -> fmt::Result {
    write!(f, "{what}: {error}")?;
    error.source().map_or(Ok(()), |cause| write!(f, ": {cause}"))
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl { url, why } => write!(f, "cannot connect to {url:?}: {why}"),
            Self::BadHeader { why } => f.write_str(why),
            Self::BadProxy { why } => f.write_str(why),
            Self::Limit(error) => error.fmt(f),
            Self::Unreachable { host, port, source } => write!(f, "cannot reach {host} port {port}: {source}"),
            #[cfg(unix)]
            Self::UnixSocket { path, source } => write!(f, "cannot reach the Unix socket {}: {source}", path.display()),
            Self::Proxy { proxy, source } => write!(f, "the proxy {proxy} {source}"),
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
                write!(f, "the server answered {} instead of 101 Switching Protocols", response.status())?;
                quote(f, response)
            }
            Self::Handshake(error) => error.fmt(f),
            Self::Http(error) => told(f, "the opening handshake failed", error.as_ref()),
            Self::TimedOut => f.write_str("the server did not answer in time"),
            Self::NoRandom(error) => write!(f, "the system has no random numbers: {error}"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreachable { source, .. } | Self::NoRandom(source) => Some(source),
            #[cfg(unix)]
            Self::UnixSocket { source, .. } => Some(source),
            Self::Proxy { source, .. } => Some(source),
            #[cfg(feature = "tls")]
            Self::Tls(error) => Some(error),
            #[cfg(feature = "tls")]
            Self::TlsHandshake { source, .. } => Some(source),
            Self::Handshake(error) => Some(error),
            Self::Limit(error) => Some(error),
            Self::Http(error) => Some(error.as_ref()),
            Self::BadUrl { .. }
            | Self::BadHeader { .. }
            | Self::BadProxy { .. }
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
    /// Whether the TLS handshake failed because nobody whom the client trusts vouches for the server's certificate, as
    /// for a self-signed one: [`ClientTls::ca`](super::ClientTls::ca) names whom to trust.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn is_untrusted(&self) -> bool {
        let Self::TlsHandshake { source, .. } = self else { return false };
        source.get_ref().and_then(|error| error.downcast_ref()).is_some_and(crate::tls::client::is_untrusted)
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_page_its_title_or_first_line_is_told() {
        let check = |kind: Option<&str>, body: &'static str, expected: &str| {
            let mut response = Response::new(Bytes::from(body));
            *response.status_mut() = StatusCode::NOT_FOUND;
            if let Some(kind) = kind {
                response.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
            }
            let told = "the server answered 404 Not Found instead of 101 Switching Protocols";
            assert_eq!(ConnectError::Refused(Box::new(response)).to_string(), format!("{told}{expected}"));
        };
        let page = "<!DOCTYPE html>\n<html><head><TITLE>\n Not \"here\"\nat all</TITLE></head><body>long</body></html>";
        check(Some("text/html; charset=utf-8"), page, ": \"Not \\\"here\\\"\"");
        check(None, page, ": \"Not \\\"here\\\"\"");
        check(None, "<HTML>\r\n<body>a</body>", ": \"<HTML>\"");
        check(Some("Text/HTML"), "<p>a</p>\n<p>b</p>", ": \"<p>a</p>\"");
        check(Some("text/html"), "<title></title>", ": \"<title></title>\"");
        check(Some("text/html"), "<title>cut", ": \"cut\"");
        check(Some("text/html"), "", "");
        check(Some("text/plain"), "one\ntwo", ": \"one\\ntwo\"");
        check(Some("text/plain"), "<html>\ntwo", ": \"<html>\"");
    }
}
