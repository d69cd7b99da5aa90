//! A WebSocket in the clothes of tokio-tungstenite's: what libraries that were written for that one poll.

mod convert;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_core::stream::FusedStream;
use futures_sink::Sink;
use rikki_proto::{CloseCode, SendError};
use tungstenite::error::ProtocolError;
use tungstenite::{Error, Message};

use super::WebSocket;

/// How many pings and pongs may wait to be seen: of more the oldest give way.
const MOST_CONTROLS: usize = 16;

/// A [`WebSocket`] as a `Stream` and `Sink` of [`tungstenite::Message`] with [`tungstenite::Error`], as tokio-tungstenite's
/// `WebSocketStream` is (feature `tungstenite-0_30`): for libraries that take any such stream.
///
/// The crate `tungstenite` of that version is an application's own dependency, or that of the library.
///
/// Payloads of messages are shared and not copied; text is checked once more on its way, since neither side takes the
/// other's word for UTF-8. Limits, deadlines, keepalive and compression stay those of the WebSocket.
///
/// What is read:
///
/// - messages; pings, which have been answered, and pongs, also those to pings of
///   [`ping_interval`](crate::Config::ping_interval). Of pings and pongs that nobody reads the latest 16 are kept;
/// - the peer's Close as [`Message::Close`] when it comes, then `None` when the connection is over. It may be dropped
///   without waiting for that;
/// - one error, and then `None`, if it ended in another way. What tungstenite has a name for has that, such as
///   `Capacity`, `Utf8` and `ResetWithoutClosingHandshake`; anything else is an `Io` whose inner error is the
///   [`Error`](crate::Error) of the WebSocket.
///
/// What is sent:
///
/// - [`Message::Ping`] and [`Message::Pong`] are sent as they are, besides the answers to pings, which come by
///   themselves;
/// - [`Message::Close`] starts the closing handshake, behind what has been accepted; without a frame its code is 1000;
/// - [`Message::Frame`] is an `Io` error of the kind `Unsupported`: fragments and headers are the WebSocket's business.
///   A code or a reason that must not be sent is one of the kind `InvalidInput`;
/// - what finds no room is given back as `WriteBufferFull`, also where [`Overflow`](crate::Overflow) drops messages.
///
/// # Cancel safety
///
/// Polling the stream or the sink can be given up at any point: no message or part of one is lost.
///
/// ```
/// use futures_util::{Sink, SinkExt, Stream, StreamExt};
/// use rikki_ws::WebSocket;
/// use rikki_ws::tungstenite_0_30::Compat;
/// use tungstenite::{Error, Message};
///
/// // As a library may have it.
/// async fn echo<S>(mut socket: S) -> Result<(), Error>
/// where
///     S: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + Unpin,
/// {
///     while let Some(message) = socket.next().await {
///         let message = message?;
///         if message.is_text() || message.is_binary() {
///             socket.send(message).await?;
///         }
///     }
///     Ok(())
/// }
///
/// async fn serve(socket: WebSocket) -> Result<(), Error> {
///     echo(Compat::new(socket)).await
/// }
/// ```
#[derive(Debug)]
#[must_use = "dropping a WebSocket closes it"]
pub struct Compat {
    socket: WebSocket,
    /// The peer's Close has been read.
    is_close_read: bool,
    /// The connection ended in another way than by closing handshakes.
    has_failed: bool,
    /// `None` has been read.
    is_over: bool,
}

impl Compat {
    /// Puts it around a WebSocket, before the first message is read or later.
    pub fn new(mut socket: WebSocket) -> Self {
        socket.inbox.controls = Some(Box::default());
        Self { socket, is_close_read: false, has_failed: false, is_over: false }
    }

    /// The WebSocket below, such as for its [`sender`](WebSocket::sender).
    pub fn get_mut(&mut self) -> &mut WebSocket {
        &mut self.socket
    }

    /// The WebSocket alone. Pings and pongs that have not been read are forgotten, and no message is.
    pub fn into_inner(mut self) -> WebSocket {
        self.socket.inbox.controls = None;
        self.socket
    }

    /// The peer's Close, if it has come and was not read yet.
    fn close_to_read(&mut self) -> Option<Message> {
        let closed = self.socket.inbox.closed.as_ref().filter(|closed| closed.error.is_none())?;
        if self.is_close_read || self.has_failed {
            return None;
        }
        self.is_close_read = true;
        Some(convert::close(closed))
    }

