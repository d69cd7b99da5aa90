//! centrifuge-js, unchanged, on the topics of the command.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::python::within;
use crate::server::binary;

#[tokio::test]
async fn node_clients_of_centrifugo() {
    let folder = std::env::var_os("INTEROP_CENTRIFUGE_JS")
        .expect("INTEROP_CENTRIFUGE_JS names a folder with `centrifuge` of npm: run `cargo xtask interop`");
    let mut node = Command::new("node");
    node.arg(Path::new(&folder).join("clients.mjs")).arg(binary().await);
    node.stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = within(60, "the clients", node.output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    // What is left out does not pass.
    assert_eq!(said.lines().filter(|line| line.starts_with("ok: ")).count(), 8, "{said}");
}
