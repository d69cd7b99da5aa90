//! The two sides of a run, as processes: the suite and what it tests, in either role.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::install::Suite;
use super::table::CaseId;
use crate::Result;
use crate::process::Running;
use crate::project::Project;

/// The name under which the suite reports.
const AGENT: &str = "rikki";

/// Section 9 sends messages of up to 16 MiB, and 4 MiB in 65,536 fragments: more than the server allows by default.
/// Sections 12 and 13 are about compression, which small messages are spared otherwise.
const LIMITS: [&str; 6] = ["--max-message", "64MiB", "--max-fragments", "131072", "--deflate-above", "1B"];

const START_LIMIT: Duration = Duration::from_secs(60);

/// How long one process of the suite may take; five minutes are usual for half of all cases.
const SHARD_LIMIT: Duration = Duration::from_secs(60 * 60);

/// A running server of ours, killed when dropped.
pub(super) struct Server {
    /// The URL of its echo.
    pub(super) url: String,
    _process: Running,
}

impl Server {
    /// Starts the release build on a free port of 127.0.0.1. Its log goes to `folder`.
    pub(super) fn start(project: &Project, folder: &Path, scheme: &str, flags: &[&str]) -> Result<Self> {
        let mut command = Command::new(release_build(project, "rikki"));
        command.arg(folder).args(["--listen", &format!("{scheme}://127.0.0.1:0"), "--log", "warn"]).args(LIMITS);
        command.args(flags);
        let (process, url) = start_server(command, "Starting WS listener on ", &folder.join("server.log"))?;
        Ok(Self { url, _process: process })
    }
}

/// One half of the cases of a run, on its way. Its processes are killed when it is dropped.
pub(super) struct Shard {
    /// Ends after the last case.
    client: Running,
    /// The suite, if it is not the client.
    _server: Option<Running>,
    deadline: Instant,
    folder: PathBuf,
}

impl Shard {
    /// Starts the suite's client with `cases` against the server at `url`. Settings, logs and reports go to `folder`.
    pub(super) fn of_server(suite: &Suite, folder: &Path, url: &str, cases: &[&CaseId]) -> Result<Self> {
        let servers = json!({ "servers": [{ "agent": AGENT, "url": url }] });
        let mut command = suite_command(suite, folder, "fuzzingclient", servers, cases, url.starts_with("wss:"))?;
        let log = create(&folder.join("suite.log"))?;
        let errors = log.try_clone().map_err(|error| format!("{}: {error}", folder.display()))?;
        let client = Running::spawn(command.stdout(log).stderr(errors))?;
        Ok(Self::new(client, None, folder))
    }

    /// Starts the suite's server with `cases`, and our client against it. Settings, logs and reports go to `folder`.
    pub(super) fn of_client(project: &Project, suite: &Suite, folder: &Path, cases: &[&CaseId]) -> Result<Self> {
        let url = json!({ "url": "ws://127.0.0.1:0" });
        let command = suite_command(suite, folder, "fuzzingserver", url, cases, false)?;
        let (server, url) = start_server(command, "listening on ", &folder.join("suite.log"))?;
        let mut client = Command::new(release_build(project, "examples/autobahn_client"));
        let log = create(&folder.join("client.log"))?;
        let client = Running::spawn(client.args([&url, AGENT]).stdout(Stdio::null()).stderr(log))?;
        Ok(Self::new(client, Some(server), folder))
    }

    fn new(client: Running, server: Option<Running>, folder: &Path) -> Self {
        Self { client, _server: server, deadline: Instant::now() + SHARD_LIMIT, folder: folder.to_owned() }
    }

    /// Waits for the end and returns the index of the reports, as JSON.
    pub(super) fn finish(mut self) -> Result<String> {
        let see = |error: String| format!("{error} (see the logs in {})", self.folder.display());
        let status = self.client.wait(self.deadline).map_err(see)?;
        if !status.success() {
            return Err(see(format!("a client ended with {status}")));
        }
        let index = self.folder.join("index.json");
        fs::read_to_string(&index).map_err(|error| see(format!("{}: {error}", index.display())))
    }
}

/// The suite in `role`, with `settings` of this role beside those that both have.
fn suite_command(
    suite: &Suite,
    folder: &Path,
    role: &str,
    mut settings: Value,
    cases: &[&CaseId],
    tls: bool,
) -> Result<Command> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    settings["outdir"] = json!(folder);
    settings["cases"] = cases.iter().map(ToString::to_string).collect();
    let file = folder.join("settings.json");
    fs::write(&file, settings.to_string()).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut command = suite.command(role, &file, tls);
    command.current_dir(folder);
    Ok(command)
}

/// Starts a server, and waits until it says its URL in a line that begins with `listening`.
fn start_server(mut command: Command, listening: &str, log: &Path) -> Result<(Running, String)> {
    let mut process = Running::spawn(command.stdout(Stdio::piped()).stderr(create(log)?))?;
    let lines = process.lines()?;
    let deadline = Instant::now() + START_LIMIT;
    loop {
        let line = lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            .map_err(|_| format!("a server did not say where it listens; its log: {}", log.display()))?;
        if let Some(url) = line.strip_prefix(listening) {
            return Ok((process, url.trim().to_owned()));
        }
    }
}

fn release_build(project: &Project, name: &str) -> PathBuf {
    project.target.join("release").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

fn create(path: &Path) -> Result<File> {
    File::create(path).map_err(|error| format!("{}: {error}", path.display()))
}
