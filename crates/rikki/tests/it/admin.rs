//! What looks inside: who may, what is told, and what commands do.

mod brokers;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use axum::routing::get;
use rikki::admin::{Admin, Commands};
use rikki::ws::{Message, Socket};
use rikki::{Handle, Server, Stage};
use serde_json::Value;

use crate::files::fixture::Fixture;
use crate::talk::{Talk, close, frame, upgrade};
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
    for target in ["/", "/status", "/metrics", "/healthz", "/readyz", "/status/connections/1"] {
        check(&ask(target, "Host: evil.test\r\n").await, 403, "evil.test is not known here");
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
    // What is shown to people loads nothing, and is in no frame.
    let page = ask("/", "Host: localhost\r\nSec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\n").await;
    check(&page, 200, "content-type: text/html; charset=utf-8");
    for field in
        ["default-src 'none'", "frame-ancestors 'none'", "style-src 'sha256-", "script-src 'sha256-", "no-store"]
    {
        assert!(page.contains(field), "{field}: {page}");
    }
    // A server that answers by any name shows no page who is there; one that is told is let in.
    admin.allow_hosts(["*", "inside.test"]);
    check(&ask("/status", "Host: evil.test\r\n").await, 403, "evil.test is not known here");
    check(&ask("/status", "Host: INSIDE.test\r\n").await, 200, "");
    // No page can have anything done, and nobody else who is not let in at a socket.
    for command in ["reload", "drain", "close", "log"] {
        let request = format!("POST /commands/{command} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        let refused = ask_raw(address, &format!("{request}Content-Length: 0\r\n\r\n")).await;
        check(&refused, 403, "commands are taken on a Unix socket alone");
    }
    assert_eq!(status(&admin)["state"], "serving");
    handle.shutdown().await;
    inside.shutdown().await;
}

async fn ask_raw(address: SocketAddr, request: &str) -> String {
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
    admin.allow_hosts(["*"]);
    check(&ask("/metrics", "any.test").await, 200, "");
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
        talk.send(close(1000, "")).await;
        assert_eq!(talk.next().await, "close(1000)");
        drop((talk, other));
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
    let mut talk = Talk::connect_at(&path).await;
    talk.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    check(&talk.text().await, 200, "<title>rikki</title>");
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

const NO_CLOSES: [(&str, u16, &str); 7] = [
    ("", 400, "write the id"),
    ("x", 400, "write the id"),
    ("1 2 3", 400, "write the id"),
    ("1 99999999", 400, "write the id"),
    ("1 1006", 400, "no Close can have the code 1006"),
    ("1 999", 400, "no Close can have the code 999"),
    ("99999999", 404, "has the id 99999999"),
];

#[tokio::test]
async fn one_websocket_is_told_of_and_closed() {
    let folder = Fixture::empty();
    let path = folder.root().join("admin.sock");
    for workers in WORKERS {
        let (handle, admin, inside) = look(echo().workers(workers), &format!("unix:{}", path.display())).await;
        let address = handle.local_addrs()[0];
        // One that takes nothing of what it is sent.
        let mut slow = Talk::open_at(address, "/echo").await;
        let mut quick = Talk::open_at(address, "/echo").await;
        quick.echo("hello").await;
        let sending = async {
            loop {
                slow.send(frame(0x82, vec![7; 100_000])).await;
            }
        };
        let behind = |status: &Value| status["websockets"]["slowest"][0]["queued_bytes"].as_u64() > Some(200_000);
        let status = tokio::select! {
            status = until(&admin, "a slow reader", behind) => status,
            () = sending => unreachable!("it never ends"),
        };
        let slowest = status["websockets"]["slowest"].as_array().unwrap();
        assert_eq!(slowest.len(), 1, "{slowest:?}");
        let peer = slow.stream.tcp().local_addr().unwrap().to_string();
        assert_eq!((&slowest[0]["peer"], &slowest[0]["endpoint"]), (&peer.into(), &"/echo".into()));
        assert!(slowest[0]["waiting_ms"].is_u64(), "{slowest:?}");
        let id = slowest[0]["id"].as_u64().unwrap();

        // Other tests open some too.
        let peer = format!("\"peer\":\"{}\"", quick.stream.tcp().local_addr().unwrap());
        let mut found = None;
        for other in id.. {
            let details = get_at(&path, &format!("/status/connections/{other}")).await;
            if details.contains(&peer) {
                found = Some((other, details));
                break;
            }
        }
        let (other, details) = found.unwrap();
        check(&details, 200, "\"received_messages\":1,\"received_bytes\":5,\"sent_messages\":1,\"sent_bytes\":5,");
        for id in ["0", "-1", "x", "18446744073709551616", "%00", "99999999"] {
            check(&get_at(&path, &format!("/status/connections/{id}")).await, 404, "no WebSocket");
        }
        for (argument, status, text) in NO_CLOSES {
            check(&post(&path, "close", argument).await, status, text);
        }
        check(&post(&path, "close", &other.to_string()).await, 200, "is closed with 1008");
        assert_eq!(quick.next().await, "close(1008)");
        quick.send(close(1008, "")).await;
        assert_eq!(quick.rest().await, "");
        check(&post(&path, "close", &format!("{id} 4001")).await, 200, "is closed with 4001");
        let is_over = |status: &Value| status["websockets"]["open"] == 0;
        drop(slow);
        let status = until(&admin, "the end of both", is_over).await;
        assert_eq!(status["websockets"]["closes"][1]["by"], "server", "{status}");
        handle.shutdown().await;
        inside.shutdown().await;
    }
}

#[tokio::test]
async fn one_endpoint_is_drained() {
    let folder = Fixture::empty();
    let path = folder.root().join("admin.sock");
    let server = echo().drain_window(Duration::from_millis(20));
    let (handle, _admin, inside) = look(server, &format!("unix:{}", path.display())).await;
    let address = handle.local_addrs()[0];
    check(&post(&path, "drain", "/echo").await, 404, "those where some were: none yet");
    let mut there = [Talk::open_at(address, "/echo").await, Talk::open_at(address, "/echo").await];
    let mut elsewhere = Talk::open_at(address, "/rooms/a").await;
    check(&post(&path, "drain", "/rooms/a").await, 404, "those where some were: /echo, /rooms/{name}");
    check(&post(&path, "drain", "/echo").await, 200, "2 WebSockets are closed with 1001");
    for talk in &mut there {
        assert_eq!(talk.next().await, "close(1001)");
        talk.send(close(1001, "")).await;
        assert_eq!(talk.rest().await, "");
    }
    let mut refused = Talk::connect_to(address).await;
    refused.send(upgrade("/echo", "")).await;
    let answer = refused.text().await;
    check(&answer, 503, "nobody is let in here");
    assert!(answer.contains("retry-after: 10\r\n"), "{answer}");
    elsewhere.echo("still there").await;
    check(&get_at(&path, "/readyz").await, 200, "ready");
    check(&post(&path, "undrain", "/none").await, 404, "");
    check(&post(&path, "undrain", "/echo").await, 200, "are let in at /echo");
    let mut again = Talk::open_at(address, "/echo").await;
    again.echo("again").await;
    drop((again, elsewhere));
    handle.shutdown().await;
    inside.shutdown().await;
}

/// How long messages wait, from a sender and from a topic, until they are framed.
#[tokio::test]
async fn what_waits_is_timed() {
    use rikki::topics::{TopicUrl, Topics, TopicsConfig};
    let [topics, other] = [(); 2].map(|()| Topics::new(TopicsConfig::default()));
    let late = |socket: &mut Socket<'_>, _: Message<'_>| {
        let sender = socket.sender();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let _ = sender.send("late");
        });
    };
    let server = Server::new().websocket("/late", late).route("/topics/{*topic}", TopicUrl::new(&topics).route());
    let (handle, admin, inside) = look(server.topics(&topics).topics(&other).listen(ANY), ANY).await;
    let address = handle.local_addrs()[0];
    let mut talk = Talk::open_at(address, "/late").await;
    talk.send(frame(0x81, "now")).await;
    assert_eq!(talk.next().await, "text(late)");
    let mut subscriber = Talk::open_at(address, "/topics/news").await;
    until(&admin, "a subscriber", |status| status["topics"]["subscribers"] == 1).await;
    topics.publish("topics/news", "first").wait().unwrap();
    assert_eq!(subscriber.next().await, "text(first)");
    let status = until(&admin, "what was delivered", |status| status["topics"]["delivered"] == 1).await;
    assert_eq!(status["topics"]["largest"][0]["name"], "topics/news");
    assert_eq!(status["topics"]["largest"][0]["subscribers"], 1);
    for endpoint in ["/late", "/topics/{*topic}"] {
        let line = format!("rikki_delivery_lag_seconds_count{{endpoint=\"{endpoint}\",transport=\"tcp\"}} 1");
        let told = async {
            while !admin.metrics().lines().any(|known| known == line) {
                tokio::task::yield_now().await;
            }
        };
        soon(&line, told).await;
    }
    // Both have the same patterns and budgets, and no sample may come twice.
    let metrics = admin.metrics();
    let samples: Vec<_> = metrics.lines().filter(|line| !line.starts_with('#')).collect();
    let names = samples.iter().filter_map(|line| line.rsplit_once(' ').map(|(name, _)| name));
    let names: std::collections::HashSet<_> = names.collect();
    assert!(metrics.contains("rikki_topics{pattern=") && names.len() == samples.len(), "{metrics}");
    drop((talk, subscriber));
    handle.shutdown().await;
    inside.shutdown().await;
}

