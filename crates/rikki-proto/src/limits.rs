//! The limits of one connection, judged by what headers announce.

use crate::error::{Error, LimitExceeded};

rikki_limits::limits! {
    /// What is taken from a peer at most.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[must_use]
    pub struct Limits, setters of Limits by with;

    pub(crate) max_message_size: usize {
        name: "max-message", unit: Size, default: "4MiB",
        meaning: "Largest message", detail: "; a larger one is closed with 1009",
        /// It is refused as soon as a frame header announces it, or as soon as it has been decompressed that far. One
        /// connection holds at most this much of an unfinished message; of a compressed one an eighth more, and both
        /// while it is decompressed.
        setter: max_message_size(usize),
    }
    pub(crate) max_fragments: u32 {
        name: "max-fragments", unit: Count, default: "16384",
        meaning: "Most fragments in a message", detail: "; one more is closed with 1008",
        /// At least 1, which is what a [`Connection`](crate::Connection) takes none for.
        setter: max_fragments(u32),
    }
}

impl Limits {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// How long a compressed message may be on the wire: see
    /// [`check_compressed_length`](Self::check_compressed_length).
    pub(crate) fn max_compressed(&self) -> usize {
        self.max_message_size.saturating_add(self.max_message_size / 8).saturating_add(1024)
    }

    /// What a compressed message may announce: an honest one at the limit can be longer than it is decompressed, by an
    /// eighth with some compressors, and one of empty blocks would never reach the limit.
    pub(crate) fn check_compressed_length(&self, length: u64) -> Result<(), Error> {
        if length > self.max_compressed() as u64 {
            return Err(LimitExceeded::CompressedTooLong { limit: self.max_message_size }.into());
        }
        Ok(())
    }

    pub(crate) fn check_length(&self, length: u64) -> Result<(), Error> {
        if length > self.max_message_size as u64 {
            return Err(LimitExceeded::MessageTooLong { length, limit: self.max_message_size }.into());
        }
        Ok(())
    }
}
