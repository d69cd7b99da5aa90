//! What a request must show before it is routed: a valid `Host`, one that this server may be reached by on a loopback
//! listener, and, on upgrades, an `Origin` that may open WebSockets here.
//!
//! Browsers send cookies with cross-site WebSockets and let any page open them, and a name that resolves to 127.0.0.1
//! makes any page "same origin" with a server that listens there. The caller decides which requests are upgrades,
//! writes the log line and sends the response; what else an upgrade request must have is left to `rikki-proto`.

use std::fmt;
use std::mem::{Discriminant, discriminant};
use std::sync::OnceLock;

use http::header::{CONNECTION, CONTENT_TYPE, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};

use super::host::{Authority, Host};
use super::origin::Origin;
use rikki_limits::Excerpt;
use rikki_limits::{LeftOut, Seldom};

/// The hosts and origins allowed beside those that are always allowed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    origins: Vec<AllowedOrigin>,
    hosts: Vec<AllowedHost>,
}

/// What the rules depend on besides the request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ListenerKind {
    /// Whether the listener speaks TLS itself.
    pub(crate) tls: bool,
    /// Whether the listener is bound to a loopback address.
    pub(crate) loopback: bool,
}

#[derive(Clone, Debug)]
enum AllowedOrigin {
    Any,
    Null,
    Origin(Origin<'static>),
    /// What browsers do not send as an origin, and others do: compared byte for byte.
    Text(Box<str>),
}

#[derive(Clone, Debug)]
enum AllowedHost {
    Any,
    Host(Host<'static>),
}

impl Guard {
    /// Lets pages of one more origin open WebSockets: `https://app.example:8443`, `null`, or `*` for any origin,
    /// which turns the check off. What is none of these, such as `file://`, has to be sent as it is written here.
    pub(crate) fn allow_origin(&mut self, origin: &str) -> Result<(), BadOrigin> {
        self.origins.push(match origin {
            "*" => AllowedOrigin::Any,
            "null" => AllowedOrigin::Null,
            _ => match Origin::parse(origin) {
                Some(origin) => AllowedOrigin::Origin(origin.into_owned()),
                None if is_field_content(origin) => AllowedOrigin::Text(origin.into()),
                None => return Err(BadOrigin { given: origin.to_owned() }),
            },
        });
        Ok(())
    }

    /// Lets loopback listeners be reached by one more name or address, on any port; `*` stands for all.
    ///
    /// Other listeners can be reached by any name.
    pub(crate) fn allow_host(&mut self, name: &str) -> Result<(), BadHost> {
        self.hosts.push(match name {
            "*" => AllowedHost::Any,
            _ => match Host::parse(name) {
                Some(host) => AllowedHost::Host(host.into_owned()),
                None => return Err(BadHost { given: name.to_owned() }),
            },
        });
        Ok(())
    }

    /// The rule for every request, whatever its path.
    pub(crate) fn check_host(&self, listener: ListenerKind, request: &Parts) -> Result<(), Refused> {
        let field = host_field(&request.headers)?;
        let target = target_authority(request)?;
        let is_missing = match request.version {
            // No browser leaves it out, whatever a name resolves to.
            Version::HTTP_09 | Version::HTTP_10 => false,
            // https://www.rfc-editor.org/rfc/rfc9112#section-3.2
            Version::HTTP_11 => field.is_none(),
            // `:authority` is enough: https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1
            _ => field.is_none() && target.is_none(),
        };
        if is_missing {
            return Err(Refused::MissingHost);
        }
        // Both are judged, since the application may look at either.
        for authority in [&field, &target].into_iter().flatten() {
            if listener.loopback && !self.is_allowed_host(&authority.host) {
                return Err(Refused::ForbiddenHost { host: authority.host.to_string() });
            }
        }
        // A client sends the same in both: https://www.rfc-editor.org/rfc/rfc9112#section-3.2,
        // https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1
        let scheme = request.uri.scheme_str().unwrap_or_default();
        match (field, target) {
            (Some(field), Some(target))
                if field.host != target.host || field.port_or_default(scheme) != target.port_or_default(scheme) =>
            {
                Err(Refused::HostMismatch)
            }
            _ => Ok(()),
        }
    }

