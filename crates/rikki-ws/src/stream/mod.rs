//! The async face: a stream and sink of messages.

mod inbox;
mod tasks;
#[cfg(feature = "tungstenite-0_30")]
pub(crate) mod tungstenite_0_30;
#[cfg(feature = "json")]
mod typed;
mod waiting;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;
use rikki_proto::handshake::Subprotocol;
use rikki_proto::{CloseCode, Connection, Message, SendError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::ahead;
use crate::driver::{Driver, Stopped};
use crate::error::{Closed, Error};
#[cfg(feature = "axum")]
use crate::group::Coming;
use crate::id::ConnectionId;
use crate::sender::Sender;
use crate::serving;
use crate::socket::Socket;
use crate::terms::Terms;
use crate::trace::Trace;
use crate::tracker::Tracker;
use inbox::{Inbox, Nobody};
pub(crate) use tasks::Tasks;
#[cfg(feature = "json")]
pub use typed::Typed;

/// A byte stream of any kind.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// The TCP stream that it goes through, as far as that is known.
    fn tcp(&self) -> Option<&TcpStream>;
}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {
    fn tcp(&self) -> Option<&TcpStream> {
        ahead::below(self)
    }
}

/// A WebSocket as a `Stream` and `Sink` of messages.
///
/// The stream yields whole messages and ends with the connection: `None` after a closing handshake, or one error
/// before that. Pings are answered, the peer's Close is seen and deadlines are kept while the stream or the sink is
/// polled; silent peers are pinged while the stream is. A sink that is polled alone reads one message ahead, and stops.
///
/// Dropping it starts a closing handshake with code 1000 that goes on in the background for as long as
/// [`write_timeout`](crate::Config::write_timeout) and [`close_timeout`](crate::Config::close_timeout) allow: what it
/// and its [`Sender`]s have accepted goes first. The code is 1011 while panicking, and where the task that serves it
/// ends with an error: see [`Upgrade::on_upgrade`](crate::Upgrade::on_upgrade).
///
/// # Cancel safety
///
/// Polling the stream or the sink can be given up at any point: no byte, message or part of one is lost.
///
/// ```
/// use futures_util::{SinkExt, StreamExt};
/// use rikki_ws::{Error, WebSocket};
///
/// async fn echo(mut socket: WebSocket) -> Result<(), Error> {
///     while let Some(message) = socket.next().await {
///         socket.send(message?).await?;
///     }
///     Ok(())
/// }
/// ```
#[must_use = "dropping a WebSocket closes it"]
pub struct WebSocket {
    id: ConnectionId,
    driver: Option<Driver<Box<dyn Io>>>,
    inbox: Inbox,
    terms: Arc<Terms>,
    subprotocol: Option<Subprotocol>,
    tasks: Tasks,
    tracker: Tracker,
}

impl WebSocket {
    pub(crate) fn new(
        io: Box<dyn Io>,
        read_ahead: &[u8],
        connection: Connection,
        terms: Arc<Terms>,
        subprotocol: Option<Subprotocol>,
        tracker: Tracker,
        trace: Trace,
    ) -> Self {
        let id = trace.id;
        let driver = Some(Driver::new(io, read_ahead, connection, terms.clone(), trace));
        Self { id, driver, inbox: Inbox::default(), terms, subprotocol, tasks: Tasks::new(), tracker }
    }

    /// Lets it be a member of groups, before anybody has it.
    #[cfg(feature = "axum")]
    pub(crate) fn join(&mut self, groups: Vec<Coming>) {
        if let Some(driver) = &mut self.driver {
            driver.join(groups);
        }
    }

