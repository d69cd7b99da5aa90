//! Who may open WebSockets: the `Origin` of the page that asks.
//!
//! Browsers send cookies with cross-site WebSockets and let any page open them. What else an upgrade request must have
//! is left to `rikki-proto`.

use std::fmt;
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;

use http::header::ORIGIN;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use rikki_limits::{Excerpt, Hint, Hints, LeftOut, Seldom};

use super::host::{Authority, Field, HostError, host_field, only, target_authority};
use super::origin::Origin;
use super::refusal::closing;

/// The origins allowed beside the server's own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origins {
    allowed: Vec<AllowedOrigin>,
}

/// What the rules depend on besides the request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ListenerKind {
    /// Whether the listener speaks TLS itself.
    pub tls: bool,
    /// Whether the listener is bound to a loopback address.
    pub loopback: bool,
    /// Whether it is a Unix socket, which no name leads to.
    pub unix: bool,
}

/// What a client has asked a reverse proxy for, as far as that is known and believed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Public {
    /// Whom it has asked, in the place of the request's own host.
    pub authority: Option<Authority<'static>>,
    /// Whether it has used TLS.
    pub is_tls: Option<bool>,
}

#[derive(Clone, Debug, PartialEq)]
enum AllowedOrigin {
    Any,
    Null,
    Origin(Origin<'static>),
    /// What browsers do not send as an origin, and others do: compared byte for byte.
    Text(Box<str>),
    If(Judge),
}

/// A function that says whether pages of an origin may open WebSockets.
#[derive(Clone)]
struct Judge(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Judge")
    }
}

impl PartialEq for Judge {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Origins {
    /// Lets pages of one more origin open WebSockets: `https://app.example:8443`, `null`, or `*` for any origin,
    /// which turns the check off. What is none of these, such as `file://`, has to be sent as it is written here.
    pub fn allow_origin(&mut self, origin: &str) -> Result<(), BadOrigin> {
        self.allowed.push(match origin {
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

    /// Lets pages of those origins open WebSockets that a function takes, as they are sent.
    pub fn allow_origin_if(&mut self, judge: impl Fn(&str) -> bool + Send + Sync + 'static) {
        self.allowed.push(AllowedOrigin::If(Judge(Arc::new(judge))));
    }

    /// Lets pages of every origin open WebSockets.
    pub(crate) fn allow_any(&mut self) {
        self.allowed.push(AllowedOrigin::Any);
    }

    /// Those of both.
    pub(crate) fn with(&self, others: &Self) -> Self {
        Self { allowed: self.allowed.iter().chain(&others.allowed).cloned().collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.allowed.is_empty()
    }

    /// Whether a function takes what was sent.
    fn is_taken(&self, given: &HeaderValue) -> bool {
        let Ok(given) = given.to_str() else { return false };
        self.allowed.iter().any(|allowed| matches!(allowed, AllowedOrigin::If(judge) if (judge.0)(given)))
    }

    /// The rule for every WebSocket upgrade: <https://www.rfc-editor.org/rfc/rfc6455#section-10.2>.
    ///
    /// No `Origin` is fine: it is browsers that must be held back, and they always send one.
    pub(crate) fn check(
        &self,
        listener: ListenerKind,
        public: Option<&Public>,
        request: &Parts,
    ) -> Result<(), RefusedOrigin> {
        if self.allowed.iter().any(|allowed| matches!(allowed, AllowedOrigin::Any)) {
            return Ok(());
        }
        let given = match only(&request.headers, &ORIGIN) {
            Field::Absent => return Ok(()),
            Field::Repeated => return Err(RefusedOrigin::Repeated),
            Field::Once(given) => given,
        };
        if self.is_taken(given) {
            return Ok(());
        }
        if given == "null" {
            let allowed = self.allowed.iter().any(|allowed| matches!(allowed, AllowedOrigin::Null));
            return if allowed { Ok(()) } else { Err(RefusedOrigin::Null) };
        }
        let given_bytes = given.as_bytes();
        let is_given = |allowed: &_| matches!(allowed, AllowedOrigin::Text(text) if text.as_bytes() == given_bytes);
        let Some(origin) = given.to_str().ok().and_then(Origin::parse) else {
            let allowed = self.allowed.iter().any(is_given);
            return if allowed { Ok(()) } else { Err(RefusedOrigin::invalid(given)) };
        };
        if self.allowed.iter().any(|allowed| matches!(allowed, AllowedOrigin::Origin(allowed) if *allowed == origin)) {
            return Ok(());
        }
        let told = public.and_then(|public| public.authority.clone());
        let authority = match (told, target_authority(request)?) {
            (Some(told), _) => told,
            (None, Some(target)) => target,
            (None, None) => host_field(&request.headers)?.ok_or(HostError::Missing)?,
        };
        let has_scheme = match public.and_then(|public| public.is_tls) {
            Some(is_tls) => origin.is_tls() == is_tls,
            None => origin.is_tls() || !listener.tls,
        };
        if has_scheme && is_same_origin(listener, &origin, &authority) {
            return Ok(());
        }
        Err(RefusedOrigin::Foreign { origin: origin.to_string(), host: authority.to_string() })
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

impl fmt::Display for BadOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no origin that a client can send: write scheme://host[:port], null, or *", self.given)
    }
}

impl std::error::Error for BadOrigin {}

/// What a page has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    WebSocket,
    /// Something else at an address where WebSockets are opened too.
    Request,
}

impl Asked {
    /// What it is called in a log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "handshake",
            Self::Request => "request",
        }
    }
}

/// Why a page may not open a WebSocket, told in one sentence by its `Display`; [`told`](Self::told) adds what would let
/// it.
///
/// What it quotes of the request is of bounded length and printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RefusedOrigin {
    Host(HostError),
    Repeated,
    Invalid {
        given: String,
        /// Whether nothing of it had to be escaped or cut, and it may be allowed as it is.
        is_whole: bool,
    },
    Null,
    Foreign {
        origin: String,
        host: String,
    },
}

impl From<HostError> for RefusedOrigin {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

impl RefusedOrigin {
    fn invalid(given: &HeaderValue) -> Self {
        let shown = Excerpt::of(given).to_string();
        // What had to be escaped or cut would not be the same.
        let is_whole = shown.as_bytes() == given.as_bytes() && is_field_content(&shown);
        Self::Invalid { given: shown, is_whole }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            // https://www.rfc-editor.org/rfc/rfc9112#section-3.2
            Self::Host(_) => StatusCode::BAD_REQUEST,
            // https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2 item 4
            Self::Repeated | Self::Invalid { .. } | Self::Null | Self::Foreign { .. } => StatusCode::FORBIDDEN,
        }
    }

