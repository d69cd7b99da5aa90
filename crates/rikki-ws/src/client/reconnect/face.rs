//! What a [`Reconnecting`] is used by: methods, `Stream` and `Sink`.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;

use super::{Event, ReconnectError, Reconnecting, State};
use crate::sender::Command;
use crate::{CloseCode, Closed, Message, SendError, Sender, WebSocket};

impl Reconnecting {
    /// Receives the next event, as the `Stream` does; `None` when all is over.
    ///
    /// # Errors
    ///
    /// Once, if it did not end with a close that nothing is wrong with: why there is no other connection.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time.
    ///
    /// # Cancel safety
    ///
    /// No event is lost when the future is dropped, and an attempt to connect goes on with the next poll.
    pub async fn recv(&mut self) -> Option<Result<Event, ReconnectError>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Sends what a message can be made of, as the `Sink` does: waits until there is a connection and room for it, and
    /// until nothing is unsent any more or the connection is lost.
    ///
    /// It makes connections itself: nobody else has to read meanwhile.
    ///
    /// # Errors
    ///
    /// [`ReconnectError::Send`] with [`SendError::Closed`](crate::SendError::Closed) when all is over (the stream says
    /// why), with others as for [`WebSocket::send`]. That a connection was lost with the message is none: see
    /// [`lost`](Self::lost).
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, the message is accepted whole or not at all; which of these is not known.
    pub async fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), ReconnectError> {
        poll_fn(|cx| Pin::new(&mut *self).poll_ready(cx)).await?;
        self.accept(message.into())?;
        poll_fn(|cx| Pin::new(&mut *self).poll_flush(cx)).await
    }

    /// Ends it for good, and waits until the connection has ended, if there is one: see [`WebSocket::close_with`].
    /// Events that have not been read are dropped.
    ///
    /// # Errors
    ///
    /// [`ReconnectError::Send`] if the code must not be sent or the reason is longer than 123 bytes, and nothing is
    /// closed then; [`ReconnectError::Final`] if the connection ended without the server's answer.
    ///
    /// # Cancel safety
    ///
    /// The Close is on its way with the first poll, and there is no other connection after it.
    pub async fn close_with(&mut self, code: CloseCode, reason: &str) -> Result<(), ReconnectError> {
        self.start_close(code, reason)?;
        while let Some(event) = self.recv().await {
            event?;
        }
        Ok(())
    }

    /// Ends it for good: starts the closing handshake, behind what has been accepted, if there is a connection. The
    /// stream ends when the server has answered.
    ///
    /// # Errors
    ///
    /// [`SendError::InvalidCloseCode`] if the code must not be sent, [`SendError::ReasonTooLong`] over 123 bytes:
    /// nothing is closed then.
    pub fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        Command::close(code, reason)?;
        if let State::Open(open) = &mut self.state {
            // It fails where it closes already.
            let _ = open.socket.start_close(code, reason);
        } else {
            self.state = State::Ended;
            self.tasks.common.wake_by_ref();
        }
        self.closing = true;
        Ok(())
    }

    /// How many messages were accepted for a connection that was lost before they were written.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let sender = if let State::Open(open) = &self.state { open.sender.as_ref() } else { None };
        self.lost + sender.map_or(0, Sender::dropped)
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.socket().map_or(0, WebSocket::queued)
    }

    /// The connection, while there is one: its id, its subprotocol.
    #[must_use]
    pub fn socket(&self) -> Option<&WebSocket> {
        match &self.state {
            State::Open(open) => Some(&open.socket),
            _ => None,
        }
    }

    /// A handle that sends on the connection of this moment, while there is one, such as for
    /// [`Sender::round_trip`]; messages of it that are lost are counted too.
    #[must_use]
    pub fn sender(&self) -> Option<Sender> {
        match &self.state {
            State::Open(open) => open.sender.clone(),
            _ => None,
        }
    }

    /// How the last connection was closed, when all has ended without an error.
    #[must_use]
    pub fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref()
    }

    /// Where `poll_ready` has promised room. Another task may have learned since then that the connection is lost, and
    /// the message is lost with it.
    fn accept(&mut self, message: Message<'_>) -> Result<(), ReconnectError> {
        let accepted = match &mut self.state {
            State::Open(open) => open.socket.accept(message),
            _ => Err(SendError::Closed),
        };
        let is_over = self.closing || matches!(self.state, State::Ended);
        match accepted {
            Err(SendError::Closed) if !is_over => {
                self.lost += 1;
                Ok(())
            }
            other => Ok(other?),
        }
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ReconnectError>> {
        loop {
            match &mut self.state {
                _ if self.closing => return Poll::Ready(Err(SendError::Closed.into())),
                State::Ended => return Poll::Ready(Err(SendError::Closed.into())),
                State::Open(open) => {
                    if open.socket.is_open()
                        && let Ok(()) = ready!(Pin::new(&mut open.socket).poll_ready(cx))
                    {
                        return Poll::Ready(Ok(()));
                    }
                    ready!(self.poll_rest(cx));
                }
                _ => ready!(self.poll_connected(cx)),
            }
        }
    }

    /// Until nothing is unsent, be it that it is lost.
    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let State::Open(open) = &mut self.state else { return Poll::Ready(()) };
        match ready!(Pin::new(&mut open.socket).poll_flush(cx)) {
            Ok(()) => Poll::Ready(()),
            // Whoever closes reads to the end.
            Err(_) if self.closing => Poll::Ready(()),
            Err(_) => self.poll_rest(cx),
        }
    }
}

impl Stream for Reconnecting {
    type Item = Result<Event, ReconnectError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.tasks.set_reader(cx.waker());
        let common = this.tasks.common.clone();
        let cx = &mut Context::from_waker(&common);
        loop {
            if let Some(event) = this.take_unread() {
                return Poll::Ready(Some(Ok(event)));
            }
            match &mut this.state {
                State::Ended => return Poll::Ready(this.error.take().map(Err)),
                State::Open(open) => match ready!(Pin::new(&mut open.socket).poll_next(cx)) {
                    Some(Ok(message)) => return Poll::Ready(Some(Ok(Event::Message(message)))),
                    Some(Err(error)) => this.end_open(Some(error)),
                    None => this.end_open(None),
                },
                _ => ready!(this.poll_connected(cx)),
            }
        }
    }
}

impl Sink<Message<'static>> for Reconnecting {
    type Error = ReconnectError;

    /// Waits until there is a connection, and less than the high-water mark is unsent.
    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), ReconnectError>> {
        let this = self.get_mut();
        this.tasks.set_writer(cx.waker());
        let common = this.tasks.common.clone();
        this.poll_room(&mut Context::from_waker(&common))
    }

    fn start_send(self: Pin<&mut Self>, message: Message<'static>) -> Result<(), ReconnectError> {
        self.get_mut().accept(message)
    }

    /// Ready when nothing is unsent; what is lost counts as sent here.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), ReconnectError>> {
        let this = self.get_mut();
        this.tasks.set_writer(cx.waker());
        let common = this.tasks.common.clone();
        this.poll_written(&mut Context::from_waker(&common)).map(Ok)
    }

    /// Ends it for good: sends a Close with code 1000, if there is a connection, and flushes it.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), ReconnectError>> {
        let this = self.get_mut();
        this.start_close(CloseCode::NORMAL, "")?;
        Pin::new(this).poll_flush(cx)
    }
}
