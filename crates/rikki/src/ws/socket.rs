//! What a handler's callbacks are lent: the connection they were called for.

use std::sync::Arc;

use rikki_proto::{CloseCode, Connection, Message, Output, PreparedMessage, SendError};

use super::sender::{Mailbox, Sender};
use super::settings::{Overflow, Settings};

/// One WebSocket, lent to a [`Handler`](super::Handler) for the length of a callback.
///
/// What is sent is written when the callbacks for everything that was read at once have returned, all of it with one
/// write.
#[derive(Debug)]
pub struct Socket<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) output: &'a mut Output,
    pub(super) mailbox: &'a mut Option<Arc<Mailbox>>,
    pub(super) settings: &'a Arc<Settings>,
    /// What may be unsent when more is sent, in bytes.
    pub(super) mark: usize,
}

impl Socket<'_> {
    /// Sends a message as one frame, compressed if the peer agreed to that and compression gains by it: see
    /// [`Compression`](super::Compression).
    ///
    /// A payload that is borrowed is copied once; one that is owned or shared and has 16 KiB or more is not.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] if what waits to be written has reached
    /// [`write_queue`](super::Settings::write_queue), or [`SendError::Dropped`] if the endpoint's
    /// [`Overflow`](super::Overflow) has it so; [`SendError::Closed`] after a close.
    #[inline]
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError> {
        self.check_room_for_message()?;
        self.connection.send(message, self.output)
    }

    /// Sends a message that there was room for when it was asked.
    pub(super) fn send_promised(&mut self, message: Message<'_>) -> Result<(), SendError> {
        if self.output.len() >= self.settings.write_queue {
            return Err(SendError::Full);
        }
        self.connection.send(message, self.output)
    }

    /// Sends a message as one frame, never compressed: for a secret beside text that others choose, of which the
    /// compressed length would tell ([RFC 7692 section 8](https://www.rfc-editor.org/rfc/rfc7692#section-8)).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_uncompressed<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError> {
        self.check_room_for_message()?;
        self.connection.send_uncompressed(message, self.output)
    }

    /// Sends a message that was framed once for many receivers.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_prepared(&mut self, message: &PreparedMessage) -> Result<(), SendError> {
        self.check_room_for_message()?;
        self.connection.send_prepared(message, self.output)
    }

    /// Sends a ping with at most 125 bytes of payload. Silent peers are pinged without being asked for.
    ///
    /// # Errors
    ///
    /// [`SendError::ControlTooLong`] over 125 bytes; else as [`send`](Self::send).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.check_room()?;
        self.connection.ping(payload, self.output)
    }

    /// Starts the closing handshake. Messages that arrive before the peer has answered are still handed to the handler.
    ///
    /// # Errors
    ///
    /// [`SendError::InvalidCloseCode`] if the code must not be sent, [`SendError::ReasonTooLong`] over 123 bytes,
    /// [`SendError::Closed`] after an earlier close.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.connection.close(code, reason, self.output)
    }

    /// A handle that sends to this connection from any thread or task, also after the callback has returned.
    #[must_use]
    pub fn sender(&mut self) -> Sender {
        let mailbox = self.mailbox.get_or_insert_with(|| Arc::new(Mailbox::new(self.settings.clone())));
        if !self.connection.is_open() {
            mailbox.close();
        }
        Sender::new(mailbox.clone())
    }

    /// Whether messages can still be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.output.len()
    }

    fn check_room(&self) -> Result<(), SendError> {
        if self.output.len() >= self.mark { Err(SendError::Full) } else { Ok(()) }
    }

    /// The same for a message, which may be dropped.
    fn check_room_for_message(&self) -> Result<(), SendError> {
        self.check_room().map_err(|full| match self.settings.overflow {
            Overflow::Pause | Overflow::Close => full,
            Overflow::DropNewest | Overflow::DropOldest => {
                self.settings.counts.dropped_messages.up();
                SendError::Dropped
            }
        })
    }
}
