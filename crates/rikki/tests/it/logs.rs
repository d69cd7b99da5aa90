//! What a subscriber of the application is told: one id for a connection, and a span for each WebSocket at debug alone.

use std::io;
use std::sync::{Arc, Mutex};

use axum::http::Request;
use axum::response::Response;
use axum::routing::{any, get};
use rikki::Server;
use rikki::client::Builder;
use rikki::testing::App;
use rikki::ws::{CloseCode, Message, Socket, Upgrade, WebSocket};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::wire::soon;

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
const TRACED: &str = "trace_id=0af7651916cd43dd8448eb211c80319c parent_id=00f067aa0ba902b7";

/// What was logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

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

impl Lines {
    /// What is logged on this thread, as long as the guard is there.
    fn of(level: tracing::Level) -> (Self, tracing::subscriber::DefaultGuard) {
        let lines = Self::default();
        let format = tracing_subscriber::fmt().without_time().with_ansi(false).with_span_events(FmtSpan::NEW);
        let subscriber = format.with_max_level(level).with_writer(lines.clone()).finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    /// The only line with all of these parts.
    #[track_caller]
    fn one(&self, parts: &[&str]) -> String {
        let all = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let mut found = all.lines().filter(|line| parts.iter().all(|part| line.contains(part)));
        match (found.next(), found.next()) {
            (Some(line), None) => line.trim().to_owned(),
            other => panic!("{parts:?}: {other:?} of\n{all}"),
        }
    }

    /// Whether a span was made.
    fn has_span(&self) -> bool {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().contains("websocket{")
    }
}

/// The value of a field.
#[track_caller]
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let value = line.split([' ', '{']).find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {name} in {line}"))
}

fn request(path: &str) -> Request<()> {
    Request::get(path).header("traceparent", TRACEPARENT).body(()).unwrap()
}

/// One message there and back, and a Close.
async fn talk(app: &App, path: &str) {
    let mut socket = app.websocket(request(path)).await;
    socket.send("hi").await.unwrap();
    assert_eq!(soon("the echo", socket.recv()).await.unwrap().unwrap(), Message::from("hi"));
    socket.start_close(CloseCode::NORMAL, "").unwrap();
    while soon("the end", socket.recv()).await.is_some() {}
}

fn server() -> Server {
    let echo = |socket: &mut Socket<'_>, message: Message<'_>| {
        tracing::info!("called");
        socket.send(message)
    };
    Server::new().websocket("/echo", echo).route("/", get(async || "hello")).access_log(true)
}

#[tokio::test]
async fn a_span_for_each_websocket_with_the_id_of_its_request() {
    let (lines, _guard) = Lines::of(tracing::Level::DEBUG);
    let app = server().in_memory().unwrap();
    talk(&app, "/echo").await;
    let answered = lines.one(&["rikki::access: answered ", " status=101 ", TRACED]);
    let id = field(&answered, "id");
    assert_eq!(field(&answered, "request"), "1");
    let span = format!("websocket{{id={id} peer={} path=/echo {TRACED}}}: ", field(&answered, "peer"));
    let ends = "code=1000 by=client received=1 sent=1 received_bytes=2 sent_bytes=2 ms=";
    let closed = lines.one(&[&span, "rikki::access: closed ", ends, TRACED]);
    assert_eq!(field(closed.split("closed").nth(1).unwrap(), "id"), id);
    for line in ["opened id=", "closed id=", "new"] {
        let told = lines.one(&[&span, &format!("rikki::ws: {line}")]);
        assert!(told.starts_with("DEBUG "), "{told}");
    }
    lines.one(&[&span, "called"]);
}

#[tokio::test]
async fn without_debug_the_lines_have_the_id_and_there_is_no_span() {
    let (lines, _guard) = Lines::of(tracing::Level::INFO);
    let app = server().in_memory().unwrap();
    talk(&app, "/echo").await;
    let answered = lines.one(&["rikki::access: answered ", " status=101 ", TRACED]);
    let closed = lines.one(&["rikki::access: closed ", " code=1000 ", TRACED]);
    assert_eq!(field(&closed, "id"), field(&answered, "id"));
    assert!(!lines.has_span());
    app.get("/").await;
    let other = lines.one(&["answered ", " status=200 "]);
    assert_ne!(field(&other, "id"), field(&answered, "id"));
    assert!(!other.contains("trace_id"), "{other}");
}

/// No server of ours has counted the connection: the WebSocket has an id of its own.
#[tokio::test]
async fn under_another_server() {
    async fn greet(upgrade: Upgrade) -> Response {
        upgrade.on_upgrade(async |mut socket: WebSocket| {
            tracing::info!(number = socket.id().get(), "called");
            let _ = socket.send("hello").await;
        })
    }
    let (lines, _guard) = Lines::of(tracing::Level::DEBUG);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/greet", listener.local_addr().unwrap());
    let app = axum::Router::new().route("/greet", any(greet));
    let served = tokio::spawn(async move { axum::serve(listener, app).await });
    let builder = Builder::new(url).header("traceparent", TRACEPARENT);
    let (mut socket, _) = soon("connecting", builder.connect()).await.unwrap();
    while soon("the end", socket.recv()).await.is_some_and(|message| message.is_ok()) {}
    let called = lines.one(&["called"]);
    let span = format!("websocket{{id={} path=/greet {TRACED}}}: ", field(&called, "number"));
    for line in ["called number=", "opened id=", "closed id="] {
        lines.one(&[&span, line]);
    }
    // Both ends tell the same of who has closed it.
    lines.one(&[&span, " code=1000 by=server"]);
    lines.one(&[" peer=127.0.0.1:", " path=/greet}: ", " code=1000 by=server"]);
    served.abort();
}
