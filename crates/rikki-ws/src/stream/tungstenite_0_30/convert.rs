//! What is the same thing in both: messages, how a connection ended, and errors.

use std::io;

use rikki_proto::{CloseCode, LimitExceeded, Message, ProtocolError, SendError, Text};
use tungstenite::error::{CapacityError, ProtocolError as Theirs};
use tungstenite::protocol::CloseFrame;
use tungstenite::{Error, Utf8Bytes};

use crate::error::Closed;

/// A message that has come; its payload is shared.
pub(super) fn received(message: Message<'static>) -> Result<tungstenite::Message, Error> {
    Ok(match message {
        // It is UTF-8, and checked again, since they take nobody's word for it without `unsafe`.
        Message::Text(text) => tungstenite::Message::Text(text.into_binary().into_bytes().try_into()?),
        Message::Binary(bytes) => tungstenite::Message::Binary(bytes.into_bytes()),
    })
}

/// A message that is to be sent; its payload is shared. What is none has been told apart before, but for raw frames.
pub(super) fn to_send(message: tungstenite::Message) -> Result<Message<'static>, Error> {
    match message {
        tungstenite::Message::Text(text) => Ok(Text::try_from(bytes::Bytes::from(text))?.into()),
        tungstenite::Message::Binary(bytes) => Ok(bytes.into()),
        _ => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "a raw frame cannot be sent: rikki makes the frames of a message by itself, so send that",
        )
        .into()),
    }
}

/// The Close that came; one without a code holds no frame.
pub(super) fn close(closed: &Closed) -> tungstenite::Message {
    tungstenite::Message::Close(
        (closed.code != CloseCode::NO_STATUS)
            .then(|| CloseFrame { code: closed.code.0.into(), reason: Utf8Bytes::from(&*closed.reason) }),
    )
}

/// The same error in their words where they have some that say as much, else the whole of ours below an I/O error.
pub(super) fn error(error: crate::Error) -> Error {
    match error {
        crate::Error::Protocol(error) => violation(error),
        crate::Error::Limit(LimitExceeded::MessageTooLong { length, limit }) => {
            let size = usize::try_from(length).unwrap_or(usize::MAX);
            CapacityError::MessageTooLong { size, max_size: limit }.into()
        }
        // The peer ended TCP, or reset it, without a Close.
        crate::Error::Io(error)
            if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) =>
        {
            Theirs::ResetWithoutClosingHandshake.into()
        }
        crate::Error::Io(error) => error.into(),
        crate::Error::Send(SendError::Closed) => Error::AlreadyClosed,
        crate::Error::Send(SendError::ControlTooLong { .. }) => Theirs::ControlFrameTooBig.into(),
        other => {
            let kind = match &other {
                crate::Error::Limit(_) | crate::Error::RateExceeded => io::ErrorKind::QuotaExceeded,
                crate::Error::TimedOut(_) => io::ErrorKind::TimedOut,
                crate::Error::Overflow => io::ErrorKind::ConnectionAborted,
                crate::Error::Send(_) => io::ErrorKind::InvalidInput,
                _ => io::ErrorKind::Other,
            };
            io::Error::new(kind, other).into()
        }
    }
}

fn violation(error: ProtocolError) -> Error {
    let theirs = match error {
        ProtocolError::ReservedBits => Theirs::NonZeroReservedBits,
        ProtocolError::ReservedOpcode(opcode @ 8..) => Theirs::UnknownControlFrameType(opcode),
        ProtocolError::ReservedOpcode(opcode) => Theirs::UnknownDataFrameType(opcode),
        ProtocolError::Unmasked => Theirs::UnmaskedFrameFromClient,
        ProtocolError::Masked => Theirs::MaskedFrameFromServer,
        ProtocolError::ControlTooLong => Theirs::ControlFrameTooBig,
        ProtocolError::ControlFragmented => Theirs::FragmentedControlFrame,
        ProtocolError::UnexpectedContinuation => Theirs::UnexpectedContinueFrame,
        ProtocolError::CloseTooShort => Theirs::InvalidCloseSequence,
        ProtocolError::InvalidUtf8 | ProtocolError::InvalidCloseReason => return Error::Utf8(error.to_string()),
        // They have no name for it, or one that says less.
        other => return io::Error::new(io::ErrorKind::InvalidData, crate::Error::Protocol(other)).into(),
    };
    theirs.into()
}
