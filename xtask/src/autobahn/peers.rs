//! The two sides of a run: the server, and one process of the suite's fuzzing client.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::install::Suite;
use super::table::CaseId;
use crate::Result;
use crate::process::Running;
use crate::project::Project;

/// Section 9 sends messages of up to 16 MiB, and 4 MiB in 65,536 fragments: more than the server allows by default.
/// Sections 12 and 13 are about compression, which small messages are spared otherwise.
const LIMITS: [&str; 6] = ["--max-message", "64MiB", "--max-fragments", "131072", "--deflate-above", "1B"];

/// How the line begins that tells the port.
const LISTENING: &str = "Starting WS listener on ";

const START_LIMIT: Duration = Duration::from_secs(20);

/// How long one process of the suite may take; less than one minute is usual.
const CLIENT_LIMIT: Duration = Duration::from_secs(60 * 60);

/// A running server, killed when dropped.
pub(super) struct Server {
    /// The URL of its echo.
    pub(super) url: String,
    _process: Running,
}

impl Server {
    /// Starts the release build on a free port of 127.0.0.1. Its log goes to `folder`.
    pub(super) fn start(project: &Project, folder: &Path, scheme: &str, flags: &[&str]) -> Result<Self> {
        let program = format!("rikki{}", std::env::consts::EXE_SUFFIX);
        let mut command = Command::new(project.target.join("release").join(program));
        command.arg(folder).args(["--listen", &format!("{scheme}://127.0.0.1:0"), "--log", "warn"]).args(LIMITS);
        let log = create(&folder.join("server.log"))?;
        let mut process = Running::spawn(command.args(flags).stdout(Stdio::piped()).stderr(log))?;
        let lines = process.lines()?;
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let line = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).map_err(|_| {
                format!("the server did not say where it listens; its log: {}", folder.join("server.log").display())
            })?;
            if let Some(url) = line.strip_prefix(LISTENING) {
                return Ok(Self { url: url.trim().to_owned(), _process: process });
            }
        }
    }
}

/// One process of the suite, killed when dropped.
pub(super) struct Client {
    process: Running,
    deadline: Instant,
    folder: PathBuf,
}

impl Client {
    /// Starts the suite with `cases` against `url`. Its settings, log and reports go to `folder`.
    pub(super) fn start(suite: &Suite, folder: &Path, url: &str, cases: &[&CaseId]) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let settings = json!({
            "outdir": folder,
            "servers": [{ "agent": "rikki", "url": url }],
            "cases": cases.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "exclude-cases": [],
            "exclude-agent-cases": {},
        });
        let file = folder.join("fuzzingclient.json");
        fs::write(&file, settings.to_string()).map_err(|error| format!("{}: {error}", file.display()))?;
        let log = create(&folder.join("wstest.log"))?;
        let errors = log.try_clone().map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut command = suite.python();
        command.args(["-m", "autobahntestsuite.wstest", "--mode", "fuzzingclient", "--spec"]).arg(&file);
        let process = Running::spawn(command.current_dir(folder).stdout(log).stderr(errors))?;
        Ok(Self { process, deadline: Instant::now() + CLIENT_LIMIT, folder: folder.to_owned() })
    }

    /// Waits for the end and returns the index of the reports, as JSON.
    pub(super) fn finish(mut self) -> Result<String> {
        let see = |error: String| format!("{error} (see {})", self.folder.join("wstest.log").display());
        let status = self.process.wait(self.deadline).map_err(see)?;
        if !status.success() {
            return Err(see(format!("the suite ended with {status}")));
        }
        let index = self.folder.join("index.json");
        fs::read_to_string(&index).map_err(|error| see(format!("{}: {error}", index.display())))
    }
}

fn create(path: &Path) -> Result<File> {
    File::create(path).map_err(|error| format!("{}: {error}", path.display()))
}
