//! What a WebSocket does from beginning to end when it is awaited: a closing handshake, a ping and its pong.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use futures_sink::Sink;
use rikki_proto::{CloseCode, Message, SendError};

use super::WebSocket;
use super::inbox::Nobody;
use crate::driver::Stopped;
use crate::error::Error;

impl WebSocket {
    /// Receives the next message, as the `Stream` does; `None` when the connection is over.
    ///
    /// # Errors
    ///
    /// Once, if the connection ended without a closing handshake: why it did.
    ///
    /// # Cancel safety
    ///
    /// No message is lost when the future is dropped.
    pub async fn recv(&mut self) -> Option<Result<Message<'static>, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Sends what a message can be made of, as the `Sink` does: waits until there is room for it, and until nothing is
    /// unsent any more.
    ///
    /// A peer that takes nothing for [`write_timeout`](crate::Config::write_timeout) ends the connection and this.
    /// A payload that is borrowed is copied once, into what is written.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] with [`SendError::Closed`] when the connection is closed or closing, with [`SendError::Full`] where
    /// others hold all the memory of queues and the message has more than 16 KiB, and with [`SendError::Dropped`] where
    /// [`Overflow`](crate::Overflow) says so.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, the message is sent whole or not at all; which of these is not known.
    ///
    /// ```
    /// use rikki_ws::{Error, WebSocket};
    ///
    /// async fn greet(mut socket: WebSocket) -> Result<(), Error> {
    ///     socket.send("Your name?").await?;
    ///     while let Some(name) = socket.recv().await {
    ///         let greeting = format!("Hello, {}!", name?.as_text().unwrap_or("stranger"));
    ///         socket.send(greeting).await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub async fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        poll_fn(|cx| Pin::new(&mut *self).poll_ready(cx)).await?;
        // The mark may have become lower since, and there is room as was promised.
        self.accept(message.into())?;
        poll_fn(|cx| self.poll_unsent(cx)).await
    }

    /// Closes the connection and waits for its end: sends the Close behind what has been accepted, takes the peer's
    /// answer, and ends TCP ([RFC 6455 section 7.1.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1)). How it
    /// ended is in [`closed`](Self::closed).
    ///
    /// Messages that have not been read are dropped, also those that come before the peer's answer. After an earlier
    /// close it waits for the end of that. It takes as long as the peer may:
    /// [`write_timeout`](crate::Config::write_timeout) without progress for what is unsent,
    /// [`close_timeout`](crate::Config::close_timeout) for the answer, and
    /// [`linger_timeout`](crate::Config::linger_timeout) for its end of TCP.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] if the code must not be sent or the reason is longer than 123 bytes, and nothing is closed then;
    /// another [`Error`] if the connection ended without the peer's answer.
    ///
    /// # Cancel safety
    ///
    /// The Close is on its way with the first poll. When the future is dropped, the closing handshake goes on as the
    /// stream is polled, or in the background when the WebSocket is dropped.
    ///
    /// ```
    /// use rikki_ws::{CloseCode, Error, WebSocket};
    ///
    /// async fn refuse(mut socket: WebSocket) -> Result<(), Error> {
    ///     socket.close_with(CloseCode(4001), "no such room").await
    /// }
    /// ```
    pub async fn close_with(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        match self.start_close(code, reason) {
            Ok(()) | Err(SendError::Closed) => {}
            Err(error) => return Err(error.into()),
        }
        self.inbox.clear();
        poll_fn(|cx| self.poll_end(cx)).await;
        match self.inbox.closed.as_mut().and_then(|closed| closed.error.take()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Pings the peer, and waits for the answer: how long that took, from when the ping was framed behind what had been
    /// accepted before it. What the peer does not take at once counts.
    ///
    /// Messages that come in the meantime are kept for the stream: as much of them as may be unsent, which is
    /// [`write_queue`](crate::Config::write_queue), and one more. Where that is not enough the answer cannot be read.
    /// While another task reads, [`Sender::round_trip`](crate::Sender::round_trip) does it without.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if there is no answer within [`pong_timeout`](crate::Config::pong_timeout), which does not
    /// end the connection; [`Error::Send`] with [`SendError::Closed`] if that ends before: the stream says why.
    /// [`SendError::Full`] where a message would be refused or 16 pings of this connection wait for their answers.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future forgets the answer, and no message; the ping may be sent all the same.
    ///
    /// ```
    /// use rikki_ws::{Error, WebSocket};
    ///
    /// async fn measure(socket: &mut WebSocket) -> Result<(), Error> {
    ///     println!("{} is {:?} away", socket.id(), socket.round_trip().await?);
    ///     Ok(())
    /// }
    /// ```
    pub async fn round_trip(&mut self) -> Result<Duration, Error> {
        let sender = self.sender().ok_or(SendError::Closed)?;
        let asking = Asking(self);
        let mut answered = pin!(sender.round_trip());
        poll_fn(|cx| match answered.as_mut().poll(cx) {
            Poll::Pending => {
                asking.0.poll_ahead(cx);
                // It may just have come, or the connection have ended.
                answered.as_mut().poll(cx)
            }
            ready => ready,
        })
        .await
    }

    /// Goes on with everything, and drops the messages that come, until the connection is over.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(driver) = &mut self.driver else { return Poll::Ready(()) };
        self.tasks.set_reader(cx.waker());
        let mut nobody = Nobody::default();
        let polled = driver.poll(&mut Context::from_waker(&self.tasks.common), &mut nobody);
        if let Some(closed) = nobody.closed {
            self.inbox.closed = Some(closed);
        }
        polled.map(|_ended| self.end())
    }

    /// Goes on with everything, and keeps the messages that come.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) {
        let Some(driver) = &mut self.driver else { return };
        self.tasks.set_reader(cx.waker());
        self.inbox.read_ahead(true, &self.terms);
        let cx = &mut Context::from_waker(&self.tasks.common);
        loop {
            match driver.poll(cx, &mut self.inbox) {
                // With that there is no room for more.
                Poll::Ready(Stopped::Yielded) => {}
                Poll::Ready(Stopped::Ended) => return self.end(),
                Poll::Pending => return,
            }
        }
    }
}

/// Reads ahead as long as it is there.
struct Asking<'a>(&'a mut WebSocket);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let WebSocket { inbox, terms, .. } = &mut *self.0;
        inbox.read_ahead(false, terms);
    }
}
