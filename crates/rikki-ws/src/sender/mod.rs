//! Sending from anywhere: a bounded queue between any thread and a connection's task.

mod mailbox;
mod queued_at;
mod waits;

use std::sync::Arc;
use std::time::Duration;

use rikki_proto::{CloseCode, Message, PreparedMessage, SendError};

use super::error::Error;
use super::id::ConnectionId;

pub(super) use mailbox::{Command, Drained, Mailbox};

/// Sends to one WebSocket from any thread or task, at any time.
///
/// A clone sends to the same connection. Nothing waits but what is `async`: what is sent is queued and the connection's task is
/// woken. What is accepted, here or by the connection's own task, arrives in the order in which it was, and before the
/// Close, whoever sends that; what cannot is counted as [`dropped`](Self::dropped). After a close nothing is accepted.
///
/// A callback sends much at once by its [`Socket`](super::Socket), which can write in the meantime: what it gives to a
/// `Sender` of its own connection waits until it returns.
///
/// Memory: about 140 bytes a connection from the first [`Socket::sender`](super::Socket::sender) on, and what is
/// queued, at most [`write_queue`](super::Config::write_queue) and one message.
///
/// ```no_run
/// # fn example(sender: rikki_ws::Sender) {
/// std::thread::spawn(move || {
///     while sender.send("tick").is_ok() {
///         std::thread::sleep(std::time::Duration::from_secs(1));
///     }
/// });
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Sender {
    mailbox: Arc<Mailbox>,
}

impl Sender {
    pub(super) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self { mailbox }
    }

    pub(super) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// Queues a message.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] at the high-water mark, or of more than 16 KiB where the
    /// [memory of all queues](super::Live::queue_memory) has no room for it; [`SendError::Dropped`] if the endpoint's
    /// [`Overflow`](super::Overflow) has it so; [`SendError::Closed`] when the connection is closed or closing.
    pub fn send(&self, message: impl Into<Message<'static>>) -> Result<(), SendError> {
        self.mailbox.push(Command::Message(message.into()))
    }

    /// Queues a message that is never compressed: see
    /// [`Socket::send_uncompressed`](super::Socket::send_uncompressed).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_uncompressed(&self, message: impl Into<Message<'static>>) -> Result<(), SendError> {
        self.mailbox.push(Command::Uncompressed(message.into()))
    }

    /// Queues a message that was framed once for many receivers.
    ///
    /// Where compression was agreed on it is compressed once for all whose messages refer to none before them, for each
    /// size of window; [`PreparedMessage::uncompressed`] never is.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_prepared(&self, message: &PreparedMessage) -> Result<(), SendError> {
        self.mailbox.push(Command::Prepared(message.clone()))
    }

    /// Queues a ping.
    ///
    /// # Errors
    ///
    /// [`SendError::ControlTooLong`] over 125 bytes; else as [`send`](Self::send).
    pub fn ping(&self, payload: &[u8]) -> Result<(), SendError> {
        self.mailbox.push(Command::ping(payload)?)
    }

    /// Pings the peer, and waits for the answer: how long that took, from when the ping was framed behind what had been
    /// accepted before it. What the peer does not take at once counts.
    ///
    /// What the peer has sent before its answer is handed over first, so it takes longer where nobody reads. Who waits
    /// inside of a callback's thread holds up what is waited for.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if there is no answer within [`pong_timeout`](super::Config::pong_timeout), which does not
    /// end the connection; [`Error::Send`] with [`SendError::Closed`] if that ends before, and with [`SendError::Full`]
    /// where [`send`](Self::send) would be refused or 16 pings of this connection wait for their answers.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future forgets the answer; the ping may be sent all the same.
    ///
    /// ```no_run
    /// # async fn example(sender: rikki_ws::Sender) -> Result<(), rikki_ws::Error> {
    /// println!("{:?} there and back", sender.round_trip().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn round_trip(&self) -> Result<Duration, Error> {
        self.mailbox.round_trip().await
    }

    /// Waits until no more than half of [`write_queue`](super::Config::write_queue) waits to be written: at once, if that
    /// is so.
    ///
    /// A peer that takes nothing for [`write_timeout`](super::Config::write_timeout) is cut, which ends this too; one
    /// that takes little keeps it waiting. Others may send before whoever has waited does, and a message of more than
    /// 16 KiB may still be [`SendError::Full`] where others hold all the memory of queues. A task that reads its
    /// [`WebSocket`](crate::WebSocket) itself waits for ever here, since nothing is written meanwhile: it has
    /// [`WebSocket::send`](crate::WebSocket::send).
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] when the connection is closed or closing.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    ///
    /// ```no_run
    /// use rikki_ws::{SendError, Sender};
    ///
    /// async fn feed(sender: Sender, rows: impl Iterator<Item = String>) -> Result<(), SendError> {
    ///     for row in rows {
    ///         sender.writable().await?;
    ///         sender.send(row)?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub async fn writable(&self) -> Result<(), SendError> {
        self.mailbox.wait_until_writable().await
    }

    /// Waits until the connection is closed or closing, so that nothing can be sent any more: for as long as it lasts.
    ///
    /// Memory: about 100 bytes a connection from when this, [`writable`](Self::writable) or
    /// [`round_trip`](Self::round_trip) is first called; as long as somebody waits, the future.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    ///
    /// ```no_run
    /// # async fn example(sender: rikki_ws::Sender) {
    /// tokio::spawn(async move {
    ///     let mut ticks = tokio::time::interval(std::time::Duration::from_secs(1));
    ///     loop {
    ///         tokio::select! {
    ///             () = sender.closed() => break,
    ///             _ = ticks.tick() => drop(sender.send("tick")),
    ///         }
    ///     }
    /// });
    /// # }
    /// ```
    pub async fn closed(&self) {
        self.mailbox.wait_until_closed().await;
    }

    /// Closes the connection when everything queued before has been sent. A full queue does not stand in the way.
    ///
    /// # Errors
    ///
    /// [`SendError::InvalidCloseCode`] if the code must not be sent, [`SendError::ReasonTooLong`] over 123 bytes,
    /// [`SendError::Closed`] when the connection is closed or closing.
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.mailbox.push(Command::close(code, reason)?)
    }

    /// Which connection it sends to, among all of the process: the same as [`Socket::id`](super::Socket::id) there.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.mailbox.id()
    }

    /// Bytes that wait to be written, about.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.mailbox.held_now()
    }

    /// How many messages to this connection have been accepted, from whichever sender or callback, and will not arrive:
    /// dropped by [`Overflow::DropOldest`](super::Overflow::DropOldest), or not written when the connection ended.
    ///
    /// Those that were refused with an error are not among them, nor those that the peer lost after they were written.
    /// What is lost with the connection is known when its task has ended, after
    /// [`Handler::close`](super::Handler::close). What callbacks and the sink have sent is among them from the first
    /// [`Socket::sender`](super::Socket::sender) on.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.mailbox.dropped()
    }

    /// Whether the connection is closed or closing, so that nothing can be sent any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.mailbox.is_closed()
    }
}
