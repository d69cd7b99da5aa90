//! The callback face: borrowed messages, no allocation and no task switch per message.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rikki_proto::{CloseCode, Message, Text};
use tokio::io::{AsyncRead, AsyncWrite};

use super::context::ContextHandler;
use super::driver::{Consumer, Driver, Flow, Panicked};
use super::error::Closed;
use super::opening::Opening;
use super::outcome::{Callback, Outcome};
use super::socket::Socket;
use super::tracker::Tracker;

/// What an application does with its WebSockets, as callbacks.
///
/// One handler serves all connections of an endpoint; what belongs to one connection is its [`State`](Self::State).
/// The callbacks of one connection never run at the same time. They run on the thread that serves the connection and
/// hold it up, with all others of that thread, so long work belongs into a task or thread with a
/// [`Sender`](super::Sender) to answer through.
///
/// A callback that panics closes its connection with 1011 and nothing else.
///
/// A closure `Fn(&mut Socket, Message)` is the short form of a handler without state. It may return a `Result`, such as
/// that of [`Socket::send`]: what an error does is said at [`Outcome`].
///
/// ```
/// use rikki_ws::{Closed, Handler, Message, Opening, Socket};
///
/// struct Counter;
///
/// impl Handler for Counter {
///     type State = u64;
///
///     fn open(&self, _socket: &mut Socket<'_>, _opening: &Opening) -> u64 {
///         0
///     }
///
///     fn message(&self, count: &mut u64, socket: &mut Socket<'_>, _message: Message<'_>) {
///         *count += 1;
///         let _ = socket.send(format!("message {count}"));
///     }
///
///     fn close(&self, count: u64, closed: &Closed) {
///         println!("{count} messages, closed with {}", closed.code);
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not serve WebSockets",
    label = "this is no handler",
    note = "a handler is a type that implements `Handler`, or a closure or function with the arguments `&mut Socket<'_>` \
            and `Message<'_>`, whose types a closure has to name",
    note = "all connections share it: what changes belongs into `Handler::State`, or behind a lock, and not into a \
            closure that is `FnMut`",
    note = "an axum handler, such as one that takes an `Upgrade`, belongs into a route; a function that takes a \
            `WebSocket` belongs into `Upgrade::on_upgrade` there"
)]
pub trait Handler: Send + Sync + 'static {
    /// What the handler keeps for each connection.
    type State: Send + 'static;

    /// A connection has been opened.
    fn open(&self, socket: &mut Socket<'_>, opening: &Opening) -> Self::State;

    /// A whole message has arrived, lent for the length of the call: [`Message::into_owned`] keeps it, such as for
    /// another thread.
    fn message(&self, state: &mut Self::State, socket: &mut Socket<'_>, message: Message<'_>);

    /// A pong has come: the answer to a ping, which may be one that was sent after a silence and has no payload, or one
    /// that nobody has asked for ([RFC 6455 section 5.5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3)).
    ///
    /// It has at most 125 bytes. [`Sender::round_trip`](super::Sender::round_trip) measures how long it takes.
    fn pong(&self, state: &mut Self::State, socket: &mut Socket<'_>, payload: &[u8]) {
        let _ = (state, socket, payload);
    }

    /// There is room again: no more than half of [`write_queue`](super::Config::write_queue) waits to be written, after
    /// it was full or something that a callback has sent was refused with [`SendError::Full`](super::SendError::Full) or
    /// [`SendError::Dropped`](super::SendError::Dropped).
    ///
    /// Whoever sends much more than a queue holds goes on from here, at most once in a turn of the connection, so that
    /// others have theirs. It is not called when the connection is closing, nor where no more than half has waited, and
    /// a message of more than 16 KiB was refused because the [memory of all queues](super::Live::queue_memory) is used
    /// up: that others give it back is told to nobody.
    ///
    /// ```
    /// use rikki_ws::{Handler, Message, Opening, Socket};
    ///
    /// /// Counts from the number that the peer sends to 10 millions, as fast as the peer takes it.
    /// struct Count;
    ///
    /// impl Handler for Count {
    ///     type State = u32;
    ///
    ///     fn open(&self, _: &mut Socket<'_>, _: &Opening) -> u32 {
    ///         10_000_000
    ///     }
    ///
    ///     fn message(&self, next: &mut u32, socket: &mut Socket<'_>, message: Message<'_>) {
    ///         *next = message.as_text().and_then(|text| text.parse().ok()).unwrap_or(0);
    ///         self.writable(next, socket);
    ///     }
    ///
    ///     fn writable(&self, next: &mut u32, socket: &mut Socket<'_>) {
    ///         while *next < 10_000_000 && socket.send(next.to_string()).is_ok() {
    ///             *next += 1;
    ///         }
    ///     }
    /// }
    /// ```
    fn writable(&self, state: &mut Self::State, socket: &mut Socket<'_>) {
        let _ = (state, socket);
    }

    /// The connection has ended; nothing can be sent any more.
    fn close(&self, state: Self::State, closed: &Closed) {
        let _ = (state, closed);
    }
}