async fn get_at(path: &Path, target: &str) -> String {
    let mut talk = Talk::connect_at(path).await;
    talk.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await;
    talk.text().await
}

#[tokio::test]
async fn a_server_that_is_full_and_held_up_is_looked_into() {
    let (go_on, told) = std::sync::mpsc::channel::<()>();
    let told = std::sync::Mutex::new(told);
    let blocks = move |_: &mut Socket<'_>, _: Message<'_>| _ = told.lock().unwrap().recv();
    let server = Server::new().websocket("/blocks", blocks).listen(ANY).workers(1).max_connections(1);
    let (handle, admin, inside) = look(server, ANY).await;
    let mut talk = Talk::open_at(handle.local_addrs()[0], "/blocks").await;
    until(&admin, "a worker that is there", |status| status["workers"][0]["stalled"] == false).await;
    talk.send(frame(0x81, "x")).await;
    until(&admin, "a worker that is held up", |status| status["workers"][0]["stalled"] == true).await;
    let status = fetch(inside.local_addrs()[0], "/status").await;
    check(&status, 200, "\"connections\":{\"open\":1,\"most\":1,");
    assert!(status.contains("\"by_transport\":{\"tcp\":1,\"tls\":0,\"unix\":0}"), "{status}");
    drop(go_on);
    until(&admin, "a worker that goes on", |status| status["workers"][0]["stalled"] == false).await;
    drop(talk);
    handle.shutdown().await;
    inside.shutdown().await;
}

