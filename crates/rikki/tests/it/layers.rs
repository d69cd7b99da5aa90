//! Layers around routes, WebSockets and files alike, and what a reload makes of them.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::FutureExt as _;
use rikki::ws::{Message, Socket};
use rikki::{Handle, Server, StartError};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tower_service::Service;

use crate::talk::{Talk, upgrade};
use crate::wire::{BOTH, Running, Via, soon};

fn echo(socket: &mut Socket<'_>, message: Message<'_>) {
    let _ = socket.send(message);
}

/// A server with a route, a WebSocket and files.
fn site() -> Server {
    let files = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    Server::new().route("/rest", get(async || "hello")).websocket("/socket", echo).files(files)
}

/// Adds a field, or one more value to it.
fn marks(server: Server, mark: &'static str) -> Server {
    server.layer(map_response(move |mut response: Response| {
        response.headers_mut().append("x-layer", HeaderValue::from_static(mark));
        ready(response)
    }))
}

/// Lets in who shows a key.
async fn authorize(request: Request, next: Next) -> Response {
    match request.headers().get("authorization") {
        Some(key) if key == "Bearer 42" => next.run(request).await,
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

/// The head of the answer to a request, and the connection.
async fn ask(server: &Running, via: Via, request: impl AsRef<[u8]>) -> (String, Talk) {
    let mut talk = Talk::connect(server, via).await;
    talk.send(request).await;
    (talk.head().await.to_ascii_lowercase(), talk)
}

fn get_of(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")
}

#[tokio::test]
async fn a_layer_is_around_everything() {
    // Routes that come later are inside too.
    let server = marks(marks(Server::new(), "inner").layer(from_fn(authorize)), "outer");
    let files = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let server = server.route("/rest", get(async || "hello")).websocket("/socket", echo).files(files);
    let server = Running::start(server.mount("/docs", rikki::Files::new(files).unwrap())).await;
    let key = "Authorization: Bearer 42\r\n";
    for via in BOTH {
        for (path, status) in [("/rest", 200), ("/lib.rs", 200), ("/docs/lib.rs", 200), ("/none", 404)] {
            let (head, _) = ask(&server, via, get_of(path, key)).await;
            assert!(head.starts_with(&format!("http/1.1 {status} ")), "{path}: {head}");
            assert!(head.contains("x-layer: inner\r\nx-layer: outer\r\n"), "{path}: {head}");
            let (head, _) = ask(&server, via, get_of(path, "")).await;
            assert!(head.starts_with("http/1.1 401 ") && !head.contains("inner") && head.contains("outer"), "{head}");
        }
        let (head, mut talk) = ask(&server, via, upgrade("/socket", key)).await;
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert!(head.contains("x-layer: inner\r\nx-layer: outer\r\n"), "{head}");
        talk.echo("through both").await;
        let (head, _) = ask(&server, via, upgrade("/socket", "")).await;
        assert!(head.starts_with("http/1.1 401 "), "{head}");
        // What is judged before any route is.
        let (head, _) = ask(&server, via, "GET /rest HTTP/1.1\r\nHost: evil.test\r\n\r\n").await;
        assert!(head.starts_with("http/1.1 403 ") && !head.contains("x-layer"), "{head}");
    }
}

/// One that answers a handshake after it was agreed on.
#[tokio::test]
async fn a_layer_that_replaces_the_answer_starts_no_websocket() {
    let closed = map_response(async |_: Response| (StatusCode::SERVICE_UNAVAILABLE, "closed today"));
    let server = Running::start(site().layer(closed)).await;
    for via in BOTH {
        let (head, _) = ask(&server, via, upgrade("/socket", "")).await;
        assert!(head.starts_with("http/1.1 503 "), "{head}");
    }
    assert_eq!(server.handle.counters().websockets, 0);
}

/// Counts what it sees, and how often it was put around something.
#[derive(Clone, Default)]
struct Counting {
    requests: Arc<AtomicUsize>,
    built: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Counted<S>(Counting, S);

impl<S> tower_layer::Layer<S> for Counting {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        self.built.fetch_add(1, Relaxed);
        Counted(self.clone(), inner)
    }
}

impl<S: Service<Request, Error = Infallible>> Service<Request> for Counted<S> {
    type Response = S::Response;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.1.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> S::Future {
        self.0.requests.fetch_add(1, Relaxed);
        self.1.call(request)
    }
}

#[tokio::test]
async fn each_request_passes_once_and_nothing_is_built_for_it() {
    let counting = Counting::default();
    let server = Running::start(site().layer(counting.clone())).await;
    let built = counting.built.load(Relaxed);
    for request in [get_of("/rest", ""), get_of("/lib.rs", ""), get_of("/none", ""), upgrade("/socket", "")] {
        ask(&server, Via::Tcp, request).await;
    }
    assert_eq!((counting.requests.load(Relaxed), counting.built.load(Relaxed)), (4, built));
}

#[tokio::test]
async fn a_reload_swaps_layers_from_the_next_request_on() {
    let server = Running::start(marks(site(), "one")).await;
    let (head, mut talk) = ask(&server, Via::Tcp, get_of("/rest", "")).await;
    assert!(head.contains("x-layer: one\r\n"), "{head}");
    talk.bytes("hello".len()).await;
    let (_, mut open) = ask(&server, Via::Tls, upgrade("/socket", "")).await;
    let two = || marks(site(), "two").workers(2);
    let tls = || rikki::ServerTls::self_signed(["localhost"]).unwrap();
    let listening = |server: Server| server.tls(tls()).listen("http://127.0.0.1:0").listen("https://127.0.0.1:0");
    server.handle.reload(listening(two())).await.unwrap();
    talk.send(get_of("/lib.rs", "")).await;
    let head = talk.head().await;
    assert!(head.contains("x-layer: two\r\n") && !head.contains("one"), "{head}");
    open.echo("as it began").await;
    let error = server.handle.reload(listening(two().layer(Panicking))).await.unwrap_err();
    assert!(matches!(&error, StartError::Layer { why } if why == "cannot be"), "{error}");
    let (head, _) = ask(&server, Via::Tcp, get_of("/rest", "")).await;
    assert!(head.contains("x-layer: two\r\n"), "{head}");
}

/// Reloads when it is dropped, and tells whether that went well.
struct Reloads(Handle, UnboundedSender<bool>);

impl Drop for Reloads {
    fn drop(&mut self) {
        let reloaded = self.0.reload(Server::new().listen("http://127.0.0.1:0")).now_or_never();
        self.1.send(matches!(reloaded, Some(Ok(_)))).unwrap();
    }
}

#[tokio::test]
async fn what_a_reload_replaces_may_reload() {
    let server = || Server::new().listen("http://127.0.0.1:0");
    let (told, mut tells) = unbounded_channel();
    let handle = server().start().await.unwrap();
    let reloads = Arc::new(Reloads(handle.clone(), told));
    let route = get(async move || drop(reloads.clone()));
    handle.reload(server().route("/", route)).await.unwrap();
    // A thread of its own: one that hangs is not waited for.
    let again = handle.clone();
    std::thread::spawn(move || again.reload(server()).now_or_never());
    assert_eq!(soon("the reload by what was replaced", tells.recv()).await, Some(true));
}

/// Panics when it is put around something.
#[derive(Clone)]
struct Panicking;

impl<S> tower_layer::Layer<S> for Panicking {
    type Service = S;

    fn layer(&self, _: S) -> S {
        panic!("cannot be")
    }
}

#[test]
fn a_layer_that_panics_is_a_mistake_that_is_told() {
    for server in [Server::new(), site(), site().layer(from_fn(authorize))] {
        let error = server.layer(Panicking).check().unwrap_err().to_string();
        assert_eq!(error, "cannot put a layer around what is answered: cannot be");
    }
}
