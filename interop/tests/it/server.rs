//! The release build of the command, as a process.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::OnceCell;

use crate::python::within;

/// A running server; killed on drop.
pub(crate) struct Server {
    /// Of its WebSocket.
    pub(crate) url: String,
    _child: Child,
    /// Held open: a closed pipe would fail the server's later writes.
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Server {
    pub(crate) async fn start(arguments: &[OsString]) -> Self {
        let mut command = Command::new(binary().await);
        command.args(["--log", "warn"]).args(arguments);
        Self::run(command).await
    }

    /// The command, at its first listener.
    pub(crate) async fn run(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut server = Self { url: String::new(), _child: child, stdout };
        server.url = server.next_url().await;
        server
    }

    /// Of the WebSocket at its next listener.
    pub(crate) async fn next_url(&mut self) -> String {
        within(20, "the server's start", async {
            loop {
                let line = self.stdout.next_line().await.unwrap().expect("the server says where it listens");
                if let Some(url) = line.strip_prefix("Starting WS listener on ") {
                    break url.to_owned();
                }
            }
        })
        .await
    }

    /// Its host and port.
    pub(crate) fn address(&self) -> &str {
        self.url.split('/').nth(2).unwrap()
    }
}

/// Builds the command once per test run and returns where cargo put it.
pub(crate) async fn binary() -> &'static PathBuf {
    static BINARY: OnceCell<PathBuf> = OnceCell::const_new();
    BINARY.get_or_init(|| within(1800, "the build", build(&["--release"]))).await
}

pub(crate) async fn build(profile: &[&str]) -> PathBuf {
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--package", "rikki-cli", "--message-format", "json-render-diagnostics"]).args(profile);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "the server does not build");
    let messages = String::from_utf8(output.stdout).unwrap();
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next().expect("an executable")
}
