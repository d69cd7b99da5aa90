//! DEFLATE into messages, <https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2>.

use std::fmt;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::TAIL;
use super::compression::MAX_WINDOW_BITS;
use crate::error::{Error, LimitExceeded, ProtocolError};

/// The size of a [`Scratch`] in bytes.
pub const SCRATCH_SIZE: usize = 16 * 1024;

/// Where output goes before it is handed on: lent for one call, so that one of them serves a whole thread.
pub type Scratch = [u8; SCRATCH_SIZE];

/// Decompresses one message after the other.
///
/// Each message may refer back to those before it; [`reset`](Self::reset) makes it forget them.
///
/// It decompresses with the largest window whatever was agreed on: zlib-rs has one size only, and what keeps to a
/// smaller window is understood. Memory: [`MEMORY`](Self::MEMORY) bytes, allocated at once.
pub struct Decompressor {
    inflate: Inflate,
    /// The length of the message so far, in bytes of output.
    length: usize,
    /// Whether what was taken last ended a block marked as final.
    is_final: bool,
    /// What has gone in and come out since somebody asked, in bytes.
    taken: usize,
    produced: usize,
}

impl Default for Decompressor {
    fn default() -> Self {
        Self { inflate: Inflate::new(false, MAX_WINDOW_BITS), length: 0, is_final: false, taken: 0, produced: 0 }
    }
}

impl Decompressor {
    /// The heap memory of one decompressor in bytes, about: its window and its tables.
    pub const MEMORY: usize = 48 * 1024;

    /// A decompressor that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything, an unfinished or invalid message too.
    ///
    /// To be called before each message if the peer agreed on no context takeover, and before it serves another
    /// connection. It costs little: nothing is cleared.
    pub fn reset(&mut self) {
        self.inflate.reset(false);
        self.length = 0;
        self.is_final = false;
    }

    /// How many bytes have gone in and how many have come out since they were last taken: what it has gained, and what
    /// that has cost.
    #[must_use]
    pub fn work(&self) -> (usize, usize) {
        (self.taken, self.produced)
    }

    /// The same, and begins anew.
    pub fn take_work(&mut self) -> (usize, usize) {
        (std::mem::take(&mut self.taken), std::mem::take(&mut self.produced))
    }

    /// Decompresses the next piece of a message, and hands its output to `sink` in steps of at most 16 KiB.
    ///
    /// The whole message may have `limit` bytes of output: the byte after them ends it before any more is produced.
    /// `scratch` is overwritten.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::InvalidDeflate`] if the piece is not DEFLATE, [`LimitExceeded::CompressedTooLong`] if the
    /// message has more than `limit` bytes, and what `sink` returns. After each of them only [`reset`](Self::reset) may
    /// follow.
    pub fn push(
        &mut self,
        piece: &[u8],
        scratch: &mut Scratch,
        limit: usize,
        mut sink: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.taken += piece.len();
        let mut rest = piece;
        let mut is_drained = rest.is_empty();
        while !is_drained {
            // One byte more than may come tells a message at the limit from one above it.
            let left = limit.saturating_sub(self.length);
            let size = scratch.len().min(left.saturating_add(1));
            let room = scratch.get_mut(..size).unwrap_or_default();
            let (status, taken, written) = self.step(rest, room, InflateFlush::NoFlush);
            // All output is handed on before an error is told, and the limit before the status: which rule a message
            // breaks first does not depend on how it was cut.
            let fitting = written.min(left);
            self.length += fitting;
            self.produced += fitting;
            if let Some(output @ [_, ..]) = room.get(..fitting) {
                sink(output)?;
            }
            if written > left {
                return Err(LimitExceeded::CompressedTooLong { limit }.into());
            }
            rest = rest.get(taken..).unwrap_or_default();
            self.is_final = status? == Status::StreamEnd;
            is_drained = if self.is_final {
                // https://www.rfc-editor.org/rfc/rfc7692#section-7.2.3.4: a final block ends the stream as zlib sees
                // it, but not the message. What comes after it does not refer back to what came before.
                self.inflate.reset(false);
                rest.is_empty()
            } else {
                // Room that is left means that zlib waits for more input.
                written < size
            };
        }
        Ok(())
    }

    /// Ends the message, all pieces of which have been pushed; the next one may follow.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::InvalidDeflate`] if the message breaks off inside a block. After it only
    /// [`reset`](Self::reset) may follow.
    pub fn finish(&mut self, scratch: &mut Scratch) -> Result<(), Error> {
        self.length = 0;
        if std::mem::take(&mut self.is_final) {
            // There is no block for the tail to end. A sender owes an empty one after a final block (section 7.2.3.4),
            // but some leave it out, and nothing is lost by it.
            return Ok(());
        }
        // https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2: put back what the sender took off. With `Block` zlib
        // stops where a block ends and leaves the byte behind it alone; everywhere else it would take that byte too.
        let [a, b, c, d] = TAIL;
        let (status, taken, written) = self.step(&[a, b, c, d, 0], scratch, InflateFlush::Block);
        if status? == Status::StreamEnd || taken != TAIL.len() || written != 0 {
            return Err(ProtocolError::InvalidDeflate.into());
        }
        Ok(())
    }

    /// One call of zlib, and how many bytes it took and wrote, up to an error too.
    fn step(
        &mut self,
        input: &[u8],
        room: &mut [u8],
        flush: InflateFlush,
    ) -> (Result<Status, ProtocolError>, usize, usize) {
        let (taken_before, written_before) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(input, room, flush).map_err(|_| ProtocolError::InvalidDeflate);
        // At most the lengths of the two slices.
        let taken = (self.inflate.total_in() - taken_before) as usize;
        let written = (self.inflate.total_out() - written_before) as usize;
        (status, taken, written)
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").field("length", &self.length).finish_non_exhaustive()
    }
}
