//! HTTP clients that send or take almost nothing, and connections that carry many requests.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::routing::{get, post};
use futures_util::{StreamExt, stream};
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rikki::ws::{Message, Socket};
use rikki::{Counters, Server};
use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;
use tokio::sync::Notify;

use crate::files::fixture::Fixture;
use crate::talk::{Talk, upgrade};
use crate::wire::{BOTH, Running, Via, soon};

/// More than the buffers of both systems hold.
const LARGE: usize = 24 << 20;

/// At least 10 bytes in each second of waiting.
fn strict() -> Server {
    Server::new()
        .min_body_rate(10, Duration::from_secs(1))
        .route("/length", post(async |body: Bytes| body.len().to_string()))
        .route("/large", get(async || Bytes::from(vec![b'x'; LARGE])))
        .websocket("/echo", |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message))
}

#[tokio::test]
async fn a_request_body_that_stalls_is_given_up() {
    let server = Running::start(strict()).await;
    for via in BOTH {
        for sent in ["", "too"] {
            let mut talk = Talk::connect(&server, via).await;
            talk.send(format!("POST /length HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{sent}")).await;
            let answer = talk.text().await;
            assert!(answer.starts_with("HTTP/1.1 400 ") && !answer.ends_with("100"), "{answer}");
        }
    }
    assert_eq!(server.handle.counters().closed_slow, 4);
}

/// It takes longer than the window, and moves ten times what it has to: a machine that is busy may stall for most of
/// it.
#[tokio::test]
async fn a_request_body_that_is_slow_is_taken() {
    let window = Duration::from_secs(3);
    let length = post(async |body: Bytes| body.len().to_string());
    let server = Running::start(Server::new().min_body_rate(4, window).route("/length", length)).await;
    let slow = async |via| {
        let mut talk = Talk::connect(&server, via).await;
        talk.send("POST /length HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300\r\n\r\n").await;
        for _ in 0..12 {
            tokio::time::sleep(window / 10).await;
            talk.send([b'x'; 25]).await;
        }
        let head = talk.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    };
    let [first, second] = BOTH;
    tokio::join!(slow(first), slow(second));
    assert_eq!(server.handle.counters().closed_slow, 0);
}

/// A folder with the same as `/large` in a file, on a disk: over TCP the system sends it.
fn folder() -> Fixture {
    let fixture = Fixture::below(env!("CARGO_TARGET_TMPDIR").as_ref());
    fixture.write("file", vec![b'x'; LARGE]);
    fixture
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut() {
    let folder = folder();
    let server = Running::start(strict().mount("/", folder.files())).await;
    let ways = BOTH.iter().flat_map(|via| [(*via, "/large"), (*via, "/file")]);
    for (before, (via, path)) in (0..).zip(ways) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut talk = Talk::connect(&server, via).await;
        talk.send(&request).await;
        let cut = async {
            // Before it is accepted there is none either.
            let is_over = |counters: Counters| counters.closed_slow > before && counters.connections == 0;
            while !is_over(server.handle.counters()) {
                tokio::task::yield_now().await;
            }
        };
        soon("the cut", cut).await;
        // One that reads gets all of it.
        let mut talk = Talk::connect(&server, via).await;
        talk.send(&request).await;
        talk.head().await;
        assert!(talk.bytes(LARGE).await.iter().all(|byte| *byte == b'x'));
    }
    assert_eq!(server.handle.counters().closed_slow, 4);
}

/// Its progress shows in steps that are smaller than what it has to take, also where it has room for almost nothing.
#[tokio::test]
async fn a_client_that_takes_twice_what_it_must_is_not_cut() {
    let folder = folder();
    let large = get(async || Bytes::from(vec![b'x'; LARGE]));
    tokio::join!(
        takes_twice_what_it_must(Server::new().route("/large", large), "/large"),
        takes_twice_what_it_must(Server::new().mount("/", folder.files()), "/file"),
    );
}

async fn takes_twice_what_it_must(server: Server, path: &str) {
    const RATE: u32 = 10_000;
    let server = Running::start(server.min_body_rate(RATE, Duration::from_secs(1))).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    let mut talk = Talk::from(socket.connect(server.address(Via::Tcp)).await.unwrap());
    talk.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
    talk.head().await;
    let mut taken = 0;
    let started = tokio::time::Instant::now();
    let mut piece = [0; 1000];
    while started.elapsed() < Duration::from_secs(4) {
        let due = started + Duration::from_secs(1) * taken / (2 * RATE);
        tokio::time::sleep_until(due).await;
        let read =
            soon("a piece", talk.stream.read(&mut piece)).await.unwrap_or_else(|error| panic!("{taken}: {error}"));
        assert!(read > 0, "cut after {taken} bytes in {:?}", started.elapsed());
        taken += read as u32;
    }
    assert_eq!(server.handle.counters().closed_slow, 0, "{taken} bytes in {:?}", started.elapsed());
}

