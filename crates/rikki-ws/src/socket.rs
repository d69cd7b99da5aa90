//! What a handler's callbacks are lent: the connection they were called for.

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Waker};

use rikki_proto::{Checkpoint, CloseCode, Connection, Message, Output, PreparedMessage, SendError};

use super::compression::forget_work;
use super::config::Overflow;
use super::feeds::{Extras, Feeds};
use super::id::ConnectionId;
use super::meters::Tally;
use super::sender::{Command, Mailbox, Sender};
use super::terms::Terms;

/// One WebSocket, lent to a [`Handler`](super::Handler) for the length of a callback.
///
/// What is sent is written when the callbacks for everything that was read at once have returned, all of it with one
/// write. What the peer takes is written before that where the [`write_queue`](super::Config::write_queue) would
/// overflow, and of the first payload of 4 KiB and more that is sent with the last message of a read, if nothing waits
/// before it. It goes in the order in which it was accepted, also where a [`Sender`] has accepted some of it.
pub struct Socket<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) output: &'a mut Output,
    pub(super) mailbox: &'a mut Option<Arc<Mailbox>>,
    pub(super) extras: &'a mut Option<Box<Extras>>,
    pub(super) terms: &'a Arc<Terms>,
    /// Where what is sent is counted.
    pub(super) tally: Option<&'a Tally<'a>>,
    pub(super) wire: &'a mut dyn Wire,
    /// The waker of the task that will write what the peer does not take now.
    pub(super) waker: &'a Waker,
    /// What may be framed without looking further when more is sent, in bytes.
    pub(super) mark: usize,
    /// Whether nothing further waits of what was read with the message that this is lent for.
    pub(super) is_last: bool,
    /// From where on a callback that panics takes back what it has sent, if that is not where it began.
    pub(super) checkpoint: Option<Checkpoint>,
}

/// Where what is sent goes, and what is seldom asked of it.
pub(super) trait Wire {
    fn id(&self) -> ConnectionId;

    /// Something was refused for want of room: who sends is to be told when there is some.
    fn note_refused(&mut self);

    /// Writes what the peer takes of these pieces, before which nothing waits, and says how many bytes that was. A
    /// failure is met again by whoever writes next.
    fn write_at_once(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> usize;

    /// Writes what the peer takes.
    fn write(&mut self, cx: &mut Context<'_>, connection: &mut Connection, output: &mut Output) -> io::Result<()>;
}

/// From how many bytes on a borrowed payload is written at once, where nothing else waits, instead of being copied.
const WRITE_FROM: usize = 4 * 1024;

/// What is about to be sent.
#[derive(Clone, Copy, PartialEq)]
enum Sent {
    Message,
    /// A message that there was room for when it was asked.
    Promised,
    /// A ping or a pong.
    Control,
}

impl Socket<'_> {
    /// Sends a message as one frame, compressed if the peer agreed to that and compression gains by it: see
    /// [`Compression`](super::Compression).
    ///
    /// A payload that is borrowed is copied once, if it is not written at once; one that is owned or shared and has 16
    /// KiB or more is not.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] if what waits to be written has reached
    /// [`write_queue`](super::Config::write_queue), or where the message has more than 16 KiB and the
    /// [memory of all queues](super::Live::queue_memory) no room for it; [`SendError::Dropped`] if the endpoint's
    /// [`Overflow`](super::Overflow) has it so; [`SendError::Closed`] after a close.
    #[inline]
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError> {
        let message = message.into();
        let length = message.as_bytes().len();
        if !self.is_clear() || !self.terms.has_memory_for(length) {
            self.send_in_turn(message)
        } else if length >= WRITE_FROM && self.is_last {
            self.send_at_once(message)
        } else {
            let tally = self.tally;
            self.connection.send_noted(message, self.output, || _ = tally.inspect(|tally| tally.sent(length)))
        }
    }

    /// Sends a large message that comes last of what one read has asked for: what the peer takes of it is not copied.
    #[inline(never)]
    fn send_at_once(&mut self, message: Message<'_>) -> Result<(), SendError> {
        // What a callback sends after it is put together again.
        self.is_last = false;
        let length = message.as_bytes().len();
        if self.output.is_blocked() {
            let sent = self.connection.send(message, self.output);
            return self.framed(length, sent);
        }
        let (wire, waker) = (&mut *self.wire, self.waker);
        let mut written = 0;
        let write = |pieces: &[IoSlice<'_>]| {
            written = wire.write_at_once(&mut Context::from_waker(waker), pieces);
            written
        };
        let sent = self.connection.send_through(message, self.output, write);
        if written > 0 {
            // It is on its way.
            self.checkpoint = Some(self.output.checkpoint());
        }
        self.framed(length, sent)
    }

    /// Counts a message that was put into a frame.
    fn framed(&self, length: usize, sent: Result<(), SendError>) -> Result<(), SendError> {
        if let Some(tally) = self.tally.filter(|_| sent.is_ok()) {
            tally.sent(length);
        }
        sent
    }

    /// Sends a message where something may stand in its way.
    #[cold]
    #[inline(never)]
    fn send_in_turn(&mut self, message: Message<'_>) -> Result<(), SendError> {
        let length = message.as_bytes().len();
        let sent = match self.make_way(Sent::Message, length) {
            Ok(None) => {
                let sent = self.connection.send(message, self.output);
                self.framed(length, sent)
            }
            Ok(Some(mailbox)) => mailbox.push(Command::Message(message.into_owned())),
            Err(error) => Err(error),
        };
        self.noted(sent)
    }

    /// Sends a message that there was room for when it was asked: the mark may have become lower since.
    pub(super) fn send_promised(&mut self, message: Message<'_>) -> Result<(), SendError> {
        let length = message.as_bytes().len();
        match self.make_way(Sent::Promised, length)? {
            None => {
                let sent = self.connection.send(message, self.output);
                self.framed(length, sent)
            }
            Some(mailbox) => mailbox.push_promised(Command::Message(message.into_owned())),
        }
    }

    /// Sends a message as one frame, never compressed: for a secret beside text that others choose, of which the
    /// compressed length would tell ([RFC 7692 section 8](https://www.rfc-editor.org/rfc/rfc7692#section-8)).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_uncompressed<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError> {
        let message = message.into();
        let length = message.as_bytes().len();
        let sent = match self.make_way(Sent::Message, length) {
            Ok(None) => {
                let sent = self.connection.send_uncompressed(message, self.output);
                self.framed(length, sent)
            }
            Ok(Some(mailbox)) => mailbox.push(Command::Uncompressed(message.into_owned())),
            Err(error) => Err(error),
        };
        self.noted(sent)
    }

