//! Handlers that open with what the request has told, as a value of a type of theirs.

use rikki_proto::Message;

use super::error::Closed;
use super::handler::Handler;
use super::opening::Opening;
use super::socket::Socket;

/// A [`Handler`] whose connections begin with a value: what axum's extractors have found in the request, and what was
/// learned by it, such as a room and a user.
///
/// It is served by [`Upgrade::serve_with`](super::Upgrade::serve_with). Each `Handler` is one that needs none, with
/// `()` for its context; the callbacks are the same, but for [`open`](Self::open).
///
/// ```
/// use std::sync::LazyLock;
///
/// use axum::extract::Path;
/// use axum::response::Response;
/// use axum::{Router, routing::any};
/// use rikki_ws::{ContextHandler, Endpoint, Message, Opening, Socket, Upgrade};
///
/// struct Seat {
///     room: String,
///     name: String,
/// }
///
/// struct Chat;
///
/// impl ContextHandler for Chat {
///     type Context = Seat;
///     type State = Seat;
///
///     fn open(&self, socket: &mut Socket<'_>, _: &Opening, seat: Seat) -> Seat {
///         let _ = socket.send(format!("{} has entered {}", seat.name, seat.room));
///         seat
///     }
///
///     fn message(&self, seat: &mut Seat, socket: &mut Socket<'_>, message: Message<'_>) {
///         let _ = socket.send(format!("{}: {}", seat.name, message.as_text().unwrap_or("...")));
///     }
/// }
///
/// static CHAT: LazyLock<Endpoint<Chat>> = LazyLock::new(|| Endpoint::new(Chat));
///
/// async fn join(Path((room, name)): Path<(String, String)>, upgrade: Upgrade) -> Response {
///     upgrade.serve_with(&CHAT, Seat { room, name })
/// }
///
/// let app: Router = Router::new().route("/rooms/{room}/{name}", any(join));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not serve WebSockets",
    label = "this is neither a `Handler` nor a `ContextHandler`",
    note = "an endpoint without a handler is for `Upgrade::at` and `Upgrade::on_upgrade`"
)]
pub trait ContextHandler: Send + Sync + 'static {
    /// What a connection begins with; dropped if the handshake is refused, or the client goes away before it is answered.
    type Context: Send + 'static;

    /// What the handler keeps for each connection.
    type State: Send + 'static;

    /// A connection has been opened.
    fn open(&self, socket: &mut Socket<'_>, opening: &Opening, context: Self::Context) -> Self::State;

    /// A whole message has arrived: see [`Handler::message`].
    fn message(&self, state: &mut Self::State, socket: &mut Socket<'_>, message: Message<'_>);

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

#[diagnostic::do_not_recommend]
impl<H: Handler> ContextHandler for H {
    type Context = ();
    type State = H::State;

    fn open(&self, socket: &mut Socket<'_>, opening: &Opening, (): ()) -> H::State {
        Handler::open(self, socket, opening)
    }

    #[inline(always)]
    fn message(&self, state: &mut H::State, socket: &mut Socket<'_>, message: Message<'_>) {
        Handler::message(self, state, socket, message);
    }

    fn pong(&self, state: &mut H::State, socket: &mut Socket<'_>, payload: &[u8]) {
        Handler::pong(self, state, socket, payload);
    }

    fn writable(&self, state: &mut H::State, socket: &mut Socket<'_>) {
        Handler::writable(self, state, socket);
    }

    fn close(&self, state: H::State, closed: &Closed) {
        Handler::close(self, state, closed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use rikki_proto::CloseCode;

    use super::*;
    use crate::Endpoint;
    use crate::testing::Client;

    /// Counts down from what it is given, and how many connections have ended.
    #[derive(Default)]
    struct CountDown(AtomicUsize);

    impl ContextHandler for CountDown {
        type Context = u32;
        type State = u32;

        fn open(&self, _: &mut Socket<'_>, _: &Opening, from: u32) -> u32 {
            from
        }

        fn message(&self, left: &mut u32, socket: &mut Socket<'_>, _: Message<'_>) {
            *left -= 1;
            socket.ping(&left.to_be_bytes()).unwrap();
        }

        fn pong(&self, left: &mut u32, socket: &mut Socket<'_>, payload: &[u8]) {
            assert_eq!(payload, left.to_be_bytes());
            socket.send(left.to_string()).unwrap();
        }

        fn close(&self, _: u32, _: &Closed) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn each_connection_begins_with_its_own() {
        let endpoint = Endpoint::new(CountDown::default());
        let open = |from| Client::open_with(&endpoint, http::Request::new(()), from);
        let (mut one, mut other) = (open(3), open(30));
        one.send("");
        one.expect("2");
        other.send("");
        other.expect("29");
        one.close(CloseCode::NORMAL, "");
        one.expect_close(CloseCode::NORMAL);
        assert_eq!(endpoint.handler().0.load(Relaxed), 1);
    }

    /// Two endpoints have one handler.
    #[test]
    fn a_handler_can_be_shared() {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let shared = Arc::new(move |_: &mut Socket<'_>, _: Message<'_>| _ = counted.fetch_add(1, Relaxed));
        for _ in 0..2 {
            Client::open(shared.clone()).send("");
        }
        assert_eq!(count.load(Relaxed), 2);
    }
}