/// Others on its connection are answered all the while, and one whose body takes its time is waited for.
#[tokio::test]
async fn a_stream_of_which_nothing_is_taken_is_reset() {
    const WINDOW: u32 = 65_535;
    let finish = Arc::new(Notify::new());
    let late = {
        let finish = finish.clone();
        get(async move || {
            let second = async move {
                finish.notified().await;
                Ok::<_, Infallible>(Bytes::from("second"))
            };
            let first = Bytes::from(vec![b'x'; 2 * WINDOW as usize]);
            Body::from_stream(stream::iter([Ok(first)]).chain(stream::once(second)))
        })
    };
    let routes = strict().min_body_rate(100_000, Duration::from_secs(1)).max_requests(u32::MAX).route("/late", late);
    let server = Running::start(routes.route("/", get(async || "ok"))).await;
    let stream = TokioIo::new(server.connect_with(Via::Tls, b"h2").await);
    let mut client = http2::Builder::new(TokioExecutor::new());
    client.initial_stream_window_size(WINDOW).initial_connection_window_size(1 << 24);
    let (sender, connection) = soon("a handshake", client.handshake(stream)).await.unwrap();
    let _connection = tokio::spawn(connection);
    let ask = async |path: &str| {
        let request = Request::get(format!("https://localhost{path}")).body(Body::empty()).unwrap();
        soon(path, sender.clone().send_request(request)).await.unwrap().into_body()
    };
    let mut late = ask("/late").await;
    let mut first = 0;
    while first < 2 * WINDOW as usize {
        first += soon("a piece", late.frame()).await.unwrap().unwrap().into_data().unwrap().len();
    }
    let large = ask("/large").await;
    let reset = async {
        while server.handle.counters().closed_slow == 0 {
            assert_eq!(ask("/").await.collect().await.unwrap().to_bytes(), "ok");
        }
    };
    soon("the reset", reset).await;
    assert!(soon("the end of it", large.collect()).await.is_err());
    finish.notify_one();
    assert_eq!(soon("the rest", late.collect()).await.unwrap().to_bytes(), "second");
    // One that is read comes whole.
    assert_eq!(soon("all", ask("/large").await.collect()).await.unwrap().to_bytes().len(), LARGE);
    assert_eq!(server.handle.counters().closed_slow, 1);
}

/// Neither bodies nor their deadlines have anything to do with it any more.
#[tokio::test]
async fn a_websocket_may_be_silent() {
    let server = Running::start(strict()).await;
    for via in BOTH {
        let mut talk = Talk::connect(&server, via).await;
        talk.send(upgrade("/echo", "")).await;
        talk.head().await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        talk.echo("still there").await;
    }
    assert_eq!(server.handle.counters().closed_slow, 0);
}

#[tokio::test]
async fn a_connection_carries_so_many_requests() {
    let server = Running::start(Server::new().max_requests(3).route("/", get(async || "ok"))).await;
    for via in BOTH {
        let mut talk = Talk::connect(&server, via).await;
        for last in [false, false, true] {
            talk.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            let head = talk.head().await;
            assert_eq!(head.contains("\r\nconnection: close\r\n"), last, "{head}");
            assert_eq!(talk.bytes(2).await, b"ok");
        }
        assert_eq!(talk.text().await, "");
    }
    let stream = TokioIo::new(server.connect_with(Via::Tls, b"h2").await);
    let (mut sender, connection) = soon("a handshake", http2::handshake(TokioExecutor::new(), stream)).await.unwrap();
    let ended = tokio::spawn(connection);
    for _ in 0..3 {
        let request = Request::get("https://localhost/").body(Body::empty()).unwrap();
        assert_eq!(soon("a response", sender.send_request(request)).await.unwrap().status(), 200);
    }
    soon("the end after GOAWAY", ended).await.unwrap().unwrap();
}

