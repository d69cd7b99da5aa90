//! Python's client against the release build of the command, in each mode of its compression.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::OnceCell;

use crate::python::{Certificate, script, within};

/// A running server; killed on drop.
struct Server {
    url: String,
    _child: Child,
    /// Held open: a closed pipe would fail the server's later writes.
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Server {
    async fn start(mode: &str, certificate: Option<&Certificate>) -> Self {
        let mut command = Command::new(binary().await);
        command.arg(env!("CARGO_TARGET_TMPDIR")).args([
            "--log",
            "warn",
            "--compression",
            mode,
            "--deflate-above",
            "1B",
        ]);
        // However slow the machine, a client that still writes sees why it was refused.
        command.args(["--linger-timeout", "30s"]);
        if let Some(certificate) = certificate {
            let [certificate, key] = certificate.files();
            command.arg("--cert").arg(certificate).arg("--key").arg(key).args(["--listen", "wss://127.0.0.1:0"]);
        } else {
            command.args(["--listen", "ws://127.0.0.1:0"]);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = within(20, "the server's start", async {
            loop {
                let line = stdout.next_line().await.unwrap().expect("the server says where it listens");
                if let Some(url) = line.strip_prefix("Starting WS listener on ") {
                    break url.to_owned();
                }
            }
        });
        Self { url: url.await, _child: child, _stdout: stdout }
    }
}

/// Builds the command once per test run and returns where cargo put it.
async fn binary() -> &'static PathBuf {
    static BINARY: OnceCell<PathBuf> = OnceCell::const_new();
    BINARY.get_or_init(|| within(1800, "the build", build())).await
}

async fn build() -> PathBuf {
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--release", "--package", "rikki-cli", "--message-format", "json-render-diagnostics"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "the server does not build");
    let messages = String::from_utf8(output.stdout).unwrap();
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next().expect("an executable")
}

async fn check(mode: &str) {
    let certificate = Certificate::new(mode);
    for certificate in [None, Some(&certificate)] {
        let server = Server::start(mode, certificate).await;
        let ca = certificate.map(|certificate| certificate.files()[0].to_str().unwrap().to_owned());
        let arguments = [server.url.clone(), mode.to_owned()].into_iter().chain(ca);
        let output = within(600, "the client", script("echo_client.py", arguments).stderr(Stdio::inherit()).output())
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {said}", server.url);
        // Twelve variants and two runs of the limits: what is left out does not pass.
        assert_eq!(said.lines().filter(|line| line.contains(": ok, ")).count(), 14, "{said}");
    }
}

#[tokio::test]
async fn without_compression() {
    check("off").await;
}

#[tokio::test]
async fn without_context_takeover() {
    check("shared").await;
}

#[tokio::test]
async fn with_context_takeover() {
    check("dedicated").await;
}
