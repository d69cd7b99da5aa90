//! A handler that tells a test what it is called with.

use rikki::ws::{Closed, Handler, Message, Opening, Sender, Socket};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::wire::soon;

/// Echoes texts; `panic` makes it panic after it has sent something.
pub(crate) struct Recorder(UnboundedSender<Called>);

/// A callback.
pub(crate) enum Called {
    Open(String, Sender),
    /// The state, and how the connection ended.
    Close(u32, String),
}

/// The receiving end.
pub(crate) struct Calls(UnboundedReceiver<Called>);

impl Recorder {
    pub(crate) fn new() -> (Self, Calls) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), Calls(receiver))
    }
}

impl Handler for Recorder {
    /// How many messages have come.
    type State = u32;

    fn open(&self, socket: &mut Socket<'_>, opening: &Opening) -> u32 {
        let subprotocol = opening.protocol().unwrap_or("none");
        let what = format!("{} {subprotocol} {}", opening.uri(), opening.peer_addr().unwrap());
        self.0.send(Called::Open(what, socket.sender())).unwrap();
        assert!(!opening.headers().contains_key("x-panic"), "as asked for");
        0
    }

    fn message(&self, count: &mut u32, socket: &mut Socket<'_>, message: Message<'_>) {
        *count += 1;
        let must_panic = message.as_text() == Some("panic");
        // It may be closing already.
        let _ = socket.send(message);
        assert!(!must_panic, "as asked for");
    }

    fn close(&self, count: u32, closed: &Closed) {
        let error = closed.error.as_ref().map_or_else(|| "fine".to_owned(), |error| format!("{error:?}"));
        let _ = self.0.send(Called::Close(count, format!("{} {:?} {error}", closed.code, &*closed.reason)));
    }
}

impl Calls {
    async fn next(&mut self) -> Called {
        soon("a callback", self.0.recv()).await.unwrap()
    }

    /// The next callback must be `open`.
    pub(crate) async fn opened(&mut self) -> (String, Sender) {
        match self.next().await {
            Called::Open(what, sender) => (what, sender),
            Called::Close(count, how) => panic!("closed after {count} messages: {how}"),
        }
    }

    /// The next callback must be `close`: the messages that came before it, and code, reason and error.
    pub(crate) async fn closed(&mut self) -> (u32, String) {
        match self.next().await {
            Called::Close(count, how) => (count, how),
            Called::Open(what, _) => panic!("opened: {what}"),
        }
    }

    /// Nothing was called that the test has not seen, and with the server gone nothing will be.
    pub(crate) async fn end(&mut self) {
        assert!(soon("the server's end", self.0.recv()).await.is_none(), "one callback too many");
    }
}
