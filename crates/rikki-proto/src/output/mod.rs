//! The bytes to be written, with large payloads left where they are.
//!
//! ```text
//!   buffer    | frame | frame | header |        | frame |
//!   payloads                           | 1 MiB  |
//! ```

mod unsent;

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use unsent::Begun;

/// Shared payloads of this many bytes and more are written from where they lie instead of being copied.
const SPLICE_FROM: usize = 16 * 1024;

/// Bytes left free in front of what is written. Large buffers begin where a page does, and so do those that TLS copies
/// it to, behind a header of five bytes. A processor takes a load for dependent on a store a few bytes before it in
/// another page ("4 KiB aliasing"), and copies at a fraction of the speed. From here on no load is that close behind a
/// store.
pub(crate) const LEAD: usize = 64;

/// Frames waiting to be written, in order: small ones in one buffer, large shared payloads between them.
///
/// Memory: the frames themselves; one that is new owns no heap memory, and one that was used keeps its buffer.
///
/// What only a driver with buffers of its own needs is not shown here, and changes without notice.
#[derive(Debug, Default)]
pub struct Output {
    /// Behind [`LEAD`], once there is anything.
    buffer: Vec<u8>,
    /// Where in `buffer` what has not been written begins.
    written: usize,
    /// Payloads that belong into the buffer at an offset, in order of their offsets.
    payloads: VecDeque<(usize, Bytes)>,
    /// The length of all `payloads` together.
    payload_bytes: usize,
    /// The frame of which a part has been written.
    begun: Begun,
    blocked: bool,
}

/// A place in an [`Output`] to which it can be rolled back.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint {
    buffer: usize,
    payloads: usize,
}

impl Output {
    /// Bytes not written yet.
    #[must_use]
    pub fn len(&self) -> usize {
        // What was written is a part of the buffer, and memory has room for the sum: neither can wrap.
        self.buffer.len().wrapping_sub(self.written).wrapping_add(self.payload_bytes)
    }

