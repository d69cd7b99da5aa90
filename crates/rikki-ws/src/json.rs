//! Handlers of values that come as JSON.

use std::fmt;
use std::marker::PhantomData;

use rikki_proto::{CloseCode, Message};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::Closed;
use super::handler::Handler;
use super::opening::Opening;
use super::outcome::Outcome;
use super::socket::Socket;
use crate::shown;

/// What an application does with values that come as messages of JSON, as callbacks (feature `json`): [`Json`] makes a
/// [`Handler`] of it, and [`on_json`] is the short form.
///
/// ```
/// use rikki_ws::testing::Client;
/// use rikki_ws::{CloseCode, Json, JsonHandler, Message, Opening, Socket};
///
/// #[derive(serde::Deserialize)]
/// struct Said<'m> {
///     text: &'m str,
/// }
///
/// struct Lengths;
///
/// impl JsonHandler for Lengths {
///     type State = ();
///     type In<'m> = Said<'m>;
///
///     fn open(&self, _: &mut Socket<'_>, _: &Opening) {}
///
///     fn message(&self, (): &mut (), socket: &mut Socket<'_>, said: Said<'_>) {
///         let _ = socket.send(said.text.len().to_string());
///     }
/// }
///
/// let mut client = Client::open(Json(Lengths));
/// client.send(r#"{"text": "hello"}"#);
/// client.expect("5");
/// client.send(r#"{"test": "hello"}"#);
/// assert_eq!(client.expect_close(CloseCode::INVALID_PAYLOAD), "no such JSON: missing field `text` at line 1 column 17");
/// ```
pub trait JsonHandler: Send + Sync + 'static {
    /// What the handler keeps for each connection.
    type State: Send + 'static;

    /// What a message is read as; it may borrow from the message.
    type In<'m>: Deserialize<'m>;

    /// A connection has been opened.
    fn open(&self, socket: &mut Socket<'_>, opening: &Opening) -> Self::State;

    /// A message has arrived that is such a value.
    fn message(&self, state: &mut Self::State, socket: &mut Socket<'_>, value: Self::In<'_>);

    /// A message has arrived that is none; closes the connection with 1007 and a reason that says where the JSON is
    /// wrong, if this is not overridden.
    fn bad_message(
        &self,
        state: &mut Self::State,
        socket: &mut Socket<'_>,
        message: Message<'_>,
        error: &serde_json::Error,
    ) {
        let _ = (state, message);
        refuse(socket, error);
    }

    /// A pong has come: see [`Handler::pong`].
    fn pong(&self, state: &mut Self::State, socket: &mut Socket<'_>, payload: &[u8]) {
        let _ = (state, socket, payload);
    }

    /// There is room again: see [`Handler::writable`].
    fn writable(&self, state: &mut Self::State, socket: &mut Socket<'_>) {
        let _ = (state, socket);
    }

    /// The connection has ended; nothing can be sent any more.
    fn close(&self, state: Self::State, closed: &Closed) {
        let _ = (state, closed);
    }
}

/// A [`Handler`] made of a [`JsonHandler`].
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "it is what it wraps and nothing else")]
pub struct Json<H>(pub H);

impl<H: JsonHandler> Handler for Json<H> {
    type State = H::State;

    fn open(&self, socket: &mut Socket<'_>, opening: &Opening) -> H::State {
        self.0.open(socket, opening)
    }

    fn message(&self, state: &mut H::State, socket: &mut Socket<'_>, message: Message<'_>) {
        // What comes behind a bad one is nothing to go by.
        if !socket.is_open() {
            return;
        }
        let error = match message.json() {
            Ok(value) => return self.0.message(state, socket, value),
            Err(error) => error,
        };
        // What has come of a bad one, if anything, borrows from the message no longer.
        self.0.bad_message(state, socket, message, &error);
    }

    fn pong(&self, state: &mut H::State, socket: &mut Socket<'_>, payload: &[u8]) {
        self.0.pong(state, socket, payload);
    }

    fn writable(&self, state: &mut H::State, socket: &mut Socket<'_>) {
        self.0.writable(state, socket);
    }

    fn close(&self, state: H::State, closed: &Closed) {
        self.0.close(state, closed);
    }
}

