//! How many may connect, and what the server counts.

use std::time::Duration;

use rikki::ws::{Config, Message, Socket};
use rikki::{Counters, Server};

use crate::talk::{Talk, close, frame, upgrade};
use crate::wire::{BOTH, Running, Via, soon};

/// Waits until the server has counted what is expected; it notices ends in its own time.
async fn counted(server: &Running, expected: impl Fn(Counters) -> bool) {
    let counting = async {
        while !expected(server.handle.counters()) {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(5), counting).await.is_err() {
        panic!("{:?}", server.handle.counters());
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_so_and_leave_no_trace() {
    type Limit = fn(Server) -> Server;
    let all: (Limit, &str) = (|server| server.max_connections(2), "HTTP/1.1 503 Service Unavailable\r\n");
    let address: (Limit, &str) = (|server| server.max_connections_per_address(2), "HTTP/1.1 429 Too Many Requests\r\n");
    for (limit, status) in [all, address] {
        let server = Running::echo(limit(Server::new())).await;
        for via in BOTH {
            let mut inside = [Talk::open(&server, via, "/echo").await, Talk::connect(&server, via).await];
            counted(&server, |counters| counters.connections == 2).await;
            for request in [upgrade("/echo", ""), "GET /missing HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()] {
                let mut outside = Talk::connect(&server, via).await;
                outside.send(request).await;
                let answer = outside.text().await;
                assert!(answer.starts_with(status) && answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
                assert!(answer.contains("connections"), "the text says why: {answer}");
            }
            inside[0].echo("still served").await;
            inside[0].send(close(1000, "")).await;
            assert_eq!(inside[0].rest().await, "close(1000)");
            drop(inside);
            counted(&server, |counters| counters.connections == 0).await;
        }
        let Counters { accepted, connections, websockets, refused_connections, refused_addresses, .. } =
            server.handle.counters();
        assert_eq!((accepted, connections, websockets), (8, 0, 0));
        let refused = if status.contains("503") { (4, 0) } else { (0, 4) };
        assert_eq!((refused_connections, refused_addresses), refused);
    }
}

#[tokio::test]
async fn refusals_are_counted_by_reason() {
    let server = Running::echo(Server::new()).await;
    let mut socket = Talk::open(&server, Via::Tcp, "/echo").await;
    for request in [
        "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n".to_owned(),
        upgrade("/echo", "Origin: https://evil.test\r\n"),
        upgrade("/echo", "Sec-WebSocket-Key: again\r\n"),
    ] {
        let mut talk = Talk::connect(&server, Via::Tcp).await;
        talk.send(request).await;
        let head = talk.head().await;
        assert!(head.starts_with("HTTP/1.1 40"), "{head}");
    }
    let counters = server.handle.counters();
    assert_eq!((counters.refused_hosts, counters.refused_origins, counters.refused_handshakes), (1, 1, 1));
    assert_eq!(counters.websockets, 1);
    socket.send(close(1000, "")).await;
    assert_eq!(socket.rest().await, "close(1000)");
    drop(socket);
    counted(&server, |counters| counters.websockets == 0 && counters.connections == 0).await;
}

/// One that is never heard of again does not keep its place.
#[tokio::test]
async fn many_refusals_at_once_are_cut_and_the_others_go_on() {
    let server = Running::echo(Server::new().max_connections(1)).await;
    let mut inside = Talk::open(&server, Via::Tcp, "/echo").await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(soon("connecting", tokio::net::TcpStream::connect(server.address(Via::Tcp))).await.unwrap());
    }
    counted(&server, |counters| counters.refused_connections == 300).await;
    inside.echo("still served").await;
    drop(silent);
}

#[tokio::test]
async fn ends_are_counted_by_reason() {
    let settings =
        Config::default().max_message_size(10).min_payload_rate(1, Duration::from_millis(1)).max_message_rate(3);
    let panics = |_: &mut Socket<'_>, message: Message<'_>| assert_ne!(message.as_bytes(), b"panic");
    let server = Running::start(Server::new().websocket_config(settings).websocket("/", panics)).await;
    for (bytes, expected) in [
        (b"\x81\x01x".to_vec(), "close(1002)"),
        (frame(0x81, "\u{e9}")[..7].to_vec(), "close(1008)"),
        (frame(0x81, "more than ten"), "close(1009)"),
        (frame(0x81, "x").repeat(4), "close(1008)"),
        (frame(0x81, "panic"), "close(1011)"),
    ] {
        let mut talk = Talk::open(&server, Via::Tcp, "/").await;
        talk.send(bytes).await;
        assert_eq!(talk.rest().await, expected);
    }
    let counters = server.handle.counters();
    let Counters { closed_violations, closed_timeouts, closed_limits, closed_rates, closed_panics, .. } = counters;
    assert_eq!((closed_violations, closed_timeouts, closed_limits, closed_rates, closed_panics), (1, 1, 1, 1, 1));
}

/// A worker that a callback holds up takes no new clients with it.
#[tokio::test]
async fn new_connections_go_to_workers_that_come_for_them() {
    let (entered, mut stuck) = tokio::sync::mpsc::unbounded_channel();
    let (free, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let stick = move |_: &mut Socket<'_>, _: Message<'_>| {
        entered.send(()).unwrap();
        // Until the test ends.
        let _ = held.lock().unwrap().recv();
    };
    let rest = axum::routing::get(async || "ok");
    let server = Running::start_on(2, Server::new().websocket("/stick", stick).route("/", rest)).await;
    let mut one = Talk::open(&server, Via::Tcp, "/stick").await;
    one.send(frame(0x81, "x")).await;
    soon("the callback", stuck.recv()).await.unwrap();
    let mut served = 0;
    for _ in 0..20 {
        let mut talk = Talk::connect(&server, Via::Tcp).await;
        talk.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        let answer = tokio::time::timeout(Duration::from_secs(1), talk.text()).await;
        served += usize::from(answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 ")));
    }
    drop(free);
    assert_eq!(served, 20, "of 20");
}

/// Over any number of connections, by HTTP and by upgrades.
#[tokio::test]
async fn an_address_that_asks_too_often_is_told_so() {
    let server = Running::echo(Server::new().max_request_rate(3)).await;
    let get = "GET /missing HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let ask = async |via: Via, request: &str| {
        let mut talk = Talk::connect(&server, via).await;
        talk.send(request).await;
        talk.head().await
    };
    // All at once: a machine that is busy could take a second for a few of them.
    let upgrade = upgrade("/echo", "");
    let asked = [get, get, get, upgrade.as_str()].repeat(5);
    let heads = futures_util::future::join_all(asked.iter().map(|request| ask(Via::Tcp, request))).await;
    let refused: Vec<_> = heads.iter().filter(|head| head.starts_with("HTTP/1.1 429 Too Many Requests\r\n")).collect();
    assert!(!refused.is_empty(), "{heads:?}");
    for head in &refused {
        assert!(head.contains("\r\nretry-after: 1\r\n") && head.contains("\r\nconnection: close\r\n"), "{head}");
    }
    assert_eq!(server.handle.counters().refused_requests, refused.len() as u64);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(ask(Via::Tls, get).await.starts_with("HTTP/1.1 404 "));
}
