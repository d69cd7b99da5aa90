//! Close codes and Close frames, [RFC 6455 section 7.4](https://www.rfc-editor.org/rfc/rfc6455#section-7.4).

use std::fmt;

use crate::error::{Error, LimitExceeded, ProtocolError, SendError};
use crate::frame::MAX_CONTROL;
use crate::message::Text;

/// Why a connection is closed, as a number: [RFC 6455 section 7.4.1] and the [IANA registry] behind it.
///
/// [RFC 6455 section 7.4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
/// [IANA registry]: https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// A server goes down, or a browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// The message is of a kind that this end does not take.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// The Close frame held no code. Never sent, only reported.
    pub const NO_STATUS: Self = Self(1005);
    /// The connection ended without a Close frame. Never sent, only reported.
    pub const ABNORMAL: Self = Self(1006);
    /// A text message was not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// The message goes against a policy of this end.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// The message is larger than this end takes.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// The server met a condition that it did not expect.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// The service restarts: connect again.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// The service is overloaded: connect again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);

    /// The code that tells the peer of `error`: the one place where an error becomes a code.
    #[must_use]
    pub fn for_error(error: &Error) -> Self {
        match error {
            Error::Protocol(
                ProtocolError::InvalidUtf8 | ProtocolError::InvalidCloseReason | ProtocolError::InvalidDeflate,
            ) => Self::INVALID_PAYLOAD,
            Error::Protocol(_) => Self::PROTOCOL_ERROR,
            Error::Limit(LimitExceeded::MessageTooLong { .. } | LimitExceeded::CompressedTooLong { .. }) => {
                Self::MESSAGE_TOO_BIG
            }
            Error::Limit(LimitExceeded::TooManyFragments { .. }) => Self::POLICY_VIOLATION,
            Error::Limit(LimitExceeded::NoDecompressor | LimitExceeded::NoMessageMemory) => Self::TRY_AGAIN_LATER,
        }
    }

    /// Whether the code may appear in a Close frame (sections 7.4.1 and 7.4.2, with the codes registered since).
    #[must_use]
    pub fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The body of a Close frame: a code, and a reason of at most 123 bytes that is meant for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    /// Why the connection is closed.
    pub code: CloseCode,
    /// A text for the log, often empty.
    pub reason: Text<'static>,
}

/// Reads the body of a Close frame; an empty one holds no code
/// ([section 5.5.1](https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1)).
pub(crate) fn parse(payload: &[u8]) -> Result<Option<CloseFrame>, ProtocolError> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        // "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer"
        [_] => return Err(ProtocolError::CloseTooShort),
        [high, low, reason @ ..] => (CloseCode(u16::from_be_bytes([*high, *low])), reason),
    };
    // Section 7.4.1: "MUST NOT be set as a status code in a Close control frame by an endpoint"
    if !code.may_be_sent() {
        return Err(ProtocolError::InvalidCloseCode(code.0));
    }
    // Section 5.5.1: the reason is "UTF-8-encoded data"
    let reason = std::str::from_utf8(reason).map_err(|_| ProtocolError::InvalidCloseReason)?;
    Ok(Some(CloseFrame { code, reason: Text::from(reason).into_owned() }))
}

/// Builds the body of a Close frame.
pub(crate) fn encode(code: CloseCode, reason: &str) -> Result<Vec<u8>, SendError> {
    if !code.may_be_sent() {
        return Err(SendError::InvalidCloseCode(code.0));
    }
    let body = [&code.0.to_be_bytes(), reason.as_bytes()].concat();
    // Section 5.5: a control frame holds at most 125 bytes.
    if body.len() > MAX_CONTROL {
        return Err(SendError::ReasonTooLong { length: reason.len() });
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(payload: &[u8], expected: Result<Option<(u16, &str)>, ProtocolError>) {
        let parsed = parse(payload);
        let seen = parsed.as_ref().map(|frame| frame.as_ref().map(|close| (close.code.0, &*close.reason)));
        assert_eq!(seen.map_err(|error| *error), expected);
    }

    #[test]
    fn reads_close_bodies() {
        check(b"", Ok(None));
        check(b"\x03\xe8", Ok(Some((1000, ""))));
        check(b"\x0f\xa0bye", Ok(Some((4000, "bye"))));
        check(b"\x03", Err(ProtocolError::CloseTooShort));
        check(b"\x03\xe8\xff\xfe", Err(ProtocolError::InvalidCloseReason));
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            check(&u16::to_be_bytes(code), Err(ProtocolError::InvalidCloseCode(code)));
        }
        for code in [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 4999] {
            check(&u16::to_be_bytes(code), Ok(Some((code, ""))));
        }
    }

    #[test]
    fn refuses_to_build_what_must_not_be_sent() {
        assert_eq!(encode(CloseCode::ABNORMAL, "").unwrap_err(), SendError::InvalidCloseCode(1006));
        assert_eq!(encode(CloseCode::NORMAL, &"x".repeat(124)).unwrap_err(), SendError::ReasonTooLong { length: 124 });
        assert_eq!(encode(CloseCode::NORMAL, &"x".repeat(123)).unwrap().len(), 125);
    }
}
