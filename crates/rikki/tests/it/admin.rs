//! What looks inside: who may, what is told, and what commands do.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use axum::routing::get;
use rikki::admin::{Admin, Commands};
use rikki::ws::{Message, Socket};
use rikki::{Handle, Server, Stage};
use serde_json::Value;

use crate::files::fixture::Fixture;
use crate::talk::{Talk, close, frame};
use crate::wire::{WORKERS, soon};

const ANY: &str = "http://127.0.0.1:0";

fn echo() -> Server {
    let echo = |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message);
    Server::new().websocket("/echo", echo).websocket("/rooms/{name}", echo).listen(ANY)
}

/// A server, what looks into it, and where that is.
async fn look(server: Server, url: &str) -> (Handle, Admin, Handle) {
    let admin = Admin::new(&server.monitor());
    let inside = admin.server(url).unwrap().start().await.unwrap();
    let handle = server.start().await.unwrap();
    admin.command(Commands::new(&handle));
    (handle, admin, inside)
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut talk = Talk::connect_to(address).await;
    talk.send(request).await;
    talk.text().await
}

async fn fetch(address: SocketAddr, target: &str) -> String {
    ask(address, &format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await
}

async fn post(path: &Path, command: &str, argument: &str) -> String {
    let mut talk = Talk::connect_at(path).await;
    let (host, length) = ("Host: localhost\r\nConnection: close", argument.len());
    talk.send(format!("POST /commands/{command} HTTP/1.1\r\n{host}\r\nContent-Length: {length}\r\n\r\n{argument}"))
        .await;
    talk.text().await
}

fn status(admin: &Admin) -> Value {
    serde_json::from_str(&admin.status()).unwrap()
}

/// Asks until it is so: what is read is told again for a moment.
async fn until(admin: &Admin, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let asking = async {
        loop {
            let status = status(admin);
            if is_so(&status) {
                return status;
            }
            tokio::task::yield_now().await;
        }
    };
    soon(what, asking).await
}

#[track_caller]
fn check(answer: &str, status: u16, text: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(text), "{answer}");
}

#[tokio::test]
async fn probes_go_by_the_stage_of_the_server() {
    let server = echo();
    let (monitor, admin) = (server.monitor(), Admin::new(&server.monitor()));
    let inside = admin.server(ANY).unwrap().start().await.unwrap();
    let address = inside.local_addrs()[0];
    check(&fetch(address, "/readyz").await, 503, "starting\n");
    let handle = server.start().await.unwrap();
    check(&fetch(address, "/readyz").await, 200, "ready\n");
    assert_eq!(monitor.stage(), Stage::Serving);
    // It drains as long as somebody does not answer its Close.
    let mut talk = Talk::open_at(handle.local_addrs()[0], "/echo").await;
    let draining = tokio::spawn(async move { handle.shutdown().await });
    assert_eq!(talk.next().await, "close(1001)");
    check(&fetch(address, "/readyz").await, 503, "draining\n");
    check(&fetch(address, "/healthz").await, 200, "ok\n");
    check(&fetch(address, "/metrics").await, 200, "rikki_ready 0.0");
    talk.send(close(1001, "")).await;
    soon("the end", draining).await.unwrap();
    check(&fetch(address, "/readyz").await, 503, "draining\n");
    inside.shutdown().await;
}

#[tokio::test]
async fn who_may_look() {
    let (handle, admin, inside) = look(echo(), ANY).await;
    let address = inside.local_addrs()[0];
    let ask = async |target: &str, fields: &str| {
        ask(address, &format!("GET {target} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n")).await
    };
    let (here, there) = (format!("http://127.0.0.1:{}", address.port()), "https://evil.test");
    for target in ["/status", "/metrics", "/healthz", "/readyz", "/status/connections/1"] {
        check(&ask(target, "Host: evil.test\r\n").await, 403, "evil.test");
        for fields in [
            format!("Host: localhost\r\nOrigin: {there}\r\n"),
            "Host: localhost\r\nOrigin: null\r\n".to_owned(),
            format!("Host: localhost:1\r\nOrigin: {here}\r\n"),
            format!("Host: localhost\r\nOrigin: {here}\r\nOrigin: {there}\r\n"),
            "Host: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n".to_owned(),
        ] {
            check(&ask(target, &fields).await, 403, "have no business here");
        }
    }
    let same = format!("Host: 127.0.0.1:{}\r\nOrigin: {here}\r\nSec-Fetch-Site: same-origin\r\n", address.port());
    let answer = ask("/status", &same).await;
    check(&answer, 200, "\"state\":\"serving\"");
    for field in ["cache-control: no-store", "x-content-type-options: nosniff", "x-frame-options: DENY"] {
        assert!(answer.contains(field), "{field}: {answer}");
    }
    check(
        &ask("/status", "Host: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n").await,
        200,
        "",
    );
    check(&ask("/none", "Host: localhost\r\n").await, 404, "");
    // No page can have anything done, and nobody else who is not let in at a socket.
    for command in ["reload", "drain", "close", "log"] {
        let request = format!("POST /commands/{command} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        let refused = super_ask(address, &format!("{request}Content-Length: 0\r\n\r\n")).await;
        check(&refused, 403, "commands are taken on a Unix socket alone");
    }
    assert_eq!(status(&admin)["state"], "serving");
    handle.shutdown().await;
    inside.shutdown().await;
}

async fn super_ask(address: SocketAddr, request: &str) -> String {
    ask(address, request).await
}

#[tokio::test]
async fn strangers_see_probes_alone() {
    let server = echo();
    let admin = Admin::new(&server.monitor());
    admin.allow_hosts(["metrics.test"]);
    let inside = admin.server("http://0.0.0.0:0").unwrap().start().await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], inside.local_addrs()[0].port()));
    let ask = async |target: &str, host: &str| {
        ask(address, &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
    };
    for target in ["/metrics", "/healthz"] {
        for host in ["127.0.0.1", "192.0.2.1:9100", "[2001:db8::1]", "localhost", "metrics.test"] {
            check(&ask(target, host).await, 200, "");
        }
        check(&ask(target, "evil.test").await, 403, "evil.test is not known here");
    }
    for target in ["/", "/status", "/status/connections/1", "/commands/reload"] {
        check(&ask(target, "127.0.0.1").await, 403, "only on loopback");
    }
    assert!(admin.server("https://127.0.0.1:0").unwrap_err().to_string().contains("speaks no TLS"));
    inside.shutdown().await;
}

