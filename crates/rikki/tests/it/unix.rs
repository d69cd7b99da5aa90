//! Listening at a path of the file system.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use axum::routing::{any, get};
use futures_util::{StreamExt, stream};
use rikki::ws::{Message, Socket, Upgrade};
use rikki::{Handle, Peer, Server, StartError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::files::fixture::Fixture;
use crate::talk::{Talk, close, frame, upgrade};
use crate::wire::{WORKERS, soon};

/// A folder, and the path of a socket in it.
fn place() -> (Fixture, PathBuf) {
    let folder = Fixture::empty();
    let path = folder.root().join("rikki.sock");
    (folder, path)
}

fn url(path: &Path) -> String {
    format!("unix:{}", path.display())
}

async fn start(server: Server, path: &Path) -> Result<Handle, StartError> {
    let echo = |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message);
    let relay = any(async |upgrade: Upgrade| -> Response {
        upgrade.on_upgrade(async |mut socket| {
            while let Some(Ok(message)) = socket.next().await {
                socket.send(message).await?;
            }
            Ok::<_, rikki::ws::Error>(())
        })
    });
    let who = get(async |peer: Peer| format!("{peer} {:?}", peer.ip()));
    let server = server.websocket("/echo", echo).route("/async", relay).route("/who", who);
    server.listen(url(path)).start().await
}

async fn get_at(path: &Path, target: &str, host: &str) -> String {
    let mut talk = Talk::connect_at(path).await;
    talk.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
    talk.text().await
}

#[tokio::test]
async fn http_and_websockets_at_a_path() {
    for workers in WORKERS {
        let (_folder, path) = place();
        // Neither limit holds for clients without an address.
        let server = Server::new().max_connections_per_address(1).max_request_rate(1).workers(workers);
        let handle = start(server, &path).await.unwrap();
        assert_eq!(handle.local_addrs(), []);
        assert_eq!((handle.bound()[0].path(), handle.bound()[0].to_string()), (Some(&*path), url(&path)));
        let mut talks = Vec::new();
        for endpoint in ["/echo", "/async"] {
            let mut talk = Talk::connect_at(&path).await;
            talk.upgrade(endpoint).await;
            talk.echo("hello").await;
            let large = "x".repeat(1 << 20);
            talk.send(frame(0x81, &large)).await;
            let answer = soon("a large message", talk.frame()).await.unwrap();
            assert_eq!(answer.payload.len(), large.len());
            talks.push(talk);
        }
        // No name resolves to it.
        for host in ["localhost", "app.example", "192.0.2.1"] {
            let answer = get_at(&path, "/who", host).await;
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("unix None"), "{answer}");
        }
        // A page of another origin, by way of a proxy.
        let mut talk = Talk::connect_at(&path).await;
        talk.send(upgrade("/echo", "Origin: http://evil.example\r\n")).await;
        assert!(talk.head().await.starts_with("HTTP/1.1 403 "));
        for mut talk in talks {
            talk.send(close(1000, "")).await;
            assert_eq!(talk.next().await, "close(1000)");
            talk.gone().await;
        }
        soon("the end", handle.shutdown()).await;
    }
}

#[tokio::test]
async fn a_drain_says_goodbye_and_removes_the_socket() {
    for workers in WORKERS {
        let (folder, path) = place();
        let handle = start(Server::new().drain_window(Duration::ZERO).workers(workers), &path).await.unwrap();
        let mut talk = Talk::connect_at(&path).await;
        talk.upgrade("/async").await;
        talk.echo("hello").await;
        let mut waiting = Talk::connect_at(&path).await;
        waiting.send("GET /who HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let down = tokio::spawn(async move { handle.shutdown().await });
        assert_eq!(talk.next().await, "close(1001)");
        talk.send(close(1001, "")).await;
        talk.gone().await;
        let answer = waiting.text().await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        soon("the end", down).await.unwrap();
        assert_eq!(entries(&folder), [""; 0]);
    }
}

#[tokio::test]
async fn the_socket_goes_with_the_handle_unless_it_is_another_s() {
    let (folder, path) = place();
    let handle = start(Server::new(), &path).await.unwrap();
    fs::rename(&path, path.with_extension("before")).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    soon("the end", handle.shutdown()).await;
    assert_eq!(entries(&folder), ["rikki.before", "rikki.sock"]);
    // None of what fails to start leaves one behind.
    let missing = path.with_file_name("missing");
    let started = Server::new().listen(url(&path.with_extension("new"))).files(missing).start().await;
    assert!(matches!(started, Err(StartError::Files { .. })), "{started:?}");
    assert_eq!(entries(&folder), ["rikki.before", "rikki.sock"]);
}

#[tokio::test]
async fn a_socket_that_is_listened_on_is_refused_and_a_stale_one_replaced() {
    let (folder, path) = place();
    drop(UnixListener::bind(&path).unwrap());
    // What a process of our number left that was killed as it began to listen.
    drop(UnixListener::bind(path.with_file_name(format!(".{:x}-0", std::process::id()))).unwrap());
    let first = start(Server::new(), &path).await.unwrap();
    let second = start(Server::new(), &path).await;
    let error = second.unwrap_err();
    assert!(matches!(&error, StartError::Socket { source, .. } if source.kind() == ErrorKind::AddrInUse), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&url(&path)) && text.contains("a server listens there"), "{text}");
    assert!(get_at(&path, "/who", "localhost").await.ends_with("unix None"));
    soon("the end", first.shutdown()).await;
    assert_eq!(entries(&folder).len(), 1);
    // One whose queue is full is listened on too.
    let busy = UnixListener::bind(&path).unwrap();
    // One may wait beside the next.
    socket2::SockRef::from(&busy).listen(1).unwrap();
    let mut clients = Vec::new();
    for _ in 0..2 {
        clients.push(soon("connecting", tokio::net::UnixStream::connect(&path)).await.unwrap());
    }
    let error = start(Server::new(), &path).await.unwrap_err();
    assert!(error.to_string().contains("a server listens there"), "{error}");
}

