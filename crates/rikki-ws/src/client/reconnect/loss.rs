//! Why there is no connection, and whether there should be another one.

use std::fmt;
use std::time::Duration;

use rikki_limits::Excerpt;
use rikki_proto::SendError;

use crate::client::ConnectError;
use crate::{CloseCode, Closed};

/// Why a connection was lost, or could not be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum Loss {
    /// It was closed, or broke.
    Closed(Closed),
    /// It could not be made.
    Connect(ConnectError),
    /// A hook failed, or took longer than [`connect_timeout`](crate::client::Builder::connect_timeout).
    Hook(Box<dyn std::error::Error + Send + Sync>),
}

impl Loss {
    /// Whether another connection may fare better, which is when a [`Reconnecting`](super::Reconnecting) makes one
    /// unless [`reconnect_if`](super::Reconnecting::reconnect_if) says something else:
    ///
    /// - a close with another code than 1000 or none (it is over), 1002, 1003, 1007, 1008, 1009, 1010 (it would end
    ///   like this again), 3500 to 3999 and 4500 to 4999 (by agreement, as Centrifugo has it: the server does not want
    ///   this client back);
    /// - a [`ConnectError::is_transient`];
    /// - a hook that failed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Closed(closed) => {
                let is_final =
                    matches!(closed.code.0, 1000 | 1005 | 1002 | 1003 | 1007..=1010 | 3500..=3999 | 4500..=4999);
                !is_final
            }
            Self::Connect(error) => error.is_transient(),
            Self::Hook(_) => true,
        }
    }

    /// The code that a connection was closed with.
    #[must_use]
    pub fn code(&self) -> Option<CloseCode> {
        match self {
            Self::Closed(closed) => Some(closed.code),
            Self::Connect(_) | Self::Hook(_) => None,
        }
    }

    /// How long the server asks to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Connect(error) => error.retry_after(),
            Self::Closed(_) | Self::Hook(_) => None,
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(Closed { error: Some(error), .. }) => error.fmt(f),
            // Who was to be told, such as a hook, has taken the error.
            Self::Closed(Closed { code: CloseCode::ABNORMAL, .. }) => f.write_str("the connection broke"),
            Self::Closed(Closed { code: CloseCode::NO_STATUS, .. }) => {
                f.write_str("closed by the server without a code")
            }
            Self::Closed(Closed { code, reason, .. }) if reason.is_empty() => write!(f, "closed by the server: {code}"),
            Self::Closed(Closed { code, reason, .. }) => {
                write!(f, "closed by the server: {code} \"{}\"", Excerpt::of(reason.as_bytes()))
            }
            Self::Connect(error) => error.fmt(f),
            Self::Hook(error) => write!(f, "a hook failed: {error}"),
        }
    }
}

impl std::error::Error for Loss {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Closed(closed) => closed.error.as_ref().map(|error| error as _),
            Self::Connect(error) => Some(error),
            Self::Hook(error) => Some(error.as_ref()),
        }
    }
}

/// Why a [`Reconnecting`](super::Reconnecting) makes no connection any more, or did not take a message.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReconnectError {
    /// The connection was lost in a way that forbids another one, or broke while we closed it.
    Final(Loss),
    /// There were as many attempts as [`max_attempts`](super::Backoff::max_attempts) allows.
    GaveUp {
        /// How many.
        attempts: u32,
        /// What the last one led to.
        last: Loss,
    },
    /// A message cannot be sent: [`SendError::Closed`] when all is over, others as for a
    /// [`WebSocket`](crate::WebSocket::send), which end nothing.
    Send(SendError),
}

impl fmt::Display for ReconnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Final(loss) => loss.fmt(f),
            Self::GaveUp { attempts: 1, last } => write!(f, "gave up after one attempt: {last}"),
            Self::GaveUp { attempts, last } => write!(f, "gave up after {attempts} attempts: {last}"),
            Self::Send(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReconnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Final(loss) | Self::GaveUp { last: loss, .. } => Some(loss),
            Self::Send(error) => Some(error),
        }
    }
}

impl From<SendError> for ReconnectError {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(code: u16, reason: &str) -> Loss {
        Loss::Closed(Closed { code: CloseCode(code), reason: reason.to_owned().into(), error: None })
    }

    #[test]
    fn codes_that_forbid_another_connection() {
        let forbidding: Vec<u16> = (1000..5000).filter(|code| !closed(*code, "").is_transient()).collect();
        let expected = [1000, 1002, 1003, 1005, 1007, 1008, 1009, 1010].into_iter().chain(3500..4000).chain(4500..5000);
        assert_eq!(forbidding, expected.collect::<Vec<_>>());
        assert!(Loss::Hook("no".into()).is_transient());
        assert!(Loss::Connect(ConnectError::TimedOut).is_transient());
        assert!(!Loss::Connect(ConnectError::SpeaksTls).is_transient());
    }

    #[test]
    fn losses_in_words() {
        let check = |loss: Loss, expected: &str| assert_eq!(loss.to_string(), expected);
        check(closed(1012, ""), "closed by the server: 1012");
        check(closed(4500, "no \"x\"\x1b"), r#"closed by the server: 4500 "no \"x\"\u{1b}""#);
        check(closed(1006, ""), "the connection broke");
        check(closed(1005, ""), "closed by the server without a code");
        check(Loss::Hook("no token".into()), "a hook failed: no token");
        let gave_up = ReconnectError::GaveUp { attempts: 3, last: Loss::Connect(ConnectError::TimedOut) };
        assert_eq!(gave_up.to_string(), "gave up after 3 attempts: the server did not answer in time");
    }
}
