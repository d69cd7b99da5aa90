//! From what was typed to a request: the URL as people write it, who asks, and whom to trust.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use rikki::client::{Builder, ClientTls};
use rikki::ws::{Compression, Config};
use tracing::Level;

use super::ConnectArgs;
use crate::args::{CompressionMode, UsageError};
use crate::settings::is_secure;
use crate::{Failure, tell};

/// What is connected with.
pub(super) struct Request {
    pub(super) builder: Builder,
    /// The URL as it may be shown.
    pub(super) url: String,
    /// The subprotocols.
    pub(super) offered: Vec<String>,
}

/// A user and a password.
#[derive(Debug, PartialEq)]
struct Credentials {
    user: Vec<u8>,
    password: Vec<u8>,
}

/// What the command line asks for.
pub(super) fn request(args: &ConnectArgs) -> Result<Request, Failure> {
    let (url, credentials) = target(&args.url)?;
    let compression = match args.compression {
        CompressionMode::Shared => Some(Compression::shared()),
        CompressionMode::Dedicated => Some(Compression::dedicated()),
        CompressionMode::Off => None,
    };
    let config = Config::default()
        .compression(compression)
        .max_message_size(args.max_message)
        .ping_interval(args.ping)
        // The session has its own, unless what comes after the end is another connection.
        .close_timeout(if args.reconnect { args.close_timeout } else { Duration::MAX });
    let mut builder = Builder::new(&url)
        .protocols(args.subprotocols.iter().map(String::as_str))
        .config(config)
        .connect_timeout(args.connect_timeout);
    for (name, value) in fields(args, credentials)? {
        builder = builder.header(name, value);
    }
    builder = match &args.proxy {
        Some(proxy) => builder.proxy(proxy),
        None => builder.proxy_from_env(),
    };
    #[cfg(unix)]
    if let Some(path) = &args.unix {
        builder = builder.unix_socket(path);
    }
    if let Some(tls) = tls(args, &url)? {
        builder = builder.tls(tls);
    }
    Ok(Request { builder, url, offered: args.subprotocols.clone() })
}

/// The URL of the WebSocket, without a user and a password in it, and these. `http` and `https` stand for `ws` and
/// `wss`, as for browsers: <https://websockets.spec.whatwg.org/#dom-websocket-websocket>.
fn target(url: &str) -> Result<(String, Option<Credentials>), UsageError> {
    let Some((scheme, rest)) = url.split_once("://") else { return Ok((url.to_owned(), None)) };
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => "ws",
        "https" => "wss",
        _ => scheme,
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((identity, _)) = authority.rsplit_once('@') else { return Ok((format!("{scheme}://{rest}"), None)) };
    // What is special in it could have cut it short.
    if identity.contains('@') {
        return Err(UsageError("write @ in a user or password of a URL as %40".to_owned()));
    }
    let (user, password) = identity.split_once(':').unwrap_or((identity, ""));
    let credentials = Credentials::new(percent_decode_str(user).collect(), percent_decode_str(password).collect())?;
    let rest = rest.get(identity.len() + 1..).unwrap_or_default();
    Ok((format!("{scheme}://{rest}"), Some(credentials)))
}

/// The header fields, each of them said once.
fn fields(args: &ConnectArgs, in_url: Option<Credentials>) -> Result<Vec<(HeaderName, HeaderValue)>, UsageError> {
    let mut fields = args.headers.clone();
    let has = |name: &HeaderName| args.headers.iter().any(|(given, _)| given == name);
    let credentials = match (in_url, &args.auth) {
        (Some(_), Some(_)) => return Err(UsageError("--auth and the URL both have a user: leave out one".to_owned())),
        (None, Some(auth)) => {
            let (user, password) = auth.split_once(':').ok_or_else(|| UsageError("--auth is USER:PASS".to_owned()))?;
            Some(Credentials::new(user.into(), password.into())?)
        }
        (in_url, None) => in_url,
    };
    if let Some(credentials) = credentials {
        if has(&header::AUTHORIZATION) {
            let error = "a user and the header authorization both say who asks: leave out one";
            return Err(UsageError(error.to_owned()));
        }
        fields.push((header::AUTHORIZATION, credentials.basic()?));
    }
    if let Some(origin) = &args.origin {
        if has(&header::ORIGIN) {
            return Err(UsageError("--origin and the header origin are the same: leave out one".to_owned()));
        }
        fields.push((header::ORIGIN, origin.clone()));
    }
    Ok(fields)
}

impl Credentials {
    /// [RFC 7617 section 2](https://www.rfc-editor.org/rfc/rfc7617#section-2): "a user-id containing a colon character
    /// is invalid", and "the user-id and password MUST NOT contain any control characters".
    fn new(user: Vec<u8>, password: Vec<u8>) -> Result<Self, UsageError> {
        if user.contains(&b':') || user.iter().chain(&password).any(u8::is_ascii_control) {
            let error = "a user has no colon in it, and neither user nor password has control characters";
            return Err(UsageError(error.to_owned()));
        }
        Ok(Self { user, password })
    }

    fn basic(&self) -> Result<HeaderValue, UsageError> {
        let text = STANDARD.encode([self.user.as_slice(), b":", &self.password].concat());
        let value = HeaderValue::from_str(&format!("Basic {text}"));
        let mut value = value.map_err(|_| UsageError("no header can have this user".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// Whom to trust and how to identify, if it is not the default.
fn tls(args: &ConnectArgs, url: &str) -> Result<Option<ClientTls>, Failure> {
    if args.ca.is_none() && args.cert.is_none() && !args.insecure {
        return Ok(None);
    }
    if !is_secure(url) {
        // Nothing is checked there.
        if args.ca.is_none() && args.cert.is_none() {
            return Ok(None);
        }
        // Refused, for whoever gives a certificate takes the connection to be encrypted.
        return Err(UsageError(format!("--ca and --cert need a wss URL, not {url}")).into());
    }
    let tls = match &args.ca {
        Some(ca) => ClientTls::ca(ca)?,
        None if args.insecure => {
            tell(Level::WARN, "warning: with --insecure anybody may be the server: its certificate is not checked");
            ClientTls::insecure()?
        }
        None => ClientTls::system()?,
    };
    match (&args.cert, &args.key) {
        (Some(certificate), Some(key)) => Ok(Some(tls.certificate(certificate, key)?)),
        _ => Ok(Some(tls)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_as_people_write_them() {
        let check = |url: &str, expected: &str, basic: Option<&str>| {
            let (actual, credentials) = target(url).unwrap();
            let value = credentials.map(|credentials| credentials.basic().unwrap());
            let value = value.as_ref().map(|value| value.to_str().unwrap());
            assert_eq!((actual.as_str(), value), (expected, basic), "{url}");
        };
        check("ws://a/b?c", "ws://a/b?c", None);
        check("HTTP://a", "ws://a", None);
        check("https://a:8443/b", "wss://a:8443/b", None);
        check("localhost:8000", "localhost:8000", None);
        check("ws://a/?to=b@c", "ws://a/?to=b@c", None);
        // The example of RFC 7617 section 2.
        check("ws://Aladdin:open%20sesame@a:1/b", "ws://a:1/b", Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        check("https://a:b%40c:d@[::1]:1", "wss://[::1]:1", Some("Basic YTpiQGM6ZA=="));
        check("ws://user@a", "ws://a", Some("Basic dXNlcjo="));
        for wrong in ["ws://a:b@c@d", "ws://a%3ab:c@d", "ws://a:%0d%0a@d"] {
            let UsageError(error) = target(wrong).unwrap_err();
            assert!(!error.contains("b@c"), "{error}");
        }
    }
}
