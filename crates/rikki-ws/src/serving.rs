//! The task that serves one WebSocket of the async face, and what its end says to the peer.

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;

use rikki_proto::{CloseCode, SendError};

use super::error::Error;
use super::id::ConnectionId;
use super::live::Live;
use super::local::Local;
use super::stream::Unfinished;
use crate::shown;
use rikki_limits::Seldom;

/// Lines about tasks that have failed.
static FAILURES: Seldom = Seldom::new();

/// What a task that serves a WebSocket may end with: nothing, or a `Result` whose error is one of
/// [`std::error::Error`]'s kind, such as [`Error`], a `Box<dyn Error + Send + Sync>` or what crates for errors have.
///
/// An error closes the WebSocket with 1011, or with 1013 if it is [`SendError::Full`], or with 1007 for a message that
/// is not the JSON that was expected, which is not logged and not counted. Any other is logged at the level
/// `warn`, at most once a second, and counted as [`closed_errors`](super::Counters::closed_errors). One that is the
/// connection's own end is none of these: its chain of sources holds an [`Error`] of this module that is not about what
/// was to be sent.
#[diagnostic::on_unimplemented(
    message = "a task that serves a WebSocket cannot end with `{Self}`",
    label = "this future ends with `{Self}`",
    note = "it may end with `()`, or with a `Result` whose error is a `std::error::Error + Send + Sync + 'static` or \
            can be made one, such as `rikki_ws::Error` or `Box<dyn std::error::Error + Send + Sync>`"
)]
pub trait Termination: sealed::Sealed {
    #[doc(hidden)]
    fn into_error(self) -> Option<Box<dyn StdError + Send + Sync>>;
}

impl Termination for () {
    fn into_error(self) -> Option<Box<dyn StdError + Send + Sync>> {
        None
    }
}

impl<T, E: Into<Box<dyn StdError + Send + Sync>>> Termination for Result<T, E> {
    fn into_error(self) -> Option<Box<dyn StdError + Send + Sync>> {
        self.err().map(Into::into)
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl<T, E> Sealed for Result<T, E> {}
}

/// Runs `task` to its end. The WebSocket that it drops in its last poll is closed as its end says.
pub(super) async fn serve<F: Future<Output: Termination>>(
    task: F,
    id: ConnectionId,
    peer: Option<SocketAddr>,
    live: Live,
) {
    let mut task = pin!(Some(task));
    let failed = std::future::poll_fn(|cx| {
        let within = Within::enter();
        let Some(running) = task.as_mut().as_pin_mut() else { return Poll::Pending };
        let polled = running.poll(cx).map(|end| end.into_error().filter(|error| !is_end_of_connection(&**error)));
        if polled.is_ready() {
            task.set(None);
        }
        let code = match &polled {
            Poll::Ready(Some(error)) if comes_of(&**error, SendError::Full) => CloseCode::TRY_AGAIN_LATER,
            Poll::Ready(Some(error)) if is_bad_message(&**error) => CloseCode::INVALID_PAYLOAD,
            Poll::Ready(Some(_)) => CloseCode::INTERNAL_ERROR,
            _ => CloseCode::NORMAL,
        };
        within.leave().into_iter().for_each(|unfinished| unfinished.close(code));
        polled
    });
    let Some(error) = failed.await else { return };
    if is_bad_message(&*error) {
        return live.counts().closed_violations.up();
    }
    live.counts().closed_errors.up();
    if let Some(left_out) = FAILURES.turn(()) {
        let peer = peer.map(tracing::field::display);
        let id = id.get();
        let why = shown::beginning(&Chain(&*error), shown::LOGGED);
        let why = why.escape_debug();
        tracing::warn!(target: "rikki::ws", id, peer, left_out, "the task of a WebSocket failed: {why}");
    }
}

/// Keeps a WebSocket that is dropped, if the task that drops it serves one: gives it back otherwise.
pub(super) fn keep(unfinished: Unfinished) -> Option<Unfinished> {
    let keep = |local: &Local| match &mut *local.dropped.borrow_mut() {
        Some(dropped) => {
            dropped.push(unfinished);
            None
        }
        None => Some(unfinished),
    };
    // At the end of a thread nothing is polled any more, and nothing closed.
    Local::with(keep).flatten()
}

/// A poll of a task that serves a WebSocket, inside of another one perhaps.
struct Within {
    outer: Option<Vec<Unfinished>>,
}

fn replace_dropped(dropped: Option<Vec<Unfinished>>) -> Option<Vec<Unfinished>> {
    Local::with(|local| local.dropped.replace(dropped)).flatten()
}

impl Within {
    fn enter() -> Self {
        Self { outer: replace_dropped(Some(Vec::new())) }
    }

