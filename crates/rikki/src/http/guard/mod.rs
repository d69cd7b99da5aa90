//! What a request must show before it is routed: a valid `Host`, and one that this server may be reached by on a
//! loopback listener.
//!
//! A name that resolves to 127.0.0.1 makes any page "same origin" with a server that listens there. The caller writes
//! the log line and sends the response; the `Origin` of upgrades is judged with their handshake.

use std::fmt;
use std::mem::{Discriminant, discriminant};
use std::sync::OnceLock;

use http::header::HOST;
use http::request::Parts;
use http::{Response, StatusCode, Version};
use rikki_limits::{Hint, Hints, LeftOut, Seldom};

use crate::ws::internal::{
    Authority, Field, Host, HostError, ListenerKind, Public, closing, host_field, only, target_authority,
};

/// The hosts allowed beside those that are always allowed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    hosts: Vec<AllowedHost>,
    /// Whether listeners are judged that are not on loopback.
    pub(crate) is_everywhere: bool,
}

#[derive(Clone, Debug)]
enum AllowedHost {
    Any,
    Host(Host<'static>),
}

impl Guard {
    /// Lets loopback listeners be reached by one more name or address, on any port; `*` stands for all.
    ///
    /// Other listeners can be reached by any name, unless they are judged too.
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
            return Err(HostError::Missing.into());
        }
        // Both are judged, since the application may look at either.
        for authority in [&field, &target].into_iter().flatten() {
            if self.judges(listener) && !self.is_allowed_host(&authority.host) {
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

    /// The rule for the host that a proxy was asked for, in addition: a page that reaches the server by a foreign name
    /// may say another one there.
    fn check_public(&self, listener: ListenerKind, public: Option<&Public>) -> Result<(), Refused> {
        match public.and_then(|public| public.authority.as_ref()) {
            Some(Authority { host, .. }) if self.judges(listener) && !self.is_allowed_host(host) => {
                Err(Refused::ForbiddenHost { host: host.to_string() })
            }
            _ => Ok(()),
        }
    }

    fn judges(&self, listener: ListenerKind) -> bool {
        listener.loopback || (self.is_everywhere && !listener.unix)
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
    /// The rule of [`Guard::check_host`] for one more request of the connection, and of what a proxy says of it.
    pub(crate) fn check(
        &self,
        guard: &Guard,
        listener: ListenerKind,
        public: Option<&Public>,
        request: &Parts,
    ) -> Result<(), Refused> {
        guard.check_public(listener, public)?;
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

/// A value for the list of allowed hosts is not a host name, an IP address or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadHost {
    /// The value as it was given.
    pub given: String,
}

impl fmt::Display for BadHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a host: write a name, an address or [IPv6 address] without scheme and port", self.given)
    }
}

impl std::error::Error for BadHost {}

/// Why a request is not let in, told in one sentence by its `Display`; [`told`](Self::told) adds what would let it.
///
/// What it quotes of the request is of bounded length and printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Host(HostError),
    HostMismatch,
    ForbiddenHost { host: String },
}

impl From<HostError> for Refused {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

impl Refused {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            // https://www.rfc-editor.org/rfc/rfc9112#section-3.2
            Self::Host(_) | Self::HostMismatch => StatusCode::BAD_REQUEST,
            Self::ForbiddenHost { .. } => StatusCode::FORBIDDEN,
        }
    }

    /// Whether it is to be logged: one line a second of each kind.
    pub(crate) fn turn_to_log(&self) -> Option<LeftOut> {
        static LINES: Seldom<Discriminant<Refused>> = Seldom::new();
        LINES.turn(discriminant(self))
    }

    /// The sentence as plain text. The connection closes after it, so that what the client sent on is not read as a
    /// request.
    pub(crate) fn response(&self, hints: Hints) -> Response<String> {
        closing(self.status(), format!("{}\n", self.told(hints)))
    }

    /// The sentence with what would let the request in, for the client and for the log alike.
    pub(crate) fn told(&self, hints: Hints) -> String {
        match self {
            Self::ForbiddenHost { host } => {
                format!("{self}; {} would allow it", hints(Hint::new("allow-host", Some(host))))
            }
            Self::Host(_) | Self::HostMismatch => self.to_string(),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(error) => error.fmt(f),
            Self::HostMismatch => f.write_str("the header Host names another host than the request's target"),
            Self::ForbiddenHost { host } => write!(f, "the host {host} is not a name of this server"),
        }
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests;