impl<F> Handler for F
where
    F: Callback<Returns: Outcome> + Send + Sync + 'static,
{
    type State = ();

    fn open(&self, _: &mut Socket<'_>, _: &Opening) {}

    #[inline]
    fn message(&self, (): &mut (), socket: &mut Socket<'_>, message: Message<'_>) {
        self.call(socket, message).conclude(socket);
    }
}

/// One handler for several endpoints.
impl<H: Handler> Handler for Arc<H> {
    type State = H::State;

    fn open(&self, socket: &mut Socket<'_>, opening: &Opening) -> H::State {
        Handler::open(&**self, socket, opening)
    }

    fn message(&self, state: &mut H::State, socket: &mut Socket<'_>, message: Message<'_>) {
        Handler::message(&**self, state, socket, message);
    }

    fn pong(&self, state: &mut H::State, socket: &mut Socket<'_>, payload: &[u8]) {
        Handler::pong(&**self, state, socket, payload);
    }

    fn writable(&self, state: &mut H::State, socket: &mut Socket<'_>) {
        Handler::writable(&**self, state, socket);
    }

    fn close(&self, state: H::State, closed: &Closed) {
        Handler::close(&**self, state, closed);
    }
}

/// A connection served by a handler, as a future.
pub(super) struct HandlerTask<I, H: ContextHandler> {
    driver: Driver<I>,
    callbacks: Callbacks<H>,
    _tracker: Tracker,
}

impl<I: AsyncRead + AsyncWrite + Unpin + 'static, H: ContextHandler> HandlerTask<I, H> {
    /// Opens the connection.
    pub(super) fn new(
        mut driver: Driver<I>,
        handler: Arc<H>,
        opening: &Opening,
        context: H::Context,
        tracker: Tracker,
    ) -> Self {
        let open = |socket: &mut Socket<'_>| contained(socket, |socket| handler.open(socket, opening, context));
        // The first poll writes anew what cannot be written now.
        let state = driver.with_socket(Waker::noop(), open).ok();
        Self { driver, callbacks: Callbacks { handler, state }, _tracker: tracker }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin + 'static, H: ContextHandler> Future for HandlerTask<I, H> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { driver, callbacks, .. } = self.get_mut();
        // Callbacks never make it yield, so it returns at the end alone.
        driver.poll(cx, callbacks).map(|_ended| ())
    }
}

impl<I, H: ContextHandler> Drop for HandlerTask<I, H> {
    /// A connection that is cut, as at the end of a drain, has ended too.
    fn drop(&mut self) {
        let error = Some(io::Error::from(io::ErrorKind::ConnectionAborted).into());
        self.callbacks.closed(Closed { code: CloseCode::ABNORMAL, reason: Text::from(""), error });
    }
}

// Nothing in it is ever pinned: the state is moved out when the connection ends.
impl<I, H: ContextHandler> Unpin for HandlerTask<I, H> {}

struct Callbacks<H: ContextHandler> {
    handler: Arc<H>,
    /// `None` when the handler has been told that the connection ended, or has panicked.
    state: Option<H::State>,
}

impl<H: ContextHandler> Consumer for Callbacks<H> {
    #[inline]
    fn message(&mut self, socket: &mut Socket<'_>, message: Message<'_>) -> Result<Flow, Panicked> {
        let state = self.state.as_mut().ok_or(Panicked)?;
        contained(socket, |socket| self.handler.message(state, socket, message)).map(|()| Flow::Continue)
    }

    fn pong(&mut self, socket: &mut Socket<'_>, payload: &[u8]) -> Result<(), Panicked> {
        let state = self.state.as_mut().ok_or(Panicked)?;
        contained(socket, |socket| self.handler.pong(state, socket, payload))
    }

    fn writable(&mut self, socket: &mut Socket<'_>) -> Result<(), Panicked> {
        let state = self.state.as_mut().ok_or(Panicked)?;
        contained(socket, |socket| self.handler.writable(state, socket))
    }

    fn closed(&mut self, closed: Closed) {
        if let Some(state) = self.state.take() {
            // A panic has been printed by the panic hook, and there is no connection left to end.
            let _ = catch_unwind(AssertUnwindSafe(|| self.handler.close(state, &closed)));
        }
    }
}

/// Runs a callback; if it panics, takes back what it sent and closes with 1011.
fn contained<R>(socket: &mut Socket<'_>, callback: impl FnOnce(&mut Socket<'_>) -> R) -> Result<R, Panicked> {
    let start = socket.output.checkpoint();
    let result = catch_unwind(AssertUnwindSafe(|| callback(socket)));
    if result.is_err() && socket.is_open() {
        socket.close_panicked(start);
    }
    result.map_err(|_panic| Panicked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Client;

    /// Pings with what it is sent, and sends what comes back.
    struct Pinging;

    impl Handler for Pinging {
        type State = ();

        fn open(&self, socket: &mut Socket<'_>, _: &Opening) {
            let sender = socket.sender();
            tokio::spawn(async move { sender.round_trip().await.map(|_| sender.send("answered")) });
        }

        fn message(&self, (): &mut (), socket: &mut Socket<'_>, message: Message<'_>) {
            socket.ping(message.as_bytes()).unwrap();
        }

        fn pong(&self, (): &mut (), socket: &mut Socket<'_>, payload: &[u8]) {
            assert_ne!(payload, b"panic", "as asked for");
            if payload.len() != 8 {
                socket.send(payload).unwrap();
            }
        }
    }

    #[test]
    fn pongs_are_seen_by_callbacks_and_senders() {
        let mut client = Client::open(Pinging);
        client.expect("answered");
        client.send("there and back");
        client.expect(b"there and back".as_slice());
        client.send("panic");
        client.expect_close(CloseCode::INTERNAL_ERROR);
    }
}
