//! What a case is, and what it is given.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};

use crate::Result;

/// Bytes of the file `large` in the folder that is served.
pub(crate) const LARGE: usize = 16 << 20;

/// One thing that can go wrong, and how it has to end.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Gives the figures to print.
    pub(crate) run: fn(&Bench) -> std::result::Result<String, Trouble>,
}

/// Why a case did not pass.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// What was wrong, with the figure.
    Wrong(String),
    /// What is missing here, such as a program or the rights of root.
    NotRun(String),
}

impl From<String> for Trouble {
    fn from(what: String) -> Self {
        Self::Wrong(what)
    }
}

impl From<&str> for Trouble {
    fn from(what: &str) -> Self {
        Self::Wrong(what.to_owned())
    }
}

/// What cases need: the programs, a folder, a runtime for thousands of clients.
pub(crate) struct Bench {
    /// The release command.
    pub(crate) rikki: PathBuf,
    /// The server on the library: see `bin/target.rs`.
    pub(crate) target: PathBuf,
    /// Whether cases run with the numbers that are reported, and not with the smaller ones of every day.
    pub(crate) long: bool,
    /// How long the soak takes.
    pub(crate) soak: Duration,
    /// Of what is random.
    pub(crate) seed: u64,
    /// For logs and files that are served; gone at the end.
    pub(crate) scratch: PathBuf,
    /// Of the clients.
    pub(crate) runtime: Runtime,
}

impl Bench {
    pub(crate) fn new(rikki: PathBuf, long: bool, minutes: Option<u64>) -> Result<Self> {
        let program = std::env::current_exe().map_err(|error| format!("the path of this program: {error}"))?;
        let scratch = std::env::temp_dir().join(format!("rikki-faults-{}", std::process::id()));
        let root = scratch.join("root");
        fs::create_dir_all(&root)
            .and_then(|()| fs::write(root.join("small"), "a small file\n"))
            .and_then(|()| fs::write(root.join("large"), vec![b'x'; LARGE]))
            .map_err(|error| format!("{}: {error}", root.display()))?;
        // Thousands of clients; servers inherit it, unless a case lowers theirs.
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit).map_err(|error| format!("the limit of descriptors: {error}"))?;
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|error| format!("a runtime: {error}"))?;
        let soak = Duration::from_secs(minutes.map_or(if long { 120 } else { 10 }, |minutes| 60 * minutes));
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        Ok(Self { rikki, target: program.with_file_name("target"), long, soak, seed, scratch, runtime })
    }

    /// A number for the long form and a smaller one for the short form.
    pub(crate) fn pick<T>(&self, long: T, short: T) -> T {
        if self.long { long } else { short }
    }

    /// The folder that the command serves.
    pub(crate) fn root(&self) -> PathBuf {
        self.scratch.join("root")
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // What is left is in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.scratch);
    }
}