    /// Whether it is to be logged: one line a second of each kind.
    pub(crate) fn turn_to_log(&self) -> Option<LeftOut> {
        static LINES: Seldom<Discriminant<RefusedOrigin>> = Seldom::new();
        LINES.turn(discriminant(self))
    }

    /// The sentence as plain text. The connection closes after it, so that what the client sent on is not read as a
    /// request.
    pub(crate) fn response(&self, asked: Asked, hints: Hints) -> Response<String> {
        closing(self.status(), format!("{}\n", self.told(asked, hints)))
    }

    /// The sentence with what would let the page in, for the client and for the log alike.
    pub(crate) fn told(&self, asked: Asked, hints: Hints) -> String {
        let sentence = self.sentence(asked);
        match self.allowed_by() {
            Some(origin) => {
                let setting = hints(Hint::new("allow-origin", Some(origin)));
                format!("{sentence}; {setting} would allow it")
            }
            None => sentence,
        }
    }

    fn sentence(&self, asked: Asked) -> String {
        let (do_here, do_on) = match asked {
            Asked::WebSocket => ("open WebSockets here", "open WebSockets on"),
            Asked::Request => ("use this address", "use this address of"),
        };
        match self {
            Self::Host(error) => error.to_string(),
            Self::Repeated => "the header Origin must appear only once".to_owned(),
            Self::Invalid { given, .. } => format!("the origin \"{given}\" is not of the form scheme://host[:port]"),
            Self::Null => format!("pages without an origin may not {do_here}"),
            Self::Foreign { origin, host } => format!("pages of {origin} may not {do_on} {host}"),
        }
    }

    /// The value of the setting that would let the page in.
    fn allowed_by(&self) -> Option<&str> {
        match self {
            Self::Host(_) => None,
            Self::Invalid { given, is_whole: true } => Some(given),
            Self::Repeated | Self::Invalid { is_whole: false, .. } => Some("*"),
            Self::Null => Some("null"),
            Self::Foreign { origin, .. } => Some(origin),
        }
    }
}

impl fmt::Display for RefusedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence(Asked::WebSocket))
    }
}

impl std::error::Error for RefusedOrigin {}

/// Whether a text can be the value of a field, and is not empty: <https://www.rfc-editor.org/rfc/rfc9110#section-5.5>.
fn is_field_content(text: &str) -> bool {
    !text.is_empty() && text.trim_matches([' ', '\t']).len() == text.len() && HeaderValue::from_str(text).is_ok()
}

/// Host and port are compared; the scheme only where the listener or a proxy knows it, since a proxy may have ended TLS.
fn is_same_origin(listener: ListenerKind, origin: &Origin<'_>, authority: &Authority<'_>) -> bool {
    // Without a port a host means the default one of the scheme the client speaks, which behind a proxy is unknown
    // here: the origin's own scheme stands for it. On a TLS listener the two are the same.
    let one_loopback = listener.loopback && origin.authority.host.is_localhost() && authority.host.is_localhost();
    origin.is_web()
        && (origin.authority.host == authority.host || one_loopback)
        && origin.port() == authority.port_or_default(&origin.scheme)
}

#[cfg(test)]
mod tests;
