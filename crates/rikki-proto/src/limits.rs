//! The limits of one connection, judged by what headers announce.

use crate::error::{Error, LimitExceeded};

/// What is taken from a peer at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(default, deny_unknown_fields))]
#[must_use]
pub struct Limits {
    pub(crate) max_message: usize,
    pub(crate) max_fragments: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_message: 4 * 1024 * 1024, max_fragments: 16_384 }
    }
}

impl Limits {
    /// The largest message taken, in bytes of payload; default 4 MiB. A larger one is refused with 1009 as soon as a
    /// frame header announces it. One connection holds at most this much of an unfinished message; of a compressed one an eighth
    /// more, and both while it is decompressed.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// The most fragments taken in one message; default 16,384, at least 1. One more is refused with 1008.
    pub fn max_fragments(mut self, fragments: u32) -> Self {
        // A frame may come whole or in pieces: a limit of none would refuse it in pieces alone.
        self.max_fragments = fragments.max(1);
        self
    }

    /// How long a compressed message may be on the wire: see [`check_compressed_length`](Self::check_compressed_length).
    pub(crate) fn max_compressed(&self) -> usize {
        self.max_message.saturating_add(self.max_message / 8).saturating_add(1024)
    }

    /// What a compressed message may announce: an honest one at the limit can be longer than it is decompressed, by an
    /// eighth with some compressors, and one of empty blocks would never reach the limit.
    pub(crate) fn check_compressed_length(&self, length: u64) -> Result<(), Error> {
        if length > self.max_compressed() as u64 {
            return Err(LimitExceeded::CompressedTooLong { limit: self.max_message }.into());
        }
        Ok(())
    }

    pub(crate) fn check_length(&self, length: u64) -> Result<(), Error> {
        if length > self.max_message as u64 {
            return Err(LimitExceeded::MessageTooLong { length, limit: self.max_message }.into());
        }
        Ok(())
    }
}