/// It is no longer one that carries requests.
#[tokio::test]
async fn the_last_request_may_be_an_upgrade() {
    let server = Running::echo(Server::new().max_requests(1)).await;
    for via in BOTH {
        let mut talk = Talk::connect(&server, via).await;
        talk.send(upgrade("/echo", "")).await;
        let head = talk.head().await;
        assert!(head.contains("\r\nconnection: Upgrade\r\n"), "{head}");
        talk.echo("hello").await;
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Who has been answered may think for longer than a head may take, and is told for how long.
#[tokio::test]
async fn silence_between_requests_has_a_time_of_its_own() {
    let timeout = Duration::from_millis(200);
    let server = Server::new().head_timeout(timeout).route("/", get(async || "ok"));
    let server = Running::echo(server.keep_alive(10 * timeout)).await;
    for via in BOTH {
        let mut talk = Talk::connect(&server, via).await;
        for _ in 0..2 {
            talk.send(GET).await;
            let head = talk.head().await;
            assert!(head.contains("\r\nconnection: keep-alive\r\n"), "{head}");
            assert!(head.contains("\r\nkeep-alive: timeout=2\r\n"), "{head}");
            assert_eq!(talk.bytes(2).await, b"ok");
            tokio::time::sleep(2 * timeout).await;
        }
        let since = std::time::Instant::now();
        assert_eq!(talk.text().await, "");
        assert!(since.elapsed() >= timeout, "{:?}", since.elapsed());
    }
}

#[tokio::test]
async fn only_who_is_waited_for_is_told_how_long() {
    let server = Server::new().route("/", get(async || "ok")).max_requests(2);
    let server = Running::echo(server).await;
    let short =
        Running::start(Server::new().route("/", get(async || "ok")).keep_alive(Duration::from_millis(999))).await;
    let get = |version: &str, more: &str| format!("GET / HTTP/{version}\r\nHost: localhost\r\n{more}\r\n");
    for via in BOTH {
        let check = async |server: &Running, request: String, expected: bool| {
            let mut talk = Talk::connect(server, via).await;
            talk.send(&*request).await;
            let head = talk.head().await;
            assert_eq!(head.contains("\r\nkeep-alive: timeout=75\r\n"), expected, "{via:?} {request}{head}");
            assert_eq!(head.contains("\r\nconnection: keep-alive\r\n"), expected, "{via:?} {request}{head}");
            talk
        };
        check(&server, get("1.1", ""), true).await;
        check(&server, get("1.0", "Connection: Keep-Alive\r\n"), true).await;
        check(&server, get("1.0", ""), false).await;
        check(&server, get("1.1", "Connection: Close\r\n"), false).await;
        check(&server, get("1.1", "Connection: x, close\r\n"), false).await;
        check(&server, get("1.0", "Connection: keep-alive, close\r\n"), false).await;
        check(&server, upgrade("/echo", ""), false).await;
        check(&short, get("1.1", ""), false).await;
        let mut talk = check(&server, get("1.1", ""), true).await;
        assert_eq!(talk.bytes(2).await, b"ok");
        talk.send(GET).await;
        let last = talk.head().await;
        assert!(!last.contains("\r\nkeep-alive:") && last.contains("\r\nconnection: close\r\n"), "{last}");
    }
    // https://www.rfc-editor.org/rfc/rfc9113#section-8.2.2
    let stream = TokioIo::new(server.connect_with(Via::Tls, b"h2").await);
    let (mut sender, connection) = soon("a handshake", http2::handshake(TokioExecutor::new(), stream)).await.unwrap();
    let _connection = tokio::spawn(connection);
    let request = Request::get("https://localhost/").body(Body::empty()).unwrap();
    let answer = soon("a response", sender.send_request(request)).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().get("keep-alive")), (200, None));
}

/// The one that has been idle longest goes, and nobody who is at work or has not asked yet.
#[tokio::test]
async fn an_idle_connection_gives_its_place_to_a_new_one() {
    let finish = Arc::new(Notify::new());
    let wait = {
        let finish = finish.clone();
        get(async move || finish.notified().await)
    };
    let server = Server::new().max_connections(5).route("/", get(async || "ok")).route("/wait", wait);
    let echo = |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message);
    // With one worker, who is answered first is idle first.
    let server = Running::start_on(1, server.websocket("/echo", echo)).await;
    for (round, via) in (1..).zip(BOTH) {
        let mut socket = Talk::open(&server, via, "/echo").await;
        let mut busy = Talk::connect(&server, via).await;
        busy.send("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let mut idle = [Talk::connect(&server, via).await, Talk::connect(&server, via).await];
        for number in [1, 0] {
            idle[number].send(GET).await;
            idle[number].head().await;
            assert_eq!(idle[number].bytes(2).await, b"ok");
            // One is to be older than the other, by what its worker has noted.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut silent = Talk::connect(&server, via).await;
        while server.handle.counters().connections < 5 {
            tokio::task::yield_now().await;
        }
        let mut new = Talk::connect(&server, via).await;
        new.send(GET).await;
        let head = new.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(idle[1].text().await, "", "the longest idle ends");
        assert_eq!(server.handle.counters().replaced_idle, round);
        for talk in [&mut idle[0], &mut silent] {
            talk.send(GET).await;
            let head = talk.head().await;
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        }
        socket.echo("still open").await;
        finish.notify_waiters();
        drop((socket, busy, idle, silent, new));
        soon("their end", async {
            while server.handle.counters().connections > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}
