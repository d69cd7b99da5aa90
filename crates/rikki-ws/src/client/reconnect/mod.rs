//! A client that stays connected: it makes a connection anew when one is lost, and tells of it.
//!
//! How long it waits is in `backoff`, what it does about which loss in `loss`, and one attempt in `attempt`; here is
//! what it is at the moment, and its faces.

mod attempt;
mod backoff;
mod face;
mod loss;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream as _;
use http::Response;
use rand::rngs::StdRng;
use tokio::time::{Instant, Sleep, sleep};

use super::{Builder, opening};
use crate::stream::Tasks;
use crate::{CloseCode, Closed, Error, Message, Sender, WebSocket};
pub use attempt::ConnectHook;
use attempt::{Attempt, Hooks};
pub use backoff::Backoff;
use backoff::Pace;
pub use loss::{Loss, ReconnectError};

/// A WebSocket that is made anew when it is lost: a `Stream` of [`Event`]s and a `Sink` of messages. It is made by
/// [`Builder::reconnecting`], and connects when it is first polled.
///
/// The stream tells of messages, of each loss and of each connection that took its place, so that whoever reads knows
/// where something may be missing. It ends with `None` after a close that nothing is wrong with (1000, or no code) and
/// after one of ours, and with one error when there is to be no other connection: see [`Loss::is_transient`] for what
/// leads to one, and [`reconnect_if`](Self::reconnect_if). Nobody but whoever polls it drives it, the stream or the
/// sink.
///
/// # What is sent
///
/// Sending waits while there is no connection; nothing is queued meanwhile. A message that was accepted belongs to the
/// connection of that moment and is sent at most once: if that is lost before the message is written, it is counted in
/// [`lost`](Self::lost). That it was written does not say that the server has read it: who needs to know that has to
/// ask for an answer, and to send anew what lacks one after an [`Event::Connected`]. A sink that is used alone reads no
/// further than a message, so that it may learn of a loss only as it writes.
///
/// Dropping it closes the connection as dropping a [`WebSocket`] does.
///
/// # Cancel safety
///
/// Polling the stream or the sink can be given up at any point: no message, event or attempt is lost.
///
/// ```no_run
/// use rikki_ws::client::{Backoff, Builder, Event, ReconnectError};
///
/// async fn follow(url: &str) -> Result<(), ReconnectError> {
///     let mut prices = Builder::new(url).reconnecting(Backoff::default());
///     while let Some(event) = prices.recv().await {
///         match event? {
///             Event::Message(price) => println!("{price:?}"),
///             Event::Connected { reconnects, .. } => println!("connected, {reconnects} times anew"),
///             Event::Disconnected { why, retry_in, .. } => println!("{why}; again in {retry_in:?}"),
///             _ => {}
///         }
///     }
///     Ok(())
/// }
/// ```
#[must_use = "it connects when it is polled"]
pub struct Reconnecting {
    builder: Builder,
    hooks: Hooks,
    policy: Option<Policy>,
    pace: Pace,
    rng: Option<StdRng>,
    state: State,
    /// What the sink has found while nobody read.
    unread: VecDeque<Event>,
    unread_bytes: usize,
    connections: u64,
    lost: u64,
    /// We have closed it, or are about to.
    closing: bool,
    closed: Option<Closed>,
    error: Option<ReconnectError>,
    tasks: Tasks,
}

/// Whether there is another connection.
type Policy = Box<dyn FnMut(&Loss) -> bool + Send>;

enum State {
    /// The next attempt is to begin.
    Due,
    Waiting(Pin<Box<Sleep>>),
    Connecting(Attempt),
    Open(Box<Open>),
    Ended,
}

/// A connection, and what is asked when it was lost.
struct Open {
    socket: WebSocket,
    /// Knows how many messages were accepted and not written.
    sender: Option<Sender>,
    since: Instant,
}

/// What a [`Reconnecting`] tells of.
///
/// Where the sink has made connections while nobody read, of several losses and connections in a row the last are told.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A message.
    Message(Message<'static>),
    /// There is a connection, and the hook after connecting has done its work on it.
    #[non_exhaustive]
    Connected {
        /// How many connections there were before. Unless it is 0, what the server has sent in between is missing.
        reconnects: u64,
        /// The answer to the handshake.
        response: Response<()>,
    },
    /// The connection was lost, or an attempt has failed.
    #[non_exhaustive]
    Disconnected {
        /// Why.
        why: Loss,
        /// When the next attempt begins, from now.
        retry_in: Duration,
    },
}

