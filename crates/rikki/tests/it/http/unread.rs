//! HTTP/2 clients that ask for much and read nothing.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use axum::body::Body;
use axum::routing::get as on_get;
use futures_util::stream;
use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rikki::Server;

use super::frames::{Frames, SETTINGS, WINDOW_UPDATE, frame, get};
use crate::wire::{Running, Via, soon};

const CONNECTIONS: usize = 4;
const STREAMS: usize = 100;
const PIECE: usize = 16 * 1024;

/// How much is alive of what bodies have given, in bytes, and the most that was.
#[derive(Default)]
struct Alive {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// A piece that counts as long as it lives.
struct Counted(Vec<u8>, Arc<Alive>);

impl Counted {
    fn new(alive: &Arc<Alive>) -> Self {
        let now = alive.now.fetch_add(PIECE, Relaxed) + PIECE;
        alive.most.fetch_max(now, Relaxed);
        Self(vec![b'x'; PIECE], alive.clone())
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.now.fetch_sub(PIECE, Relaxed);
    }
}

/// `/endless` gives a body without an end; whoever takes nothing is cut after a second.
fn endless(alive: Arc<Alive>) -> Server {
    let body = move || {
        let alive = alive.clone();
        let pieces = stream::repeat_with(move || Ok::<_, Infallible>(Bytes::from_owner(Counted::new(&alive))));
        std::future::ready(Body::from_stream(pieces))
    };
    Server::new()
        .min_body_rate(500, Duration::from_secs(1))
        .route("/endless", on_get(body))
        .route("/", on_get(async || "ok"))
}

/// A connection that lets the server send as much as it likes, and asks for that on every stream.
async fn greedy(server: &Running) -> Frames {
    const ALL: u32 = (1 << 31) - 1;
    let mut connection = Frames::connect(server, &[(4, ALL)]).await;
    let mut requests = frame(WINDOW_UPDATE, 0, 0, &(ALL - 65_535).to_be_bytes());
    requests.extend((0..STREAMS as u32).flat_map(|index| get(2 * index + 1, "localhost", "/endless")));
    // Its own settings are acknowledged before any of it is answered.
    requests.extend(frame(SETTINGS, 1, 0, &[]));
    connection.send(&requests).await;
    connection
}

/// How much of the bodies is alive at most while nobody reads them, and all of it is given back when they have been
/// cut.
async fn most_alive(limit: usize) -> usize {
    let alive = Arc::<Alive>::default();
    let server = Running::start(endless(alive.clone()).http2_memory(limit)).await;
    let mut greedy_ones = Vec::new();
    for _ in 0..CONNECTIONS {
        greedy_ones.push(greedy(&server).await);
    }
    let all_cut = async {
        while server.handle.counters().closed_slow < CONNECTIONS as u64 || alive.now.load(Relaxed) > 0 {
            // Another client is served all the while.
            let stream = TokioIo::new(server.connect_with(Via::Tls, b"h2").await);
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
            let connection = tokio::spawn(connection);
            let request = Request::get("https://localhost/").body(Body::empty()).unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
            connection.abort();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all_cut).await.expect("all of them are cut");
    alive.most.load(Relaxed)
}

#[tokio::test]
async fn a_connection_holds_so_much_of_what_is_not_read() {
    // One piece a stream besides, and one that hyper has just written.
    let most = most_alive(64 << 20).await;
    let bound = CONNECTIONS * (256 * 1024 + (STREAMS + 2) * PIECE);
    assert!((CONNECTIONS * 256 * 1024..=bound).contains(&most), "{} KiB, at most {}", most / 1024, bound / 1024);
}

#[tokio::test]
async fn all_of_them_hold_no_more_than_the_limit_and_a_little_each() {
    const LIMIT: usize = 1 << 20;
    let most = most_alive(LIMIT).await;
    let bound = LIMIT + CONNECTIONS * 3 * PIECE;
    assert!(most <= bound, "{} KiB, at most {}", most / 1024, bound / 1024);
}

/// All of it comes, of many streams at a time, however little memory there is.
#[tokio::test]
async fn streams_go_on_where_memory_is_scarce() {
    const LENGTH: usize = 1 << 20;
    let body = || async { Bytes::from(vec![b'x'; LENGTH]) };
    let server = Running::start(Server::new().http2_memory(0).route("/", on_get(body))).await;
    let stream = TokioIo::new(server.connect_with(Via::Tls, b"h2").await);
    let (sender, connection) = soon("a handshake", http2::handshake(TokioExecutor::new(), stream)).await.unwrap();
    let _connection = tokio::spawn(connection);
    let asking = (0..10).map(|_| {
        let mut sender = sender.clone();
        tokio::spawn(async move {
            let request = Request::get("https://localhost/").body(Body::empty()).unwrap();
            sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes().len()
        })
    });
    for length in soon("the bodies", futures_util::future::join_all(asking)).await {
        assert_eq!(length.unwrap(), LENGTH);
    }
}

/// One that was let in with 100 streams has 10 of them when there is no memory for more.
#[tokio::test]
async fn too_many_streams_are_told_so_where_memory_is_scarce() {
    let (open, opened) = tokio::sync::watch::channel(false);
    let waiting = on_get(async move || {
        let _ = opened.clone().wait_for(|open| *open).await;
        "ok"
    });
    // Each request counts for 4 KiB and its fields.
    let server = Running::start(Server::new().http2_memory(64 * 1024).route("/", waiting)).await;
    let stream = TokioIo::new(server.connect_with(Via::Tls, b"h2").await);
    let (sender, connection) = soon("a handshake", http2::handshake(TokioExecutor::new(), stream)).await.unwrap();
    let _connection = tokio::spawn(connection);
    let asking: Vec<_> = (0..50)
        .map(|_| {
            let mut sender = sender.clone();
            tokio::spawn(async move {
                let request = Request::get("https://localhost/").body(Body::empty()).unwrap();
                sender.send_request(request).await.unwrap().status().as_u16()
            })
        })
        .collect();
    let refused = async {
        while server.handle.counters().refused_streams < 30 {
            tokio::task::yield_now().await;
        }
    };
    soon("refusals", refused).await;
    open.send_replace(true);
    let mut statuses = Vec::new();
    for status in asking {
        statuses.push(soon("an answer", status).await.unwrap());
    }
    let answered = statuses.iter().filter(|status| **status == 200).count();
    let refused = statuses.iter().filter(|status| **status == 503).count();
    assert!((10..=20).contains(&answered) && answered + refused == 50, "{statuses:?}");
}
