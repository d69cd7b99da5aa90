//! Who may do what, and the answers to requests that are not let through: a sentence each.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use crate::error::{PublishError, SubscribeError};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// To get the messages that are published from now on, as a WebSocket or as a stream of events; where the topic
    /// gives newcomers its [last](crate::TopicConfig::last) message, that too.
    Subscribe,
    /// To publish messages.
    Publish,
    /// To read what there is, and where the topic is; also to subscribe to more than what comes next (`?last`,
    /// `?since`), and to resume (`Last-Event-ID`). A browser whose stream may not resume does not come back.
    History,
    /// To be told who is there, by reading or beside the messages.
    Presence,
}

/// Why a request may not do what it asks for: see [`TopicUrl::authorize`](crate::TopicUrl::authorize).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    kind: Kind,
    reason: Cow<'static, str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unknown,
    Expired,
    Forbidden,
}

impl Denied {
    /// It is not known who asks: 401, with `WWW-Authenticate: Bearer`. The client is told the reason.
    #[must_use]
    pub fn unauthorized(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: Kind::Unknown, reason: reason.into() }
    }

    /// What it was known by is no longer good: 401 too. A client of [Centrifugo](crate::Centrifugo) gets another token and
    /// comes back.
    #[must_use]
    pub fn expired(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: Kind::Expired, reason: reason.into() }
    }

    /// Whoever asks may not: 403. The client is told the reason.
    #[must_use]
    pub fn forbidden(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: Kind::Forbidden, reason: reason.into() }
    }

    pub(crate) fn is_expired(&self) -> bool {
        self.kind == Kind::Expired
    }

    pub(crate) fn is_forbidden(&self) -> bool {
        self.kind == Kind::Forbidden
    }
}

/// A request that is not let through: the status, and one line that says why.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    text: Cow<'static, str>,
}

impl Refusal {
    pub(super) const UNKNOWN: Self =
        Self { status: StatusCode::NOT_FOUND, text: Cow::Borrowed("there is no such topic") };
    pub(super) const NO_MEMORY: Self = Self {
        status: StatusCode::SERVICE_UNAVAILABLE,
        text: Cow::Borrowed("no memory is left for messages of topics"),
    };

    pub(super) fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into() }
    }

    pub(super) fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }
}

impl From<Denied> for Refusal {
    fn from(Denied { kind, reason }: Denied) -> Self {
        Self::new(if kind == Kind::Forbidden { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED }, reason)
    }
}

impl From<SubscribeError> for Refusal {
    fn from(error: SubscribeError) -> Self {
        let status = match error {
            SubscribeError::Name(_) => StatusCode::BAD_REQUEST,
            SubscribeError::Unknown => StatusCode::NOT_FOUND,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        let status = match error {
            PublishError::Name(_) | PublishError::BadKey => StatusCode::BAD_REQUEST,
            PublishError::Unknown => StatusCode::NOT_FOUND,
            PublishError::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            // https://www.rfc-editor.org/rfc/rfc9110#section-15.6.5: who is asked again has not answered in time.
            PublishError::Unknowable => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

impl From<Refusal> for Response {
    fn from(Refusal { status, text }: Refusal) -> Self {
        // What an application gives as a reason stays one line.
        let text: String = text.chars().map(|char| if char.is_control() { ' ' } else { char }).chain(['\n']).collect();
        let mut response = super::response("text/plain; charset=utf-8", None, Body::from(text));
        *response.status_mut() = status;
        let field = match status {
            // https://www.rfc-editor.org/rfc/rfc9110#section-15.5.2
            StatusCode::UNAUTHORIZED => (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            // https://www.rfc-editor.org/rfc/rfc9110#section-15.5.6
            StatusCode::METHOD_NOT_ALLOWED => (header::ALLOW, super::METHODS),
            StatusCode::SERVICE_UNAVAILABLE => (header::RETRY_AFTER, HeaderValue::from_static("1")),
            _ => return response,
        };
        response.headers_mut().extend([field]);
        response
    }
}