impl Builder {
    /// Connects, and connects anew whenever the connection is lost: see [`Reconnecting`].
    ///
    /// An attempt that fails for a reason that will not pass, such as a wrong URL or a 403, ends it: see
    /// [`ConnectError::is_transient`](super::ConnectError::is_transient).
    pub fn reconnecting(self, backoff: Backoff) -> Reconnecting {
        Reconnecting {
            builder: self,
            hooks: Hooks::default(),
            policy: None,
            pace: Pace::new(backoff),
            rng: None,
            state: State::Due,
            unread: VecDeque::new(),
            unread_bytes: 0,
            connections: 0,
            lost: 0,
            closing: false,
            closed: None,
            error: None,
            tasks: Tasks::new(),
        }
    }
}

/// Settings, which belong before the first poll.
impl Reconnecting {
    /// Changes the request before each attempt, as for a token that expires. What it is given is the builder as it was
    /// set, without the changes of earlier attempts.
    ///
    /// Its failure is a failed attempt, as is taking longer than [`connect_timeout`](Builder::connect_timeout). The
    /// closure is cloned for each attempt.
    ///
    /// ```
    /// use std::io::Error;
    ///
    /// use rikki_ws::client::{Backoff, Builder};
    ///
    /// # async fn fresh_token() -> Result<String, Error> { Ok(String::new()) }
    /// let socket = Builder::new("wss://example.org/feed").reconnecting(Backoff::default()).request(
    ///     async |builder: Builder| {
    ///         let token = fresh_token().await?;
    ///         Ok::<_, Error>(builder.header("authorization", format!("Bearer {token}")))
    ///     },
    /// );
    /// ```
    pub fn request<F, R, E>(mut self, hook: F) -> Self
    where
        F: FnOnce(Builder) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<Builder, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.hooks.set_before(hook);
        self
    }

    /// Does something on each new connection before anybody else has it, such as to subscribe.
    ///
    /// Its failure is a failed attempt, and closes the connection, as is taking longer than
    /// [`connect_timeout`](Builder::connect_timeout); if the server had closed it, the code of that is what counts. It
    /// is an `async fn` or an `async` closure; one with variables of its own is `async move`, and they are cloned for
    /// each connection. Messages that it does not read are for the stream.
    ///
    /// ```
    /// use rikki_ws::WebSocket;
    /// use rikki_ws::client::{Backoff, Builder};
    ///
    /// let room = "lobby".to_owned();
    /// let socket = Builder::new("wss://example.org/chat")
    ///     .reconnecting(Backoff::default())
    ///     .on_connect(async move |socket: &mut WebSocket| socket.send(format!("join {room}")).await);
    /// ```
    pub fn on_connect<F, E>(mut self, hook: F) -> Self
    where
        F: for<'a> ConnectHook<'a, E> + Clone + Send + Sync + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.hooks.set_after(hook);
        self
    }

    /// Decides in place of [`Loss::is_transient`] whether there is another connection after a loss.
    ///
    /// ```
    /// use rikki_ws::CloseCode;
    /// use rikki_ws::client::{Backoff, Builder};
    ///
    /// // A server that closes with 1000 to have its clients elsewhere.
    /// let socket = Builder::new("wss://example.org/feed")
    ///     .reconnecting(Backoff::default())
    ///     .reconnect_if(|loss| loss.code() == Some(CloseCode::NORMAL) || loss.is_transient());
    /// ```
    pub fn reconnect_if(mut self, policy: impl FnMut(&Loss) -> bool + Send + 'static) -> Self {
        self.policy = Some(Box::new(policy));
        self
    }
}