/// A [`Handler`] made of a closure that takes values, each a message of JSON (feature `json`); it may return what any
/// closure may that serves as a handler: see [`Outcome`].
///
/// A message that is no such value closes the connection with 1007 and a reason that says where the JSON is wrong;
/// [`OnJson::or_else`] has it otherwise.
///
/// ```
/// use rikki_ws::{Message, Socket, on_json};
///
/// #[derive(serde::Deserialize)]
/// struct Ask {
///     number: u64,
/// }
///
/// let double = on_json(|socket: &mut Socket<'_>, ask: Ask| socket.send((2 * ask.number).to_string()));
/// ```
pub fn on_json<In, R, F>(called: F) -> OnJson<In, F>
where
    In: DeserializeOwned + 'static,
    R: Outcome,
    F: Fn(&mut Socket<'_>, In) -> R + Send + Sync + 'static,
{
    OnJson { called, bad: |socket, _, error| refuse(socket, error), types: PhantomData }
}

/// What is done with a message that is not the value that is expected.
type Bad = fn(&mut Socket<'_>, Message<'_>, &serde_json::Error);

/// What [`on_json`] makes of a closure, and of another one for bad messages.
pub struct OnJson<In, F, B = Bad> {
    called: F,
    bad: B,
    types: PhantomData<fn() -> In>,
}

impl<In, F> OnJson<In, F> {
    /// Calls `bad` for a message that is no such value, in place of closing the connection.
    ///
    /// ```
    /// use rikki_ws::testing::Client;
    /// use rikki_ws::{Message, Socket, on_json};
    ///
    /// let sum = on_json(|socket: &mut Socket<'_>, numbers: Vec<u64>| {
    ///     socket.send(numbers.iter().sum::<u64>().to_string())
    /// });
    /// let sum = sum.or_else(|socket: &mut Socket<'_>, _: Message<'_>, error: &serde_json::Error| {
    ///     socket.send(format!("no numbers: {error}"))
    /// });
    ///
    /// let mut client = Client::open(sum);
    /// client.send("[1, 2]");
    /// client.expect("3");
    /// client.send("[1, -2]");
    /// client.expect("no numbers: invalid value: integer `-2`, expected u64 at line 1 column 6");
    /// ```
    pub fn or_else<R, B>(self, bad: B) -> OnJson<In, F, B>
    where
        R: Outcome,
        B: Fn(&mut Socket<'_>, Message<'_>, &serde_json::Error) -> R + Send + Sync + 'static,
    {
        OnJson { called: self.called, bad, types: PhantomData }
    }
}

impl<In, R, S, F, B> Handler for OnJson<In, F, B>
where
    In: DeserializeOwned + 'static,
    R: Outcome,
    S: Outcome,
    F: Fn(&mut Socket<'_>, In) -> R + Send + Sync + 'static,
    B: Fn(&mut Socket<'_>, Message<'_>, &serde_json::Error) -> S + Send + Sync + 'static,
{
    type State = ();

    fn open(&self, _: &mut Socket<'_>, _: &Opening) {}

    fn message(&self, (): &mut (), socket: &mut Socket<'_>, message: Message<'_>) {
        if !socket.is_open() {
            return;
        }
        match message.json() {
            Ok(value) => (self.called)(socket, value).conclude(socket),
            Err(error) => (self.bad)(socket, message, &error).conclude(socket),
        }
    }
}

impl<In, F, B> fmt::Debug for OnJson<In, F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnJson").finish_non_exhaustive()
    }
}

/// Closes with 1007: "data within a message that was not consistent with the type of the message"
/// ([RFC 6455 section 7.4.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1)).
fn refuse(socket: &mut Socket<'_>, error: &serde_json::Error) {
    if socket.close(CloseCode::INVALID_PAYLOAD, &reason(error)).is_ok() {
        socket.terms.counts().closed_violations.up();
    }
}

/// What the peer is told of its bad message, as far as a Close has room for it.
pub(super) fn reason(error: &serde_json::Error) -> String {
    /// In bytes ([RFC 6455 section 5.5](https://www.rfc-editor.org/rfc/rfc6455#section-5.5), less the code).
    const ROOM: usize = 123;
    shown::beginning(&format_args!("no such JSON: {error}"), ROOM)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;
    use crate::testing::Client;
    use crate::{Endpoint, Live};

    #[test]
    fn a_bad_message_is_refused_with_as_much_as_there_is_room_for() {
        let (live, sum) = (Live::new(), Arc::<AtomicU64>::default());
        let added = sum.clone();
        let handler = on_json(move |_: &mut Socket<'_>, number: u64| _ = added.fetch_add(number, Relaxed));
        let mut client = Client::open_at(&Endpoint::new(handler).live(&live), http::Request::new(()));
        client.send("1");
        client.expect_silence();
        // Its text is quoted in the error, whose beginning has to do.
        client.send(format!("\"{}\"", "long ".repeat(100_000)));
        let reason = client.expect_close(CloseCode::INVALID_PAYLOAD);
        assert!(reason.starts_with("no such JSON: invalid type: string") && reason.len() <= 123, "{reason}");
        assert_eq!((sum.load(Relaxed), live.counters().closed_violations), (1, 1));
    }
}
