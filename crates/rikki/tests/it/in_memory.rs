//! A server in memory, under a clock that is paused: it is the server, and its deadlines hold.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use axum::routing::{get, post};
use rikki::client::ConnectError;
use rikki::testing::{App, Expect as _, text};
use rikki::ws::{self, CloseCode, Endpoint, Message, SendError, Socket, WebSocket};
use rikki::{Peer, Server, StartError};
use tokio::time::{Instant, sleep};

const SOON: Duration = Duration::from_millis(1);

fn echo(socket: &mut Socket<'_>, message: Message<'_>) -> Result<(), SendError> {
    socket.send(message)
}

async fn answers(socket: &mut WebSocket, text: &str) -> bool {
    socket.send(text).await.is_ok()
        && socket.recv_within(SOON).await.is_ok_and(|message| message == Message::from(text))
}

#[tokio::test(start_paused = true)]
async fn hosts_origins_and_limits_are_those_of_the_server() {
    let small = Endpoint::new(echo).config(ws::Config::default().max_message_size(3)).protocols(["v2", "v1"]).unwrap();
    let server = || {
        let server = Server::new().websocket("/echo", echo).endpoint("/small", small.clone());
        server.allow_origin("https://app.example").header("x-added", "yes").route("/", get(|| async { "hello" }))
    };
    let app = server().in_memory().unwrap();
    let answer = app.get("/").await;
    assert_eq!((answer.status(), answer.headers()["x-added"].as_bytes()), (StatusCode::OK, &b"yes"[..]));
    assert_eq!(text(answer).await, "hello");
    assert_eq!(app.get("/nothing").await.headers()["x-added"], "yes");

    let at = |host: &str| Request::get("/").header("host", host).body(Body::empty()).unwrap();
    assert_eq!(app.request(at("evil.example")).await.status(), StatusCode::FORBIDDEN);
    let public = server().listen("http://0.0.0.0:80").in_memory().unwrap();
    assert_eq!(public.request(at("anybody.example")).await.status(), StatusCode::OK);
    let absolute = Request::get("http://evil.example/").body(Body::empty()).unwrap();
    assert_eq!(app.request(absolute).await.status(), StatusCode::FORBIDDEN);

    let from = |origin: &str| Request::get("/echo").header("origin", origin).body(()).unwrap();
    for origin in ["https://app.example", "http://localhost"] {
        assert!(answers(&mut app.websocket(from(origin)).await, "text").await, "{origin}");
    }
    let refused = app.try_websocket(from("https://evil.example")).await;
    assert!(matches!(refused, Err(ConnectError::Refused(answer)) if answer.status() == StatusCode::FORBIDDEN));

    let request = Request::get("/small?a=1").header("sec-websocket-protocol", "v0, v1").body(()).unwrap();
    let mut socket = app.websocket(request).await;
    assert_eq!(socket.protocol(), Some("v1"));
    assert!(answers(&mut socket, "abc").await);
    socket.send("abcd").await.unwrap();
    let told = socket.recv_within(SOON).await.unwrap_err().to_string();
    assert!(told.contains(&format!("a Close with {}", CloseCode::MESSAGE_TOO_BIG.0)), "{told}");
}

#[tokio::test(start_paused = true)]
async fn peers_and_their_places() {
    let who = async |ConnectInfo(address): ConnectInfo<SocketAddr>, peer: Peer| format!("{address} {peer}");
    let server = Server::new().route("/who", get(who)).websocket("/echo", echo).max_connections_per_address(1);
    let monitor = server.monitor();
    let app = server.in_memory().unwrap();
    assert_eq!(text(app.get("/who").await).await, ["127.0.0.1:50000"; 2].join(" "));
    // The connection ends behind its answer.
    sleep(SOON).await;
    let socket = app.websocket("/echo").await;
    assert_eq!(app.get("/who").await.status(), StatusCode::TOO_MANY_REQUESTS);
    let other = app.clone().peer("192.0.2.1:7".parse().unwrap());
    assert_eq!(text(other.get("/who").await).await, ["192.0.2.1:7"; 2].join(" "));
    assert_eq!((monitor.counters().websockets, monitor.counters().refused_addresses), (1, 1));
    drop(socket);
    sleep(Duration::from_secs(1)).await;
    assert_eq!((app.get("/who").await.status(), monitor.counters().websockets), (StatusCode::OK, 0));

    let of_socket = Server::new().route("/who", get(async |peer: Peer| peer.to_string())).listen("unix:/run/x.sock");
    assert_eq!(text(of_socket.in_memory().unwrap().get("/who").await).await, "unix");
}

/// How long it takes in the time of the clock, in whole seconds.
async fn seconds<R>(work: impl Future<Output = R>) -> (R, u64) {
    let started = Instant::now();
    (work.await, started.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn deadlines_go_by_a_paused_clock() {
    let config = ws::Config::default().ping_interval(Duration::from_secs(30)).pong_timeout(Duration::from_secs(10));
    let server = Server::new().websocket_config(config).websocket("/echo", echo);
    let server = server.min_body_rate(1000, Duration::from_secs(7));
    let server = server.route("/read", post(async |body: Bytes| body)).route("/slow", get(sleep_long));
    let monitor = server.monitor();
    let app = server.in_memory().unwrap();

    // One that is driven answers pings; then nobody does.
    let mut socket = app.websocket("/echo").await;
    socket.expect_silence(Duration::from_secs(600)).await.unwrap();
    assert!(answers(&mut socket, "there").await);
    sleep(Duration::from_secs(39)).await;
    assert_eq!((monitor.counters().websockets, monitor.counters().closed_timeouts), (1, 0));
    sleep(Duration::from_secs(3)).await;
    assert_eq!((monitor.counters().websockets, monitor.counters().closed_timeouts), (0, 1));

    let stalled = Body::from_stream(futures_util::stream::pending::<Result<Bytes, Infallible>>());
    let request = Request::post("/read").header("content-length", "5").body(stalled).unwrap();
    let (answer, took) = seconds(app.request(request)).await;
    assert_eq!((answer.status().is_client_error(), took, monitor.counters().closed_slow), (true, 7, 1));

    let (answer, took) = seconds(async { text(app.get("/slow").await).await }).await;
    assert_eq!((answer.as_str(), took), ("slept", 50));
}

async fn sleep_long() -> &'static str {
    sleep(Duration::from_secs(50)).await;
    "slept"
}

#[tokio::test(start_paused = true)]
async fn folders_and_mistakes() {
    let folder = std::env::temp_dir().join(format!("rikki-in-memory-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("page.html"), "a page").unwrap();
    let app: App = Server::new().files(&folder).in_memory().unwrap();
    assert_eq!(text(app.get("/page.html").await).await, "a page");
    assert_eq!(app.get("/other.html").await.status(), StatusCode::NOT_FOUND);
    std::fs::remove_dir_all(folder).unwrap();

    let error = Server::new().route("page", get(|| async {})).in_memory().unwrap_err();
    assert!(matches!(error, StartError::Route { path, .. } if path == "page"));
}