#[tokio::test]
async fn what_is_no_socket_stays() {
    let (folder, path) = place();
    let check = async |what: &str, expected: &str| {
        let error = start(Server::new(), &path).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{what}: {error}");
        assert_eq!(entries(&folder).len(), 1, "{what}");
    };
    fs::write(&path, "precious").unwrap();
    check("a file", "no socket").await;
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    fs::remove_file(&path).unwrap();
    symlink("/dev/null", &path).unwrap();
    check("a link", "no socket").await;
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    check("a folder", "no socket").await;
    fs::remove_dir(&path).unwrap();
    let _datagrams = UnixDatagram::bind(&path).unwrap();
    check("a socket of another kind", "cannot listen").await;
    let error = start(Server::new(), &path.join("below")).await.unwrap_err();
    assert!(matches!(error, StartError::Socket { .. }), "{error:?}");
    let error = start(Server::new(), &path.with_file_name("x".repeat(200))).await.unwrap_err();
    assert!(error.to_string().contains("path must be shorter"), "{error}");
}

#[tokio::test]
async fn who_may_connect_is_up_to_the_mode() {
    let (_folder, path) = place();
    for mode in [0o600, 0o660, 0o777] {
        let server = Server::new().listen(format!("{},mode={mode:o}", url(&path)));
        let handle = server.start().await.unwrap();
        let found = fs::symlink_metadata(&path).unwrap();
        assert!(found.file_type().is_socket());
        assert_eq!(found.permissions().mode() & 0o777, mode);
        soon("the end", handle.shutdown()).await;
    }
}

/// What is left of a response shows soon enough that it is taken.
#[tokio::test]
async fn a_slow_client_of_a_body_is_not_taken_for_one_that_takes_nothing() {
    // As much in a window as by default, in less time. It is long enough for a machine that is busy to stall in it.
    let (window, in_window) = (Duration::from_secs(3), 10_000);
    let endless = get(async || Body::from_stream(stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 65_536]))));
    let (_folder, path) = place();
    let server = Server::new().min_body_rate(in_window / 3, window).route("/endless", endless);
    let handle = start(server, &path).await.unwrap();
    let mut talk = Talk::connect_at(&path).await;
    talk.send("GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let head = talk.head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    // Three times that.
    let mut pace = tokio::time::interval(window / 40);
    let mut piece = vec![0; in_window as usize * 3 / 40];
    for taken in 0..60 {
        pace.tick().await;
        let read = soon("reading", talk.stream.read_exact(&mut piece)).await;
        assert!(read.is_ok(), "cut after {taken} pieces of {}", piece.len());
    }
    assert_eq!(handle.counters().closed_slow, 0);
}

/// As on TCP: <https://www.rfc-editor.org/rfc/rfc9112#section-6.3>
#[tokio::test]
async fn who_has_sent_all_is_answered_whole_and_who_is_gone_is_given_up() {
    struct Gone(mpsc::UnboundedSender<()>);

    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }

    let (gone, mut ends) = mpsc::unbounded_channel();
    let (come, mut begins) = mpsc::unbounded_channel();
    let wait = get(async move || {
        let _gone = Gone(gone);
        come.send(()).unwrap();
        std::future::pending::<()>().await;
    });
    let slow = get(async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        "slow"
    });
    let (_folder, path) = place();
    let _handle = start(Server::new().route("/wait", wait).route("/slow", slow), &path).await.unwrap();
    let mut whole = Talk::connect_at(&path).await;
    whole.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    whole.stream.shutdown().await.unwrap();
    assert!(whole.text().await.ends_with("slow"));
    let mut talk = Talk::connect_at(&path).await;
    talk.send("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    soon("the request", begins.recv()).await;
    drop(talk);
    soon("its end", ends.recv()).await;
}

fn entries(folder: &Fixture) -> Vec<String> {
    let entries = fs::read_dir(folder.root()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
