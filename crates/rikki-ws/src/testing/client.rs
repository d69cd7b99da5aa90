//! The client's end of a WebSocket whose other end is a handler, on a runtime of its own.
//!
//! The handshake is made as far as a handler learns of it; HTTP and who may open a WebSocket are left out.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderName, HeaderValue, Request, Version};
use rikki_proto::handshake::accept;
use rikki_proto::{CloseCode, Connection, Limits, Message, Output};
use tokio::io::{DuplexStream, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::end::{Came, End};
#[cfg(feature = "test-util")]
use super::time::Clock;
use super::{LONGEST, MASK, PIPE};
use crate::config::Config;
use crate::context::ContextHandler;
use crate::driver::Driver;
use crate::endpoint::Endpoint;
use crate::group::Coming;
use crate::handler::{Handler, HandlerTask};
use crate::live::Live;
use crate::opening::Opening;
use crate::serving::{self, Termination};
use crate::stream::WebSocket;
use crate::terms::Terms;
use crate::trace::Trace;
use crate::tracker::Tracker;

/// How often every task that is ready has its turn without a byte that moves, until it is silent. Tasks of a handler
/// may wake one another that often before one of them sends something.
const QUIET_ROUNDS: usize = 64;

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
    pub(super) runtime: Runtime,
    connection: Connection,
    io: DuplexStream,
    output: Output,
    came: VecDeque<Came>,
    pings: u64,
    is_over: bool,
    #[cfg(feature = "test-util")]
    pub(super) clock: Clock,
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
            let trace = Trace::alone(None, opening.uri().path());
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
            let trace = Trace::alone(None, "/");
            let (id, span) = (trace.id, trace.span.clone());
            let socket = WebSocket::new(Box::new(io), &[], terms.server(), terms, None, Tracker::default(), trace);
            Trace::spawn(span, serving::serve(serve(socket), id, None, live));
        })
    }

    #[track_caller]
    fn served_by(start: impl FnOnce(DuplexStream)) -> Self {
        let mut builder = Builder::new_current_thread();
        #[cfg(feature = "test-util")]
        builder.start_paused(true);
        let runtime = match builder.enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => panic!("no runtime for the test: {error}"),
        };
        let (io, served) = duplex(PIPE);
        let entered = runtime.enter();
        start(served);
        drop(entered);
        let limits = Limits::default().max_message_size(usize::MAX).max_fragments(u32::MAX);
        let connection = Connection::client(limits, || MASK);
        let (output, came) = Default::default();
        Self {
            runtime,
            connection,
            io,
            output,
            came,
            pings: 0,
            is_over: false,
            #[cfg(feature = "test-util")]
            clock: Clock::default(),
        }
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

    /// Takes all messages that have come, up to a Close or the end of the connection.
    pub(super) fn messages(&mut self) -> Vec<Message<'static>> {
        self.settle();
        let mut messages = Vec::new();
        while let Some(came) = self.came.pop_front() {
            match came {
                Came::Message(message) => messages.push(message),
                other => {
                    self.came.push_front(other);
                    break;
                }
            }
        }
        messages
    }

    /// How many pings have come so far; each was answered.
    #[must_use]
    pub fn pings(&self) -> u64 {
        self.pings
    }

    /// Whether a message can be sent: there was no Close in either direction, and the connection is not over.
    pub(super) fn is_open(&self) -> bool {
        self.connection.is_open() && !self.is_over
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

    /// Waits for the end of the connection without a Close, as where [`Overflow::Close`](crate::Overflow::Close) holds.
    #[track_caller]
    pub fn expect_cut(&mut self) {
        let came = self.next();
        if !matches!(came, Came::End(_)) {
            panic!("expected the end of the connection, and there came {came}");
        }
    }

    /// What comes next, waited for if a thread or timer of the handler is to bring it.
    #[track_caller]
    fn next(&mut self) -> Came {
        self.settle();
        if self.came.is_empty() && !self.is_over {
            let (runtime, mut end) = self.parts();
            let coming = poll_fn(|cx| {
                end.exchange(cx);
                if end.came.is_empty() { Poll::Pending } else { Poll::Ready(()) }
            });
            // An error is that nothing has come in time.
            let _ = runtime.block_on(async { timeout(LONGEST, coming).await });
        }
        match self.came.pop_front() {
            Some(came) => came,
            None if self.is_over => panic!("nothing comes any more: the connection is over"),
            None => panic!("nothing came within {} s", LONGEST.as_secs()),
        }
    }

    /// The runtime, and what is used on it.
    pub(super) fn parts(&mut self) -> (&mut Runtime, End<'_>) {
        #[cfg(feature = "test-util")]
        self.begin();
        let Self { runtime, connection, io, output, came, pings, is_over, .. } = self;
        (runtime, End { connection, io, output, came, pings, is_over })
    }

    /// Lets everything run that is ready, until nothing moves any more.
    pub(super) fn settle(&mut self) {
        let (runtime, mut end) = self.parts();
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

/// What a handler's server would have made ready: nothing that others share.
fn own_terms() -> Arc<Terms> {
    Arc::new(Terms::new(&Config::default(), &Live::new()))
}
