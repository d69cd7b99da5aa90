//! haproxy and nginx in front of the library's server: what they say of clients is what it tells its handlers.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rikki::axum::routing::get;
use rikki::ws::{Message, Socket};
use rikki::{Handle, Peer, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};

use crate::file_clients::{Folder, nginx::Nginx};
use crate::python::within;

/// A client of its own, which no proxy has.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// One that tells who asks, and how often proxies have asked whether it is there.
async fn start(server: Server) -> (Handle, Arc<AtomicUsize>) {
    let checks = Arc::<AtomicUsize>::default();
    let check = {
        let checks = checks.clone();
        get(async move |peer: Peer| {
            assert_eq!(peer.ip(), Some(Ipv4Addr::LOCALHOST.into()));
            checks.fetch_add(1, Ordering::Relaxed);
        })
    };
    let who = get(async |peer: Peer| peer.to_string());
    let echo = |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message);
    let server = server.trust("127.0.0.1").route("/who", who).route("/check", check).websocket("/echo", echo);
    (server.workers(1).listen("http://127.0.0.1:0").start().await.unwrap(), checks)
}

/// What a request is answered with, and the address that it was sent from.
async fn ask(address: &str, path: &str, lines: &str) -> (String, SocketAddr) {
    within(20, path, async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((CLIENT, 0).into()).unwrap();
        let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
        let from = stream.local_addr().unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: app.test\r\n{lines}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Whoever asked for a WebSocket may ask for something else then.
        let is_whole = |answer: &[u8]| lines.contains("Upgrade") && answer.windows(4).any(|end| end == b"\r\n\r\n");
        while !is_whole(&answer) && stream.read_buf(&mut answer).await.unwrap() > 0 {}
        (String::from_utf8(answer).unwrap(), from)
    })
    .await
}

fn upgrade(origin: &str) -> String {
    format!(
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: {origin}\r\n"
    )
}

async fn haproxy(folder: &Folder, server: &str, port: u16) -> Child {
    let text = format!(
        "defaults\nmode tcp\ntimeout connect 5s\ntimeout client 20s\ntimeout server 20s\noption httpchk GET /check\n\
         http-check send hdr Host localhost\nlisten rikki\nbind 127.0.0.1:{port}\nserver one {server} check inter 50ms\n"
    );
    folder.write("haproxy.cfg", text);
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("haproxy");
    command.env("PATH", path).arg("-db").arg("-f").arg(folder.path("haproxy.cfg"));
    let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    within(20, "the start of haproxy", async {
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            // It does not say when it is ready.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    child
}

#[tokio::test]
async fn haproxy_tells_the_client_by_the_proxy_protocol() {
    for version in ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"] {
        let folder = Folder::new();
        let (handle, checks) = start(Server::new().proxy_protocol(true).allow_host("app.test")).await;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let _haproxy = haproxy(&folder, &format!("{} {version}", handle.local_addrs()[0]), port).await;
        let address = format!("127.0.0.1:{port}");
        let (answer, from) = ask(&address, "/who", "Connection: close\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&from.to_string()), "{from}: {answer}");
        let (answer, _) = ask(&address, "/echo", &upgrade("http://app.test")).await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        // Its checks name nobody.
        within(20, "a check", async {
            while checks.load(Ordering::Relaxed) < 2 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        assert_eq!(handle.counters().refused_proxy_headers, 0, "{version}");
        // Without its header nobody gets in.
        let mut stream = TcpStream::connect(handle.local_addrs()[0]).await.unwrap();
        stream.write_all(b"GET /who HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = within(20, "the end", stream.read_to_end(&mut answer)).await;
        assert_eq!(answer, b"");
    }
}

#[tokio::test]
async fn nginx_tells_the_client_in_a_field() {
    let folder = Folder::new();
    let fields = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";\n\
                  proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;\n";
    for (added, server, expected) in [
        ("X-Forwarded-For $proxy_add_x_forwarded_for", Server::new(), "127.0.0.2:0"),
        ("X-Forwarded-For $remote_addr:$remote_port", Server::new().forwarded("X-Forwarded-For"), ""),
        (
            "Forwarded \"$http_forwarded, for=\\\"$remote_addr:$remote_port\\\";proto=$scheme;host=$host\"",
            Server::new().forwarded("Forwarded"),
            "",
        ),
    ] {
        let (handle, _) = start(server.allow_host("app.test")).await;
        let address = handle.local_addrs()[0];
        let location = format!("location / {{ proxy_pass http://{address}; proxy_set_header {added};\n{fields} }}");
        let nginx = Nginx::start(&folder, &location).await;
        // What the client says of itself is not believed.
        let lines = "X-Forwarded-For: 198.51.100.1\r\nForwarded: for=198.51.100.1;x=\"\r\nConnection: close\r\n";
        let (answer, from) = ask(&nginx.address, "/who", lines).await;
        let expected = if expected.is_empty() { from.to_string() } else { expected.to_owned() };
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(&expected), "{added} {expected}: {answer}");
        for (origin, status) in [("http://app.test", 101), ("https://app.test", 403), ("http://evil.test", 403)] {
            let (answer, _) = ask(&nginx.address, "/echo", &upgrade(origin)).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{added} {origin}: {answer}");
        }
    }
}
