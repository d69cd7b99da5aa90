//! Requests whose end, or whose target, others may read differently.

use axum::routing::any;
use rikki::Server;

use crate::talk::Talk;
use crate::wire::{BOTH, Running};

/// What a client would smuggle behind a request of the form `head`.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Sends a request and another one behind it; the first is answered with `expected`, and `follows` says whether the
/// other one is answered too.
async fn check(server: &Running, request: &str, expected: u16, follows: bool) {
    for via in BOTH {
        let before = server.handle.counters().refused_heads;
        let mut talk = Talk::connect(server, via).await;
        talk.send([request, SMUGGLED].concat()).await;
        if follows {
            let head = talk.head().await;
            assert!(head.starts_with(&format!("HTTP/1.1 {expected} ")), "{via:?} {request:?}: {head}");
            talk.bytes(2).await;
            assert!(talk.head().await.starts_with("HTTP/1.1 200 "), "{via:?} {request:?}");
            continue;
        }
        let answer = talk.text().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{via:?} {request:?}: {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{via:?} {request:?}: {answer:?}");
        assert!(answer.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{via:?} {request:?}: {answer:?}");
        let refused = server.handle.counters().refused_heads - before;
        assert_eq!(refused, u64::from(expected == 400), "{via:?} {request:?}: {answer:?}");
    }
}

fn post(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n0\r\n\r\n")
}

/// <https://www.rfc-editor.org/rfc/rfc9112#section-6.1>
#[tokio::test]
async fn transfer_codings() {
    let server =
        Running::start(Server::new().route("/", any(async || "ok")).route("/smuggled", any(async || "no"))).await;
    for lines in [
        "Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: cow, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity, chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: , chunked\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: \r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5, 6\r\n",
    ] {
        check(&server, &post(lines), 400, false).await;
    }
    // Understood; but where there may have been a Content-Length too, nothing behind it counts.
    for lines in [
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: \tCHUNKED \r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 50\r\nTransfer-Encoding: chunked\r\n",
    ] {
        check(&server, &post(lines), 200, false).await;
    }
    check(&server, &post("Content-Length: 5\r\n"), 200, true).await;
}

/// <https://www.rfc-editor.org/rfc/rfc9112#section-3.2>
#[tokio::test]
async fn targets() {
    let server =
        Running::start(Server::new().route("/", any(async || "ok")).route("/smuggled", any(async || "no"))).await;
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for target in ["ftp://localhost/", "file://localhost/", "ws://localhost/", "httpx://localhost/"] {
        check(&server, &get(target), 400, false).await;
    }
    for target in ["/", "http://localhost/", "HTTPS://localhost/", "http://localhost"] {
        check(&server, &get(target), 200, true).await;
    }
}
