//! Tests of handlers in memory: a client whose server is the handler alone, without ports and threads.
//!
//! Between the two is the engine as it is on a network: what is sent goes through frames, limits and the driver. The
//! handshake is made as far as a handler learns of it; HTTP and who may open a WebSocket are left out.

#![allow(clippy::panic, reason = "an expectation of a test that is not met is a panic")]

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderName, HeaderValue, Request, Version};
use rikki_proto::handshake::accept;
use rikki_proto::{CloseCode, Connection, Event, Limits, Message, Output};
use tokio::io::{AsyncRead as _, AsyncWrite as _, DuplexStream, ReadBuf, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;

use super::Config;
use super::context::ContextHandler;
use super::driver::Driver;
use super::endpoint::Endpoint;
use super::group::Coming;
use super::handler::{Handler, HandlerTask};
use super::live::Live;
use super::opening::Opening;
use super::serving::{self, Termination};
use super::stream::WebSocket;
use super::terms::Terms;
use super::trace::Trace;
use super::tracker::Tracker;

/// How much may be on its way in either direction, in bytes.
const PIPE: usize = 64 * 1024;

/// How often every task that is ready has its turn without a byte that moves, until it is silent. Tasks of a handler
/// may wake one another that often before one of them sends something.
const QUIET_ROUNDS: usize = 64;

/// How long an expectation waits for what other threads or timers of a handler bring.
const LONGEST: Duration = Duration::from_secs(10);

/// The client's end of a WebSocket in memory, of which a handler is the other end: for unit tests.
///
/// It has a runtime of its own, on this thread, on which the handler's callbacks and the tasks that it spawns run while
/// a method of this is called. So a test is a plain function, and what it sees does not depend on how fast a machine
/// is.
///
/// ```
/// use rikki_ws::testing::Client;
/// use rikki_ws::{CloseCode, Message, Socket};
///
/// fn shout(socket: &mut Socket<'_>, message: Message<'_>) {
///     let _ = match message.as_text() {
///         Some("bye") => socket.close(CloseCode::NORMAL, "bye"),
///         Some("") | None => Ok(()),
///         Some(text) => socket.send(text.to_uppercase()),
///     };
/// }
///
/// let mut client = Client::open(shout);
/// client.send("hello");
/// client.expect("HELLO");
/// client.send("");
/// client.expect_silence();
/// client.send("bye");
/// client.expect_close(CloseCode::NORMAL);
/// ```
///
/// # Panics
///
/// If something else comes than is expected, or nothing within the 10 s in which other threads and timers may bring it;
/// and inside of a tokio runtime, whose thread it would block: write `#[test]`, not `#[tokio::test]`.
pub struct Client {
    runtime: Runtime,
    connection: Connection,
    io: DuplexStream,
    output: Output,
    came: VecDeque<Came>,
    is_over: bool,
}

/// What has come of the handler.
#[derive(PartialEq)]
enum Came {
    Message(Message<'static>),
    /// Its code is [`CloseCode::NO_STATUS`] if it has none.
    Close(CloseCode, String),
    /// The end of the connection without a Close.
    End,
}

impl Client {
    /// Opens a WebSocket that a handler or a closure serves, with the defaults of [`Config`].
    #[must_use]
    #[track_caller]
    pub fn open<H: Handler>(handler: H) -> Self {
        Self::open_at(&Endpoint::new(handler), Request::new(()))
    }

    /// Opens a WebSocket at an endpoint, by its configuration and subprotocols.
    ///
    /// The handler finds path, header fields and extensions of the request in its [`Opening`], so that a test can
    /// attach what middleware would; the fields of the handshake are added. Compression is not offered.
    ///
    /// # Panics
    ///
    /// If no server would accept the request, and inside of a tokio runtime.
    #[must_use]
    #[track_caller]
    pub fn open_at<H: Handler>(endpoint: &Endpoint<H>, request: Request<()>) -> Self {
        Self::open_with(endpoint, request, ())
    }

    /// Opens a WebSocket as [`open_at`](Self::open_at) does, for a handler that is given a context.
    ///
    /// # Panics
    ///
    /// If no server would accept the request, and inside of a tokio runtime.
    #[must_use]
    #[track_caller]
    pub fn open_with<H: ContextHandler>(endpoint: &Endpoint<H>, mut request: Request<()>, context: H::Context) -> Self {
        let handshake: [(HeaderName, &str); 5] = [
            (HOST, "localhost"),
            (UPGRADE, "websocket"),
            (CONNECTION, "upgrade"),
            (SEC_WEBSOCKET_VERSION, "13"),
            (SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        for (name, value) in handshake {
            request.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
        }
        let terms = endpoint.terms(&own_terms());
        let accepted = accept(request.method(), Version::HTTP_11, request.headers(), &terms.subprotocols);
        let subprotocol = match accepted {
            Ok(accepted) => accepted.subprotocol().cloned(),
            Err(refusal) => panic!("no server would accept this handshake: {refusal}"),
        };
        let parts = Box::new(request.into_parts().0);
        let opening = Opening { parts, peer: None, subprotocol, is_compressed: false };
        let handler = endpoint.handler().clone();
        Self::served_by(|io| {
            terms.opened().hand_over();
            let trace = Trace::begin(None, opening.uri().path(), None);
            let span = trace.span.clone();
            let mut driver = Driver::new(io, &[], terms.server(), terms.clone(), trace);
            driver.join(terms.groups.iter().map(Coming::new).collect());
            let task = span.in_scope(|| HandlerTask::new(driver, handler, &opening, context, Tracker::default()));
            Trace::spawn(span, task);
        })
    }

    /// Opens a WebSocket for a function that takes a [`WebSocket`], such as one that [`Upgrade::on_upgrade`] would run, with the
    /// defaults of [`Config`]. What it ends with decides how a WebSocket that it drops is closed: see [`Termination`].
    ///
    /// ```
    /// use futures_util::{SinkExt, StreamExt};
    /// use rikki_ws::testing::Client;
    /// use rikki_ws::{CloseCode, Error, WebSocket};
    ///
    /// async fn echo_twice(mut socket: WebSocket) -> Result<(), Error> {
    ///     for _ in 0..2 {
    ///         let Some(message) = socket.next().await else { break };
    ///         socket.send(message?).await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// let mut client = Client::serve(echo_twice);
    /// for text in ["one", "two"] {
    ///     client.send(text);
    ///     client.expect(text);
    /// }
    /// client.expect_close(CloseCode::NORMAL);
    /// ```
    ///
    /// [`Upgrade::on_upgrade`]: https://docs.rs/rikki-ws/latest/rikki_ws/struct.Upgrade.html#method.on_upgrade
    #[must_use]
    #[track_caller]
    pub fn serve<F, Fut>(serve: F) -> Self
    where
        F: FnOnce(WebSocket) -> Fut,
        Fut: Future<Output: Termination> + Send + 'static,
    {
        let terms = own_terms();
        Self::served_by(|io| {
            terms.opened().hand_over();
            let live = terms.live.clone();
            let trace = Trace::begin(None, "/", None);
            let (id, span) = (trace.id, trace.span.clone());
            let socket = WebSocket::new(Box::new(io), &[], terms.server(), terms, None, Tracker::default(), trace);
            Trace::spawn(span, serving::serve(serve(socket), id, None, live));
        })
    }

    #[track_caller]
    fn served_by(start: impl FnOnce(DuplexStream)) -> Self {
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => panic!("no runtime for the test: {error}"),
        };
        let (io, served) = duplex(PIPE);
        let entered = runtime.enter();
        start(served);
        drop(entered);
        let limits = Limits::default().max_message_size(usize::MAX).max_fragments(u32::MAX);
        // Nobody is between the two who could be misled by what is sent.
        let connection = Connection::client(limits, || [0x37, 0xfa, 0x21, 0x3d]);
        let (output, came) = Default::default();
        Self { runtime, connection, io, output, came, is_over: false }
    }

    /// Sends a message, and lets the handler have it.
    ///
    /// # Panics
    ///
    /// After a Close in either direction.
    #[track_caller]
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) {
        if let Err(error) = self.connection.send(message, &mut self.output) {
            panic!("the message cannot be sent: {error}");
        }
        self.settle();
    }

    /// Sends a Close, as a client does that leaves, and lets the handler have it.
    ///
    /// # Panics
    ///
    /// If the code must not be sent or the reason has more than 123 bytes, and after a Close in either direction.
    #[track_caller]
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        if let Err(error) = self.connection.close(code, reason, &mut self.output) {
            panic!("the Close cannot be sent: {error}");
        }
        self.settle();
    }

    /// Breaks the connection without a Close, as a network does, and lets the handler learn of it. Nothing can come any
    /// more.
    pub fn cut(&mut self) {
        // The other end of the new one is gone.
        self.io = duplex(1).0;
        self.is_over = true;
        self.settle();
    }

    /// Takes the next message, which has to be this one.
    #[track_caller]
    pub fn expect<'m>(&mut self, message: impl Into<Message<'m>>) {
        let expected = Came::Message(message.into().into_owned());
        let came = self.next();
        if came != expected {
            panic!("expected {expected}, and there came {came}");
        }
    }

    /// Takes the next message, whatever it is.
    #[track_caller]
    pub fn expect_message(&mut self) -> Message<'static> {
        match self.next() {
            Came::Message(message) => message,
            came => panic!("expected a message, and there came {came}"),
        }
    }

    /// Nothing has come but what was taken already: neither a message, a Close nor an end without one. All that is
    /// ready to run has run by then; what threads or timers of a handler may bring later is not waited for.
    #[track_caller]
    pub fn expect_silence(&mut self) {
        self.settle();
        if let Some(came) = self.came.front() {
            panic!("expected silence, and there came {came}");
        }
    }

    /// Takes the handler's Close, which has to have this code, and returns its reason; it is answered. One without a
    /// code is [`CloseCode::NO_STATUS`]. The answer to [`close`](Self::close) is a Close too.
    #[track_caller]
    pub fn expect_close(&mut self, code: CloseCode) -> String {
        match self.next() {
            Came::Close(given, reason) if given == code => reason,
            came => panic!("expected a Close with {}, and there came {came}", code.0),
        }
    }

    /// Waits for the end of the connection without a Close, as where [`Overflow::Close`](super::Overflow::Close) holds.
    #[track_caller]
    pub fn expect_cut(&mut self) {
        let came = self.next();
        if came != Came::End {
            panic!("expected the end of the connection, and there came {came}");
        }
    }

    /// What comes next, waited for if a thread or timer of the handler is to bring it.
    #[track_caller]
    fn next(&mut self) -> Came {
        self.settle();
        if self.came.is_empty() && !self.is_over {
            let Self { runtime, connection, io, output, came, is_over } = self;
            let mut end = End { connection, io, output, came, is_over };
            let coming = poll_fn(|cx| {
                end.exchange(cx);
                if end.came.is_empty() { Poll::Pending } else { Poll::Ready(()) }
            });
            // An error is that nothing has come in time.
            let _ = runtime.block_on(async { tokio::time::timeout(LONGEST, coming).await });
        }
        match self.came.pop_front() {
            Some(came) => came,
            None if self.is_over => panic!("nothing comes any more: the connection is over"),
            None => panic!("nothing came within {} s", LONGEST.as_secs()),
        }
    }

    /// Lets everything run that is ready, until nothing moves any more.
    fn settle(&mut self) {
        let Self { runtime, connection, io, output, came, is_over } = self;
        let mut end = End { connection, io, output, came, is_over };
        runtime.block_on(async {
            let mut quiet = 0;
            while quiet < QUIET_ROUNDS {
                let has_moved = poll_fn(|cx| Poll::Ready(end.exchange(cx))).await;
                quiet = if has_moved { 0 } else { quiet + 1 };
                yield_now().await;
            }
        });
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("open", &self.connection.is_open()).finish_non_exhaustive()
    }
}

