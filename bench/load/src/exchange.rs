//! What one connection sends and what has to come back, message after message.

use crate::deflate::Deflated;
use crate::frame::Frame;

/// Requests and the replies to them.
pub(crate) enum Exchange {
    /// The same bytes again and again, but for a number.
    Plain { request: Frame, reply: Frame },
    /// Compressed messages: how a server compresses is its own business.
    Deflated(Deflated),
}

impl Exchange {
    /// The bytes of the request that was set last.
    pub(crate) fn request(&self) -> &[u8] {
        match self {
            Self::Plain { request, .. } => request.bytes(),
            Self::Deflated(deflated) => deflated.request(),
        }
    }

    pub(crate) fn set_request(&mut self, number: u64) {
        match self {
            Self::Plain { request, .. } => request.set_number(number),
            Self::Deflated(deflated) => deflated.set_request(number),
        }
    }

    /// From now on the reply to request `number` is expected.
    pub(crate) fn set_reply(&mut self, number: u64) {
        match self {
            Self::Plain { reply, .. } => reply.set_number(number),
            Self::Deflated(deflated) => deflated.set_reply(number),
        }
    }

    /// Takes the next bytes of the reply from the front of `bytes`: how many, and whether it is whole now. What is
    /// wrong with them is said as the end of a sentence about the message.
    pub(crate) fn check(&mut self, bytes: &[u8]) -> Result<(usize, bool), &'static str> {
        match self {
            Self::Plain { reply, .. } => reply.check(bytes),
            Self::Deflated(deflated) => deflated.check(bytes),
        }
    }

    /// Bytes of an average reply, where they differ in length.
    pub(crate) fn reply_length(&self) -> Option<f64> {
        match self {
            Self::Plain { .. } => None,
            Self::Deflated(deflated) => deflated.reply_length(),
        }
    }
}
