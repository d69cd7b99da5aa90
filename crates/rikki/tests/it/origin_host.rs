//! Who may ask: the Host check on loopback listeners, and the Origin check on upgrades.

use rikki::ws::{Message, Socket};
use rikki::{Handle, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::talk::{Talk, upgrade};
use crate::wire::{BOTH, Delivery, Running, Via, soon};

/// Sends a request in each delivery, with the same outcome; returns the status, and the whole answer for more
/// questions. A switch of protocols ends it.
async fn answer(server: &Running, via: Via, request: &str) -> (u16, String) {
    let mut answers = Vec::new();
    for delivery in [Delivery::Whole, Delivery::Bytewise, Delivery::Random] {
        let mut talk = Talk::connect(server, via).await;
        talk.stream.deliver(request.as_bytes(), delivery).await.unwrap();
        let head = talk.head().await;
        let status: u16 = head[9..12].parse().unwrap();
        let body = if status == 101 { String::new() } else { talk.text().await };
        answers.push((status, body, head));
    }
    let (status, body, head) = answers.pop().unwrap();
    for (other, text, _) in answers {
        assert_eq!((other, text), (status, body.clone()), "{via:?} {request}");
    }
    (status, head + &body)
}

/// An upgrade from a page of `origin` to a server that the client calls `host`.
fn from(origin: &str, host: &str) -> String {
    upgrade("/echo", &format!("Origin: {origin}\r\n")).replace("Host: localhost", &format!("Host: {host}"))
}

async fn check_origin(server: &Running, via: Via, origin: &str, host: &str, expected: u16) {
    let (status, text) = answer(server, via, &from(origin, host)).await;
    assert_eq!(status, expected, "{via:?} {origin} -> {host}: {text}");
    if expected == 403 {
        assert!(text.contains("; Server::allow_origin("), "{origin}: {text}");
        assert!(text.to_ascii_lowercase().contains("connection: close\r\n"), "{text}");
    }
}

/// Origins that no listener takes.
#[tokio::test]
async fn foreign_origins() {
    let server = Running::echo(Server::new().allow_host("good.test")).await;
    for via in BOTH {
        for origin in [
            "https://evil.test",
            "https://good.test.evil.test",
            "https://evilgood.test",
            "https://good.test@evil.test",
            "https://good.test:444",
            "https://good.test/",
            "https://good.test, https://good.test",
            "https://good.test\r\nOrigin: https://good.test",
            "https://good.test\r\nOrigin: https://evil.test",
            "null",
            "file://",
            "",
        ] {
            check_origin(&server, via, origin, "good.test", 403).await;
        }
        check_origin(&server, via, "https://good.test", "good.test", 101).await;
        check_origin(&server, via, "HTTPS://GOOD.test", "good.TEST:443", 101).await;
        check_origin(&server, via, "https://good.test:443", "good.test", 101).await;
        check_origin(&server, via, "https://good.test:8443", "good.test:8443", 101).await;
        // No page, no Origin.
        assert_eq!(answer(&server, via, &upgrade("/echo", "")).await.0, 101);
    }
    // The scheme counts where the listener knows it.
    check_origin(&server, Via::Tcp, "http://good.test", "good.test", 101).await;
    check_origin(&server, Via::Tls, "http://good.test", "good.test", 403).await;
    check_origin(&server, Via::Tls, "http://good.test:443", "good.test", 403).await;
}

/// Whoever connects from elsewhere is cut, and one that is answered is not by any name.
#[tokio::test]
async fn a_network_with_names() {
    const REQUEST: &str = "GET / HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n";
    let settings =
        Server::new().allow_peer("127.0.0.1").allow_peer("fe80::/64").check_hosts(true).allow_host("pc.test");
    let server = settings.listen("http://*:0").start().await.unwrap();
    let port = server.bound()[0].port().unwrap();
    assert_eq!((server.bound()[0].host().as_deref(), server.local_addrs()[0].port()), (Some("*"), port));
    let ask = async |from: &str, host: &str| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        let mut stream = socket.connect(format!("127.0.0.1:{port}").parse().unwrap()).await.unwrap();
        // It may be reset before this is written.
        let _ = stream.write_all(REQUEST.replace("HOST", host).as_bytes()).await;
        let mut answer = String::new();
        let _ = soon("an answer", stream.read_to_string(&mut answer)).await;
        answer.get(9..12).unwrap_or_default().to_owned()
    };
    for (from, host, expected) in [
        ("127.0.0.1", "pc.test", "404"),
        ("127.0.0.1", "localhost:80", "404"),
        ("127.0.0.1", "evil.test", "403"),
        ("127.0.0.1", "192.0.2.1", "403"),
        ("127.0.0.2", "pc.test", ""),
        ("127.0.0.2", "evil.test", ""),
    ] {
        assert_eq!(ask(from, host).await, expected, "{from} {host}");
    }
    let counters = server.counters();
    assert_eq!((counters.accepted, counters.refused_peers, counters.refused_hosts), (6, 2, 2));
    // Without the check every name leads there, as before.
    let others = Server::new().listen("http://*:0").allow_peer("127.0.0.0/8");
    assert!(server.reload(others).await.unwrap().needs_restart.is_empty());
    assert_eq!(ask("127.0.0.2", "evil.test").await, "404");
}