impl fmt::Display for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(Message::Text(text)) => write!(f, "the text {:?}", &**text),
            Self::Message(Message::Binary(bytes)) => write!(f, "the bytes {:?}", &**bytes),
            Self::Close(code, reason) => write!(f, "a Close with {} {reason:?}", code.0),
            Self::End => f.write_str("the end of the connection"),
        }
    }
}

/// What a handler's server would have made ready: nothing that others share.
fn own_terms() -> Arc<Terms> {
    Arc::new(Terms::new(&Config::default(), &Live::new()))
}

/// The client's end but for the runtime that it is used on.
struct End<'a> {
    connection: &'a mut Connection,
    io: &'a mut DuplexStream,
    output: &'a mut Output,
    came: &'a mut VecDeque<Came>,
    is_over: &'a mut bool,
}

impl End<'_> {
    /// Writes what the other end takes, and takes what has come; whether anything has moved.
    fn exchange(&mut self, cx: &mut Context<'_>) -> bool {
        if *self.is_over {
            return false;
        }
        let has_read = self.read(cx);
        // Answers to what was read too.
        self.write(cx) || has_read
    }

    fn write(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_moved = false;
        loop {
            let written = self.output.chunks().next().map(|chunk| Pin::new(&mut *self.io).poll_write(cx, chunk));
            let Some(written) = written else { return has_moved };
            match written {
                Poll::Ready(Ok(count)) => self.output.advance(count),
                // Nobody takes it any more.
                Poll::Ready(Err(_)) => *self.output = Output::default(),
                Poll::Pending => return has_moved,
            }
            has_moved = true;
        }
    }

    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_moved = false;
        let mut space = vec![0; PIPE];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            let Poll::Ready(result) = Pin::new(&mut *self.io).poll_read(cx, &mut buffer) else { return has_moved };
            has_moved = true;
            if result.is_err() || buffer.filled().is_empty() {
                *self.is_over = true;
                if !self.connection.is_closed() {
                    self.came.push_back(Came::End);
                }
                // The server waits for our end: section 7.1.1 of RFC 6455.
                let _ = Pin::new(&mut *self.io).poll_shutdown(cx);
                return true;
            }
            self.parse(buffer.filled_mut());
        }
    }

    fn parse(&mut self, mut input: &mut [u8]) {
        loop {
            match self.connection.next_event(&mut input, self.output) {
                Ok(Some(Event::Message(message))) => self.came.push_back(Came::Message(message.into_owned())),
                Ok(Some(Event::Close(frame))) => {
                    let (code, reason) = frame
                        .map_or((CloseCode::NO_STATUS, String::new()), |frame| (frame.code, frame.reason.to_string()));
                    self.came.push_back(Came::Close(code, reason));
                }
                Ok(Some(_)) => {}
                Ok(None) => return,
                // Our server sends no such thing; a Close of ours says what it would be.
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;

    use futures_util::StreamExt as _;

    use super::*;
    use crate::{Closed, Error, Socket};

    fn echo(socket: &mut Socket<'_>, message: Message<'_>) {
        let _ = socket.send(message);
    }

    /// What a test is told that expects something else.
    fn told(expectation: impl FnOnce()) -> String {
        let panic = catch_unwind(AssertUnwindSafe(expectation)).unwrap_err();
        panic.downcast_ref::<String>().cloned().unwrap_or_else(|| panic.downcast_ref::<&str>().unwrap().to_string())
    }

    #[test]
    fn messages_of_every_size_come_back() {
        let mut client = Client::open(echo);
        client.expect_silence();
        for size in [0, 1, 125, 126, 65_535, 65_536, 3 << 20] {
            client.send(vec![7; size]);
            client.expect(vec![7; size]);
        }
        client.send("text");
        assert_eq!(client.expect_message(), Message::from("text"));
        client.expect_silence();
        client.close(CloseCode::GOING_AWAY, "");
        client.expect_close(CloseCode::GOING_AWAY);
        client.expect_silence();
    }

    #[test]
    fn what_was_not_expected_is_told() {
        let mut client = Client::open(echo);
        client.send("a");
        assert_eq!(told(|| client.expect_silence()), "expected silence, and there came the text \"a\"");
        assert_eq!(told(|| client.expect("b")), "expected the text \"b\", and there came the text \"a\"");
        client.send(vec![1, 2]);
        let text = told(|| drop(client.expect_close(CloseCode::NORMAL)));
        assert_eq!(text, "expected a Close with 1000, and there came the bytes [1, 2]");
        client.close(CloseCode::NORMAL, "");
        assert_eq!(
            told(|| client.expect_cut()),
            "expected the end of the connection, and there came a Close with 1000 \"\""
        );
        assert_eq!(told(|| client.expect("c")), "nothing comes any more: the connection is over");
        assert_eq!(
            told(|| client.send("d")),
            format!("the message cannot be sent: {}", rikki_proto::SendError::Closed)
        );
    }

    #[test]
    fn the_limits_of_the_endpoint_hold() {
        let endpoint = Endpoint::new(echo).config(Config::default().max_message_size(3));
        let mut client = Client::open_at(&endpoint, Request::new(()));
        client.send("abc");
        client.expect("abc");
        client.send("abcd");
        client.expect_close(CloseCode::MESSAGE_TOO_BIG);
    }

    #[test]
    fn a_callback_that_panics_closes_with_1011() {
        fn fail(_: &mut Socket<'_>, _: Message<'_>) {
            panic!("it does that");
        }
        let mut client = Client::open(fail);
        client.send("a");
        client.expect_close(CloseCode::INTERNAL_ERROR);
    }

    /// Tells how each connection began and ended.
    #[derive(Default)]
    struct Recorder(Mutex<Vec<String>>);

    impl Handler for Arc<Recorder> {
        type State = ();

        fn open(&self, socket: &mut Socket<'_>, opening: &Opening) {
            let user: &&str = opening.extensions().get().unwrap();
            let _ = socket.send(format!("{user} at {} by {:?}", opening.uri(), opening.protocol()));
        }

        fn message(&self, (): &mut (), socket: &mut Socket<'_>, message: Message<'_>) {
            // Another task and another thread answer.
            let (sender, message) = (socket.sender(), message.into_owned());
            tokio::spawn({
                let (sender, message) = (sender.clone(), message.clone());
                async move {
                    yield_now().await;
                    sender.send(message)
                }
            });
            std::thread::spawn(move || sender.send(message));
        }

        fn close(&self, (): (), closed: &Closed) {
            self.0.lock().unwrap().push(format!("{} {}", closed.code.0, closed.error.is_some()));
        }
    }

    #[test]
    fn a_handler_finds_the_request_and_learns_of_the_end() {
        let recorder = Arc::<Recorder>::default();
        let endpoint = Endpoint::new(recorder.clone()).protocols(["v2", "v1"]).unwrap();
        let open = || {
            let request = Request::get("/room?a=1").header("sec-websocket-protocol", "v1").extension("rikki");
            let mut client = Client::open_at(&endpoint, request.body(()).unwrap());
            client.expect("rikki at /room?a=1 by Some(\"v1\")");
            client
        };
        let mut client = open();
        client.send("b");
        client.expect("b");
        client.expect("b");
        client.expect_silence();
        client.close(CloseCode::NORMAL, "bye");
        client.expect_close(CloseCode::NORMAL);
        open().cut();
        assert_eq!(*recorder.0.lock().unwrap(), ["1000 false", "1006 true"]);
        let refused = told(|| drop(Client::open_at(&endpoint, Request::post("/").body(()).unwrap())));
        assert!(refused.starts_with("no server would accept this handshake: "), "{refused}");
    }

    #[test]
    fn functions_of_the_async_face() {
        async fn echo(mut socket: WebSocket) -> Result<(), Error> {
            while let Some(message) = socket.next().await {
                let message = message?;
                if message.as_text() == Some("later") {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                socket.send(message).await?;
            }
            Ok(())
        }
        let mut client = Client::serve(echo);
        client.send("a");
        client.expect("a");
        client.send("later");
        client.expect("later");
        client.close(CloseCode::NORMAL, "");
        client.expect_close(CloseCode::NORMAL);

        async fn failing(mut socket: WebSocket) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            let _ = socket.next().await;
            Err("it has failed".into())
        }
        let mut client = Client::serve(failing);
        client.send("a");
        client.expect_close(CloseCode::INTERNAL_ERROR);
    }
}