    /// Whether everything has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written == self.buffer.len() && self.payload_bytes == 0
    }

    /// The size of the buffer in bytes.
    #[doc(hidden)]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// What is to be written next, piece by piece; none of them is empty.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(self.written).chain(self.payloads.iter().map(|(at, _)| *at));
        let ends = self.payloads.iter().map(|(at, _)| *at).chain([self.buffer.len()]);
        let payloads = self.payloads.iter().map(|(_, payload)| &payload[..]).chain([&[][..]]);
        starts
            .zip(ends)
            .zip(payloads)
            .flat_map(|((start, end), payload)| [self.piece(start, end), payload])
            .filter(|chunk| !chunk.is_empty())
    }

    /// All that is to be written, if it lies in one piece: no large payload is among it.
    #[doc(hidden)]
    #[must_use]
    pub fn contiguous(&self) -> Option<&[u8]> {
        (self.payload_bytes == 0).then(|| self.piece(self.written, self.buffer.len()))
    }

    /// Notes that the first `count` bytes have been written.
    pub fn advance(&mut self, mut count: usize) {
        // Most writes take everything, and nothing of it is spliced.
        if self.payloads.is_empty() && self.written + count >= self.buffer.len() {
            self.clear();
            return;
        }
        self.note_written(count);
        while let Some((at, payload)) = self.payloads.front_mut() {
            let before = at.saturating_sub(self.written);
            if count < before {
                break;
            }
            count -= before;
            self.written += before;
            if count < payload.len() {
                drop(payload.split_to(count));
                self.payload_bytes -= count;
                return;
            }
            count -= payload.len();
            self.payload_bytes -= payload.len();
            self.payloads.pop_front();
        }
        self.written = (self.written + count).min(self.buffer.len());
        if self.is_empty() {
            self.clear();
        }
    }

    /// Whether the last write could not finish, so that what is added now has to wait for the peer.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Says whether writing waits for the peer; while it does, only the latest ping is answered.
    pub fn set_blocked(&mut self, blocked: bool) {
        self.blocked = blocked;
    }

    /// The end as it is now, for `rollback`.
    #[doc(hidden)]
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { buffer: self.buffer.len(), payloads: self.payloads.len() }
    }

    /// Takes back what was added since `checkpoint`, which holds until the next `advance` or `shrink`.
    ///
    /// With context takeover no compressed message may be sent after it: it could refer to one that was taken back.
    #[doc(hidden)]
    pub fn rollback(&mut self, checkpoint: Checkpoint) {
        // It may be from before there was a buffer.
        let end = checkpoint.buffer.max(LEAD);
        if end >= self.written {
            self.buffer.truncate(end);
            let dropped = self.payloads.drain(checkpoint.payloads.min(self.payloads.len())..);
            self.payload_bytes -= dropped.map(|(_, payload)| payload.len()).sum::<usize>();
        }
    }

    /// Gives back memory that is not needed for what is left to be written.
    #[doc(hidden)]
    pub fn shrink(&mut self) {
        if self.written > LEAD {
            self.buffer.drain(LEAD..self.written);
            for (at, _) in &mut self.payloads {
                *at -= self.written - LEAD;
            }
            self.written = LEAD;
        }
        if self.is_empty() {
            self.buffer.clear();
            self.written = 0;
        }
        self.buffer.shrink_to_fit();
        self.payloads.shrink_to_fit();
    }

    /// Makes what is in the buffer a payload like the others, so that a new buffer begins. One that grows with what
    /// waits for the peer would be copied again and again, and take up to twice its size.
    #[doc(hidden)]
    pub fn seal(&mut self) {
        self.shrink();
        let buffer = Bytes::from(std::mem::take(&mut self.buffer));
        let mut start = LEAD;
        let mut payloads = std::mem::take(&mut self.payloads);
        payloads.push_back((buffer.len().max(LEAD), Bytes::new()));
        for (at, payload) in payloads {
            let before = if start < at { buffer.slice(start..at) } else { Bytes::new() };
            self.payload_bytes += before.len();
            let pieces = [before, payload].into_iter().filter(|piece| !piece.is_empty());
            self.payloads.extend(pieces.map(|piece| (LEAD, piece)));
            start = at;
        }
        self.written = 0;
        self.buffer();
    }

    /// All that is left to be written, as one vector: for tests and small tools.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.chunks().collect::<Vec<_>>().concat()
    }

    /// The buffer, to which small frames are appended.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.buffer.is_empty() {
            self.buffer.resize(LEAD, 0);
            self.written = LEAD;
        }
        &mut self.buffer
    }

    fn piece(&self, start: usize, end: usize) -> &[u8] {
        self.buffer.get(start..end).unwrap_or_default()
    }

    fn clear(&mut self) {
        self.buffer.truncate(LEAD);
        self.written = self.buffer.len();
        self.begun = Begun::default();
    }

    /// Appends `payload` without copying it if that pays.
    pub(crate) fn push_shared(&mut self, payload: Bytes) {
        if payload.len() >= SPLICE_FROM {
            self.payload_bytes += payload.len();
            let at = self.buffer().len();
            self.payloads.push_back((at, payload));
        } else {
            self.buffer().extend_from_slice(&payload);
        }
    }

    /// Appends a frame, whose header `encode` writes, if `write` does not take it at once: it is called once if nothing
    /// waits, with the pieces of the frame, and says how many bytes of them it has taken. What is left alone is copied.
    pub(crate) fn push_through(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>),
        payload: &[u8],
        write: impl FnOnce(&[IoSlice<'_>]) -> usize,
    ) {
        let is_next = self.is_empty();
        encode(self.buffer());
        let start = self.written;
        let header = self.buffer.len() - start;
        let mut taken = 0;
        if is_next {
            taken = write(&[IoSlice::new(self.piece(start, self.buffer.len())), IoSlice::new(payload)]);
            if taken >= header + payload.len() {
                self.clear();
                return;
            }
            self.written = start + taken.min(header);
            self.note_begun(header + payload.len(), taken);
        }
        self.buffer().extend_from_slice(payload.get(taken.saturating_sub(header)..).unwrap_or_default());
    }

    /// The same with a payload that others send too: `share` gives it, and is not called where it is copied.
    #[inline]
    pub(crate) fn push_with(&mut self, payload: &[u8], share: impl FnOnce() -> Bytes) {
        if payload.len() >= SPLICE_FROM {
            self.push_shared(share());
        } else {
            self.buffer().extend_from_slice(payload);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> (Output, Vec<u8>) {
        let mut output = Output::default();
        let mut expected = Vec::new();
        for (length, byte) in [(3, b'a'), (SPLICE_FROM, b'b'), (SPLICE_FROM + 7, b'c'), (5, b'd'), (SPLICE_FROM, b'e')]
        {
            let payload = vec![byte; length];
            expected.extend_from_slice(&payload);
            output.push_shared(payload.into());
        }
        (output, expected)
    }

    #[test]
    fn any_sequence_of_partial_writes_gives_the_same_bytes() {
        for step in [1, 2, 3, 1000, SPLICE_FROM, SPLICE_FROM + 3, 100_000] {
            let (mut output, expected) = filled();
            let mut written = Vec::new();
            while !output.is_empty() {
                let all = output.to_vec();
                assert_eq!(all.len(), output.len());
                let count = step.min(all.len());
                written.extend_from_slice(&all[..count]);
                output.advance(count);
                match written.len() % 3 {
                    1 => output.shrink(),
                    2 => output.seal(),
                    _ => {}
                }
            }
            assert!(written == expected, "step {step}");
        }
    }

    #[test]
    fn rolls_back_to_a_checkpoint() {
        let (mut output, expected) = filled();
        output.advance(SPLICE_FROM);
        let checkpoint = output.checkpoint();
        output.push_shared(vec![b'x'; SPLICE_FROM].into());
        output.push_shared(vec![b'y'; 9].into());
        output.rollback(checkpoint);
        assert!(output.to_vec() == expected[SPLICE_FROM..]);
    }

    #[test]
    fn large_payloads_are_not_copied() {
        let payload = Bytes::from(vec![1; SPLICE_FROM]);
        let mut output = Output::default();
        output.push_shared(payload.clone());
        assert_eq!(output.chunks().next().unwrap().as_ptr(), payload.as_ptr());
        assert!(output.capacity() < SPLICE_FROM);
    }
}