    /// The rule for every WebSocket upgrade: <https://www.rfc-editor.org/rfc/rfc6455#section-10.2>.
    ///
    /// No `Origin` is fine: it is browsers that must be held back, and they always send one.
    pub(crate) fn check_origin(&self, listener: ListenerKind, request: &Parts) -> Result<(), Refused> {
        if self.origins.iter().any(|allowed| matches!(allowed, AllowedOrigin::Any)) {
            return Ok(());
        }
        let given = match only(&request.headers, &ORIGIN) {
            Field::Absent => return Ok(()),
            Field::Repeated => return Err(Refused::RepeatedOrigin),
            Field::Once(given) => given,
        };
        if given == "null" {
            let allowed = self.origins.iter().any(|allowed| matches!(allowed, AllowedOrigin::Null));
            return if allowed { Ok(()) } else { Err(Refused::NullOrigin) };
        }
        let is_given = |allowed: &AllowedOrigin| matches!(allowed, AllowedOrigin::Text(text) if text.as_bytes() == given.as_bytes());
        let Some(origin) = given.to_str().ok().and_then(Origin::parse) else {
            let allowed = self.origins.iter().any(is_given);
            return if allowed { Ok(()) } else { Err(Refused::invalid_origin(given)) };
        };
        if self.origins.iter().any(|allowed| matches!(allowed, AllowedOrigin::Origin(allowed) if *allowed == origin)) {
            return Ok(());
        }
        let authority = match target_authority(request)? {
            Some(target) => target,
            None => host_field(&request.headers)?.ok_or(Refused::MissingHost)?,
        };
        if is_same_origin(listener, &origin, &authority) {
            return Ok(());
        }
        Err(Refused::ForeignOrigin { origin: origin.to_string(), host: authority.to_string() })
    }

    fn is_allowed_host(&self, host: &Host<'_>) -> bool {
        let is_listed = |allowed: &AllowedHost| match allowed {
            AllowedHost::Any => true,
            AllowedHost::Host(allowed) => allowed == host,
        };
        host.is_loopback() || host.is_below_localhost() || self.hosts.iter().any(is_listed)
    }
}

/// The `Host` that a connection was let in with: its next requests name the same, and are not judged anew.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownHost(OnceLock<Box<[u8]>>);

impl KnownHost {
    /// The rule of [`Guard::check_host`] for one more request of the connection.
    pub(crate) fn check(&self, guard: &Guard, listener: ListenerKind, request: &Parts) -> Result<(), Refused> {
        let field = match only(&request.headers, &HOST) {
            // Whatever else could name a host would have to be compared with it.
            Field::Once(field) if request.uri.authority().is_none() => field.as_bytes(),
            _ => return guard.check_host(listener, request),
        };
        if self.0.get().is_some_and(|known| **known == *field) {
            return Ok(());
        }
        guard.check_host(listener, request)?;
        self.0.get_or_init(|| field.into());
        Ok(())
    }
}

/// A value for the list of allowed origins that no header field can have: it is empty, begins or ends with a space, or
/// has control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadOrigin {
    /// The value as it was given.
    pub given: String,
}

/// A value for the list of allowed hosts is not a host name, an IP address or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadHost {
    /// The value as it was given.
    pub given: String,
}

impl fmt::Display for BadOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no origin that a client can send: write scheme://host[:port], null, or *", self.given)
    }
}

impl fmt::Display for BadHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a host: write a name, an address or [IPv6 address] without scheme and port", self.given)
    }
}

impl std::error::Error for BadOrigin {}
impl std::error::Error for BadHost {}

/// Why a request is not let in, told in one sentence by its `Display`, for the client and for the log alike.
///
/// What it quotes of the request is of bounded length and printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    MissingHost,
    RepeatedHost,
    InvalidHost {
        given: String,
    },
    HostMismatch,
    ForbiddenHost {
        host: String,
    },
    RepeatedOrigin,
    InvalidOrigin {
        given: String,
        /// The same for a shell, if it may stand there.
        quoted: Option<String>,
    },
    NullOrigin,
    ForeignOrigin {
        origin: String,
        host: String,
    },
}

