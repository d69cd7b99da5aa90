//! Messages put together from fragments and unfinished frames,
//! [RFC 6455 section 5.4](https://www.rfc-editor.org/rfc/rfc6455#section-5.4).

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut, Bytes};

use crate::deflate::{Codecs, Lent, SCRATCH_SIZE, Scratch};
use crate::error::{Error, LimitExceeded};
use crate::memory::{MessageMemory, MessageShare};
use crate::message::Message;
use crate::output::LEAD;
use crate::utf8::Utf8Assembler;

/// What a message of known length may hold, as a multiple of what it needs room for.
const GROWTH: usize = 4;

/// How much room a message of `length` bytes is given that needs so much of it: `length`, or that divided by a power of
/// [`GROWTH`], and so less than that many times what is needed. Counted from the end, the steps leave none for last that
/// would copy nearly all of it for the sake of a few bytes.
fn room(needed: usize, length: usize) -> usize {
    let mut room = length;
    while room / GROWTH >= needed.max(1) {
        room /= GROWTH;
    }
    room
}

/// Bytes left free in front of a binary payload: as many as the header of a large frame from a server has, and
/// [`LEAD`]. Where the message is sent on, the payload then lies to a cache line as it does in the kernel's copy, which
/// copies faster.
const HEADROOM: usize = LEAD + 10;

/// A message under assembly: grows with what has arrived, never with what a header claims.
#[derive(Debug)]
pub(crate) struct PartialMessage {
    payload: PartialPayload,
    /// The length that the headers so far announce.
    announced: u64,
    /// How long it will be, if its last frame has begun and it is not compressed.
    length: Option<usize>,
    fragments: u32,
    /// How much of it has arrived, compressed or not, since that was last asked for.
    received: u32,
    /// If it is compressed, whether it will be a text. It is kept as it came until it is whole: a decompressor that
    /// waited for the rest would be one that others do not have.
    compressed: Option<bool>,
    /// What it takes of the memory for all.
    held: Option<MessageShare>,
}

#[derive(Debug)]
enum PartialPayload {
    Text(Utf8Assembler),
    /// Behind [`HEADROOM`], once there is anything.
    Binary(Vec<u8>),
}

impl PartialMessage {
    pub(crate) fn text() -> Self {
        Self::new(PartialPayload::Text(Utf8Assembler::default()), None)
    }

    pub(crate) fn binary() -> Self {
        Self::new(PartialPayload::Binary(Vec::new()), None)
    }

    pub(crate) fn compressed(is_text: bool) -> Self {
        Self::new(PartialPayload::Binary(Vec::new()), Some(is_text))
    }

    fn new(payload: PartialPayload, compressed: Option<bool>) -> Self {
        Self { payload, announced: 0, length: None, fragments: 0, received: 0, compressed, held: None }
    }

    pub(crate) fn take_received(&mut self) -> u64 {
        std::mem::take(&mut self.received).into()
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.compressed.is_some()
    }

    /// Ready when it has to give way to the messages of others.
    pub(crate) fn poll_evicted(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.held.as_ref().map_or(Poll::Pending, |held| held.poll_evicted(cx))
    }

    /// Judges the next fragment by its header alone (section 10.4), before any of its payload is taken.
    pub(crate) fn begin_fragment(&mut self, length: u64, fin: bool, limits: &crate::Limits) -> Result<(), Error> {
        self.fragments += 1;
        if self.fragments > limits.max_fragments {
            return Err(LimitExceeded::TooManyFragments { limit: limits.max_fragments }.into());
        }
        // Two lengths below 2^63 can't overflow, and the first that passes the limit ends the connection.
        self.announced = self.announced.saturating_add(length);
        match self.compressed {
            None => {
                self.length = usize::try_from(self.announced).ok().filter(|_| fin);
                limits.check_length(self.announced)
            }
            Some(_) => limits.check_compressed_length(self.announced),
        }
    }

    pub(crate) fn push(
        &mut self,
        piece: &[u8],
        limits: &crate::Limits,
        memory: Option<&Arc<MessageMemory>>,
    ) -> Result<(), Error> {
        self.received = self.received.saturating_add(count(piece.len()));
        let Self { payload, length, held, compressed, .. } = self;
        let most = if compressed.is_some() { limits.max_compressed() } else { limits.max_message_size };
        payload.extend(piece, *length, most, held, memory)
    }

