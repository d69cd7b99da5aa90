//! centrifuge-python, unchanged, on the topics of the command.

use std::process::Stdio;

use crate::python::{script, within};
use crate::server::binary;

#[tokio::test]
async fn python_clients_of_centrifugo() {
    let client = script("centrifugo.py", [binary().await]).stderr(Stdio::inherit()).output();
    let output = within(60, "the clients", client).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    // What is left out does not pass.
    assert_eq!(said.lines().filter(|line| line.ends_with(": ok")).count(), 5, "{said}");
}
