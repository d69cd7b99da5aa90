//! Request heads that nobody can read: the client is told so in words, and what it had asked for before is answered
//! first.

use std::time::Duration;

use axum::routing::{any, post};
use rikki::Server;
use tokio::io::AsyncWriteExt;

use crate::talk::Talk;
use crate::wire::{BOTH, Running, Via, soon};

const BIG: usize = 24 << 20;

async fn start() -> Running {
    let server = Server::new()
        .header("x-added", "yes")
        .cors(true)
        .route("/", any(async || "ok"))
        .route("/big", any(async || vec![b'x'; BIG]))
        .route("/echo", post(async |body: String| body));
    Running::start(server).await
}

/// What is left to be read is one answer of this status, and its text has these words in it.
async fn check_rest(talk: &mut Talk, expected: u16, words: &str, what: &str) {
    let answer = talk.text().await;
    let (head, text) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{what}: {answer:?}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {expected} ")), "{what}: {answer:?}");
    assert!(text.contains(words) && text.ends_with('\n') && text.lines().count() == 1, "{what}: {answer:?}");
    let head = format!("{}\r\n", head.to_ascii_lowercase());
    for field in [
        "content-type: text/plain; charset=utf-8",
        &format!("content-length: {}", text.len()),
        "connection: close",
        "x-added: yes",
        "access-control-allow-origin: *",
    ] {
        assert_eq!(head.matches(&format!("\r\n{field}\r\n")).count(), 1, "{what}: {field} in {head:?}");
    }
    assert_eq!(head.matches("\r\ndate: ").count(), 1, "{what}: {head:?}");
}

/// A request is answered with this status and these words, and counted.
async fn check(server: &Running, request: impl AsRef<[u8]>, expected: u16, words: &str) {
    for via in BOTH {
        let before = server.handle.counters().refused_heads;
        let request = request.as_ref();
        let start = &request[..request.len().min(60)];
        let mut talk = Talk::connect(server, via).await;
        talk.send(request).await;
        check_rest(&mut talk, expected, words, &format!("{via:?} {}", start.escape_ascii())).await;
        assert_eq!(server.handle.counters().refused_heads, before + 1, "{via:?} {}", start.escape_ascii());
    }
}

fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

#[tokio::test]
async fn what_cannot_be_read_is_told_in_words() {
    let server = start().await;
    for line in ["GET", "GET /", "GET  / HTTP/1.1", "GET / HTTP/1.1 x", "G\x01T / HTTP/1.1", ": / HTTP/1.1", "hello"] {
        check(&server, format!("{line}\r\nHost: localhost\r\n\r\n"), 400, "cannot be read as HTTP (").await;
    }
    for version in ["HTTP/1.2", "HTTP/3.0", "HTTP/2.0", "HTTP/0.9", "HTTPS/1.1", "http/1.1"] {
        check(&server, format!("GET / {version}\r\nHost: localhost\r\n\r\n"), 400, "(invalid HTTP version").await;
    }
    for field in ["x\x01: y", "x y: z", "x: \x01", "x: a\0b", "x: \x7f", "no colon", ": y"] {
        check(&server, get("/", &format!("{field}\r\n")), 400, "(invalid HTTP header").await;
    }
    check(&server, get("/", "Content-Length: +5\r\n"), 400, "(invalid content-length").await;
    check(&server, get("/ \u{e9}", ""), 400, "cannot be read").await;
    check(&server, b"\0\xff\xfe\x80garbage\x1b", 400, "cannot be read").await;
    // TLS, to whoever does not expect it.
    check(&server, b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", 400, "cannot be read").await;
}

#[tokio::test]
async fn what_is_too_long_is_told_with_the_limit() {
    let server = start().await;
    let long = "y".repeat(17 * 1024);
    check(&server, get("/", &format!("x: {long}\r\n")), 431, "larger than 16384 bytes").await;
    check(&server, get(&format!("/{long}"), ""), 431, "Server::max_head and Server::max_headers would").await;
    check(&server, get("/", &"x: y\r\n".repeat(100)), 431, "more than 100 fields").await;
    let roomy = Server::new().max_head(128 << 10).header("x-added", "yes").cors(true);
    let roomy = Running::start(roomy.route("/", any(async || "ok"))).await;
    check(&roomy, get(&format!("/{}", "y".repeat(66_000)), ""), 414, "target").await;
}

/// Sends a request and something unreadable behind it, with the end of input or without; the first is answered whole.
async fn check_behind(server: &Running, via: Via, request: &str, answer: &[u8], ends: bool) {
    let mut talk = Talk::connect(server, via).await;
    talk.send([request, "x\x01\r\n\r\n"].concat()).await;
    if ends {
        talk.stream.shutdown().await.unwrap();
    }
    let what = format!("{via:?} {request:?} ends {ends}");
    let mut head = talk.head().await;
    if request.contains("100-continue") {
        assert!(head.starts_with("HTTP/1.1 100 "), "{what}: {head}");
        head = talk.head().await;
    }
    assert!(head.starts_with("HTTP/1.1 200 "), "{what}: {head}");
    // Slowly where it is much: buffers on the way fill up.
    for piece in answer.chunks(256 << 10) {
        assert!(talk.bytes(piece.len()).await == piece, "{what}");
        if answer.len() == BIG {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    check_rest(&mut talk, 400, "cannot be read", &what).await;
}

#[tokio::test]
async fn what_was_asked_before_is_answered_first() {
    let server = start().await;
    let with_body = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";
    let asked = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello";
    for via in BOTH {
        for ends in [false, true] {
            check_behind(&server, via, &get("/", ""), b"ok", ends).await;
            check_behind(&server, via, with_body, b"hello", ends).await;
            check_behind(&server, via, &get("/big", ""), &vec![b'x'; BIG], ends).await;
        }
        check_behind(&server, via, asked, b"hello", false).await;
    }
}

#[tokio::test]
async fn who_has_sent_all_is_told_too() {
    let server = start().await;
    for via in BOTH {
        let mut talk = Talk::connect(&server, via).await;
        talk.send("hello\r\n").await;
        talk.stream.shutdown().await.unwrap();
        check_rest(&mut talk, 400, "cannot be read", &format!("{via:?}")).await;
    }
}

/// Nobody is there to read it any more, or takes it; the server goes on and ends in good order.
#[tokio::test]
async fn who_is_gone_holds_up_nothing() {
    let server = start().await;
    for via in BOTH {
        let mut talk = Talk::connect(&server, via).await;
        talk.send("x\x01\r\n\r\n").await;
        drop(talk);
    }
    soon("the end of all connections", async {
        while server.handle.counters().connections > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    check(&server, "hello\r\n\r\n", 400, "cannot be read").await;
}