/// What it costs to ask as often as can be.
#[tokio::test]
async fn many_who_ask_are_told_the_same() {
    let (handle, admin, inside) = look(echo(), ANY).await;
    let address = inside.local_addrs()[0];
    let began = std::time::Instant::now();
    let mut told = std::collections::HashSet::new();
    for _ in 0..50 {
        let status = admin.status();
        told.insert(status);
    }
    let most = began.elapsed().as_millis() / 50 + 2;
    assert!(told.len() as u128 <= most, "{} within {:?}", told.len(), began.elapsed());
    // One address is answered 100 times at once and 100 times a second then, and told when it is too often.
    let began = std::time::Instant::now();
    let mut talk = Talk::connect_to(address).await;
    let mut answered = 0;
    let refused = 'refused: loop {
        // Some at a time: a machine that is busy could take a second for a few of them.
        talk.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20)).await;
        for _ in 0..20 {
            let head = talk.head().await;
            if !head.starts_with("HTTP/1.1 200 ") {
                break 'refused head;
            }
            assert_eq!(talk.bytes(3).await, b"ok\n");
            answered += 1;
        }
    };
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    let most = 101.0 + 100.0 * began.elapsed().as_secs_f64();
    assert!(answered >= 99 && f64::from(answered) <= most, "{answered} within {:?}", began.elapsed());
    handle.shutdown().await;
    inside.shutdown().await;
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