/// What happens to the connection.
impl Reconnecting {
    /// Goes on with the next connection; ready when there is one, or none to come.
    fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.state {
                State::Due => self.state = State::Connecting(self.hooks.attempt(self.builder.clone())),
                State::Waiting(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    self.state = State::Due;
                }
                State::Connecting(attempt) => match ready!(attempt.as_mut().poll(cx)) {
                    Ok((socket, response)) => self.open(socket, response),
                    Err(loss) => self.lose(loss, None),
                },
                State::Open(_) | State::Ended => return Poll::Ready(()),
            }
        }
    }

    fn open(&mut self, mut socket: WebSocket, response: Response<()>) {
        let reconnects = self.connections;
        self.connections += 1;
        let sender = socket.sender();
        self.state = State::Open(Box::new(Open { socket, sender, since: Instant::now() }));
        self.tell(Event::Connected { reconnects, response });
    }

    /// The connection is over, to the end of TCP, or no longer wanted.
    fn end_open(&mut self, error: Option<Error>) {
        let State::Open(open) = std::mem::replace(&mut self.state, State::Ended) else { return };
        let Open { mut socket, sender, since } = *open;
        let mut closed = socket.take_closed().unwrap_or_else(|| Closed {
            code: CloseCode::ABNORMAL,
            reason: "".into(),
            error: None,
        });
        closed.error = error.or(closed.error);
        // Only then is all counted that was not written.
        socket.cut();
        self.lost += sender.map_or(0, |sender| sender.dropped());
        self.lose(Loss::Closed(closed), Some(since.elapsed()));
    }

    /// There is no connection any more, and there may be another one.
    fn lose(&mut self, loss: Loss, lasted: Option<Duration>) {
        let again = !self.closing && self.policy.as_mut().map_or_else(|| loss.is_transient(), |policy| policy(&loss));
        let failed = self.pace.count(lasted);
        match (again, failed, self.random()) {
            (false, ..) => self.end(loss),
            (true, Err(attempts), _) => self.error = Some(ReconnectError::GaveUp { attempts, last: loss }),
            (true, Ok(()), Err(error)) => self.error = Some(ReconnectError::Final(error)),
            (true, Ok(()), Ok(mut rng)) => {
                let retry_in = self.pace.wait(&mut rng, &loss);
                self.rng = Some(rng);
                self.state = State::Waiting(Box::pin(sleep(retry_in)));
                return self.tell(Event::Disconnected { why: loss, retry_in });
            }
        }
        self.state = State::Ended;
        self.tasks.common.wake_by_ref();
    }

    /// No other connection is wanted.
    fn end(&mut self, loss: Loss) {
        match loss {
            Loss::Closed(closed) if closed.error.is_none() && (self.closing || is_normal(closed.code)) => {
                self.closed = Some(closed);
            }
            loss => self.error = Some(ReconnectError::Final(loss)),
        }
    }

    fn random(&mut self) -> Result<StdRng, Loss> {
        self.rng.take().map_or_else(opening::seeded, Ok).map_err(Loss::Connect)
    }

    fn tell(&mut self, event: Event) {
        // Of what nobody has read the last counts, up to the message before it.
        while matches!((&event, self.unread.back()), (Event::Disconnected { .. }, Some(last)) if !last.is_message()) {
            self.unread.pop_back();
        }
        self.unread.push_back(event);
        // Both who reads and who writes have waited for it.
        self.tasks.common.wake_by_ref();
    }

    /// Reads what a connection that is over, or about to be, still has to say: as much as a connection may read ahead.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let State::Open(open) = &mut self.state {
            match ready!(Pin::new(&mut open.socket).poll_next(cx)) {
                Some(Ok(message)) if self.unread_bytes < open.socket.mark() => {
                    self.unread_bytes += size(&message);
                    self.unread.push_back(Event::Message(message));
                    self.tasks.common.wake_by_ref();
                }
                // There is no room for more, and who writes must not wait for who may be the same.
                Some(Ok(_)) | None => self.end_open(None),
                Some(Err(error)) => self.end_open(Some(error)),
            }
        }
        Poll::Ready(())
    }

    /// What the sink has found.
    fn take_unread(&mut self) -> Option<Event> {
        let event = self.unread.pop_front()?;
        if let Event::Message(message) = &event {
            self.unread_bytes -= size(message);
        }
        Some(event)
    }
}

/// What a message that is kept takes, in bytes.
fn size(message: &Message<'_>) -> usize {
    size_of::<Event>() + message.as_bytes().len()
}

/// Whether nothing is wrong with a close.
fn is_normal(code: CloseCode) -> bool {
    matches!(code, CloseCode::NORMAL | CloseCode::NO_STATUS)
}

impl Event {
    fn is_message(&self) -> bool {
        matches!(self, Self::Message(_))
    }
}

impl fmt::Debug for Reconnecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Due | State::Connecting(_) => "connecting",
            State::Waiting(_) => "waiting",
            State::Open(_) => "open",
            State::Ended => "ended",
        };
        f.debug_struct("Reconnecting")
            .field("state", &state)
            .field("connections", &self.connections)
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}
