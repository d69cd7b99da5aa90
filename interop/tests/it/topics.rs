//! Python's clients, of WebSockets and of HTTP, on the topics of the command.

use std::ffi::OsString;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::python::{python, script, snippet, within};
use crate::server::Server;

#[tokio::test]
async fn python_talks_through_topics() {
    let flags = [env!("CARGO_TARGET_TMPDIR"), "--listen", "ws://127.0.0.1:0", "--topic", "/rooms/*,publish"];
    let server = Server::start(&flags.map(OsString::from)).await;
    let client = script("topics.py", [server.address()]).stderr(Stdio::inherit()).output();
    let output = within(300, "the clients", client).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    // Twelve variants of compression, resuming and events: what is left out does not pass.
    assert_eq!(said.lines().filter(|line| line.ends_with(": ok")).count(), 14, "{said}");
}

/// The documentation's client, which hears itself.
#[tokio::test]
async fn the_snippet_for_centrifuge_python() {
    let flags = [env!("CARGO_TARGET_TMPDIR"), "--listen", "ws://127.0.0.1:0", "--topic", "/chat,publish"];
    let server = Server::start(&flags.map(OsString::from)).await;
    let mut client = python();
    client.args(["-c", &snippet("centrifuge-python", server.address())]).env("no_proxy", "*");
    let mut client = client.spawn().unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let line = within(60, "the message", lines.next_line()).await.unwrap();
    assert_eq!(line.as_deref(), Some("hello from centrifuge-python"));
    client.kill().await.unwrap();
}
