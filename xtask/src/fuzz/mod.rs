//! The fuzz targets of the folder `fuzz`: built once, replayed on the committed inputs, then run for a while each.
//!
//! Inputs that reach something new, crashes and logs stay in the folder `fuzz` below cargo's target folder, and the
//! next run goes on from them. What the targets demand is theirs to say.

mod report;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;

use crate::Result;
use crate::install::{self, Missing};
use crate::process::{Running, output, run as run_command};
use crate::project::Project;
use crate::suites::{CARGO_LIMIT, Outcome};

const CARGO_FUZZ: &str = "0.13.2";

/// How many targets run at a time; each keeps one core busy.
const AT_ONCE: usize = 2;

/// What one input may cost, and how long inputs may get.
const LIMITS: [&str; 3] = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=4096"];

/// How long a target may take beside the time it is given: to read its inputs, and for the last of them.
const GRACE: Duration = Duration::from_secs(120);

/// What to run.
#[derive(Args, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// How long each target runs
    #[arg(
        long,
        value_name = "N",
        default_value_t = Self::default().seconds,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub(crate) seconds: u64,
    /// Those to run; all if there are none
    pub(crate) targets: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { seconds: 20, targets: Vec::new() }
    }
}

/// Where the targets and what they find are.
struct Folders {
    sources: PathBuf,
    /// The committed inputs.
    corpus: PathBuf,
    programs: PathBuf,
    /// Everything that is written.
    results: PathBuf,
}

/// Runs targets for some seconds each.
pub(crate) fn run(project: &Project, options: &Options) -> Vec<Outcome> {
    let suite = format!("fuzz targets, {} s each", options.seconds);
    vec![match install(project) {
        Err(missing) => Outcome::new(&suite, Err(missing)),
        Ok(cargo_fuzz) => {
            let ran = prepare(project, &cargo_fuzz, &options.targets)
                .and_then(|(folders, targets)| run_all(&folders, &targets, options.seconds));
            match ran {
                Ok((passed, failures)) => Outcome::ran(&suite, passed, failures),
                Err(error) => Outcome::failed(&suite, error),
            }
        }
    }]
}

/// Finds cargo-fuzz and what it needs, or installs both; returns the program.
fn install(project: &Project) -> std::result::Result<PathBuf, Missing> {
    install::cxx()?;
    install::cargo_tool(project, "cargo-fuzz", CARGO_FUZZ, &[])
}

/// Builds all targets, and picks those that are wanted.
fn prepare(project: &Project, cargo_fuzz: &Path, wanted: &[String]) -> Result<(Folders, Vec<String>)> {
    let sources = project.folder("fuzz");
    let results = project.target.join("fuzz");
    let host = host()?;
    let targets = select(&names(&sources.join("fuzz_targets"))?, wanted)?;
    let mut build = Command::new(cargo_fuzz);
    // Without a sanitizer the stable compiler will do: no code here is unsafe.
    build.args(["build", "--sanitizer", "none", "--target", &host, "--target-dir"]).arg(results.join("build"));
    run_command(build.arg("--fuzz-dir").arg(&sources), CARGO_LIMIT)?;
    let programs = results.join("build").join(host).join("release");
    Ok((Folders { corpus: sources.join("corpus"), sources, programs, results }, targets))
}

/// The platform that rustc builds for unless told otherwise.
fn host() -> Result<String> {
    let version = output(Command::new("rustc").arg("-vV"), Duration::from_secs(60))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc names no host".to_owned())
}

/// The targets, by the names of their files.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<_> = files.filter_map(|file| Some(file.strip_suffix(".rs")?.to_owned())).collect();
    names.sort_unstable();
    Ok(names)
}

fn select(all: &[String], wanted: &[String]) -> Result<Vec<String>> {
    match wanted.iter().find(|name| !all.contains(name)) {
        Some(unknown) => Err(format!("there is no fuzz target {unknown:?}, only {}", all.join(", "))),
        None if wanted.is_empty() => Ok(all.to_vec()),
        None => Ok(wanted.to_vec()),
    }
}

/// Replays and runs each target, which are two tests.
/// How many passed, and what failed.
fn run_all(folders: &Folders, targets: &[String], seconds: u64) -> Result<(usize, Vec<String>)> {
    let (mut passed, mut failures) = (0, Vec::new());
    for some in targets.chunks(AT_ONCE) {
        for (name, time) in [("replay", None), ("run", Some(seconds))] {
            // All must have started before one is waited for.
            let started: Vec<_> =
                some.iter().map(|target| Fuzzer::start(folders, target, time)).collect::<Result<_>>()?;
            for fuzzer in started {
                let target = fuzzer.target.clone();
                match fuzzer.finish() {
                    Ok(text) => {
                        println!("{target}, {name}: {text}");
                        passed += 1;
                    }
                    Err(error) => {
                        let failure = format!("{target}, {name}: FAILED: {error}");
                        println!("{failure}");
                        failures.push(failure);
                    }
                }
            }
        }
    }
    Ok((passed, failures))
}

/// A target at work.
struct Fuzzer {
    target: String,
    running: Running,
    log: PathBuf,
    deadline: Instant,
}

impl Fuzzer {
    /// Replays the committed inputs, or with a time goes on from them and from what was found before.
    fn start(folders: &Folders, target: &str, seconds: Option<u64>) -> Result<Self> {
        let results = folders.results.join(target);
        let (found, crashes) = (results.join("found"), results.join("crashes"));
        for folder in [&found, &crashes] {
            fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let log = results.join(if seconds.is_some() { "run.log" } else { "replay.log" });
        let file = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let mut command = Command::new(folders.programs.join(target));
        command.current_dir(&folders.sources).args(LIMITS);
        command.arg(format!("-artifact_prefix={}/", crashes.display()));
        match seconds {
            None => command.arg("-runs=0"),
            // New inputs go to the first folder.
            Some(seconds) => command.arg(format!("-max_total_time={seconds}")).arg(found),
        };
        let running = Running::spawn(command.arg(folders.corpus.join(target)).stderr(file))?;
        let deadline = Instant::now() + Duration::from_secs(seconds.unwrap_or_default()) + GRACE;
        Ok(Self { target: target.to_owned(), running, log, deadline })
    }

    /// Waits for its end, and says what came of it.
    fn finish(mut self) -> Result<String> {
        let status = self.running.wait(self.deadline)?;
        let log = fs::read(&self.log).map_err(|error| format!("{}: {error}", self.log.display()))?;
        let log = String::from_utf8_lossy(&log);
        match report::figures(&log) {
            Some(figures) if status.success() => Ok(figures.to_string()),
            _ => Err(format!("{}\n  log: {}", report::fault(&log), self.log.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_targets_that_there_are() {
        let all = ["deflate", "frames"].map(str::to_owned);
        assert_eq!(select(&all, &[]), Ok(all.to_vec()));
        assert_eq!(select(&all, &all[1..]), Ok(vec!["frames".to_owned()]));
        let error = select(&all, &["farmes".to_owned()]).unwrap_err();
        assert_eq!(error, "there is no fuzz target \"farmes\", only deflate, frames");
    }

    #[test]
    fn every_target_has_inputs() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fuzz");
        let targets = names(&folder.join("fuzz_targets")).unwrap();
        assert!(targets.len() >= 5, "{targets:?}");
        for target in targets {
            let inputs = fs::read_dir(folder.join("corpus").join(&target)).unwrap().count();
            assert!(inputs >= 5, "{target}: {inputs}");
        }
    }
}
