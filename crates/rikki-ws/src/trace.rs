//! What logs know of a WebSocket: its id, and the span that its callbacks or its task run in.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use rikki_limits::Excerpt;
use rikki_proto::CloseCode;
use tracing::field::display;
use tracing::{Instrument as _, Span};

use super::error::Error;
use super::id::ConnectionId;
use super::seen::Seen;
use super::traceparent::TraceParent;
use super::watched::Watched;

/// The id of a connection and its span: one of the level `debug` with id, peer, path and what was traced below the
/// user's own, or that one alone where nobody logs at `debug`. Without either it is disabled, and nothing is kept.
pub(crate) struct Trace {
    pub(crate) id: ConnectionId,
    pub(crate) span: Span,
    /// What is logged of it beside that, if anything is.
    pub(crate) watched: Option<Arc<Watched>>,
    /// What is kept of it for those who look inside, if anybody may.
    pub(crate) seen: Option<Arc<Seen>>,
}

impl Trace {
    /// One for a connection that begins now, which is told.
    pub(crate) fn begin(
        id: ConnectionId,
        peer: Option<SocketAddr>,
        path: &str,
        traced: Option<TraceParent>,
        user: Option<Span>,
    ) -> Self {
        let parent = user.as_ref().and_then(Span::id);
        let mut span = tracing::debug_span!(
            target: "rikki::ws",
            parent: parent,
            "websocket",
            id = id.get(),
            peer = peer.map(display),
            path = %Excerpt::of(path),
            trace_id = traced.map(TraceParent::trace_id).map(display),
            parent_id = traced.map(TraceParent::parent_id).map(display),
        );
        if span.is_disabled() {
            span = user.unwrap_or(span);
        }
        span.in_scope(|| tracing::debug!(target: "rikki::ws", id = id.get(), "opened"));
        Self { id, span, watched: None, seen: None }
    }

    /// One for a connection that nobody else has numbered, and of which no request tells anything.
    pub(crate) fn alone(peer: Option<SocketAddr>, path: &str) -> Self {
        Self::begin(ConnectionId::next(), peer, path, None, None)
    }

    /// One that nobody is told of.
    #[cfg(test)]
    pub(crate) fn untold() -> Self {
        Self { id: ConnectionId::next(), span: Span::none(), watched: None, seen: None }
    }

    /// Runs `task` as one of its own, in the span if there is one.
    pub(crate) fn spawn(span: Span, task: impl Future<Output = ()> + Send + 'static) {
        if span.is_disabled() {
            tokio::spawn(task);
        } else {
            // In a box: of the many types of tasks there would be twice as many.
            let task: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(task);
            tokio::spawn(task.instrument(span));
        }
    }
}

/// Tells that a connection has ended, with who has sent the first Close, if anybody has.
pub(super) fn closed(
    id: ConnectionId,
    span: Option<&Span>,
    code: CloseCode,
    by: Option<&'static str>,
    error: Option<&Error>,
) {
    let _entered = span.map(Span::enter);
    let error = error.map(display);
    tracing::debug!(target: "rikki::ws", id = id.get(), code = code.0, by = by.map(display), error, "closed");
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io;
    use std::sync::{Arc, Mutex};

    use futures_util::StreamExt as _;
    use tracing::Level;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;
    use crate::testing::Client;
    use crate::{Message, Sender, Socket, WebSocket};

    /// What was logged.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        /// Those of one connection.
        fn of(&self, id: ConnectionId) -> Vec<String> {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            let of = text.lines().filter(|line| line.contains(&format!("id={id}")));
            of.map(|line| line.trim().to_owned()).collect()
        }
    }

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// What `work` logs on this thread at `level`.
    fn logged<R>(level: Level, work: impl FnOnce() -> R) -> (R, Lines) {
        let lines = Lines::default();
        let format = tracing_subscriber::fmt().without_time().with_ansi(false).with_target(false);
        let subscriber = format.with_max_level(level).with_writer(lines.clone()).finish();
        (tracing::subscriber::with_default(subscriber, work), lines)
    }

    #[test]
    fn a_connection_is_told_of_with_its_id_in_both_faces() {
        let (ids, lines) = logged(Level::DEBUG, || {
            let (seen, told) = std::sync::mpsc::channel();
            let tell = seen.clone();
            let mut client = Client::open(move |socket: &mut Socket<'_>, _: Message<'_>| {
                tracing::info!("called");
                tell.send((socket.id(), socket.sender())).unwrap();
            });
            client.send("a");
            client.close(CloseCode(4000), "");
            client.expect_close(CloseCode(4000));
            let mut client = Client::serve(async move |mut socket: WebSocket| {
                tracing::info!("called");
                let sender = socket.sender().unwrap();
                seen.send((socket.id(), sender)).unwrap();
                while socket.next().await.is_some() {}
            });
            client.cut();
            client.expect_silence();
            let ids: HashMap<ConnectionId, Sender> = told.try_iter().collect();
            assert!(ids.iter().all(|(id, sender)| *id == sender.id()));
            let mut ids: Vec<_> = ids.into_keys().collect();
            ids.sort();
            ids
        });
        let [one, other] = *ids else { panic!("{ids:?} of two connections") };
        assert!(one.get() < other.get() && one.to_string() == u64::from(one).to_string());
        for (id, end) in [(one, "code=4000 by=client"), (other, "code=1006 error=the connection broke: ")] {
            let lines = lines.of(id);
            let [opened, called, closed] = &*lines else { panic!("{lines:?}") };
            let span = format!("websocket{{id={id} path=/}}");
            assert_eq!(*opened, format!("DEBUG {span}: opened id={id}"));
            assert_eq!(*called, format!("INFO {span}: called"), "callbacks and tasks run in the span");
            assert!(closed.starts_with(&format!("DEBUG {span}: closed id={id} {end}")), "{closed}");
        }
    }

    #[test]
    fn a_user_s_span_is_above_or_alone() {
        let begin = || {
            let user = tracing::info_span!("user", name = "ada");
            let traced = TraceParent::read(b"00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01");
            let peer = Some(([127, 0, 0, 1], 80).into());
            let trace = Trace::begin(ConnectionId::next(), peer, "/chat\n", traced, Some(user.clone()));
            let is_user_s = trace.span == user;
            closed(trace.id, Some(&trace.span), CloseCode::NORMAL, Some("server"), None);
            trace.span.in_scope(|| tracing::info!(id = trace.id.get(), "said"));
            (trace.id, is_user_s)
        };
        let ((id, is_user_s), lines) = logged(Level::DEBUG, begin);
        let traced = "trace_id=0af7651916cd43dd8448eb211c80319c parent_id=00f067aa0ba902b7";
        let span = format!("user{{name=\"ada\"}}:websocket{{id={id} peer=127.0.0.1:80 path=/chat\\n {traced}}}");
        let expected = [
            format!("DEBUG {span}: opened id={id}"),
            format!("DEBUG {span}: closed id={id} code=1000 by=server"),
            format!("INFO {span}: said id={id}"),
        ];
        assert!(!is_user_s);
        assert_eq!(lines.of(id), expected);
        let ((id, is_user_s), lines) = logged(Level::INFO, begin);
        assert!(is_user_s);
        assert_eq!(lines.of(id), [format!("INFO user{{name=\"ada\"}}: said id={id}")]);
    }

    #[test]
    fn without_debug_nothing_is_kept() {
        let ((), lines) = logged(Level::INFO, || assert!(Trace::alone(None, "/").span.is_disabled()));
        assert!(lines.0.lock().unwrap().is_empty());
    }
}