    /// Whether all that was accepted has been written, though nothing more can be sent.
    fn is_all_written(&self) -> bool {
        match &self.socket.driver {
            Some(driver) => driver.has_written_all() && !driver.is_broken(),
            None => !self.has_failed && self.socket.inbox.closed.as_ref().is_some_and(|closed| closed.error.is_none()),
        }
    }

    /// What is said where nothing can be sent any more.
    fn refusal(&self) -> Error {
        match self.socket.driver {
            Some(_) => ProtocolError::SendAfterClosing.into(),
            None => Error::AlreadyClosed,
        }
    }

    /// Passes on what the WebSocket says of sending.
    fn sent(&self, result: Result<(), crate::Error>) -> Result<(), Error> {
        match result {
            Err(crate::Error::Send(SendError::Closed)) => Err(self.refusal()),
            other => other.map_err(convert::error),
        }
    }

    fn start_close(&mut self, frame: Option<tungstenite::protocol::CloseFrame>) -> Result<(), SendError> {
        match frame {
            Some(frame) => self.socket.start_close(CloseCode(frame.code.into()), &frame.reason),
            None => self.socket.start_close(CloseCode::NORMAL, ""),
        }
    }
}

impl Stream for Compat {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let has_message = this.socket.inbox.has_message();
        let polled = if has_message { Poll::Ready(()) } else { this.socket.poll_read(cx) };
        // They have come before the message.
        if let Some(control) = this.socket.inbox.controls.as_mut().and_then(|controls| controls.0.pop_front()) {
            return Poll::Ready(Some(Ok(control)));
        }
        if polled.is_pending() {
            return this.close_to_read().map_or(Poll::Pending, |close| Poll::Ready(Some(Ok(close))));
        }
        Poll::Ready(match ready!(Pin::new(&mut this.socket).poll_next(cx)) {
            Some(Ok(message)) => Some(convert::received(message)),
            Some(Err(error)) => {
                this.has_failed = true;
                Some(Err(convert::error(error)))
            }
            None => {
                let close = this.close_to_read();
                this.is_over = close.is_none();
                close.map(Ok)
            }
        })
    }
}

impl FusedStream for Compat {
    fn is_terminated(&self) -> bool {
        self.is_over
    }
}

impl Sink<Message> for Compat {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        let ready = ready!(Pin::new(&mut this.socket).poll_ready(cx));
        Poll::Ready(this.sent(ready))
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        let this = self.get_mut();
        // Shared, in case it is to be given back.
        let sent = match message.clone() {
            Message::Ping(payload) => this.socket.with_socket(|socket| socket.ping(&payload)),
            Message::Pong(payload) => this.socket.with_socket(|socket| socket.pong(&payload)),
            Message::Close(frame) => this.start_close(frame),
            other => {
                let message = convert::to_send(other)?;
                this.socket.with_socket(|socket| socket.send_promised(message))
            }
        };
        match sent {
            Err(SendError::Full | SendError::Dropped) => Err(Error::WriteBufferFull(Box::new(message))),
            other => this.sent(other.map_err(Into::into)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        match ready!(Pin::new(&mut this.socket).poll_flush(cx)) {
            // The peer's Close has come in the meantime, which takes nothing back.
            Err(_) if this.is_all_written() => Poll::Ready(Ok(())),
            other => Poll::Ready(this.sent(other)),
        }
    }

    /// Sends a Close with code 1000, unless there was one, and flushes it; the stream then ends when the peer has
    /// answered.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        let closed = ready!(Pin::new(&mut this.socket).poll_close(cx));
        Poll::Ready(this.sent(closed))
    }
}

/// Pings and pongs that have come and were not read.
#[derive(Debug, Default)]
pub(super) struct Controls(VecDeque<Message>);

impl Controls {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push_ping(&mut self, payload: &[u8]) {
        self.push(Message::Ping(Bytes::copy_from_slice(payload)));
    }

    pub(super) fn push_pong(&mut self, payload: &[u8]) {
        self.push(Message::Pong(Bytes::copy_from_slice(payload)));
    }

    fn push(&mut self, control: Message) {
        if self.0.len() == MOST_CONTROLS {
            self.0.pop_front();
        }
        self.0.push_back(control);
    }
}