    /// Sends a message that was framed once for many receivers.
    ///
    /// Where compression was agreed on it is compressed once for all whose messages refer to none before them, for each
    /// size of window; [`PreparedMessage::uncompressed`] never is.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_prepared(&mut self, message: &PreparedMessage) -> Result<(), SendError> {
        let sent = match self.make_way(Sent::Message, message.len()) {
            Ok(None) => {
                let sent = self.connection.send_prepared(message, self.output);
                self.framed(message.len(), sent)
            }
            Ok(Some(mailbox)) => mailbox.push(Command::Prepared(message.clone())),
            Err(error) => Err(error),
        };
        self.noted(sent)
    }

    /// Sends a ping with at most 125 bytes of payload. Silent peers are pinged without being asked for.
    ///
    /// # Errors
    ///
    /// [`SendError::ControlTooLong`] over 125 bytes; else as [`send`](Self::send).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        let sent = match self.make_way(Sent::Control, payload.len()) {
            Ok(None) => self.connection.ping(payload, self.output),
            Ok(Some(mailbox)) => Command::ping(payload).and_then(|ping| mailbox.push(ping)),
            Err(error) => Err(error),
        };
        self.noted(sent)
    }

    /// Sends a pong that nobody has asked for, with at most 125 bytes of payload: a heartbeat in one direction
    /// ([RFC 6455 section 5.5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3)). Pings are answered without it.
    ///
    /// # Errors
    ///
    /// As [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        let sent = match self.make_way(Sent::Control, payload.len()) {
            Ok(None) => self.connection.pong(payload, self.output),
            Ok(Some(mailbox)) => Command::pong(payload).and_then(|pong| mailbox.push(pong)),
            Err(error) => Err(error),
        };
        self.noted(sent)
    }

    /// Starts the closing handshake. Messages that arrive before the peer has answered are still handed to the handler.
    ///
    /// # Errors
    ///
    /// [`SendError::InvalidCloseCode`] if the code must not be sent, [`SendError::ReasonTooLong`] over 123 bytes,
    /// [`SendError::Closed`] after an earlier close.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        let Some(mailbox) = self.mailbox.as_ref().filter(|_| self.connection.is_open()) else {
            return self.connection.close(code, reason, self.output);
        };
        // Senders on other threads learn of it in the same step that puts it behind what they have sent.
        mailbox.push(Command::close(code, reason)?)?;
        self.send_queued();
        Ok(())
    }

    /// A handle that sends to this connection from any thread or task, also after the callback has returned.
    #[must_use]
    pub fn sender(&mut self) -> Sender {
        let mailbox = self.mailbox().clone();
        if !self.connection.is_open() {
            mailbox.close();
        }
        Sender::new(mailbox)
    }

    /// What the connection takes messages from by itself; its task looks at it when the callback has returned.
    #[doc(hidden)]
    pub fn feeds(&mut self) -> &mut Option<Box<dyn Feeds>> {
        &mut self.extras.get_or_insert_default().feeds
    }

    /// Which connection it is, among all of the process: the same as that of its [`Sender`]s.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.wire.id()
    }

    /// Whether messages can still be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    /// Bytes that wait to be written, those that senders have queued included.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.output.len() + self.mailbox.as_ref().map_or(0, |mailbox| mailbox.queued())
    }

    /// Passes on whether something was sent; where there was no room it is offered again when there is.
    fn noted(&mut self, sent: Result<(), SendError>) -> Result<(), SendError> {
        let is_refused = matches!(sent, Err(SendError::Full | SendError::Dropped));
        // Where others have all the memory, room for this peer is not what is missing.
        if is_refused && self.queued() > self.terms.mark() / 2 {
            self.wire.note_refused();
        }
        sent
    }

    /// Whether nothing stands in the way of what is sent now.
    #[inline]
    fn is_clear(&self) -> bool {
        self.output.len() < self.mark
    }

    /// Whether more may be framed. What may be dropped later is not, while the peer takes nothing.
    fn has_room(&self, sent: Sent, length: usize) -> bool {
        // What others have sent since the promise does not take its room.
        let mark = if sent == Sent::Promised { usize::MAX } else { self.terms.mark().max(self.mark) };
        if sent == Sent::Control {
            return self.output.len() < mark;
        }
        let may_wait = self.terms.overflow == Overflow::DropOldest && self.output.is_blocked();
        self.output.len() < self.terms.framed_ahead(mark) && !may_wait && self.terms.has_memory_for(length)
    }

    /// Makes room for what is sent now, of `length` bytes: what senders have queued goes first, and at the mark the
    /// peer gets what it takes. Where it has to queue up behind others, this gives the queue.
    fn make_way(&mut self, sent: Sent, length: usize) -> Result<Option<&Mailbox>, SendError> {
        if self.is_clear() && self.terms.has_memory_for(length) {
            return Ok(None);
        }
        self.send_queued();
        if !self.connection.is_open() {
            return Err(SendError::Closed);
        }
        let backlog = self.output.len();
        if self.mailbox.as_ref().is_some_and(|mailbox| mailbox.set_backlog(backlog)) {
            return Ok(self.mailbox.as_deref());
        }
        if !self.has_room(sent, length) {
            self.write();
        }
        if self.has_room(sent, length) {
            return Ok(None);
        }
        match self.terms.overflow {
            Overflow::DropNewest if sent == Sent::Message => {
                self.terms.counts().dropped_messages.up();
                self.terms.meters.dropped_newest.up();
                Err(SendError::Dropped)
            }
            // There it can still be dropped.
            Overflow::DropOldest if sent != Sent::Control => {
                let backlog = self.output.len();
                let mailbox = self.mailbox();
                mailbox.set_backlog(backlog);
                Ok(Some(mailbox))
            }
            _ => Err(SendError::Full),
        }
    }

    /// Sends what is queued now; what comes in the meantime is accepted later than what follows.
    pub(super) fn send_queued(&mut self) {
        let mut left = self.mailbox.as_ref().map_or(0, |mailbox| mailbox.len());
        while let Some(mailbox) = self.mailbox.as_ref().filter(|_| left > 0) {
            let drained = mailbox.drain(self.connection, self.output, left, self.tally);
            left -= drained.moved;
            self.checkpoint = Some(self.output.checkpoint());
            if drained.emptied || drained.moved == 0 {
                return;
            }
            if left > 0 {
                // It stopped at the mark.
                self.write();
                if self.output.len() >= self.terms.framed_ahead(self.terms.mark()) {
                    return;
                }
            }
        }
    }

    /// Ends what a callback that panicked has begun at `start`: takes back what it has sent, as far as it is not on its
    /// way, and closes with 1011.
    pub(super) fn close_panicked(&mut self, start: Checkpoint) {
        // Before anything is taken back, since with context takeover it may refer to that; then nothing is.
        forget_work();
        self.send_queued();
        let sent = self.output.messages();
        self.output.rollback(self.checkpoint.unwrap_or(start));
        let taken_back = sent - self.output.messages();
        self.terms.counts().lost_messages.add(taken_back);
        if let Some(mailbox) = &self.mailbox {
            mailbox.count_dropped(taken_back);
        }
        // It fails where a Close was queued, which is as good.
        let _ = self.connection.close(CloseCode::INTERNAL_ERROR, "", self.output);
    }

    fn write(&mut self) {
        // Whoever drives the connection writes again before anything else, and meets the same error.
        let _ = self.wire.write(&mut Context::from_waker(self.waker), self.connection, self.output);
        self.checkpoint = Some(self.output.checkpoint());
    }

    fn mailbox(&mut self) -> &Arc<Mailbox> {
        // From now on what is sent has to look at it.
        self.mark = 0;
        self.mailbox.get_or_insert_with(|| {
            let mailbox = Arc::new(Mailbox::new(self.wire.id(), self.terms.clone()));
            if let Some(Tally { seen, .. }) = self.tally {
                seen.has_mailbox(&mailbox);
            }
            mailbox
        })
    }
}

impl fmt::Debug for Socket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("id", &self.id().get())
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}
