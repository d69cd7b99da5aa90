//! A client that stays connected, against a server that restarts.

use rikki::client::Builder;
use rikki::ws::{Message, Socket};
use rikki::{Handle, Server};
use tokio::sync::mpsc::unbounded_channel;

use crate::files::fixture::Fixture;
use crate::wire::soon;

#[allow(dead_code, reason = "its main is for people")]
#[path = "../../examples/reconnect.rs"]
mod example;

/// An echo at a path, which is free again when the server has ended.
async fn start(url: &str) -> Handle {
    let echo = |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message);
    Server::new().websocket("/echo", echo).listen(url.to_owned()).start().await.unwrap()
}

#[tokio::test]
async fn a_client_comes_back_to_a_server_that_restarts_and_is_told_of_the_gap() {
    let folder = Fixture::empty();
    let path = folder.root().join("rikki.sock");
    let url = format!("unix:{}", path.display());
    let first = start(&url).await;
    let (sender, mut lines) = unbounded_channel();
    let builder = Builder::new("ws://localhost/echo").unix_socket(&path);
    let client = tokio::spawn(example::follow(builder, move |line| sender.send(line).unwrap()));
    let mut next = async || soon("a line", lines.recv()).await.unwrap();
    assert_eq!([next().await, next().await], ["connected", "here I am"]);
    soon("the drain", first.shutdown()).await;
    let lost = next().await;
    assert!(lost.starts_with("closed by the server: 1001; again in "), "{lost}");
    let second = start(&url).await;
    // It may have been there before the server was.
    let mut line = next().await;
    while line.starts_with("cannot reach the Unix socket ") {
        line = next().await;
    }
    assert_eq!(line, "connected again: what came in between is missing");
    assert_eq!(next().await, "here I am");
    drop(second);
    client.abort();
}
