//! What can go wrong, by who is at fault: the peer broke a rule, a limit was hit, or the caller misused us.

use std::fmt;

/// Why a connection was failed; [`CloseCode::for_error`](crate::CloseCode::for_error) says what the peer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "either the peer broke a rule or we set a limit: there is no third")]
pub enum Error {
    /// The peer broke a rule of the protocol.
    Protocol(ProtocolError),
    /// The peer kept to the protocol, but went past a limit of ours.
    Limit(LimitExceeded),
}

/// The rule of [RFC 6455](https://www.rfc-editor.org/rfc/rfc6455) that the peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A reserved bit is set that no extension has given a meaning (section 5.2).
    ReservedBits,
    /// The opcode is one of those reserved for later use (section 5.2).
    ReservedOpcode(u8),
    /// A client sent a frame without a mask (section 5.1).
    Unmasked,
    /// A server sent a masked frame (section 5.1).
    Masked,
    /// The length is not written in the fewest bytes possible (section 5.2).
    NonMinimalLength,
    /// The highest bit of a 64-bit length is set (section 5.2).
    LengthOverflow,
    /// A control frame is longer than 125 bytes (section 5.5).
    ControlTooLong,
    /// A control frame is fragmented (section 5.5).
    ControlFragmented,
    /// A continuation frame with no message to continue (section 5.4).
    UnexpectedContinuation,
    /// A new message began before the fragmented one had ended (section 5.4).
    ExpectedContinuation,
    /// A text message is not UTF-8 (section 8.1).
    InvalidUtf8,
    /// A Close frame has a body of one byte, too short for a code (section 5.5.1).
    CloseTooShort,
    /// A Close frame holds a code that must not be sent (section 7.4).
    InvalidCloseCode(u16),
    /// The reason of a Close frame is not UTF-8 (section 5.5.1).
    InvalidCloseReason,
    /// A compressed message cannot be decompressed
    /// ([RFC 7692 section 7.2.2](https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2)).
    InvalidDeflate,
}

/// The limit of ours that a message went past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitExceeded {
    /// A message would be longer than the limit, judged by what its frame headers announce.
    MessageTooLong {
        /// The length announced so far, in bytes.
        length: u64,
        /// The largest message taken, in bytes.
        limit: usize,
    },
    /// A compressed message would be longer than the limit when decompressed. By how much is not known, since it is not
    /// decompressed further.
    CompressedTooLong {
        /// The largest message taken, in bytes.
        limit: usize,
    },
    /// A message has more fragments than the limit.
    TooManyFragments {
        /// The most fragments taken in one message.
        limit: u32,
    },
    /// A compressed message came while all memory for decompressing was in use.
    NoDecompressor,
    /// A message grew while all [memory for unfinished messages](crate::MessageMemory) was in use.
    NoMessageMemory,
}

/// Why something could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// A Close frame has been sent or the connection has ended: nothing may follow (section 5.5.1).
    Closed,
    /// What waits to be written has reached its bound, and nothing was taken. A [`Connection`](crate::Connection) has
    /// no bound of its own; the endpoint around it has.
    Full,
    /// What waits to be written has reached its bound, and the message was dropped: a policy of the endpoint.
    Dropped,
    /// The payload of a ping is longer than 125 bytes (section 5.5).
    ControlTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The close code must not appear in a frame, such as 1005 or 1006 (section 7.4).
    InvalidCloseCode(u16),
    /// The reason of a close is longer than 123 bytes, which is what a Close frame has room for (section 5.5).
    ReasonTooLong {
        /// Its length in bytes.
        length: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => error.fmt(f),
            Self::Limit(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedBits => f.write_str("reserved bit set"),
            Self::ReservedOpcode(opcode) => write!(f, "reserved opcode {opcode:#x}"),
            Self::Unmasked => f.write_str("client frame not masked"),
            Self::Masked => f.write_str("server frame masked"),
            Self::NonMinimalLength => f.write_str("length not in its shortest form"),
            Self::LengthOverflow => f.write_str("length of 2^63 or more"),
            Self::ControlTooLong => f.write_str("control frame longer than 125 bytes"),
            Self::ControlFragmented => f.write_str("fragmented control frame"),
            Self::UnexpectedContinuation => f.write_str("continuation without a message"),
            Self::ExpectedContinuation => f.write_str("new message inside a fragmented one"),
            Self::InvalidUtf8 => f.write_str("text is not UTF-8"),
            Self::CloseTooShort => f.write_str("close body of one byte"),
            Self::InvalidCloseCode(code) => write!(f, "close code {code} must not be sent"),
            Self::InvalidCloseReason => f.write_str("close reason is not UTF-8"),
            Self::InvalidDeflate => f.write_str("compressed message is not DEFLATE"),
        }
    }
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MessageTooLong { length, limit } => write!(f, "message of {length} bytes, limit {limit}"),
            Self::CompressedTooLong { limit } => write!(f, "compressed message of more than {limit} bytes"),
            Self::TooManyFragments { limit } => write!(f, "more than {limit} fragments"),
            Self::NoDecompressor => f.write_str("no memory left for decompressing"),
            Self::NoMessageMemory => f.write_str("no memory left for messages"),
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection is closed or closing"),
            Self::Full => f.write_str("the write queue of the connection is full"),
            Self::Dropped => f.write_str("the write queue of the connection is full, and the message was dropped"),
            Self::ControlTooLong { length } => write!(f, "control payload of {length} bytes, at most 125 fit"),
            Self::InvalidCloseCode(code) => write!(f, "close code {code} must not be sent"),
            Self::ReasonTooLong { length } => write!(f, "close reason of {length} bytes, at most 123 fit"),
        }
    }
}

impl std::error::Error for Error {}
impl std::error::Error for ProtocolError {}
impl std::error::Error for LimitExceeded {}
impl std::error::Error for SendError {}

impl From<ProtocolError> for Error {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

impl From<LimitExceeded> for Error {
    fn from(error: LimitExceeded) -> Self {
        Self::Limit(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_small_enough_to_return_everywhere() {
        assert!(size_of::<Error>() <= 24, "{}", size_of::<Error>());
    }

    #[test]
    fn every_text_fits_into_a_close_frame() {
        let longest = LimitExceeded::MessageTooLong { length: u64::MAX, limit: usize::MAX };
        assert!(Error::from(longest).to_string().len() <= 123);
    }
}