    /// Lets `read` put between `least` and `most` more bytes into a binary message of known length, and gives them too.
    ///
    /// `None` if it is another message or holds less than `least`: what has arrived decides how much room it may take.
    pub(crate) fn fill<R>(
        &mut self,
        (least, most): (usize, usize),
        memory: Option<&Arc<MessageMemory>>,
        read: impl FnOnce(&mut dyn BufMut) -> R,
    ) -> Option<(R, &mut [u8])> {
        let Self { payload, length: Some(length), held, received, .. } = self else { return None };
        if !matches!(payload, PartialPayload::Binary(_)) || payload.len() < least {
            return None;
        }
        let wanted = room(payload.len() + least, *length);
        // What has no room is refused where it is pushed.
        payload.reserve(least, wanted, held, memory).ok()?;
        let PartialPayload::Binary(bytes) = payload else { return None };
        let (start, room) = (bytes.len(), bytes.capacity() - bytes.len());
        let result = read(&mut bytes.limit(room.min(most)));
        *received = received.saturating_add(count(bytes.len() - start));
        Some((result, bytes.get_mut(start..).unwrap_or_default()))
    }

    pub(crate) fn finish(self) -> Result<Message<'static>, Error> {
        self.payload.finish()
    }

    /// Decompresses what has been kept and the `last` piece.
    pub(crate) fn inflate(
        self,
        last: &[u8],
        limits: &crate::Limits,
        memory: Option<&Arc<MessageMemory>>,
        codecs: &Arc<dyn Codecs>,
    ) -> Result<Message<'static>, Error> {
        let PartialPayload::Binary(kept) = &self.payload else { return self.payload.finish() };
        let mut decompressor = Lent::from(codecs).ok_or(LimitExceeded::NoDecompressor)?;
        let mut payload = match self.compressed {
            Some(true) => PartialPayload::Text(Utf8Assembler::default()),
            _ => PartialPayload::Binary(Vec::new()),
        };
        let mut held = None;
        let mut scratch: Scratch = [0; SCRATCH_SIZE];
        for piece in [kept.get(HEADROOM..).unwrap_or_default(), last] {
            let push = |piece: &[u8]| payload.extend(piece, None, limits.max_message_size, &mut held, memory);
            decompressor.push(piece, &mut scratch, limits.max_message_size, push)?;
        }
        decompressor.finish(&mut scratch)?;
        payload.finish()
    }
}

/// A length as far as four bytes hold it: more in one window is fast enough.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl PartialPayload {
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len().saturating_sub(HEADROOM),
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Text(text) => text.capacity(),
            Self::Binary(bytes) => bytes.capacity().saturating_sub(HEADROOM),
        }
    }

    /// Where there is no room for so many more bytes, makes it for as many in all as are wanted.
    fn reserve(
        &mut self,
        additional: usize,
        wanted: usize,
        held: &mut Option<MessageShare>,
        memory: Option<&Arc<MessageMemory>>,
    ) -> Result<(), Error> {
        let needed = self.len() + additional;
        if needed <= self.capacity() {
            return Ok(());
        }
        let wanted = wanted.max(needed);
        MessageShare::grow(held, memory, wanted)?;
        let additional = wanted - self.len();
        match self {
            Self::Text(text) => text.reserve_exact(additional),
            Self::Binary(bytes) => {
                let headroom = HEADROOM.saturating_sub(bytes.len());
                bytes.reserve_exact(headroom + additional);
                bytes.resize(bytes.len() + headroom, 0);
            }
        }
        Ok(())
    }

    /// Adds a piece, of `length` bytes in all if that is known, and `most` if not.
    fn extend(
        &mut self,
        piece: &[u8],
        length: Option<usize>,
        most: usize,
        held: &mut Option<MessageShare>,
        memory: Option<&Arc<MessageMemory>>,
    ) -> Result<(), Error> {
        // Doubling keeps the copying linear, larger steps keep it low; neither goes where nothing can follow.
        let wanted = match length {
            Some(length) => room(self.len() + piece.len(), length),
            None => (self.capacity() * 2).min(most),
        };
        self.reserve(piece.len(), wanted, held, memory)?;
        self.push(piece)
    }

    fn finish(self) -> Result<Message<'static>, Error> {
        Ok(match self {
            Self::Text(text) => Message::from(text.finish()?),
            Self::Binary(bytes) => {
                let mut bytes = Bytes::from(bytes);
                bytes.advance(HEADROOM.min(bytes.len()));
                Message::from(bytes)
            }
        })
    }

    fn push(&mut self, piece: &[u8]) -> Result<(), Error> {
        match self {
            Self::Text(text) => text.push(piece)?,
            Self::Binary(bytes) => bytes.extend_from_slice(piece),
        }
        Ok(())
    }
}
