//! What a closure that serves as a handler may return, and what becomes of its connection then.

use std::any::Any;
use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt::Display;

use rikki_limits::Seldom;
use rikki_proto::{CloseCode, Message, SendError};

use super::error::Error;
use super::serving;
use super::socket::Socket;
use crate::shown;

/// Lines about handlers that have failed.
static FAILURES: Seldom = Seldom::new();

/// What a closure may return that serves as a [`Handler`](super::Handler): nothing, or a `Result` with any error that
/// can be shown.
///
/// An error closes the connection with 1011, behind all that was accepted for it, also by the call that failed. It is
/// logged at the level `warn`, at most once a second, and counted as
/// [`closed_errors`](super::Counters::closed_errors); the peer is not told what it says. Messages that the peer has
/// sent before it answers are still handed over.
///
/// Those of [`Socket::send`] and its kin are not all failures: [`SendError::Full`] closes with 1013,
/// [`SendError::Closed`] means that it is closing anyway, and [`SendError::Dropped`] that a policy has done what it is
/// for. They are known for what they are as a [`SendError`], an [`Error`], and as a `Box<dyn std::error::Error>`, with
/// or without `Send + Sync`, that holds one; not inside of other types. Once the connection is closing, no error means
/// anything any more.
///
/// ```
/// use std::num::ParseIntError;
///
/// use rikki_ws::testing::Client;
/// use rikki_ws::{CloseCode, Message, Socket};
///
/// fn double(socket: &mut Socket<'_>, message: Message<'_>) -> Result<(), Box<dyn std::error::Error>> {
///     let number: u32 = message.as_text().ok_or("no text")?.parse()?;
///     socket.send((2 * number).to_string())?;
///     Ok(())
/// }
///
/// let mut client = Client::open(double);
/// client.send("21");
/// client.expect("42");
/// client.send("half");
/// client.expect_close(CloseCode::INTERNAL_ERROR);
/// ```
#[diagnostic::on_unimplemented(
    message = "a callback of a WebSocket cannot return `{Self}`",
    label = "this returns `{Self}`",
    note = "it may return nothing, or a `Result<(), E>` whose error can be shown, such as that of `Socket::send`",
    note = "callbacks are not async: an async function takes a `WebSocket` and belongs into `Upgrade::on_upgrade`, in an \
            axum handler; or a task answers by the `Sender` of `Socket::sender`"
)]
pub trait Outcome: sealed::Sealed {
    #[doc(hidden)]
    fn conclude(self, socket: &mut Socket<'_>);
}

impl Outcome for () {
    #[inline]
    fn conclude(self, _: &mut Socket<'_>) {}
}

/// Of a closure that never returns.
impl Outcome for Infallible {
    fn conclude(self, _: &mut Socket<'_>) {
        match self {}
    }
}

impl<E: Display + 'static> Outcome for Result<(), E> {
    #[inline]
    fn conclude(self, socket: &mut Socket<'_>) {
        if let Err(error) = self {
            conclude(socket, Failure::of(&error), &error);
        }
    }
}

/// What a closure or function is that serves as a [`Handler`](super::Handler): `Fn(&mut Socket<'_>, Message<'_>)`, with
/// any [`Outcome`].
///
/// It is there so that the compiler says of others what a handler is; nothing else implements it.
pub trait Callback {
    /// What it returns.
    type Returns;

    #[doc(hidden)]
    fn call(&self, socket: &mut Socket<'_>, message: Message<'_>) -> Self::Returns;
}

#[diagnostic::do_not_recommend]
impl<F: Fn(&mut Socket<'_>, Message<'_>) -> R, R> Callback for F {
    type Returns = R;

    #[inline(always)]
    fn call(&self, socket: &mut Socket<'_>, message: Message<'_>) -> R {
        self(socket, message)
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl Sealed for std::convert::Infallible {}
    impl<E: std::fmt::Display + 'static> Sealed for Result<(), E> {}
}

/// What an error says of the connection.
#[derive(Debug, PartialEq)]
enum Failure {
    /// Too much waits for the peer.
    Full,
    /// The peer's message is not what was expected.
    BadMessage,
    /// Nothing is wrong with whoever has returned it.
    Nothing,
    Other,
}

impl Failure {
    #[cold]
    fn of(error: &dyn Any) -> Self {
        if let Some(error) = error.downcast_ref::<SendError>() {
            Self::of_error(error)
        } else if let Some(error) = error.downcast_ref::<Error>() {
            Self::of_error(error)
        } else if let Some(error) = error.downcast_ref::<Box<dyn StdError + Send + Sync>>() {
            Self::of_error(&**error)
        } else if let Some(error) = error.downcast_ref::<Box<dyn StdError>>() {
            Self::of_error(&**error)
        } else {
            Self::Other
        }
    }

