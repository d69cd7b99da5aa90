//! How a WebSocket ends, and what can go wrong on the way.

use std::{fmt, io};

use rikki_proto::{CloseCode, LimitExceeded, ProtocolError, SendError, Text};

use super::counts::Counts;

/// Why a WebSocket did not end with a closing handshake between willing peers.
///
/// A normal close is not an error: see [`Closed`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke a rule of RFC 6455; it was told with the close code of [`Closed::code`].
    Protocol(ProtocolError),
    /// The peer went past a limit of the [`Config`](super::Config); it was told.
    Limit(LimitExceeded),
    /// A deadline of the [`Config`](super::Config) passed.
    TimedOut(Deadline),
    /// The peer sent more in a second than [`max_message_rate`](super::Config::max_message_rate) or
    /// [`max_byte_rate`](super::Config::max_byte_rate) allow; it was told.
    RateExceeded,
    /// The peer did not read, and the connection was cut: [`Overflow::Close`](super::Overflow::Close).
    Overflow,
    /// The connection broke, or the peer closed it without a Close frame.
    Io(io::Error),
    /// We were asked to send what cannot be sent.
    Send(SendError),
    /// The handler panicked; the peer was told with 1011.
    HandlerPanicked,
    /// A message is not the JSON that was expected: see [`WebSocket::typed`](super::WebSocket::typed).
    #[cfg(feature = "json")]
    Json(serde_json::Error),
    /// A value that was to be sent cannot be JSON.
    #[cfg(feature = "json")]
    NoJson(serde_json::Error),
}

/// A deadline that passed; each is a setting of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deadline {
    /// No answer to a ping: [`pong_timeout`](super::Config::pong_timeout).
    Pong,
    /// No answer to a ping that was waited for, as by [`Sender::round_trip`](super::Sender::round_trip): the connection
    /// goes on. The time is that of [`pong_timeout`](super::Config::pong_timeout).
    RoundTrip,
    /// A message that came too slowly: [`min_payload_rate`](super::Config::min_payload_rate).
    Message,
    /// A peer that does not read: [`write_timeout`](super::Config::write_timeout).
    Write,
    /// A Close that was not answered: [`close_timeout`](super::Config::close_timeout).
    Close,
}

impl Error {
    /// Whether it is about the connection, which has ended, and not about a message.
    pub(super) fn is_end(&self) -> bool {
        match self {
            Self::Send(error) => *error == SendError::Closed,
            #[cfg(feature = "json")]
            Self::Json(_) | Self::NoJson(_) => false,
            Self::TimedOut(Deadline::RoundTrip) => false,
            _ => true,
        }
    }

    /// Whether the peer has sent a message that is not what was expected.
    pub(super) fn is_bad_message(&self) -> bool {
        match self {
            #[cfg(feature = "json")]
            Self::Json(_) => true,
            _ => false,
        }
    }

    /// Counts a WebSocket that ended for this reason; a connection that broke is nobody's fault.
    pub(super) fn count(&self, counts: &Counts) {
        let count = match self {
            Self::Protocol(_) => &counts.closed_violations,
            Self::Limit(LimitExceeded::NoDecompressor | LimitExceeded::NoMessageMemory) => &counts.closed_memory,
            Self::Limit(_) => &counts.closed_limits,
            Self::TimedOut(_) => &counts.closed_timeouts,
            Self::RateExceeded => &counts.closed_rates,
            Self::Overflow => &counts.closed_overflows,
            Self::HandlerPanicked => &counts.closed_panics,
            Self::Io(_) | Self::Send(_) => return,
            #[cfg(feature = "json")]
            Self::Json(_) | Self::NoJson(_) => return,
        };
        count.up();
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => write!(f, "the peer broke the protocol: {error}"),
            Self::Limit(error) => write!(f, "the peer went past a limit: {error}"),
            Self::TimedOut(Deadline::Pong | Deadline::RoundTrip) => f.write_str("the peer did not answer a ping"),
            Self::TimedOut(Deadline::Message) => f.write_str("a message came too slowly"),
            Self::TimedOut(Deadline::Write) => f.write_str("the peer stopped reading"),
            Self::TimedOut(Deadline::Close) => f.write_str("the peer did not answer the Close in time"),
            Self::RateExceeded => f.write_str("the peer sent faster than it may"),
            Self::Overflow => f.write_str("the peer did not read what was sent to it"),
            Self::Io(error) => write!(f, "the connection broke: {error}"),
            Self::Send(error) => error.fmt(f),
            Self::HandlerPanicked => f.write_str("the handler panicked"),
            #[cfg(feature = "json")]
            Self::Json(error) => write!(f, "a message is not the JSON that was expected: {error}"),
            #[cfg(feature = "json")]
            Self::NoJson(error) => write!(f, "a value cannot be JSON: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Protocol(error) => Some(error),
            Self::Limit(error) => Some(error),
            Self::Io(error) => Some(error),
            Self::Send(error) => Some(error),
            #[cfg(feature = "json")]
            Self::Json(error) | Self::NoJson(error) => Some(error),
            Self::TimedOut(_) | Self::RateExceeded | Self::Overflow | Self::HandlerPanicked => None,
        }
    }
}

impl From<rikki_proto::Error> for Error {
    fn from(error: rikki_proto::Error) -> Self {
        match error {
            rikki_proto::Error::Protocol(error) => Self::Protocol(error),
            rikki_proto::Error::Limit(error) => Self::Limit(error),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}

/// How a WebSocket ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Closed {
    /// The close code: the peer's, or ours if the peer had broken a rule;
    /// [`NO_STATUS`](CloseCode::NO_STATUS) if its Close held none, [`ABNORMAL`](CloseCode::ABNORMAL) if none came.
    pub code: CloseCode,
    /// The reason that came with the code, often empty.
    pub reason: Text<'static>,
    /// What went wrong, if anything did.
    pub error: Option<Error>,
}
