//! Groups: sets of WebSockets that are counted, sent to and closed together, under any server.
//!
//! A group has a [`Sender`] of each member, and the mailbox behind that knows the groups it is in: it tells them when
//! the connection's driver is gone, however that came. Neither lock is taken while the other is held.

mod members;

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use rikki_proto::{CloseCode, Message, PreparedMessage, SendError};
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::clock::spread;
use super::sender::{Command, Sender};
use members::Closing;
pub use members::Member;
pub(crate) use members::{Coming, Members};

/// Over what [`Group::shutdown`] closes, as long as a drain of our own server by default.
const SHUTDOWN_WINDOW: Duration = Duration::from_secs(1);

/// A set of WebSockets under any server and on any runtime: counted, sent to and closed together.
///
/// A clone is the same group. A WebSocket joins before its first callback by `Endpoint::group` or `Upgrade::group`, in
/// both faces, or by hand at any time by [`join`](Self::join), such as a room. It leaves by itself when its connection
/// is over, closing handshake and TCP included, however that comes: a panic, a cut, a task that has forgotten it. A
/// [`WebSocket`](crate::WebSocket) that was dropped and closes in the background is a member until then.
///
/// [rikki's own server](https://docs.rs/rikki) closes all of its WebSockets when it ends. Under `axum::serve` they are
/// cut with the process, and their clients see 1006, unless a group closes them and `main` waits for it.
///
/// ```no_run
/// use std::sync::LazyLock;
/// use std::time::Duration;
///
/// use axum::response::Response;
/// use axum::{Router, routing::any};
/// use rikki_ws::{Endpoint, Group, Upgrade};
///
/// static ALL: LazyLock<Group> = LazyLock::new(Group::new);
///
/// async fn chat(upgrade: Upgrade) -> Response {
///     upgrade.group(&ALL).on_upgrade(|mut socket| async move {
///         while let Some(Ok(message)) = socket.recv().await {
///             ALL.send(message);
///         }
///     })
/// }
///
/// # async fn signal() {}
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let app: Router = Router::new().route("/chat", any(chat));
/// let listener = tokio::net::TcpListener::bind("localhost:8000").await?;
/// // When the signal comes, axum takes no more requests, and the WebSockets are closed with 1001.
/// axum::serve(listener, app).with_graceful_shutdown(ALL.shutdown(signal())).await?;
/// // Upgraded connections are none that axum waits for.
/// let _ = tokio::time::timeout(Duration::from_secs(10), ALL.closed()).await;
/// # Ok(())
/// # }
/// ```
///
/// What is sent to a group is prepared once for all of it. Two threads that send at the same time may be heard in one
/// order by some members and in the other by others: where one order is needed, with history, use topics.
///
/// Memory: about 330 bytes a member, its [`Sender`] included, and 50 for each further group that it is in. A connection
/// in no group has nothing of this. A member's own messages go through its queue where they have to, as with any
/// `Sender`.
#[derive(Clone, Default)]
pub struct Group {
    members: Arc<Members>,
}

/// What has become of a message to a [`Group`], in members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// Those whose connection has accepted it.
    pub accepted: usize,
    /// Those who do not take what was sent before as fast as it comes: [`SendError::Full`], or [`SendError::Dropped`]
    /// where their endpoint's [`Overflow`](crate::Overflow) says so.
    pub refused: usize,
    /// Those whose connection is closed or closing.
    pub closed: usize,
}

impl Group {
    /// One without members.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a WebSocket be a member until the guard is dropped or its connection is over, whichever comes first; see
    /// [`Member::detach`] for one without a guard.
    ///
    /// It may join several times, by guards and by its endpoint: it is one member, gets each message once, and leaves
    /// with the last of them. One whose connection is over does not become a member; one that joins after
    /// [`close`](Self::close) is closed at once with the same code and reason.
    ///
    /// ```
    /// use rikki_ws::{Group, Handler, Member, Message, Opening, Socket};
    ///
    /// struct Room(Group);
    ///
    /// impl Handler for Room {
    ///     type State = Member;
    ///
    ///     fn open(&self, socket: &mut Socket<'_>, _: &Opening) -> Member {
    ///         self.0.join(&socket.sender())
    ///     }
    ///
    ///     fn message(&self, _: &mut Member, _: &mut Socket<'_>, message: Message<'_>) {
    ///         self.0.send(message);
    ///     }
    /// }
    /// ```
    pub fn join(&self, sender: &Sender) -> Member {
        self.members.admit(sender);
        Member::new(&self.members, sender)
    }

    /// How many members there are. It changes while others join and leave.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A sender to each member there is now, in the order in which their connections were opened.
    #[must_use]
    pub fn senders(&self) -> Vec<Sender> {
        self.members.senders()
    }