    /// Which connection it is, among all of the process: the same as that of its [`Sender`]s.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// The subprotocol that was agreed on.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.subprotocol.as_ref().map(Subprotocol::as_str)
    }

    /// A handle that sends from any thread or task; what it sends is written while the stream or the sink is polled.
    ///
    /// It is `None` when the connection is over: the stream has ended, or the sink has said so with an error. While it
    /// is only closing there is one, which sends nothing any more.
    ///
    /// Most who would split the WebSocket need no more than this: `futures_util`'s `split` puts it behind a lock that
    /// each poll of either half takes, allocates once, and leaves no method of this type but those of `Stream` and
    /// `Sink` until the halves are reunited. A task that reads, and `Sender`s in all that write, cost a
    /// [queue](Sender) and no lock in each read.
    #[must_use]
    pub fn sender(&mut self) -> Option<Sender> {
        Some(self.driver.as_mut()?.with_socket(&self.tasks.common, |socket| socket.sender()))
    }

    /// Starts the closing handshake, behind what has been accepted; the stream ends when the peer has answered.
    ///
    /// # Errors
    ///
    /// [`SendError::InvalidCloseCode`] if the code must not be sent, [`SendError::ReasonTooLong`] over 123 bytes,
    /// [`SendError::Closed`] after an earlier close.
    pub fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.with_socket(|socket| socket.close(code, reason))?;
        // Whoever reads has to wait for the answer now, with a deadline.
        self.tasks.common.wake_by_ref();
        Ok(())
    }

    /// Bytes that wait to be written, those that senders have queued included.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.driver.as_ref().map_or(0, Driver::unsent)
    }

    /// How the connection ended, when it has; the error, if there was one, is taken by the stream.
    #[must_use]
    pub fn closed(&self) -> Option<&Closed> {
        self.inbox.closed.as_ref()
    }

    /// Takes a message where `poll_ready` has promised room.
    pub(crate) fn accept(&mut self, message: Message<'_>) -> Result<(), SendError> {
        self.with_socket(|socket| socket.send_promised(message))
    }

    /// Whether it sends what it takes now, as far as is known.
    #[cfg(feature = "client")]
    pub(crate) fn is_open(&self) -> bool {
        self.driver.as_ref().is_some_and(Driver::is_open)
    }

    /// How much may be unsent, and read ahead, in bytes.
    #[cfg(feature = "client")]
    pub(crate) fn mark(&self) -> usize {
        self.terms.mark()
    }

    /// How the connection ended, with its error unless the stream has taken that.
    #[cfg(feature = "client")]
    pub(crate) fn take_closed(&mut self) -> Option<Closed> {
        self.inbox.closed.take()
    }

    /// Drops the connection without another word, so that what is unsent is counted as lost.
    #[cfg(feature = "client")]
    pub(crate) fn cut(&mut self) {
        self.driver = None;
    }

    fn with_socket(&mut self, send: impl FnOnce(&mut Socket<'_>) -> Result<(), SendError>) -> Result<(), SendError> {
        self.driver.as_mut().map_or(Err(SendError::Closed), |driver| driver.with_socket(&self.tasks.common, send))
    }

    /// Writes what is unsent, senders' messages included; ready when nothing is left. Goes on with everything else in
    /// the meantime, but for a second message that nobody reads.
    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Some(driver) = &mut self.driver else { return Poll::Ready(Err(SendError::Closed.into())) };
        self.tasks.set_writer(cx.waker());
        let was_open = self.inbox.closed.is_none();
        let cx = &mut Context::from_waker(&self.tasks.common);
        loop {
            match driver.poll(cx, &mut self.inbox) {
                Poll::Ready(Stopped::Yielded) => self.tasks.wake_reader(),
                Poll::Ready(Stopped::Ended) => {
                    self.end();
                    return Poll::Ready(Err(SendError::Closed.into()));
                }
                Poll::Pending => break,
            }
        }
        if (was_open && self.inbox.closed.is_some()) || driver.is_broken() || self.inbox.has_controls() {
            // Whoever reads is to learn what the peer has said.
            self.tasks.wake_reader();
        }
        if driver.is_broken() {
            return Poll::Ready(Err(SendError::Closed.into()));
        }
        match (driver.has_written_all(), &self.inbox.closed) {
            (false, _) => Poll::Pending,
            (true, Some(_)) => Poll::Ready(Err(SendError::Closed.into())),
            (true, None) => Poll::Ready(Ok(())),
        }
    }

    /// Reads until there is a message, or the connection is over.
    fn poll_read(&mut self, cx: &Context<'_>) -> Poll<()> {
        let Some(driver) = &mut self.driver else { return Poll::Ready(()) };
        self.tasks.set_reader(cx.waker());
        let stopped = ready!(driver.poll(&mut Context::from_waker(&self.tasks.common), &mut self.inbox));
        if matches!(stopped, Stopped::Ended) {
            self.end();
        }
        Poll::Ready(())
    }

    /// The connection is over: nothing else will wake a task that waits.
    fn end(&mut self) {
        self.driver = None;
        self.tasks.common.wake_by_ref();
    }
}

