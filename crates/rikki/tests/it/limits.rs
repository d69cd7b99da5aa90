//! Request heads that are too large, too slow or never end, and handshakes of TLS that stall.

use std::time::{Duration, Instant};

use axum::routing::get;
use rikki::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::talk::Talk;
use crate::wire::{BOTH, RUNS, Running, Via, soon};

fn site() -> Server {
    Server::new().route("/rest", get(|| async { "rest" }))
}

/// Delivers a request head with `more` lines, and expects this status. What follows an error is the end; the little
/// that is sent after it is discarded, for a second at most.
async fn check(server: &Running, target: &str, more: &str, expected: u16) {
    let close = if expected == 200 { "Connection: close\r\n" } else { "" };
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{close}{more}\r\n");
    for (via, delivery) in RUNS {
        let mut talk = Talk::connect(server, via).await;
        let sent = talk.stream.deliver(request.as_bytes(), delivery).await;
        let start: String = request.chars().take(60).collect();
        let what = format!("{} bytes of {start:?} {via:?} {delivery:?}", request.len());
        sent.unwrap_or_else(|error| panic!("{what}: {error}"));
        let answer = talk.text().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{what}: {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{what}: {answer:?}");
    }
}

/// `count` header lines.
fn lines(count: usize) -> String {
    (0..count).map(|number| format!("x{number}: y\r\n")).collect()
}

/// A header line that makes the head of [`check`], 200 expected, `length` bytes long in all.
fn padding(length: usize) -> String {
    let others = "GET /rest HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".len();
    format!("x: {}\r\n", "y".repeat(length - others - "x: \r\n".len()))
}

#[tokio::test]
async fn size_of_a_head() {
    let server = Running::start(site()).await;
    check(&server, "/rest", &padding(16 * 1024 - 1), 200).await;
    check(&server, "/rest", &padding(17 * 1024), 431).await;
    check(&server, "/rest", &padding(20 * 1024), 431).await;
}

#[tokio::test]
async fn number_of_header_lines() {
    let server = Running::start(site()).await;
    check(&server, "/rest", &lines(98), 200).await;
    check(&server, "/rest", &lines(100), 431).await;
    check(&server, "/rest", &lines(300), 431).await;
}

#[tokio::test]
async fn limits_of_heads_can_be_set() {
    let server = Running::start(site().max_head(1024 * 32).max_headers(10)).await;
    check(&server, "/rest", &padding(30 * 1024), 200).await;
    check(&server, "/rest", &padding(33 * 1024), 431).await;
    check(&server, "/rest", &lines(8), 200).await;
    check(&server, "/rest", &lines(10), 431).await;
}

#[tokio::test]
async fn heads_that_make_no_sense() {
    let server = Running::start(site()).await;
    for more in ["no colon\r\n", "space : before the colon\r\n", "nul: a\0b\r\n", ": no name\r\n"] {
        check(&server, "/rest", more, 400).await;
    }
    check(&server, "/re st", "", 400).await;
}

/// Silence, half a head and one that dribbles in, from the first byte and after a request that was answered.
#[tokio::test]
async fn slow_heads_are_cut() {
    let timeout = Duration::from_millis(300);
    // What follows an answer has the same time from its first byte on, however long silence is allowed.
    for keep_alive in [timeout, Duration::from_secs(3600)] {
        check_slow_heads(timeout, keep_alive).await;
    }
}

async fn check_slow_heads(timeout: Duration, keep_alive: Duration) {
    let server = Running::start(site().head_timeout(timeout).keep_alive(keep_alive)).await;
    let request = "GET /rest HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for via in BOTH {
        let mut bystander = Talk::connect(&server, via).await;
        for start in ["", "GET /re", "GET /rest HTTP/1.1\r\nHost: localhost\r\n"] {
            for answered in [false, true] {
                if start.is_empty() && answered && keep_alive > timeout {
                    continue;
                }
                let mut talk = Talk::connect(&server, via).await;
                if answered {
                    talk.send(request).await;
                    assert!(talk.head().await.starts_with("HTTP/1.1 200 "));
                    assert_eq!(talk.bytes(4).await, b"rest");
                }
                let since = Instant::now();
                talk.send(start).await;
                check_cut(talk, &format!("{via:?} {start:?} {answered}")).await;
                assert!(since.elapsed() >= timeout - Duration::from_millis(50), "{:?}", since.elapsed());
            }
        }
        // However often a byte comes, the head has this long and no longer.
        let mut talk = Talk::connect(&server, via).await;
        let dribble = async {
            talk.send("GET /rest HTTP/1.1\r\n").await;
            while talk.stream.write_all(b"x: y\r\n").await.is_ok() && talk.stream.flush().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        soon("a cut", dribble).await;
        // Who waits for nothing is cut too.
        check_cut_raw(&mut bystander).await;
    }
}

/// The connection ends. That nothing is said is as good as a 408.
async fn check_cut(mut talk: Talk, what: &str) {
    let answer = talk.text().await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{what}: {answer:?}");
}

/// TCP ends, in whatever way.
async fn check_cut_raw(talk: &mut Talk) {
    let mut rest = Vec::new();
    let _ = soon("the end of TCP", talk.stream.tcp().read_to_end(&mut rest)).await;
}

/// A handshake of TLS has the time of a head, and blocks nobody.
#[tokio::test]
async fn slow_tls_handshakes_are_cut() {
    let server = Running::start(site().head_timeout(Duration::from_millis(300))).await;
    // The first bytes of a ClientHello of 256 bytes.
    let hello = [0x16, 0x03, 0x01, 0x01, 0x00, 0x01, 0x00, 0x00, 0xfc, 0x03, 0x03];
    let mut stalled = Vec::new();
    for length in 0..=hello.len() {
        let mut tcp = soon("connecting", TcpStream::connect(server.address(Via::Tls))).await.unwrap();
        tcp.write_all(&hello[..length]).await.unwrap();
        stalled.push(tcp);
    }
    let mut talk = Talk::connect(&server, Via::Tls).await;
    talk.send("GET /rest HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(talk.text().await.ends_with("rest"));
    for mut tcp in stalled {
        let mut rest = Vec::new();
        soon("the end", tcp.read_to_end(&mut rest)).await.unwrap();
        assert!(rest.is_empty(), "{rest:02x?}");
    }
}

/// Plain HTTP on the TLS port is told so at once, also where more comes than is read.
#[tokio::test]
async fn plain_http_on_a_tls_port() {
    let server = Running::start(site()).await;
    let get = b"GET /rest HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
    let post = [&b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n"[..], &[b'x'; 100_000]].concat();
    for request in [get, post, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), b"G".to_vec()] {
        let mut tcp = soon("connecting", TcpStream::connect(server.address(Via::Tls))).await.unwrap();
        tcp.write_all(&request).await.unwrap();
        let mut answer = String::new();
        soon("the end", tcp.read_to_string(&mut answer)).await.unwrap();
        let (head, text) = answer.split_once("\r\n\r\n").unwrap_or_default();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer:?}");
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\nconnection: close", text.len())), "{answer:?}");
        assert_eq!(text, "this port speaks TLS: use wss:// or https://\n");
    }
    // What is neither gets the alert of TLS.
    let mut tcp = soon("connecting", TcpStream::connect(server.address(Via::Tls))).await.unwrap();
    tcp.write_all(b"\0\0\0\0\0\0\0\0").await.unwrap();
    let mut answer = Vec::new();
    soon("the end", tcp.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer.first(), Some(&21), "{answer:02x?}");
}