    /// Sends a message to all members: framed once, and compressed once as [`send_prepared`](Sender::send_prepared)
    /// says. Nothing waits for a slow one; what it was refused is in the result, so that nothing is lost in silence.
    /// Who joins meanwhile may get it or not.
    ///
    /// ```
    /// # let group = rikki_ws::Group::new();
    /// let sent = group.send("tick");
    /// if sent.refused > 0 {
    ///     println!("{} were too slow for this tick", sent.refused);
    /// }
    /// ```
    pub fn send<'m>(&self, message: impl Into<Message<'m>>) -> Sent {
        self.send_prepared(&PreparedMessage::new(message))
    }

    /// Sends a message that was prepared to all members, as [`send`](Self::send) does.
    pub fn send_prepared(&self, message: &PreparedMessage) -> Sent {
        let mut sent = Sent::default();
        self.members.for_each(|sender| match sender.send_prepared(message) {
            Ok(()) => sent.accepted += 1,
            Err(SendError::Closed) => sent.closed += 1,
            Err(_) => sent.refused += 1,
        });
        sent
    }

    /// Closes all members and waits until they have ended: as [`start_close`](Self::start_close), and then
    /// [`closed`](Self::closed).
    ///
    /// # Errors and panics
    ///
    /// As [`start_close`](Self::start_close).
    ///
    /// # Cancel safety
    ///
    /// Closing begins with the first poll, and goes on when the future is dropped.
    pub async fn close(&self, code: CloseCode, reason: &str, window: Duration) -> Result<(), SendError> {
        self.start_close(code, reason, window)?;
        self.closed().await;
        Ok(())
    }

    /// Starts to close all members, each behind what its connection has accepted: in random order, evenly spread over
    /// `window`, so that clients do not all come back at the same moment. A task of the runtime does that.
    ///
    /// From now on the group is closed: who joins, and whose handshake is under way, is closed at once with the same
    /// code and reason. Where one was closed before, by whomever, the first Close counts. Closing a group again closes
    /// those that are left over another window, with the first code and reason.
    ///
    /// # Errors
    ///
    /// [`SendError::InvalidCloseCode`] if the code must not be sent, [`SendError::ReasonTooLong`] over 123 bytes; the
    /// group stays open then.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time.
    pub fn start_close(&self, code: CloseCode, reason: &str, window: Duration) -> Result<(), SendError> {
        Command::close(code, reason)?;
        let runtime = Handle::current();
        let (closing, members) = self.members.start_close(code, reason);
        runtime.spawn(close_all(members, closing, window));
        Ok(())
    }

    /// Waits until the group was closed and all members have ended, closing handshake and TCP included, and those whose
    /// handshake was under way.
    ///
    /// Deadlines bound it: [`write_timeout`](crate::Config::write_timeout) without progress for what is unsent,
    /// [`close_timeout`](crate::Config::close_timeout) for the answer, and
    /// [`linger_timeout`](crate::Config::linger_timeout) for the end of TCP. They hold while a connection is driven: a
    /// [`WebSocket`](crate::WebSocket) that its task keeps and neither polls nor drops holds this up for as long as it
    /// does, and so does a callback that does not return. Where they may, put a timeout around this.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn closed(&self) {
        self.members.wait_until_over().await;
    }

    /// A future for axum's `with_graceful_shutdown`: it is ready when `signal` is, and all members are then being
    /// closed with [`CloseCode::GOING_AWAY`], 1001, over one second.
    ///
    /// When `axum::serve` has returned, wait for [`closed`](Self::closed): axum does not wait for WebSockets. What is
    /// still open when `main` returns is cut. With another code or window it is
    /// `async move { signal.await; _ = group.start_close(code, reason, window); }`.
    ///
    /// # Panics
    ///
    /// When it is ready, outside of a tokio runtime with time.
    pub fn shutdown<F: Future>(&self, signal: F) -> impl Future<Output = ()> + use<F> {
        let group = self.clone();
        async move {
            signal.await;
            // Nothing is wrong with that code.
            let _ = group.start_close(CloseCode::GOING_AWAY, "", SHUTDOWN_WINDOW);
        }
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("members", &self.len()).finish_non_exhaustive()
    }
}

async fn close_all(mut members: Vec<Sender>, (code, reason): Closing, window: Duration) {
    let random = RandomState::new();
    members.sort_by_cached_key(|sender| random.hash_one(sender.id()));
    let (size, pause) = spread(members.len(), window);
    for (index, senders) in members.chunks(size).enumerate() {
        if index > 0 {
            sleep(pause).await;
        }
        for sender in senders {
            // It fails where a Close came first, which is as good.
            let _ = sender.close(code, &reason);
        }
    }
}

#[cfg(test)]
mod tests;