    fn of_error(error: &(dyn StdError + 'static)) -> Self {
        if serving::comes_of(error, SendError::Full) {
            Self::Full
        } else if serving::is_bad_message(error) {
            Self::BadMessage
        } else if [SendError::Closed, SendError::Dropped].iter().any(|sending| serving::comes_of(error, *sending)) {
            // Of its own socket there is nothing else to be told.
            Self::Nothing
        } else {
            Self::Other
        }
    }
}

#[cold]
fn conclude(socket: &mut Socket<'_>, failure: Failure, error: &dyn Display) {
    if !socket.is_open() || failure == Failure::Nothing {
        return;
    }
    if failure == Failure::Full {
        let _ = socket.close(CloseCode::TRY_AGAIN_LATER, "write queue full");
        return;
    }
    if failure == Failure::BadMessage {
        if socket.close(CloseCode::INVALID_PAYLOAD, "").is_ok() {
            socket.terms.counts().closed_violations.up();
        }
        return;
    }
    // It fails where a sender's Close is queued, which is as good.
    if socket.close(CloseCode::INTERNAL_ERROR, "").is_err() {
        return;
    }
    socket.terms.counts().closed_errors.up();
    if let Some(left_out) = FAILURES.turn(()) {
        let id = socket.id().get();
        // It may quote what the peer has sent.
        let why = shown::beginning(error, shown::LOGGED);
        let why = why.escape_debug();
        tracing::warn!(target: "rikki::ws", id, left_out, "the handler of a WebSocket failed: {why}");
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;
    use crate::testing::Client;
    use crate::{Config, Endpoint, Live, Message, Overflow};

    /// Any type that can be shown.
    struct Shown;

    impl Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("shown")
        }
    }

    #[test]
    fn errors_of_sending_are_told_from_failures() {
        let check = |error: SendError, expected: Failure| {
            assert_eq!(Failure::of(&error), expected);
            assert_eq!(Failure::of(&Error::Send(error)), expected);
            assert_eq!(Failure::of(&(Box::new(error) as Box<dyn StdError>)), expected);
            assert_eq!(Failure::of(&(Box::new(Error::Send(error)) as Box<dyn StdError + Send + Sync>)), expected);
        };
        check(SendError::Full, Failure::Full);
        check(SendError::Closed, Failure::Nothing);
        check(SendError::Dropped, Failure::Nothing);
        check(SendError::ControlTooLong { length: 200 }, Failure::Other);
        assert_eq!(Failure::of(&"a text"), Failure::Other);
        // What has failed is something else than the socket of the handler.
        assert_eq!(Failure::of(&Error::Io(std::io::ErrorKind::NotFound.into())), Failure::Other);
        assert_eq!(Failure::of(&Error::TimedOut(crate::Deadline::Close)), Failure::Other);
    }

    #[test]
    fn a_failure_closes_behind_what_was_accepted() {
        fn check<E: Display + 'static>(fail: fn() -> E) {
            let live = Live::new();
            let endpoint = Endpoint::new(move |socket: &mut Socket<'_>, message: Message<'_>| {
                let sender = socket.sender();
                sender.send("queued").unwrap();
                socket.send(message).unwrap();
                Err(fail())
            });
            let mut client = Client::open_at(&endpoint.live(&live), http::Request::new(()));
            client.send("sent");
            client.expect("queued");
            client.expect("sent");
            assert_eq!(client.expect_close(CloseCode::INTERNAL_ERROR), "", "the peer is not told why");
            assert_eq!(live.counters().closed_errors, 1);
        }
        check(|| "a text");
        check(|| Shown);
        check(|| Box::<dyn StdError>::from("a text"));
        check(|| Error::Io(std::io::ErrorKind::NotFound.into()));
        check(|| "long ".repeat(1 << 20));
        check(|| SendError::InvalidCloseCode(1005));
    }

    /// Of the peer, in either face.
    #[cfg(feature = "json")]
    #[test]
    fn a_message_that_is_not_what_was_expected_is_no_failure_of_ours() {
        let live = Live::new();
        let endpoint = Endpoint::new(|_: &mut Socket<'_>, message: Message<'_>| -> Result<(), Error> {
            let _: u64 = message.json().map_err(Error::Json)?;
            Ok(())
        });
        let mut client = Client::open_at(&endpoint.live(&live), http::Request::new(()));
        client.send("1");
        client.expect_silence();
        client.send("one");
        client.expect_close(CloseCode::INVALID_PAYLOAD);
        assert_eq!((live.counters().closed_violations, live.counters().closed_errors), (1, 0));
    }

    #[test]
    fn what_is_dropped_or_full_is_no_failure() {
        for (overflow, is_closed) in [(Overflow::DropNewest, false), (Overflow::Pause, true)] {
            let (live, accepted) = (Live::new(), Arc::<AtomicUsize>::default());
            let count = accepted.clone();
            let flood = move |socket: &mut Socket<'_>, _: Message<'_>| -> Result<(), SendError> {
                (0..9).try_for_each(|_| {
                    socket.send([7; 30_000].as_slice())?;
                    count.fetch_add(1, Relaxed);
                    Ok(())
                })
            };
            let config = Config::default().write_queue(50_000).overflow(overflow);
            let endpoint = Endpoint::new(flood).config(config).live(&live);
            let mut client = Client::open_at(&endpoint, http::Request::new(()));
            client.send("go");
            let accepted = accepted.load(Relaxed);
            assert!((1..9).contains(&accepted), "{accepted}");
            for _ in 0..accepted {
                assert_eq!(client.expect_message().as_bytes().len(), 30_000);
            }
            if is_closed {
                client.expect_close(CloseCode::TRY_AGAIN_LATER);
            } else {
                client.expect_silence();
            }
            assert_eq!(live.counters().closed_errors, 0);
        }
    }
}
