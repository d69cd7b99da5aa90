//! Messages put together from fragments and unfinished frames,
//! [RFC 6455 section 5.4](https://www.rfc-editor.org/rfc/rfc6455#section-5.4).

use std::sync::Arc;

use crate::deflate::{Lent, SCRATCH_SIZE, Scratch};
use crate::error::{Error, LimitExceeded};
use crate::memory::{Held, MessageMemory};
use crate::message::Message;
use crate::utf8::Utf8Assembler;

/// A message under assembly: grows with what has arrived, never with what a header claims.
#[derive(Debug)]
pub(crate) struct PartialMessage {
    payload: PartialPayload,
    /// The length that the headers so far announce.
    announced: u64,
    fragments: u32,
    /// What decompresses it, if it is compressed: held from its first byte to its last.
    decompressor: Option<Lent>,
    /// What it takes of the memory for all.
    held: Option<Held>,
}

#[derive(Debug)]
enum PartialPayload {
    Text(Utf8Assembler),
    Binary(Vec<u8>),
}

impl PartialMessage {
    pub(crate) fn text(decompressor: Option<Lent>) -> Self {
        Self::new(PartialPayload::Text(Utf8Assembler::default()), decompressor)
    }

    pub(crate) fn binary(decompressor: Option<Lent>) -> Self {
        Self::new(PartialPayload::Binary(Vec::new()), decompressor)
    }

    fn new(payload: PartialPayload, decompressor: Option<Lent>) -> Self {
        Self { payload, announced: 0, fragments: 0, decompressor, held: None }
    }

    /// Judges the next fragment by its header alone (section 10.4), before any of its payload is taken.
    pub(crate) fn begin_fragment(&mut self, length: u64, limits: &crate::Limits) -> Result<(), Error> {
        self.fragments += 1;
        if self.fragments > limits.max_fragments {
            return Err(LimitExceeded::TooManyFragments { limit: limits.max_fragments }.into());
        }
        // Two lengths below 2^63 can't overflow, and the first that passes the limit ends the connection.
        self.announced = self.announced.saturating_add(length);
        match self.decompressor {
            None => limits.check_length(self.announced),
            Some(_) => limits.check_compressed_length(self.announced),
        }
    }

    pub(crate) fn push(
        &mut self,
        piece: &[u8],
        limits: &crate::Limits,
        memory: Option<&Arc<MessageMemory>>,
    ) -> Result<(), Error> {
        let Self { payload, held, .. } = self;
        let mut push = |piece: &[u8]| {
            // Doubling keeps the copying linear; the limit keeps the last doubling from being wasted.
            let (needed, capacity) = (payload.len() + piece.len(), payload.capacity());
            if needed > capacity {
                let wanted = (capacity * 2).min(limits.max_message).max(needed);
                Held::grow(held, memory, wanted)?;
                payload.reserve_exact(wanted);
            }
            payload.push(piece)
        };
        match &mut self.decompressor {
            None => push(piece),
            Some(decompressor) => {
                let mut scratch: Scratch = [0; SCRATCH_SIZE];
                decompressor.push(piece, &mut scratch, limits.max_message, push)
            }
        }
    }

    pub(crate) fn finish(mut self) -> Result<Message<'static>, Error> {
        if let Some(decompressor) = &mut self.decompressor {
            decompressor.finish(&mut [0; SCRATCH_SIZE])?;
        }
        Ok(match self.payload {
            PartialPayload::Text(text) => Message::from(text.finish()?),
            PartialPayload::Binary(bytes) => Message::from(bytes),
        })
    }
}

impl PartialPayload {
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Text(text) => text.capacity(),
            Self::Binary(bytes) => bytes.capacity(),
        }
    }

    /// Makes room for so many bytes in all.
    fn reserve_exact(&mut self, bytes: usize) {
        let additional = bytes.saturating_sub(self.len());
        match self {
            Self::Text(text) => text.reserve_exact(additional),
            Self::Binary(bytes) => bytes.reserve_exact(additional),
        }
    }

    fn push(&mut self, piece: &[u8]) -> Result<(), Error> {
        match self {
            Self::Text(text) => text.push(piece)?,
            Self::Binary(bytes) => bytes.extend_from_slice(piece),
        }
        Ok(())
    }
}
