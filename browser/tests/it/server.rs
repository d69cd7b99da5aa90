//! The server under test: the `rikki` binary itself, built by cargo and started on a free loopback port.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::scratch::Scratch;

const BUILD_DEADLINE: Duration = Duration::from_secs(900);
const START_DEADLINE: Duration = Duration::from_secs(20);
/// Longer than the server's own drain deadline of 8 s.
const STOP_DEADLINE: Duration = Duration::from_secs(15);

/// A running server; killed on drop.
pub(crate) struct Server {
    child: Child,
    origin: String,
    flags: Vec<String>,
    /// Held open: a closed pipe would fail the server's later writes.
    stdout: Lines<BufReader<ChildStdout>>,
    root: Scratch,
}

impl Server {
    /// Plain HTTP and `ws:`.
    pub(crate) async fn http() -> Self {
        Self::start("http", &[]).await
    }

    /// HTTPS and `wss:` with the development certificate.
    pub(crate) async fn https() -> Self {
        Self::start("https", &["--tls-self-signed"]).await
    }

    /// The command with further flags, over an empty folder.
    pub(crate) async fn start(scheme: &str, flags: &[&str]) -> Self {
        Self::start_in(Scratch::new(), scheme, flags).await
    }

    /// The command over a folder that holds something.
    pub(crate) async fn start_in(root: Scratch, scheme: &str, flags: &[&str]) -> Self {
        Self::spawned(root, scheme, flags, "warn", Stdio::inherit()).await
    }

    /// As [`Self::start_in`], with what it logs, over HTTP.
    pub(crate) async fn logging(root: Scratch, flags: &[&str], filter: &str) -> (Self, Lines<BufReader<ChildStderr>>) {
        let mut server = Self::spawned(root, "http", flags, filter, Stdio::piped()).await;
        let log = server.child.stderr.take().expect("stderr is piped");
        (server, BufReader::new(log).lines())
    }

    /// Over HTTP, with a look inside; returns where that is, and keeps it there.
    pub(crate) async fn inside(flags: &[&str]) -> (Self, String) {
        let flags: Vec<_> = flags.iter().copied().chain(["--admin=http://127.0.0.1:0"]).collect();
        let mut server = Self::spawned(Scratch::new(), "http", &flags, "warn", Stdio::null()).await;
        let place = timeout(START_DEADLINE, place(&mut server.stdout)).await.expect("the server says where to look");
        *server.flags.last_mut().expect("there is one") = format!("--admin={place}");
        (server, place)
    }

    async fn spawned(root: Scratch, scheme: &str, flags: &[&str], log: &str, stderr: Stdio) -> Self {
        let log = ["--log", log];
        let flags: Vec<_> = log.iter().chain(flags).copied().map(str::to_owned).collect();
        let (child, stdout, authority) = spawn(&root, &format!("{scheme}://127.0.0.1:0"), &flags, stderr).await;
        Self { child, origin: format!("{scheme}://{authority}"), flags, stdout, root }
    }

    /// Kills it by SIGKILL, and starts it again on the same port.
    pub(crate) async fn crash(&mut self) {
        self.kill().await;
        self.start_again().await;
    }

    pub(crate) async fn kill(&mut self) {
        timeout(STOP_DEADLINE, self.child.kill()).await.expect("it dies in time").expect("it was running");
    }

    /// On the same port, when it has been killed.
    pub(crate) async fn start_again(&mut self) {
        let (child, stdout, _) = spawn(&self.root, &self.origin, &self.flags, Stdio::inherit()).await;
        (self.child, self.stdout) = (child, stdout);
    }

    /// The folder that it serves.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Its host and port.
    pub(crate) fn authority(&self) -> &str {
        self.origin.split_once("://").expect("a URL").1
    }

    /// Host and port of the listener that it names next.
    pub(crate) async fn next_authority(&mut self) -> String {
        timeout(START_DEADLINE, authority(&mut self.stdout)).await.expect("the server says where it listens")
    }

    /// Sends SIGTERM, without waiting for what comes of it.
    pub(crate) async fn terminate(&self) {
        let pid = self.child.id().expect("the server is still running");
        let kill = Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]).status();
        assert!(timeout(STOP_DEADLINE, kill).await.expect("kill returns").expect("sh starts").success());
    }

    pub(crate) async fn exit_status(&mut self) -> ExitStatus {
        timeout(STOP_DEADLINE, self.child.wait())
            .await
            .expect("the server drains in time")
            .expect("it can be waited for")
    }
}

/// Starts the command, and waits until it says on which host and port it listens.
async fn spawn(
    root: &Scratch,
    listen: &str,
    flags: &[String],
    stderr: Stdio,
) -> (Child, Lines<BufReader<ChildStdout>>, String) {
    let mut child = Command::new(binary().await)
        .arg(root.path())
        .args(["--listen", listen])
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .kill_on_drop(true)
        .spawn()
        .expect("the built binary starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
    let authority = timeout(START_DEADLINE, authority(&mut stdout)).await.expect("the server says where it listens");
    (child, stdout, authority)
}

/// Reads the startup lines up to the one that names the listener, and returns its host and port.
async fn authority(stdout: &mut Lines<BufReader<ChildStdout>>) -> String {
    while let Some(line) = stdout.next_line().await.expect("stdout is UTF-8") {
        if let Some(url) = line.strip_prefix("Starting WS listener on ") {
            let (_scheme, rest) = url.split_once("://").expect("a URL");
            return rest.strip_suffix("/websocket").expect("the WebSocket endpoint").to_owned();
        }
    }
    panic!("the server ended before it listened");
}

/// Reads the startup lines up to the one that says where to look inside.
async fn place(stdout: &mut Lines<BufReader<ChildStdout>>) -> String {
    while let Some(line) = stdout.next_line().await.expect("stdout is UTF-8") {
        if let Some(place) = line.strip_suffix(" looks inside") {
            return place.trim().to_owned();
        }
    }
    panic!("the server does not say where to look inside");
}

/// Builds the binary once per test run and returns where cargo put it.
async fn binary() -> &'static PathBuf {
    static BINARY: OnceCell<PathBuf> = OnceCell::const_new();
    BINARY.get_or_init(|| async { timeout(BUILD_DEADLINE, build()).await.expect("the build ends in time") }).await
}

async fn build() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--package", "rikki-cli", "--bin", "rikki", "--message-format", "json-render-diagnostics"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .expect("cargo starts");
    assert!(output.status.success(), "the server does not build");
    let messages = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .expect("cargo names the executable")
}