    /// Ends it, and gives the WebSockets that were dropped in it.
    fn leave(mut self) -> Vec<Unfinished> {
        replace_dropped(self.outer.take()).unwrap_or_default()
    }
}

impl Drop for Within {
    /// A panic closes what was dropped before it as if there had been none; of the others it is known when they are
    /// dropped.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let dropped = replace_dropped(self.outer.take());
            dropped.into_iter().flatten().for_each(|unfinished| unfinished.close(CloseCode::NORMAL));
        }
    }
}

/// Whether an error says no more than that the connection has ended, which whoever closed it knows.
fn is_end_of_connection(error: &(dyn StdError + 'static)) -> bool {
    let mut errors = std::iter::successors(Some(error), |&error| error.source());
    errors.any(|error| match (error.downcast_ref::<Error>(), error.downcast_ref::<SendError>()) {
        (_, Some(SendError::Closed)) => true,
        (Some(error), _) => error.is_end(),
        (None, _) => false,
    })
}

/// Whether an error is this one of sending, or comes of it.
pub(super) fn comes_of(error: &(dyn StdError + 'static), sending: SendError) -> bool {
    let mut errors = std::iter::successors(Some(error), |&error| error.source());
    errors.any(|error| error.downcast_ref() == Some(&sending))
}

/// Whether an error says that a message of the peer is not what was expected, which is no failure of ours.
pub(super) fn is_bad_message(error: &(dyn StdError + 'static)) -> bool {
    let mut errors = std::iter::successors(Some(error), |&error| error.source());
    errors.any(|error| error.downcast_ref::<Error>().is_some_and(Error::is_bad_message))
}

/// An error with its causes, on one line.
struct Chain<'a>(&'a (dyn StdError + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let causes = std::iter::successors(self.0.source(), |&cause| cause.source());
        causes.into_iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;
    use std::io;

    use super::*;

    #[derive(Debug)]
    struct Wrapped(Box<dyn StdError + Send + Sync>);

    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("wrapped")
        }
    }

    impl StdError for Wrapped {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&*self.0)
        }
    }

    #[test]
    fn tells_the_end_of_a_connection_from_a_failure() {
        let check = |error: Box<dyn StdError + Send + Sync>, expected| {
            assert_eq!(is_end_of_connection(&*error), expected, "{error:?}");
            let wrapped = Wrapped(error);
            assert_eq!(is_end_of_connection(&wrapped), expected, "{wrapped:?}");
        };
        let io = || io::Error::from(io::ErrorKind::ConnectionReset);
        check(Box::new(Error::Io(io())), true);
        check(Box::new(Error::TimedOut(crate::Deadline::Pong)), true);
        check(Box::new(Error::Overflow), true);
        check(Box::new(Error::Send(SendError::Closed)), true);
        check(Box::new(SendError::Closed), true);
        check(Box::new(Error::Send(SendError::Full)), false);
        check(Box::new(SendError::Dropped), false);
        for error in [SendError::Full, SendError::Dropped] {
            assert!(comes_of(&Error::Send(error), error) && comes_of(&error, error));
            assert!(!comes_of(&error, SendError::Closed));
        }
        // A connection, but of another kind: to a database, for example.
        check(Box::new(io()), false);
        check("a text".into(), false);
    }

    #[test]
    fn tells_all_causes() {
        let error = Wrapped(Box::new(Wrapped("the cause".into())));
        assert_eq!(Chain(&error).to_string(), "wrapped: wrapped: the cause");
    }
}
