//! The callback face: borrowed messages, no allocation and no task switch per message.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rikki_proto::{CloseCode, Message, SendError, Text};
use tokio::io::{AsyncRead, AsyncWrite};

use super::driver::{Consumer, Driver, Flow, Panicked};
use super::error::Closed;
use super::opening::Opening;
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
/// A closure `Fn(&mut Socket, Message)` is the short form of a handler without state. It may return what
/// [`Socket::send`] returns: a [`SendError::Full`] closes the connection with 1013, other errors mean that it is
/// closing anyway.
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
pub trait Handler: Send + Sync + 'static {
    /// What the handler keeps for each connection.
    type State: Send + 'static;

    /// A connection has been opened.
    fn open(&self, socket: &mut Socket<'_>, opening: &Opening) -> Self::State;

    /// A whole message has arrived.
    fn message(&self, state: &mut Self::State, socket: &mut Socket<'_>, message: Message<'_>);

    /// The connection has ended; nothing can be sent any more.
    fn close(&self, state: Self::State, closed: &Closed) {
        let _ = (state, closed);
    }
}

impl<F, R> Handler for F
where
    F: Fn(&mut Socket<'_>, Message<'_>) -> R + Send + Sync + 'static,
    R: Outcome,
{
    type State = ();

    fn open(&self, _: &mut Socket<'_>, _: &Opening) {}

    fn message(&self, (): &mut (), socket: &mut Socket<'_>, message: Message<'_>) {
        if let Err(SendError::Full) = self(socket, message).into_result() {
            let _ = socket.close(CloseCode::TRY_AGAIN_LATER, "write queue full");
        }
    }
}

/// What a closure may return that serves as a [`Handler`]: nothing, or what [`Socket::send`] returns.
pub trait Outcome: sealed::Sealed {
    #[doc(hidden)]
    fn into_result(self) -> Result<(), SendError>;
}

impl Outcome for () {
    fn into_result(self) -> Result<(), SendError> {
        Ok(())
    }
}

impl Outcome for Result<(), SendError> {
    fn into_result(self) -> Result<(), SendError> {
        self
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl Sealed for Result<(), super::SendError> {}
}

/// A connection served by a handler, as a future.
pub(super) struct HandlerTask<I, H: Handler> {
    driver: Driver<I>,
    callbacks: Callbacks<H>,
    _tracker: Tracker,
}

impl<I: AsyncRead + AsyncWrite + Unpin, H: Handler> HandlerTask<I, H> {
    /// Opens the connection.
    pub(super) fn new(mut driver: Driver<I>, handler: Arc<H>, opening: &Opening, tracker: Tracker) -> Self {
        let open = |socket: &mut Socket<'_>| contained(socket, |socket| handler.open(socket, opening));
        // The first poll writes anew what cannot be written now.
        let state = driver.with_socket(Waker::noop(), open).ok();
        Self { driver, callbacks: Callbacks { handler, state }, _tracker: tracker }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin, H: Handler> Future for HandlerTask<I, H> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { driver, callbacks, .. } = self.get_mut();
        // Callbacks never make it yield, so it returns at the end alone.
        driver.poll(cx, callbacks).map(|_ended| ())
    }
}

impl<I, H: Handler> Drop for HandlerTask<I, H> {
    /// A connection that is cut, as at the end of a drain, has ended too.
    fn drop(&mut self) {
        let error = Some(io::Error::from(io::ErrorKind::ConnectionAborted).into());
        self.callbacks.closed(Closed { code: CloseCode::ABNORMAL, reason: Text::from(""), error });
    }
}

// Nothing in it is ever pinned: the state is moved out when the connection ends.
impl<I, H: Handler> Unpin for HandlerTask<I, H> {}

struct Callbacks<H: Handler> {
    handler: Arc<H>,
    /// `None` when the handler has been told that the connection ended, or has panicked.
    state: Option<H::State>,
}

impl<H: Handler> Consumer for Callbacks<H> {
    fn message(&mut self, socket: &mut Socket<'_>, message: Message<'_>) -> Result<Flow, Panicked> {
        let state = self.state.as_mut().ok_or(Panicked)?;
        contained(socket, |socket| self.handler.message(state, socket, message)).map(|()| Flow::Continue)
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
