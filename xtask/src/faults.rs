//! The suite of faults: builds its programs, runs its cases, counts what passed and what could not run here.

use std::time::Duration;

use crate::Result;
use crate::install::{self, Missing};
use crate::process::{run as run_command, tee};
use crate::project::Project;
use crate::suites::{CARGO_LIMIT, Outcome, Tally, failure, parse};

/// What to run, and at what length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// With the numbers that are reported, not with those of every day.
    pub(crate) long: bool,
    /// How long the soak takes.
    pub(crate) minutes: Option<u64>,
    /// All if empty.
    pub(crate) cases: Vec<String>,
}

/// Runs the cases. One that cannot run here is an outcome of its own, as missing.
pub(crate) fn run(project: &Project, options: &Options) -> Vec<Outcome> {
    if !cfg!(target_os = "linux") {
        return vec![Outcome::new("faults", Err(Missing("they need Linux".to_owned())))];
    }
    let mut left_out = Vec::new();
    let (mut tally, mut failures) = (None, Vec::new());
    if let Err(missing) = install::faults() {
        // The cases that need it are left out, each by its name.
        println!("{missing}");
    }
    let ended = build(project).and_then(|()| {
        let limit = CARGO_LIMIT + Duration::from_secs(60 * options.minutes.unwrap_or_default());
        tee(&mut command(project, options), limit, |line| {
            tally = parse(line).or(tally);
            failures.extend(failure(line));
            if let Some((case, why)) = line.split_once(" ... not run: ") {
                left_out.push(Outcome::new(&format!("faults, {case}"), Err(Missing(why.to_owned()))));
            }
        })
    });
    let tally = match (ended, tally) {
        (Ok(_), Some(tally)) => tally,
        (ended, _) => {
            failures.push(format!("the faults did not come to their end: {ended:?}"));
            Tally { passed: 0, failed: 1 }
        }
    };
    let mut outcomes = vec![Outcome { failures, ..Outcome::new("faults", Ok(tally)) }];
    outcomes.append(&mut left_out);
    outcomes
}

fn build(project: &Project) -> Result<()> {
    for package in ["rikki-cli", "faults"] {
        run_command(project.cargo().args(["build", "--release", "--bins", "--package", package]), CARGO_LIMIT)?;
    }
    Ok(())
}

fn command(project: &Project, options: &Options) -> std::process::Command {
    let programs = project.target.join("release");
    let mut command = std::process::Command::new(programs.join("faults"));
    command.arg("--rikki").arg(programs.join("rikki"));
    if options.long {
        command.arg("--long");
    }
    if let Some(minutes) = options.minutes {
        command.args(["--minutes", &minutes.to_string()]);
    }
    command.args(options.cases.iter().flat_map(|case| ["--case", case]));
    command
}
