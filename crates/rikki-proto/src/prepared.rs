//! Messages that are framed once for many receivers.

use bytes::Bytes;

use crate::frame::{FrameHeader, Opcode};
use crate::message::Message;

/// A message framed once, to be sent to many clients: a clone shares the bytes.
#[derive(Clone, Debug)]
pub struct PreparedMessage {
    opcode: Opcode,
    header_length: usize,
    frame: Bytes,
}

impl PreparedMessage {
    /// Frames `message` as a server sends it.
    #[must_use]
    pub fn new<'a>(message: impl Into<Message<'a>>) -> Self {
        let message = message.into();
        let (opcode, payload) = (message.opcode(), message.as_bytes());
        let mut frame = Vec::with_capacity(crate::frame::MAX_HEADER + payload.len());
        FrameHeader { fin: true, opcode, length: payload.len() as u64, mask: None, compressed: false }
            .encode(&mut frame);
        let header_length = frame.len();
        frame.extend_from_slice(payload);
        Self { opcode, header_length, frame: frame.into() }
    }

    /// The length of the whole frame in bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a frame is never empty")]
    pub fn len(&self) -> usize {
        self.frame.len()
    }

    /// The payload, without the header in front of it.
    pub(crate) fn payload(&self) -> Bytes {
        self.frame.slice(self.header_length..)
    }

    pub(crate) fn opcode(&self) -> Opcode {
        self.opcode
    }

    /// The whole frame as a server sends it.
    pub(crate) fn frame(&self) -> &Bytes {
        &self.frame
    }
}
