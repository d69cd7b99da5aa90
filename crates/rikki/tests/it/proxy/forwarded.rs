//! What proxies say in the fields of requests: who asks, and by which name.

use rikki::StartError;

use super::{counted, server};
use crate::files::fixture::Fixture;
use crate::recorder::Recorder;
use crate::talk::{Talk, close, upgrade};
use crate::wire::{BOTH, Running, Via, soon};

fn who(lines: &str) -> String {
    format!("GET /who HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n")
}

async fn ask(server: &Running, via: Via, lines: &str) -> String {
    let mut talk = Talk::connect(server, via).await;
    talk.send(who(lines)).await;
    talk.text().await
}

const BOTH_FIELDS: &str =
    "X-Forwarded-For: 198.51.100.9\r\nX-Forwarded-For: 192.0.2.1, 10.0.0.7\r\nForwarded: for=192.0.2.2\r\n";

#[tokio::test]
async fn the_client_is_the_first_that_is_not_trusted() {
    let trusting = || server().trust("127.0.0.0/8").trust("10.0.0.0/8");
    for (server, expected) in [
        (trusting(), "192.0.2.1:0"),
        (trusting().forwarded("x-forwarded-for"), "192.0.2.1:0"),
        (trusting().forwarded("Forwarded"), "192.0.2.2:0"),
        (server(), "127.0.0.1:"),
        // Another proxy than the one that asks.
        (server().trust("10.0.0.0/8"), "127.0.0.1:"),
    ] {
        let server = Running::start(server).await;
        for via in BOTH {
            let answer = ask(&server, via, BOTH_FIELDS).await;
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(expected), "{expected}: {answer}");
            let none = ask(&server, via, "").await;
            assert!(none.contains("127.0.0.1:"), "{none}");
        }
    }
}

/// Each request of a connection has a client of its own.
#[tokio::test]
async fn requests_of_one_connection() {
    let server = Running::start(server().trust("127.0.0.1").max_request_rate(1)).await;
    let mut talk = Talk::connect(&server, Via::Tcp).await;
    for last in 1..5 {
        talk.send(format!("GET /who HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.{last}:80\r\n\r\n")).await;
        let head = talk.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(talk.bytes(12).await, format!("192.0.2.{last}:80").as_bytes());
    }
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(ask(&server, Via::Tcp, "X-Forwarded-For: 192.0.2.1\r\n").await[9..12].to_owned());
    }
    assert!(statuses.contains(&"429".to_owned()), "{statuses:?}");
    counted(&server, |counters| counters.refused_requests > 0).await;
}

#[tokio::test]
async fn a_handler_of_websockets_is_told_the_client() {
    let (recorder, mut calls) = Recorder::new();
    let server = Running::start(server().trust("127.0.0.1").websocket("/record", recorder)).await;
    for via in BOTH {
        let mut talk = Talk::connect(&server, via).await;
        talk.send(upgrade("/record", "X-Forwarded-For: 192.0.2.9:5\r\n")).await;
        assert!(talk.head().await.starts_with("HTTP/1.1 101 "));
        assert_eq!(calls.opened().await.0, "/record none 192.0.2.9:5");
        talk.send(close(1000, "")).await;
        assert_eq!(talk.rest().await, "close(1000)");
        calls.closed().await;
    }
}

/// A page is of the same origin if it is of the host and the scheme that its browser has asked the proxy for.
#[tokio::test]
async fn origins_are_compared_with_what_the_client_has_asked_for() {
    let proxied = Running::start(server().trust("127.0.0.1").allow_host("app.test")).await;
    let plain = Running::start(server().allow_host("app.test")).await;
    let standard = Running::start(server().trust("127.0.0.1").forwarded("forwarded").allow_host("app.test")).await;
    let check = async |server: &Running, origin: &str, lines: &str, expected: &str| {
        for via in BOTH {
            let mut talk = Talk::connect(server, via).await;
            talk.send(upgrade("/echo", &format!("Origin: {origin}\r\n{lines}"))).await;
            let head = talk.head().await;
            assert_eq!(&head[9..12], expected, "{via:?} {origin} {lines}");
        }
    };
    let public = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: app.test\r\nX-Forwarded-Proto: https\r\n";
    check(&proxied, "https://app.test", public, "101").await;
    check(&proxied, "http://app.test", public, "403").await;
    check(&proxied, "https://localhost", public, "403").await;
    check(&proxied, "https://evil.test", public, "403").await;
    check(&plain, "https://app.test", public, "403").await;
    let public = "Forwarded: for=192.0.2.1;host=app.test;proto=http\r\nX-Forwarded-Host: evil.test\r\n";
    check(&standard, "http://app.test", public, "101").await;
    check(&standard, "https://app.test", public, "403").await;
    // On a loopback listener both hosts have to be allowed.
    check(&proxied, "https://evil.test", "X-Forwarded-Host: evil.test\r\n", "403").await;
    let mut talk = Talk::connect(&proxied, Via::Tcp).await;
    talk.send("GET /who HTTP/1.1\r\nHost: evil.test\r\nX-Forwarded-Host: localhost\r\n\r\n").await;
    let answer = talk.text().await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("allow_host(\"evil.test\")"), "{answer}");
    assert_eq!(ask(&proxied, Via::Tcp, "X-Forwarded-Host: other.test\r\n").await[9..12], *"403");
}

/// Behind the PROXY protocol it is the address in the header that has to be trusted.
#[tokio::test]
async fn both() {
    let server = Running::start(server().trust("127.0.0.1").trust("10.0.0.0/8").proxy_protocol(true)).await;
    for (header, expected) in [
        ("PROXY TCP4 10.0.0.1 10.0.0.2 5 6\r\n", "192.0.2.1:0"),
        ("PROXY TCP4 192.0.2.7 10.0.0.2 5 6\r\n", "192.0.2.7:5"),
        ("PROXY UNKNOWN\r\n", "127.0.0.1:"),
    ] {
        let mut talk = Talk::connect_proxied(&server, Via::Tls, header.as_bytes()).await;
        talk.send(who("X-Forwarded-For: 192.0.2.1\r\n")).await;
        let answer = talk.text().await;
        assert!(answer.contains(expected), "{header}: {answer}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn on_a_unix_socket() {
    let folder = Fixture::empty();
    for (trusted, expected) in [("unix", "192.0.2.1:0"), ("127.0.0.1", "unix")] {
        let path = folder.root().join("rikki.sock");
        let handle = server().trust(trusted).listen(format!("unix:{}", path.display())).start().await.unwrap();
        let mut talk = Talk::connect_at(&path).await;
        talk.send(who("X-Forwarded-For: 192.0.2.1\r\n")).await;
        let answer = talk.text().await;
        assert!(answer.ends_with(expected), "{answer}");
        soon("the end", handle.shutdown()).await;
    }
}

#[tokio::test]
async fn what_cannot_be() {
    let start = async |server: rikki::Server| server.listen("http://127.0.0.1:0").start().await.unwrap_err();
    let error = start(server().trust("10.0.0.0/8").forwarded("X-Real-IP")).await;
    assert!(matches!(&error, StartError::Forwarded { given } if given == "X-Real-IP"), "{error:?}");
    assert!(error.to_string().contains("X-Forwarded-For or Forwarded"), "{error}");
    let error = start(server().forwarded("Forwarded")).await;
    assert!(error.to_string().contains("Server::trust"), "{error}");
}
