//! Plain HTTP through the server: routes, files, and HTTP/2 where TLS agrees on it.

mod added;
mod frames;
mod framing;
mod go_away;
mod heads;
mod mounts;
mod unread;
mod unreadable;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::routing::get;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rikki::ws::{Message, Socket};
use rikki::{Server, ServerTls};

use crate::talk::{Talk, upgrade};
use crate::wire::{BOTH, Running, Via, soon};

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    #[track_caller]
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers)).to_str().unwrap()
    }
}

fn request(method: Method, target: &str) -> Request<Empty<Bytes>> {
    Request::builder().method(method).uri(target).header("host", "localhost").body(Empty::new()).unwrap()
}

/// Asks with hyper's own client over HTTP/1.1, on a connection of its own.
async fn ask(server: &Running, via: Via, request: Request<Empty<Bytes>>) -> Answer {
    let stream = TokioIo::new(server.connect(via).await);
    let (mut sender, connection) = soon("a handshake", http1::handshake(stream)).await.unwrap();
    tokio::spawn(connection);
    receive(soon("a response", sender.send_request(request)).await.unwrap()).await
}

async fn receive(response: http::Response<hyper::body::Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let body = soon("a body", body.collect()).await.unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, body: String::from_utf8_lossy(&body).into_owned() }
}

async fn get_path(server: &Running, via: Via, path: &str) -> Answer {
    ask(server, via, request(Method::GET, path)).await
}

/// A temporary folder, which holds a site.
struct Site(PathBuf);

impl Site {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("rikki-http-{}-{count}", std::process::id()));
        let site = Self(folder);
        site.write("ok.txt", "ok");
        site.write("sub/index.html", "<h1>index</h1>");
        site.write("plain/<b>.txt", "b");
        site.write(".env", "SECRET");
        site
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    async fn serve(&self) -> Running {
        Running::echo(server(&self.0)).await
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn server(folder: &Path) -> Server {
    Server::new()
        .route("/rest", get(|| async { ([("content-type", "application/json")], "{\"result\":123}") }))
        .files(folder)
}

#[tokio::test]
async fn routes() {
    let site = Site::new();
    let server = site.serve().await;
    for via in BOTH {
        let answer = get_path(&server, via, "/rest").await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, "{\"result\":123}"));
        assert_eq!(answer.header("content-type"), "application/json");
        let head = ask(&server, via, request(Method::HEAD, "/rest")).await;
        assert_eq!((head.status.as_u16(), &*head.body, head.header("content-length")), (200, "", "14"));
        let post = ask(&server, via, request(Method::POST, "/rest")).await;
        assert_eq!((post.status.as_u16(), post.header("allow")), (405, "GET,HEAD"));
        let plain = get_path(&server, via, "/echo").await;
        assert_eq!((plain.status.as_u16(), plain.header("upgrade")), (426, "websocket"));
    }
}

#[tokio::test]
async fn files() {
    let site = Site::new();
    let server = site.serve().await;
    for via in BOTH {
        let file = get_path(&server, via, "/ok.txt").await;
        assert_eq!((file.status.as_u16(), &*file.body), (200, "ok"));
        assert_eq!(file.header("content-type"), "text/plain; charset=utf-8");
        let index = get_path(&server, via, "/sub/").await;
        assert_eq!((index.status.as_u16(), &*index.body), (200, "<h1>index</h1>"));
        let folder = get_path(&server, via, "/sub").await;
        assert!(folder.status.is_redirection(), "{}", folder.status);
        assert_eq!(folder.header("location"), "./sub/");
        let listing = get_path(&server, via, "/plain/").await;
        assert_eq!(listing.status, 200);
        assert!(listing.body.contains("&lt;b&gt;.txt") && !listing.body.contains("<b>"), "{}", listing.body);
        for hidden in ["/.env", "/none", "/plain/../.env"] {
            assert!(get_path(&server, via, hidden).await.status.is_client_error(), "{hidden}");
        }
        assert_eq!(get_path(&server, via, "/.env").await.status, 404);
        let post = ask(&server, via, request(Method::POST, "/ok.txt")).await;
        assert_eq!((post.status.as_u16(), post.header("allow")), (405, "GET, HEAD, OPTIONS"));

        let mut again = request(Method::GET, "/ok.txt");
        again.headers_mut().insert("if-none-match", file.headers["etag"].clone());
        assert_eq!(ask(&server, via, again).await.status, 304);
        let mut again = request(Method::GET, "/ok.txt");
        again.headers_mut().insert("if-modified-since", file.headers["last-modified"].clone());
        assert_eq!(ask(&server, via, again).await.status, 304);
    }
}