impl Refused {
    fn invalid_origin(given: &HeaderValue) -> Self {
        let shown = Excerpt::of(given).to_string();
        // What had to be escaped or cut would not be the same.
        let is_whole = shown.as_bytes() == given.as_bytes() && is_field_content(&shown) && !shown.contains('\'');
        let quoted = is_whole.then(|| format!("'{shown}'"));
        Self::InvalidOrigin { given: shown, quoted }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            // https://www.rfc-editor.org/rfc/rfc9112#section-3.2
            Self::MissingHost | Self::RepeatedHost | Self::InvalidHost { .. } | Self::HostMismatch => {
                StatusCode::BAD_REQUEST
            }
            // https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2 item 4
            Self::ForbiddenHost { .. }
            | Self::RepeatedOrigin
            | Self::InvalidOrigin { .. }
            | Self::NullOrigin
            | Self::ForeignOrigin { .. } => StatusCode::FORBIDDEN,
        }
    }

    /// Whether it is to be logged: one line a second of each kind.
    pub(crate) fn turn_to_log(&self) -> Option<LeftOut> {
        static LINES: Seldom<Discriminant<Refused>> = Seldom::new();
        LINES.turn(discriminant(self))
    }

    /// The sentence as plain text. The connection closes after it, so that what the client sent on is not read as a
    /// request.
    pub(crate) fn response(&self) -> Response<String> {
        self.told(&self.to_string())
    }

    /// The same under another server than ours, of which it names what exists there.
    pub(crate) fn response_elsewhere(&self) -> Response<String> {
        match self.allowed_by() {
            Some(_) => self.told(&format!("{}; rikki::ws::Upgrade::any_origin would allow it", self.what())),
            None => self.told(&self.what()),
        }
    }

    fn told(&self, sentence: &str) -> Response<String> {
        let mut response = Response::new(format!("{sentence}\n"));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }

    fn what(&self) -> String {
        match self {
            Self::MissingHost => "the header Host is missing".to_owned(),
            Self::RepeatedHost => "the header Host must appear only once".to_owned(),
            Self::InvalidHost { given } => format!("the host \"{given}\" is not of the form name[:port]"),
            Self::HostMismatch => "the header Host names another host than the request's target".to_owned(),
            Self::ForbiddenHost { host } => format!("the host {host} is not a name of this loopback server"),
            Self::RepeatedOrigin => "the header Origin must appear only once".to_owned(),
            Self::InvalidOrigin { given, .. } => {
                format!("the origin \"{given}\" is not of the form scheme://host[:port]")
            }
            Self::NullOrigin => "pages without an origin may not open WebSockets here".to_owned(),
            Self::ForeignOrigin { origin, host } => format!("pages of {origin} may not open WebSockets on {host}"),
        }
    }

    /// The flag, its value and the method that would let the request in.
    fn allowed_by(&self) -> Option<(&'static str, &str, &'static str)> {
        let origin = match self {
            Self::MissingHost | Self::RepeatedHost | Self::InvalidHost { .. } | Self::HostMismatch => return None,
            Self::ForbiddenHost { host } => return Some(("--allow-host", host, "allow_host")),
            Self::InvalidOrigin { quoted: Some(quoted), .. } => quoted,
            Self::RepeatedOrigin | Self::InvalidOrigin { quoted: None, .. } => "'*'",
            Self::NullOrigin => "null",
            Self::ForeignOrigin { origin, .. } => origin,
        };
        Some(("--allow-origin", origin, "allow_origin"))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what())?;
        match self.allowed_by() {
            Some((flag, value, method)) => {
                write!(f, "; {flag} {value} (in the library Server::{method}) would allow it")
            }
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refused {}

/// Whether a text can be the value of a field, and is not empty: <https://www.rfc-editor.org/rfc/rfc9110#section-5.5>.
fn is_field_content(text: &str) -> bool {
    !text.is_empty() && text.trim_matches([' ', '\t']).len() == text.len() && HeaderValue::from_str(text).is_ok()
}

/// Host and port are compared; the scheme only where the listener knows it, since a proxy may have ended TLS.
fn is_same_origin(listener: ListenerKind, origin: &Origin<'_>, authority: &Authority<'_>) -> bool {
    // Without a port a host means the default one of the scheme the client speaks, which behind a proxy is unknown
    // here: the origin's own scheme stands for it. On a TLS listener the two are the same.
    let one_loopback = listener.loopback && origin.authority.host.is_localhost() && authority.host.is_localhost();
    (origin.is_tls() || !listener.tls)
        && origin.is_web()
        && (origin.authority.host == authority.host || one_loopback)
        && origin.port() == authority.port_or_default(&origin.scheme)
}

fn host_field(headers: &HeaderMap) -> Result<Option<Authority<'_>>, Refused> {
    match only(headers, &HOST) {
        Field::Absent => Ok(None),
        Field::Repeated => Err(Refused::RepeatedHost),
        Field::Once(given) => {
            let authority = given.to_str().ok().and_then(Authority::parse);
            authority.map(Some).ok_or_else(|| Refused::InvalidHost { given: Excerpt::of(given).to_string() })
        }
    }
}

/// The host of an absolute-form or authority-form target, or of `:authority`.
fn target_authority(request: &Parts) -> Result<Option<Authority<'_>>, Refused> {
    let Some(authority) = request.uri.authority() else { return Ok(None) };
    let given = authority.as_str();
    Authority::parse(given).map(Some).ok_or_else(|| Refused::InvalidHost { given: Excerpt::of(given).to_string() })
}

enum Field<'h> {
    Absent,
    Once(&'h HeaderValue),
    Repeated,
}

fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Field<'h> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Field::Absent,
        (Some(line), None) => Field::Once(line),
        (Some(_), Some(_)) => Field::Repeated,
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