impl Stream for WebSocket {
    type Item = Result<Message<'static>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        // The sink may have found one.
        if let Some(message) = this.inbox.take() {
            // While there are more that were read ahead nobody else may come by to write, and to see deadlines.
            if this.inbox.has_message() {
                let _ = this.poll_read(cx);
            }
            return Poll::Ready(Some(Ok(message)));
        }
        ready!(this.poll_read(cx));
        if let Some(message) = this.inbox.take() {
            return Poll::Ready(Some(Ok(message)));
        }
        let error = this.inbox.closed.as_mut().and_then(|closed| closed.error.take());
        Poll::Ready(error.map(Err))
    }
}

impl Sink<Message<'static>> for WebSocket {
    type Error = Error;

    /// Waits until less than the high-water mark is unsent.
    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        let mark = this.terms.mark();
        if this.queued() < mark {
            return Poll::Ready(Ok(()));
        }
        match this.poll_unsent(cx) {
            Poll::Pending if this.queued() < mark => Poll::Ready(Ok(())),
            other => other,
        }
    }

    fn start_send(self: Pin<&mut Self>, message: Message<'static>) -> Result<(), Error> {
        // The mark may have become lower since `poll_ready`, which has promised room.
        Ok(self.get_mut().accept(message)?)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().poll_unsent(cx)
    }

    /// Sends a Close with code 1000 and flushes it; the stream then ends when the peer has answered.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        let _ = this.start_close(CloseCode::NORMAL, "");
        match ready!(this.poll_unsent(cx)) {
            Ok(()) | Err(Error::Send(SendError::Closed)) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        let Some(driver) = self.driver.take() else { return };
        let tasks = std::mem::replace(&mut self.tasks, Tasks::new());
        let unfinished = Unfinished { driver, tasks, _tracker: self.tracker.clone() };
        if std::thread::panicking() {
            if unfinished.driver.is_open() {
                self.terms.counts().closed_panics.up();
            }
            unfinished.close(CloseCode::INTERNAL_ERROR);
        } else if let Some(unfinished) = serving::keep(unfinished) {
            unfinished.close(CloseCode::NORMAL);
        }
    }
}

/// A WebSocket that was dropped: what is left to do is sending what was accepted, and the closing handshake.
pub(crate) struct Unfinished {
    driver: Driver<Box<dyn Io>>,
    tasks: Tasks,
    _tracker: Tracker,
}

impl Unfinished {
    /// Closes it in a task that nobody waits for. Without a runtime the connection is cut.
    pub(crate) fn close(mut self, code: CloseCode) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        // It fails where a Close came first, which is as good.
        let _ = self.driver.with_socket(&self.tasks.common, |socket| socket.close(code, ""));
        runtime.spawn(self);
    }
}

impl Future for Unfinished {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { driver, tasks, .. } = self.get_mut();
        tasks.set_reader(cx.waker());
        driver.poll(&mut Context::from_waker(&tasks.common), &mut Nobody::default()).map(|_ended| ())
    }
}

impl std::fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let open = self.driver.as_ref().is_some_and(Driver::is_open);
        f.debug_struct("WebSocket").field("id", &self.id.get()).field("open", &open).finish_non_exhaustive()
    }
}