/// Pages of some origins may open WebSockets, read every answer and send every request.
#[tokio::test]
async fn origins_that_are_judged() {
    let judge = |origin: &str| origin == "http://good.test:5173";
    let server = Running::echo(Server::new().allow_origin_if(judge).cors_if(judge)).await;
    for via in BOTH {
        check_origin(&server, via, "http://good.test:5173", "localhost", 101).await;
        check_origin(&server, via, "http://evil.test:5173", "localhost", 403).await;
        let post = |origin: &str| {
            format!("POST /none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: {origin}\r\n\r\n")
        };
        let preflight = |origin: &str| {
            post(origin).replace("POST", "OPTIONS").replace("Origin", "Access-Control-Request-Method: PUT\r\nOrigin")
        };
        let (_, text) = answer(&server, via, &post("http://good.test:5173")).await;
        assert!(text.contains("access-control-allow-origin: http://good.test:5173\r\n"), "{text}");
        assert!(text.contains("vary: origin\r\n"), "{text}");
        let (status, text) = answer(&server, via, &preflight("http://good.test:5173")).await;
        assert_eq!(status, 204, "{text}");
        assert!(text.contains("access-control-allow-methods: PUT\r\n"), "{text}");
        for request in [post("http://evil.test:5173"), preflight("http://evil.test:5173")] {
            let (_, text) = answer(&server, via, &request).await;
            assert!(!text.contains("access-control") && text.contains("vary: origin"), "{text}");
        }
        let twice = post("http://good.test:5173\r\nOrigin: http://good.test:5173");
        assert!(!answer(&server, via, &twice).await.1.contains("access-control"));
    }
}

/// The names of this machine are one origin.
#[tokio::test]
async fn loopback_origins() {
    let server = Running::echo(Server::new()).await;
    for host in ["localhost:8000", "127.0.0.1:8000", "[::1]:8000"] {
        for origin in ["localhost:8000", "127.0.0.1:8000", "[::1]:8000"] {
            check_origin(&server, Via::Tcp, &format!("http://{origin}"), host, 101).await;
            check_origin(&server, Via::Tls, &format!("https://{origin}"), host, 101).await;
        }
        check_origin(&server, Via::Tcp, "http://127.0.0.2:8000", host, 403).await;
        check_origin(&server, Via::Tcp, "http://localhost:8001", host, 403).await;
        check_origin(&server, Via::Tcp, "http://localhost.evil.test:8000", host, 403).await;
    }
}

#[tokio::test]
async fn allowed_origins() {
    let server = Running::echo(Server::new().allow_origin("https://app.test:8443").allow_origin("null")).await;
    for via in BOTH {
        check_origin(&server, via, "https://app.test:8443", "localhost", 101).await;
        check_origin(&server, via, "null", "localhost", 101).await;
        check_origin(&server, via, "https://app.test", "localhost", 403).await;
        check_origin(&server, via, "http://app.test:8443", "localhost", 403).await;
    }
    // What devices and applications send in place of an origin.
    let named =
        ["file://", "https://github.com/gilmaimon/TinyWebsockets", "capacitor://localhost", "tauri://localhost"];
    let server = named.iter().fold(Server::new(), |server, origin| server.allow_origin(origin));
    let server = Running::echo(server).await;
    for via in BOTH {
        for origin in named {
            check_origin(&server, via, origin, "localhost", 101).await;
        }
        for origin in ["file:///", "https://github.com", "ionic://localhost", "tauri://localhost:1"] {
            check_origin(&server, via, origin, "localhost", 403).await;
        }
    }
    let server = Running::echo(Server::new().allow_origin("*")).await;
    for via in BOTH {
        for origin in ["https://evil.test", "null", "nonsense"] {
            check_origin(&server, via, origin, "localhost", 101).await;
        }
    }
}

/// A folder with one file, an endpoint and a route: the Host check knows no difference.
async fn check_host(server: &Running, lines: &str, expected: u16, words: &str) {
    for via in BOTH {
        let websocket = upgrade("/echo", "").replace("Host: localhost\r\n", lines);
        let get = |path| format!("GET {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n");
        for (request, good) in [(get("/rest"), 200), (get("/Cargo.toml"), 200), (get("/none"), 404), (websocket, 101)] {
            let (status, text) = answer(server, via, &request).await;
            assert_eq!(status, if expected == 200 { good } else { expected }, "{via:?} {request:?}: {text}");
            if expected != 200 {
                assert!(text.contains(words), "{request:?}: {text}");
                assert!(text.to_ascii_lowercase().contains("connection: close\r\n"), "{text}");
            }
        }
    }
}

fn site() -> Server {
    Server::new().route("/rest", axum::routing::get(|| async { "rest" })).files(env!("CARGO_MANIFEST_DIR"))
}

