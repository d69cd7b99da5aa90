//! Bytes into messages and control frames: the receiving half of a connection.
//!
//! ```text
//!            header incomplete            payload incomplete
//!             (<= 14 bytes kept)          (kept in the message)
//!                  +--+                        +--+
//!                  v  |      header whole      v  |
//!            --> Header -------------------> Payload --+
//!                  ^                                   | payload whole: hand out what FIN completes
//!                  +-----------------------------------+
//! ```

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BufMut;

use crate::assembly::PartialMessage;
use crate::deflate::Codecs;
use crate::error::{Error, ProtocolError};
use crate::frame::{FrameHeader, MAX_HEADER, Opcode};
use crate::limits::Limits;
use crate::mask::Mask;
use crate::memory::MessageMemory;
use crate::message::{Binary, Message};

/// How many bytes there have to be of a message, room for as many, and as many behind that, before it is worth reading
/// straight into it.
const FILL_LEAST: usize = 32 * 1024;

/// What the decoder hands out.
pub(crate) enum Incoming<'a> {
    Message(Message<'a>),
    Control(Opcode, Binary<'a>),
}

/// Reassembles what one peer sends; owns memory only between the first and the last byte of something.
pub(crate) struct Decoder {
    limits: Limits,
    /// Whether the peer has to mask: true on the server's side.
    masked: bool,
    /// Where decompressors come from, if the peer may compress.
    codecs: Option<Arc<dyn Codecs>>,
    /// What its messages may take together with those of others, if that has a bound.
    memory: Option<Arc<MessageMemory>>,
    /// A header of which some bytes have arrived.
    header: [u8; MAX_HEADER],
    header_length: u8,
    /// The frame whose payload is arriving.
    frame: Option<Frame>,
    /// The message that fragments or an unfinished frame belong to.
    message: Option<Box<PartialMessage>>,
    /// The payload of a control frame that did not arrive whole: it may come between the fragments of `message`.
    control: Box<[u8]>,
}

struct Frame {
    fin: bool,
    opcode: Opcode,
    remaining: u64,
    mask: Option<Mask>,
}

impl Decoder {
    pub(crate) fn new(limits: Limits, masked: bool) -> Self {
        Self {
            limits,
            masked,
            codecs: None,
            memory: None,
            header: [0; MAX_HEADER],
            header_length: 0,
            frame: None,
            message: None,
            control: Box::default(),
        }
    }

    /// The way of most messages to a server: short, in one frame, all of it there. Everything else, broken rules
    /// included, is left to [`next`](Self::next).
    #[inline(always)]
    pub(crate) fn next_short<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Message<'a>>, Error> {
        let [first @ (0x81 | 0x82), second @ 0x80..=0xfd, a, b, c, d, rest @ ..] = &**input else { return Ok(None) };
        let (is_text, length, key) = (*first == 0x81, usize::from(second & 0x7f), [*a, *b, *c, *d]);
        if length > rest.len() || length > self.limits.max_message_size || !self.masked || self.is_mid_message() {
            return Ok(None);
        }
        take(input, 6);
        let payload = take(input, length);
        Mask::new(key).apply(payload);
        Ok(Some(if is_text {
            // Section 8.1: "that endpoint MUST _Fail the WebSocket Connection_"
            Message::from(simdutf8::basic::from_utf8(payload).map_err(|_| ProtocolError::InvalidUtf8)?)
        } else {
            Message::from(&*payload)
        }))
    }

    /// Takes from the front of `input` until something is whole or `input` is empty.
    pub(crate) fn next<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Incoming<'a>>, Error> {
        loop {
            if self.frame.is_none() {
                let Some(header) = self.take_header(input)? else { return Ok(None) };
                self.check_sequence(&header)?;
                if let Some(whole) = self.take_whole(&header, input)? {
                    return Ok(Some(whole));
                }
                self.begin_frame(&header)?;
            }
            if let Some(incoming) = self.take_payload(input)? {
                return Ok(Some(incoming));
            }
            // Either the input is used up or a frame has ended that leaves its message open.
            if self.frame.is_some() {
                return Ok(None);
            }
        }
    }

    /// Forgets what has begun to arrive: nothing more is taken.
    pub(crate) fn clear(&mut self) {
        *self = Self { codecs: self.codecs.take(), ..Self::new(self.limits, self.masked) };
    }

    pub(crate) fn set_codecs(&mut self, codecs: Arc<dyn Codecs>) {
        self.codecs = Some(codecs);
    }

    pub(crate) fn set_message_memory(&mut self, memory: Arc<MessageMemory>) {
        self.memory = Some(memory);
    }

    pub(crate) fn codecs(&self) -> Option<&Arc<dyn Codecs>> {
        self.codecs.as_ref()
    }

    pub(crate) fn is_mid_message(&self) -> bool {
        self.header_length > 0 || self.frame.is_some() || self.message.is_some()
    }

    /// How much has arrived of the payload of the message under way, since this was last called.
    pub(crate) fn take_received(&mut self) -> u64 {
        self.message.as_mut().map_or(0, |message| message.take_received())
    }

    /// Lets `read` put what comes next straight into the large binary message under way, and unmasks it there.
    pub(crate) fn fill_payload<R>(&mut self, most: usize, read: impl FnOnce(&mut dyn BufMut) -> R) -> Option<R> {
        let (frame, message) = (self.frame.as_mut()?, self.message.as_mut()?);
        // The end is worth a copy: what follows it comes with the same read.
        let left = usize::try_from(frame.remaining).unwrap_or(usize::MAX).saturating_sub(FILL_LEAST);
        let most = most.min(left);
        if most < FILL_LEAST || frame.opcode.is_control() {
            return None;
        }
        let (result, filled) = message.fill((FILL_LEAST, most), self.memory.as_ref(), read)?;
        if let Some(mask) = &mut frame.mask {
            mask.apply(filled);
        }
        frame.remaining -= filled.len() as u64;
        Some(result)
    }

    /// Takes a header, keeping what there is of it if it is not whole.
    fn take_header(&mut self, input: &mut &mut [u8]) -> Result<Option<FrameHeader>, Error> {
        let kept = usize::from(self.header_length);
        if kept == 0
            && let Some((header, length)) = FrameHeader::parse(input, self.masked, self.codecs.is_some())?
        {
            take(input, length);
            return Ok(Some(header));
        }
        let added = input.len().min(MAX_HEADER - kept);
        for (slot, byte) in self.header.iter_mut().skip(kept).zip(input.iter()) {
            *slot = *byte;
        }
        let present = self.header.get(..kept + added).unwrap_or_default();
        match FrameHeader::parse(present, self.masked, self.codecs.is_some())? {
            Some((header, length)) => {
                take(input, length - kept);
                self.header_length = 0;
                Ok(Some(header))
            }
            None => {
                take(input, added);
                self.header_length = (kept + added) as u8; // at most MAX_HEADER
                Ok(None)
            }
        }
    }

    /// Section 5.4: fragments of different messages are not interleaved.
    fn check_sequence(&self, header: &FrameHeader) -> Result<(), Error> {
        match (header.opcode, self.message.is_some()) {
            (Opcode::Continuation, false) => Err(ProtocolError::UnexpectedContinuation.into()),
            (Opcode::Text | Opcode::Binary, true) => Err(ProtocolError::ExpectedContinuation.into()),
            // Section 10.4: a limit is judged before any of the payload is taken.
            (Opcode::Text | Opcode::Binary, false) if header.compressed => {
                self.limits.check_compressed_length(header.length)
            }
            (Opcode::Text | Opcode::Binary, false) => self.limits.check_length(header.length),
            _ => Ok(()),
        }
    }

    /// The way of most frames: all of it is there, and it is handed out where it lies.
    fn take_whole<'a>(
        &mut self,
        header: &FrameHeader,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Incoming<'a>>, Error> {
        let Ok(length) = usize::try_from(header.length) else { return Ok(None) };
        if length > input.len() || !header.fin || header.compressed || header.opcode == Opcode::Continuation {
            return Ok(None);
        }
        let payload = take(input, length);
        if let Some(key) = header.mask {
            Mask::new(key).apply(payload);
        }
        Ok(Some(match header.opcode {
            Opcode::Text => {
                // Section 8.1: "that endpoint MUST _Fail the WebSocket Connection_"
                let text = simdutf8::basic::from_utf8(payload).map_err(|_| ProtocolError::InvalidUtf8)?;
                Incoming::Message(Message::from(text))
            }
            Opcode::Binary => Incoming::Message(Message::from(&*payload)),
            control => Incoming::Control(control, Binary::from(&*payload)),
        }))
    }

    fn begin_frame(&mut self, header: &FrameHeader) -> Result<(), Error> {
        match header.opcode {
            Opcode::Text | Opcode::Binary if header.compressed => {
                self.message = Some(Box::new(PartialMessage::compressed(header.opcode == Opcode::Text)));
            }
            Opcode::Text => self.message = Some(Box::new(PartialMessage::text())),
            Opcode::Binary => self.message = Some(Box::new(PartialMessage::binary())),
            _ => {}
        }
        if let (false, Some(message)) = (header.opcode.is_control(), &mut self.message) {
            message.begin_fragment(header.length, header.fin, &self.limits)?;
        }
        self.frame = Some(Frame {
            fin: header.fin,
            opcode: header.opcode,
            remaining: header.length,
            mask: header.mask.map(Mask::new),
        });
        Ok(())
    }

    /// Ready when the message under way has to give way to those of others.
    pub(crate) fn poll_evicted(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.message.as_ref().map_or(Poll::Pending, |message| message.poll_evicted(cx))
    }

    /// Takes what there is of the payload, and hands out what its end completes.
    fn take_payload<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Incoming<'a>>, Error> {
        let Some(frame) = &mut self.frame else { return Ok(None) };
        let left = usize::try_from(frame.remaining).unwrap_or(usize::MAX);
        let piece = take(input, left.min(input.len()));
        if let Some(mask) = &mut frame.mask {
            mask.apply(piece);
        }
        frame.remaining -= piece.len() as u64;
        let (ended, fin, opcode) = (frame.remaining == 0, frame.fin, frame.opcode);
        if opcode.is_control() {
            // At most 125 bytes: section 5.5.
            if self.control.is_empty() {
                self.control = vec![0; left].into();
            }
            let start = self.control.len().saturating_sub(left);
            self.control.iter_mut().skip(start).zip(&*piece).for_each(|(slot, byte)| *slot = *byte);
        } else if let Some(message) = self.message.as_mut().filter(|message| !(ended && fin && message.is_compressed()))
        {
            message.push(piece, &self.limits, self.memory.as_ref())?;
        }
        if !ended {
            return Ok(None);
        }
        self.frame = None;
        if opcode.is_control() {
            return Ok(Some(Incoming::Control(opcode, Binary::from(Vec::from(std::mem::take(&mut self.control))))));
        }
        match (self.message.take_if(|_| fin), &self.codecs) {
            (Some(message), Some(codecs)) if message.is_compressed() => {
                Ok(Some(Incoming::Message(message.inflate(piece, &self.limits, self.memory.as_ref(), codecs)?)))
            }
            (Some(message), _) => Ok(Some(Incoming::Message(message.finish()?))),
            (None, _) => Ok(None),
        }
    }
}

/// Splits `length` bytes, or all there are, off the front of `input`.
fn take<'a>(input: &mut &'a mut [u8], length: usize) -> &'a mut [u8] {
    let all = std::mem::take(input);
    let (front, rest) = all.split_at_mut(length.min(all.len()));
    *input = rest;
    front
}
