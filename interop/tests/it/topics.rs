//! Python's clients, of WebSockets and of HTTP, on the topics of the command.

use std::ffi::OsString;
use std::process::Stdio;

use crate::python::{script, within};
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