/// By a foreign name, or one that only looks like this machine's, a loopback listener is not reached.
#[tokio::test]
async fn hosts_of_a_loopback_listener() {
    let server = Running::echo(site()).await;
    for host in ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "127.9.9.9", "[::1]", "[::1]:80", "app.localhost:8000"] {
        check_host(&server, &format!("Host: {host}\r\n"), 200, "").await;
    }
    for host in ["evil.test:8080", "127.0.0.1.nip.test", "localhost.evil.test", "[::2]", "0.0.0.0", "128.0.0.1"] {
        let name = host.split(":8080").next().unwrap();
        check_host(&server, &format!("Host: {host}\r\n"), 403, &format!("Server::allow_host(\"{name}\") ")).await;
    }
    check_host(&server, "", 400, "the header Host is missing\n").await;
    check_host(&server, "Host: localhost\r\nHost: localhost\r\n", 400, "the header Host must appear only once\n").await;
    check_host(&server, "Host: localhost\r\nHost: evil.test\r\n", 400, "the header Host must appear only once\n").await;
    for host in ["", "user@localhost", "localhost:http", "localhost:99999", "local host", "[::1"] {
        check_host(&server, &format!("Host: {host}\r\n"), 400, "is not of the form name[:port]\n").await;
    }
}

/// HTTP/1.0 needs no Host, as `ab` and haproxy's health check send none; one that is there is judged.
#[tokio::test]
async fn hosts_of_http_1_0() {
    let server = Running::echo(site()).await;
    for (head, expected) in [
        ("GET /rest HTTP/1.0\r\n", 200),
        ("GET /Cargo.toml HTTP/1.0\r\n", 200),
        ("HEAD / HTTP/1.0\r\n", 200),
        ("GET http://localhost/rest HTTP/1.0\r\n", 200),
        ("GET /rest HTTP/1.0\r\nHost: localhost\r\n", 200),
        ("GET /rest HTTP/1.0\r\nHost: evil.test\r\n", 403),
        ("GET http://evil.test/rest HTTP/1.0\r\n", 403),
        ("GET /rest HTTP/1.0\r\nHost:\r\n", 400),
        ("GET /rest HTTP/1.0\r\nHost: localhost\r\nHost: localhost\r\n", 400),
        ("GET /rest HTTP/1.1\r\nConnection: close\r\n", 400),
        ("OPTIONS / HTTP/1.0\r\n", 204),
    ] {
        for via in BOTH {
            let (status, text) = answer(&server, via, &format!("{head}\r\n")).await;
            assert_eq!(status, expected, "{via:?} {head}: {text}");
        }
    }
}

/// A target in absolute form is judged like the field.
#[tokio::test]
async fn targets_that_name_a_host() {
    let server = Running::echo(site()).await;
    let get = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    for (target, host, expected) in [
        ("http://localhost/rest", "localhost", 200),
        ("http://evil.test/rest", "localhost", 403),
        ("http://localhost/rest", "evil.test", 403),
        ("http://evil.test/rest", "evil.test", 403),
        ("http://127.0.0.1/rest", "localhost", 400),
        ("http://localhost:81/rest", "localhost", 400),
    ] {
        for via in BOTH {
            let (status, text) = answer(&server, via, &get(target, host)).await;
            assert_eq!(status, expected, "{via:?} {target} {host}: {text}");
        }
    }
}

#[tokio::test]
async fn allowed_hosts() {
    let server = Running::echo(site().allow_host("proxy.test").allow_host("192.0.2.1")).await;
    for host in ["proxy.test", "Proxy.Test:8443", "192.0.2.1:80", "localhost"] {
        check_host(&server, &format!("Host: {host}\r\n"), 200, "").await;
    }
    check_host(&server, "Host: other.test\r\n", 403, "Server::allow_host(\"other.test\") ").await;
    let server = Running::echo(site().allow_host("*")).await;
    check_host(&server, "Host: any.test\r\n", 200, "").await;
    check_host(&server, "", 400, "the header Host is missing\n").await;
}

/// A listener that others can reach takes any host, but no origin except that host's.
#[tokio::test]
async fn listeners_for_others() {
    let echo = |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message);
    let server = Server::new().websocket("/echo", echo).listen("http://0.0.0.0:0").start().await.unwrap();
    for (request, expected) in [
        (from("http://public.test", "public.test"), 101),
        // Whoever ended TLS in front of it.
        (from("https://public.test", "public.test"), 101),
        (from("http://other.test", "public.test"), 403),
        // Only loopback listeners know that these are one.
        (from("http://localhost", "127.0.0.1"), 403),
        (from("null", "public.test"), 403),
        (upgrade("/echo", "").replace("localhost", "anything.test"), 101),
        (upgrade("/echo", "").replace("Host: localhost\r\n", ""), 400),
    ] {
        assert_eq!(plain_status(&server, &request).await, expected, "{request}");
    }
}

async fn plain_status(server: &Handle, request: &str) -> u16 {
    let port = server.local_addrs()[0].port();
    soon("a status", async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        std::str::from_utf8(&start[9..]).unwrap().parse().unwrap()
    })
    .await
}