#[tokio::test]
async fn what_is_told_of_websockets() {
    for workers in WORKERS {
        let (handle, admin, inside) = look(echo().workers(workers), ANY).await;
        let address = handle.local_addrs()[0];
        let mut talk = Talk::open_at(address, "/echo").await;
        for text in ["", "abcd", &"x".repeat(1000)] {
            talk.send(frame(0x81, text)).await;
            assert!(talk.next().await.starts_with("text("));
        }
        let mut other = Talk::open_at(address, "/rooms/secret").await;
        other.send(close(4321, "")).await;
        assert_eq!(other.next().await, "close(4321)");
        assert_eq!(other.rest().await, "");
        let status = until(&admin, "one that is gone", |status| status["websockets"]["open"] == 1).await;
        let websockets = &status["websockets"];
        for direction in ["received", "sent"] {
            assert_eq!(websockets[format!("{direction}_messages")], 3, "{websockets}");
            assert_eq!(websockets[format!("{direction}_bytes")], 1004, "{websockets}");
        }
        let endpoints = websockets["endpoints"].as_array().unwrap();
        let names: Vec<_> = endpoints.iter().map(|endpoint| (&endpoint["endpoint"], &endpoint["open"])).collect();
        assert_eq!(names.len(), 2, "{websockets}");
        assert!(
            names[0] == (&"/echo".into(), &1.into()) && names[1] == (&"/rooms/{name}".into(), &0.into()),
            "{names:?}"
        );
        assert_eq!(websockets["closes"][0]["code"], "4xxx");
        assert_eq!(websockets["closes"][0]["by"], "peer");
        let metrics = admin.metrics();
        for line in [
            "rikki_websockets{endpoint=\"/echo\",transport=\"tcp\"} 1.0",
            "rikki_websockets_closed_total{endpoint=\"/rooms/{name}\",transport=\"tcp\",code=\"4xxx\",by=\"peer\"} 1",
            "rikki_message_received_bytes_bucket{le=\"16.0\",endpoint=\"/echo\",transport=\"tcp\"} 2",
            "rikki_message_received_bytes_sum{endpoint=\"/echo\",transport=\"tcp\"} 1004.0",
            "# TYPE rikki_websockets_opened_total counter",
        ] {
            assert!(metrics.lines().any(|known| known == line), "{line}: {metrics}");
        }
        // What a client has chosen is in no label.
        assert!(!metrics.contains("secret") && !metrics.contains("4321"), "{metrics}");
        handle.shutdown().await;
        inside.shutdown().await;
    }
}

#[tokio::test]
async fn commands_on_a_socket() {
    let folder = Fixture::empty();
    let path = folder.root().join("admin.sock");
    let server = echo();
    let admin = Admin::new(&server.monitor());
    let inside = admin.server(&format!("unix:{}", path.display())).unwrap().start().await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    check(&post(&path, "drain", "").await, 503, "the server is starting");
    let handle = server.start().await.unwrap();
    admin.command(Commands::new(&handle).log_filter(|filter| match filter {
        "good" => Ok(()),
        _ => Err("no filter".to_owned()),
    }));
    check(&post(&path, "log", "good").await, 200, "good");
    check(&post(&path, "log", "bad").await, 400, "no filter");
    check(&post(&path, "reload", "").await, 501, "does not have the command");
    check(&post(&path, "nonsense", "").await, 404, "the commands are");
    check(&post(&path, "log", &"x".repeat(5000)).await, 413, "at most");
    check(&post(&path, "log", "\u{fffd}").await, 400, "no filter");
    // A page that reaches it by a proxy.
    let mut talk = Talk::connect_at(&path).await;
    talk.send("POST /commands/drain HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\nConnection: close\r\n\r\n").await;
    check(&talk.text().await, 403, "have no business here");
    let mut talk = Talk::connect_at(&path).await;
    talk.send("GET /commands/drain HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    check(&talk.text().await, 405, "");

    let running = handle.clone();
    let running = tokio::spawn(async move { running.run().await });
    check(&post(&path, "drain", "").await, 200, "the server drains");
    // Whoever serves until a signal sees that it is over.
    soon("the end", running).await.unwrap().unwrap();
    inside.shutdown().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn routes_of_an_application() {
    let server = echo().route("/", get(async || "application"));
    let admin = Admin::new(&server.monitor());
    let handle = server.merge(admin.router()).start().await.unwrap();
    let address = handle.local_addrs()[0];
    check(&fetch(address, "/").await, 200, "application");
    check(&fetch(address, "/status").await, 200, "\"state\":\"serving\"");
    let foreign = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nOrigin: http://b\r\nConnection: close\r\n\r\n";
    check(&ask(address, foreign).await, 403, "have no business here");
    handle.shutdown().await;
}