/// An upgrade where there is no endpoint is an ordinary request.
#[tokio::test]
async fn upgrades_of_files() {
    let site = Site::new();
    let server = site.serve().await;
    for via in BOTH {
        let mut talk = Talk::connect(&server, via).await;
        talk.send(upgrade("/ok.txt", "")).await;
        let head = talk.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(talk.bytes(2).await, b"ok");
        // The connection goes on, and ends properly.
        talk.send("GET /none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        let answer = talk.text().await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    }
}

/// Bodies that nobody reads don't take the answer with them.
#[tokio::test]
async fn bodies_that_are_not_read() {
    let site = Site::new();
    let server = site.serve().await;
    for via in BOTH {
        for path in ["/rest", "/ok.txt", "/none"] {
            let mut talk = Talk::connect(&server, via).await;
            let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048576\r\n\r\n");
            talk.send([head.as_bytes(), &[b'x'; 1024 * 1024]].concat()).await;
            let head = talk.head().await;
            assert!(head.starts_with("HTTP/1.1 40"), "{via:?} {path}: {head}");
        }
    }
}

/// The key may lie where the files do; it is not one of them.
#[tokio::test]
async fn the_key_is_not_served() {
    let site = Site::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let key_file = site.write("server.key", &key.serialize_pem());
    let certificate_file = site.write("sub/server.crt", &certificate.pem());
    let tls = ServerTls::pem_files(certificate_file, key_file).unwrap();
    let server = Running::start_with(server(&site.0), tls, &certificate.pem()).await;
    for via in BOTH {
        assert_eq!(get_path(&server, via, "/ok.txt").await.status, 200);
        assert_eq!(get_path(&server, via, "/sub/server.crt").await.status, 200, "a certificate is public");
        for secret in ["/server.key", "/server%2Ekey"] {
            assert_eq!(get_path(&server, via, secret).await.status, 404, "{secret}");
        }
        let listing = get_path(&server, via, "/").await;
        assert!(listing.body.contains("ok.txt") && !listing.body.contains("server.key"), "{}", listing.body);
    }
}

#[tokio::test]
async fn http2() {
    let site = Site::new();
    let server = site.serve().await;
    let stream = TokioIo::new(server.connect_with(Via::Tls, b"h2").await);
    let (mut sender, connection) = soon("a handshake", http2::handshake(TokioExecutor::new(), stream)).await.unwrap();
    tokio::spawn(connection);
    let mut ask = async |target: &str, more: &[(&'static str, &'static str)]| {
        let mut request = Request::get(target).body(Empty::<Bytes>::new()).unwrap();
        for (name, value) in more {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        receive(soon("a response", sender.send_request(request)).await.unwrap()).await
    };
    let rest = ask("https://localhost/rest", &[]).await;
    assert_eq!((rest.status.as_u16(), &*rest.body), (200, "{\"result\":123}"));
    assert_eq!(ask("https://localhost/ok.txt", &[]).await.body, "ok");
    assert_eq!(ask("https://localhost/.env", &[]).await.status, 404);
    // Without the fields of HTTP/1.1 there is no way to a WebSocket.
    let websocket = ask("https://localhost/echo", &[("sec-websocket-version", "13")]).await;
    assert_eq!(websocket.status, 505, "{}", websocket.body);
    assert!(websocket.headers.get("connection").is_none() && websocket.headers.get("upgrade").is_none());
    // The host is judged here too.
    let foreign = ask("https://evil.test/rest", &[]).await;
    assert_eq!(foreign.status, 403, "{}", foreign.body);
    assert!(foreign.body.contains("Server::allow_host(\"evil.test\") "), "{}", foreign.body);
    assert_eq!(ask("https://localhost/rest", &[("host", "evil.test")]).await.status, 403);
    assert_eq!(ask("https://localhost/rest", &[]).await.status, 200, "the connection goes on");
}

async fn panics() {
    panic!("asked for");
}

#[tokio::test]
async fn a_panic_is_answered_with_500() {
    let server =
        Running::start(Server::new().route("/panic", get(panics)).route("/rest", get(|| async { "rest" }))).await;
    for via in BOTH {
        let answer = get_path(&server, via, "/panic").await;
        assert_eq!((answer.status.as_u16(), answer.header("connection")), (500, "close"));
    }
    // Of HTTP/2 a stream, not the connection.
    let stream = TokioIo::new(server.connect_with(Via::Tls, b"h2").await);
    let (mut sender, connection) = soon("a handshake", http2::handshake(TokioExecutor::new(), stream)).await.unwrap();
    tokio::spawn(connection);
    for (path, status) in [("panic", 500), ("rest", 200)] {
        let request = Request::get(format!("https://localhost/{path}")).body(Empty::<Bytes>::new()).unwrap();
        assert_eq!(soon("a response", sender.send_request(request)).await.unwrap().status(), status, "{path}");
    }
}

/// A request with the upgrade fields of HTTP/1.1 is malformed in HTTP/2 and gets no answer
/// (<https://www.rfc-editor.org/rfc/rfc9113#section-8.2.2>).
#[tokio::test]
async fn upgrade_fields_over_http2() {
    let site = Site::new();
    let server = site.serve().await;
    for (name, value) in [("connection", "upgrade"), ("upgrade", "websocket")] {
        // GET, https, /echo, localhost, and the field, none of them compressed.
        let mut fields = b"\x82\x87\x04\x05/echo\x41\x09localhost\x00".to_vec();
        for text in [name, value] {
            fields.push(text.len() as u8);
            fields.extend_from_slice(text.as_bytes());
        }
        let mut talk = Talk::connect_alpn(&server, b"h2").await;
        talk.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
        talk.send([&[0, 0, fields.len() as u8, 1, 5, 0, 0, 0, 1], &*fields].concat()).await;
        loop {
            let head = talk.bytes(9).await;
            let payload = talk.bytes(usize::from(head[1]) << 8 | usize::from(head[2])).await;
            assert_ne!(head[3], 1, "{name}: HEADERS {payload:02x?}");
            // RST_STREAM with PROTOCOL_ERROR
            if head[3] == 3 {
                assert_eq!((&head[5..], &*payload), (&[0, 0, 0, 1][..], &[0, 0, 0, 1][..]), "{name}");
                break;
            }
        }
    }
}

/// Requests behind each other on one connection are answered in turn, and the last may be an upgrade.
#[tokio::test]
async fn requests_on_one_connection() {
    let echo = |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message);
    let server = Running::start(Server::new().websocket("/echo", echo).route("/rest", get(|| async { "rest" }))).await;
    for via in BOTH {
        let mut talk = Talk::connect(&server, via).await;
        let request = "GET /rest HTTP/1.1\r\nHost: localhost\r\n\r\n";
        // In one write, then each for itself, then an upgrade on the same connection.
        talk.send(request.repeat(3)).await;
        for round in 0..5 {
            if round >= 3 {
                talk.send(request).await;
            }
            assert!(talk.head().await.starts_with("HTTP/1.1 200 "));
            assert_eq!(talk.bytes(4).await, b"rest");
        }
        talk.send(upgrade("/echo", "")).await;
        assert!(talk.head().await.starts_with("HTTP/1.1 101 "));
        talk.echo("hello").await;
    }
}

/// Where a body is not read the connection cannot go on, and the answer says so: a client may then send no more of it.
#[tokio::test]
async fn a_body_that_is_not_read_ends_the_connection_and_that_is_said() {
    let site = Site::new();
    let server = site.serve().await;
    for via in BOTH {
        for (more, sent, goes_on) in [
            ("Content-Length: 5\r\nExpect: 100-continue\r\n", 0, false),
            ("Content-Length: 1000000\r\n", 0, false),
            ("Content-Length: 5\r\n", 5, true),
            ("Content-Length: 0\r\nExpect: 100-continue\r\n", 0, true),
        ] {
            let mut talk = Talk::connect(&server, via).await;
            talk.send(format!("POST /ok.txt HTTP/1.1\r\nHost: localhost\r\n{more}\r\n{}", "x".repeat(sent))).await;
            let head = talk.head().await;
            assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
            assert_eq!(!head.contains("\r\nconnection: close\r\n"), goes_on, "{via:?} {more}: {head}");
            assert_eq!(head.contains("\r\nconnection: keep-alive\r\n"), goes_on, "{via:?} {more}: {head}");
            if goes_on {
                talk.bytes("405 Method Not Allowed\n".len()).await;
                talk.send("GET /ok.txt HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
                assert!(talk.head().await.starts_with("HTTP/1.1 200 "), "{via:?} {more}");
            } else {
                assert_eq!(talk.text().await, "405 Method Not Allowed\n");
            }
        }
    }
}
