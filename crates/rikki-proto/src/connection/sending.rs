//! Messages that are not just put into a frame behind others: large ones, compressed ones and prepared ones.

use std::io::IoSlice;

use super::Connection;
use crate::deflate::Codecs;
use crate::error::SendError;
use crate::frame::FrameHeader;
use crate::message::Message;
use crate::output::Output;
use crate::prepared::PreparedMessage;
use crate::rare::Rare;

impl Connection {
    /// The same as [`send`](Self::send) for a large message that has not to wait for others: where its payload is
    /// borrowed and goes as it is, `write` is called with the frame, if nothing else waits in `output`, and says how
    /// many bytes it has written. What it leaves alone is copied.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    #[doc(hidden)]
    #[inline(never)]
    pub fn send_through(
        &mut self,
        message: Message<'_>,
        output: &mut Output,
        write: impl FnOnce(&[IoSlice<'_>]) -> usize,
    ) -> Result<(), SendError> {
        let is_compressed = self.decoder.codecs().is_some_and(|codecs| message.as_bytes().len() >= codecs.threshold());
        if is_compressed || !self.is_server() {
            return self.send(message, output);
        }
        self.check_open()?;
        Rare::show(&mut self.rare, &message);
        match message.into_parts() {
            (opcode, Ok(payload)) => {
                let length = payload.len() as u64;
                let header = FrameHeader { fin: true, compressed: false, opcode, length, mask: None };
                output.push_through(|buffer| header.encode(buffer), payload, write);
            }
            (opcode, Err(shared)) => self.encode_shared(opcode, shared, output),
        }
        Ok(())
    }

    pub(super) fn send_compressed(&mut self, codecs: &dyn Codecs, message: Message<'_>, output: &mut Output) {
        if !self.compress(codecs, &message, output) {
            self.encode_message(message, output);
        }
    }

    /// Sends a message compressed, unless nothing is gained by it: `false` then.
    fn compress(&mut self, codecs: &dyn Codecs, message: &Message<'_>, output: &mut Output) -> bool {
        let mut sent = false;
        codecs.compress(message.as_bytes(), &mut |compressed| {
            self.encode_frame(message.opcode(), true, compressed, output);
            sent = true;
        });
        sent
    }

    /// Sends a message as it is: for one that mixes a secret with what others choose, whose compressed length would
    /// tell of the secret ([RFC 7692 section 8](https://www.rfc-editor.org/rfc/rfc7692#section-8)).
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after a Close frame was sent or the connection failed.
    pub fn send_uncompressed<'a>(
        &mut self,
        message: impl Into<Message<'a>>,
        output: &mut Output,
    ) -> Result<(), SendError> {
        self.check_open()?;
        let message = message.into();
        Rare::show(&mut self.rare, &message);
        self.encode_message(message, output);
        Ok(())
    }

    /// Sends a message that was prepared for many receivers, compressed as [`send`](Self::send) does.
    ///
    /// For a server whose messages refer to none before them ([`Codecs::window_bits`]) it is compressed once, by whoever
    /// needs it first; others wait for that. Where they do refer to earlier ones it is compressed for this connection
    /// alone, and so it is for a client, which has to mask it besides and gains nothing by what was prepared.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after a Close frame was sent or the connection failed.
    pub fn send_prepared(&mut self, message: &PreparedMessage, output: &mut Output) -> Result<(), SendError> {
        self.check_open()?;
        Rare::show(&mut self.rare, message.message());
        if !self.send_prepared_compressed(message, output) {
            self.encode_prepared(message, output);
        }
        Ok(())
    }

    /// `false` if it is to be sent as it is.
    fn send_prepared_compressed(&mut self, message: &PreparedMessage, output: &mut Output) -> bool {
        let codecs = self.decoder.codecs().filter(|codecs| message.is_compressed_from(codecs.threshold()));
        let Some(codecs) = codecs else { return false };
        let Some(window_bits) = codecs.window_bits().filter(|_| self.is_server()) else {
            let codecs = codecs.clone();
            return self.compress(&*codecs, message.message(), output);
        };
        let Some(frame) = message.compressed(window_bits, &**codecs) else { return false };
        output.push_with(frame, || frame.clone());
        true
    }
}
