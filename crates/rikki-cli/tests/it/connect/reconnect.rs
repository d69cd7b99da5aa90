//! `--reconnect`: what is lost is said, and the connection made anew.

#[cfg(unix)]
use std::thread;

use rikki::ws::CloseCode;
#[cfg(unix)]
use rikki::ws::{Endpoint, Message, WebSocket};
#[cfg(unix)]
use tokio::io::AsyncReadExt as _;
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

use super::{CLOSED, RUNTIME, Running, USAGE, check, connect};
#[cfg(unix)]
use crate::process::Folder;

#[test]
fn a_connection_that_is_lost_is_made_anew() {
    let server = Running::closure(|socket, message| match message.as_text() {
        Some("fail") => socket.close(CloseCode::INTERNAL_ERROR, "trouble"),
        Some("leave") => socket.close(CloseCode(4500), ""),
        _ => socket.send(message),
    });
    let mut client = connect(&["--reconnect", &server.url]);
    client.write("one\n", false);
    assert_eq!(client.line(), "one");
    assert!(client.report().starts_with("rikki: connected to "));
    client.write("fail\n", false);
    let report = client.report();
    let lost = "rikki: closed by the server: 1011 \"trouble\"; connecting again in 0.";
    assert!(report.starts_with(lost), "{report}");
    // A line waits for the connection.
    client.write("two\n", false);
    assert!(client.report().starts_with("rikki: connected to "));
    assert_eq!(client.line(), "two");
    client.write("leave\n", false);
    let ended = client.end_with_open_stdin();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(RUNTIME), "rikki: closed by the server: 4500\n"));
    // Both ends of stdin and of the connection are as without.
    check(&["--reconnect", &server.url], "one\n", 0, "one\n", &["connected to", CLOSED]);
    check(&["--reconnect", "ftp://localhost"], "", USAGE, "", &["cannot connect to"]);
}

/// A server at a Unix socket, which has its clients one after the other, each with its stream.
#[cfg(unix)]
fn at_socket(path: &str, serve: impl AsyncFnOnce(UnixListener) + Send + 'static) -> thread::JoinHandle<()> {
    let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
    listener.set_nonblocking(true).unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { serve(UnixListener::from_std(listener).unwrap()).await });
    })
}

#[cfg(unix)]
async fn accepted(listener: &UnixListener) -> (WebSocket, UnixStream) {
    let stream = listener.accept().await.unwrap().0.into_std().unwrap();
    let same = UnixStream::from_std(stream.try_clone().unwrap()).unwrap();
    let (socket, _) = Endpoint::default().accept(UnixStream::from_std(stream).unwrap()).await.unwrap();
    (socket, same)
}

#[cfg(unix)]
#[test]
fn what_is_lost_with_a_connection_is_counted() {
    let folder = Folder::new();
    let path = folder.path("server");
    let server = at_socket(&path, async |listener: UnixListener| {
        let (_socket, mut stream) = accepted(&listener).await;
        // Of a message that was taken whole, and for which no socket has room.
        stream.read_u8().await.unwrap();
        stream.into_std().unwrap().shutdown(std::net::Shutdown::Both).unwrap();
        let (mut socket, _) = accepted(&listener).await;
        assert_eq!(socket.recv().await.unwrap().unwrap(), Message::from("kept"));
        socket.close_with(CloseCode::NORMAL, "").await.unwrap();
    });
    let mut client = connect(&["--reconnect", "--compression", "off", "--unix", &path, "ws://localhost"]);
    client.write(format!("{}\nkept\n", "x".repeat(2 << 20)), false);
    let ended = client.end_with_open_stdin();
    server.join().unwrap();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(RUNTIME), ""), "{}", ended.stderr);
    let reports: Vec<&str> = ended.stderr.lines().collect();
    let [connected, lost, broke, again, closed] = reports[..] else { panic!("{reports:?}") };
    assert_eq!((connected, again), ("rikki: connected to ws://localhost", connected));
    assert_eq!((lost, closed), ("rikki: messages that were not sent: 1", "rikki: closed by the server: 1000"));
    assert!(
        broke.starts_with("rikki: the connection broke: ") && broke.contains("; connecting again in 0."),
        "{broke}"
    );
}

#[cfg(unix)]
#[test]
fn the_end_of_stdin_is_the_end_without_a_connection_too() {
    let folder = Folder::new();
    let path = folder.path("server");
    let server = at_socket(&path, async |listener: UnixListener| {
        let (mut socket, _) = accepted(&listener).await;
        drop(listener);
        socket.close_with(CloseCode::SERVICE_RESTART, "").await.unwrap();
    });
    let client = connect(&["--reconnect", "--compression", "off", "--unix", &path, "ws://localhost"]);
    assert_eq!(client.report(), "rikki: connected to ws://localhost");
    assert!(client.report().starts_with("rikki: closed by the server: 1012; connecting again in "));
    server.join().unwrap();
    let ended = client.end();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(RUNTIME), ""), "{}", ended.stderr);
}

#[cfg(unix)]
#[test]
fn the_end_of_stdin_is_seen_before_the_first_connection() {
    let folder = Folder::new();
    let path = folder.path("server");
    let start = |input: &str| {
        let mut client = connect(&["--reconnect", "--compression", "off", "--unix", &path, "ws://localhost"]);
        client.write(input, true);
        client
    };
    // With nothing to send one attempt says what there is to know.
    let ended = start("").end_with_open_stdin();
    assert_eq!(ended.code, Some(RUNTIME), "{}", ended.stderr);
    let report = ended.stderr.lines().last().unwrap();
    assert!(report.starts_with(&format!("rikki: cannot reach the Unix socket {path}: ")), "{report}");
    assert!(!report.contains("connecting again"), "{report}");
    // A line is waited with.
    let client = start("kept\n");
    assert!(client.report().contains("; connecting again in "));
    let server = at_socket(&path, async |listener: UnixListener| {
        let (mut socket, _) = accepted(&listener).await;
        assert_eq!(socket.recv().await.unwrap().unwrap(), Message::from("kept"));
        assert!(socket.recv().await.is_none());
    });
    let ended = client.end_with_open_stdin();
    server.join().unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
