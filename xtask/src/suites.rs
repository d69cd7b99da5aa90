//! The test suites, and the account of what ran.

use std::process::Command;
use std::time::Duration;

use crate::autobahn;
use crate::bench;
use crate::faults;
use crate::fuzz;
use crate::install::{self, Missing};
use crate::interop;
use crate::process::tee;
use crate::project::Project;

/// The package whose tests drive a real browser.
const BROWSER_TESTS: &str = "browser-tests";

/// How long one cargo command may take, building included.
pub(crate) const CARGO_LIMIT: Duration = Duration::from_secs(3600);

/// How much of what failed is said again at the end, in characters.
const FAILURE: usize = 2000;

/// What became of a suite.
pub(crate) struct Outcome {
    pub(crate) suite: String,
    pub(crate) result: Result<Tally, Missing>,
    /// What failed, where that is known: what is at the end of a long run is what is read.
    pub(crate) failures: Vec<String>,
}

impl Outcome {
    pub(crate) fn new(suite: &str, result: Result<Tally, Missing>) -> Self {
        Self { suite: suite.to_owned(), result, failures: Vec::new() }
    }

    /// One that ran, with what failed in it, of which each was said when it did.
    pub(crate) fn ran(suite: &str, passed: usize, failures: Vec<String>) -> Self {
        let tally = Tally { passed, failed: failures.len() };
        Self { failures, ..Self::new(suite, Ok(tally)) }
    }

    /// One that came to nothing, which is said.
    pub(crate) fn failed(suite: &str, error: String) -> Self {
        println!("{error}");
        Self::ran(suite, 0, vec![error])
    }

    /// Whether it ran, and something in it failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.result.as_ref().is_ok_and(|tally| tally.failed > 0)
    }
}

/// The tests that passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Runs every test there is.
pub(crate) fn all(project: &Project) -> Vec<Outcome> {
    let workspace = ["test", "--workspace", "--no-fail-fast", "--exclude", interop::PACKAGE];
    // Said where it is missing; elsewhere the tests tell whether they can do without.
    let command = install::command_tests().map_err(|missing| Outcome::new("command", Err(missing)));
    let mut outcomes = match install::browser_tests(project) {
        Ok(()) => vec![cargo_test(project.cargo().args(workspace), "cargo test, with the browser's")],
        Err(missing) => vec![
            cargo_test(project.cargo().args(workspace).args(["--exclude", BROWSER_TESTS]), "cargo test"),
            Outcome::new("browser", Err(missing)),
        ],
    };
    outcomes.extend(command.err());
    // Within the workspace nobody asks for `serde`.
    let apart = ["test", "--no-fail-fast", "--package", "rikki-ws", "--all-features"];
    outcomes.push(cargo_test(project.cargo().args(apart), "the engine with every feature"));
    outcomes.extend(interop::run(project));
    outcomes.extend(fuzz::run(project, &fuzz::Options::default()));
    outcomes.extend(autobahn::run(project, &[], false));
    outcomes.extend(faults::run(project, &faults::Options::default()));
    outcomes.push(bench::gate(project));
    outcomes
}

/// Runs the tests that drive a real browser.
pub(crate) fn browser(project: &Project) -> Vec<Outcome> {
    vec![match install::browser_tests(project) {
        Ok(()) => cargo_test(project.cargo().args(["test", "--no-fail-fast", "--package", BROWSER_TESTS]), "browser"),
        Err(missing) => Outcome::new("browser", Err(missing)),
    }]
}

/// Prints a line per suite and then the sum; says whether everything ran and passed. A suite that was left out counts
/// as failed unless `skip_missing`.
pub(crate) fn account(outcomes: &[Outcome], skip_missing: bool) -> bool {
    let mut sum = Tally::default();
    println!();
    for Outcome { suite, result, failures } in outcomes {
        match result {
            Ok(tally) => {
                println!("{suite}: {} passed, {} failed", tally.passed, tally.failed);
                failures.iter().for_each(|failure| println!("    {}", excerpt(failure)));
                sum.add(*tally);
            }
            Err(missing) if skip_missing => println!("{suite}: left out ({missing})"),
            Err(missing) => {
                println!("{suite}: left out, which fails without --skip-missing ({missing})");
                sum.failed += 1;
            }
        }
    }
    println!("{} passed, {} failed", sum.passed, sum.failed);
    sum.failed == 0 && sum.passed > 0
}

/// Runs a `cargo test` and counts what it reports.
pub(crate) fn cargo_test(command: &mut Command, suite: &str) -> Outcome {
    let mut tally = Tally::default();
    let mut failures = Vec::new();
    let ended = tee(command, CARGO_LIMIT, |line| {
        tally.add(parse(line).unwrap_or_default());
        failures.extend(failure(line));
    });
    let trouble = match ended {
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!("cargo test: {status}")),
        Err(error) => Some(error),
    };
    if let Some(trouble) = trouble {
        println!("{trouble}");
        failures.push(trouble);
        // It did not compile, or a test ended its whole process: no line counted that.
        tally.failed = tally.failed.max(1);
    }
    Outcome { failures, ..Outcome::new(suite, Ok(tally)) }
}

/// A line such as `test parse ... FAILED`, of which what follows says why where it is one of faults.
pub(crate) fn failure(line: &str) -> Option<String> {
    line.contains(" ... FAILED").then(|| line.to_owned())
}

/// The beginning of the first line.
fn excerpt(failure: &str) -> String {
    failure.lines().next().unwrap_or_default().chars().take(FAILURE).collect()
}

/// The counts in a line such as `test result: ok. 3 passed; 0 failed; 0 ignored; ...`.
pub(crate) fn parse(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| counts.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse().ok());
    Some(Tally { passed: count("passed")?, failed: count("failed")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_lines_of_the_test_harness() {
        let check = |line, expected: Option<(usize, usize)>| {
            assert_eq!(parse(line), expected.map(|(passed, failed)| Tally { passed, failed }), "{line}");
        };
        check(
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s",
            Some((3, 0)),
        );
        check("test result: FAILED. 12 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out", Some((12, 2)));
        check("test parse ... ok", None);
        check("prefix test result: ok. 3 passed; 0 failed; 0 ignored", None);
        check("test result: ok. no passed; 0 failed", None);
    }

    #[test]
    fn finds_what_failed() {
        let check = |line: &str, expected: Option<&str>| assert_eq!(failure(line).as_deref(), expected, "{line}");
        check("test parse ... FAILED", Some("test parse ... FAILED"));
        check("heads ... FAILED (5 s): 3 held up", Some("heads ... FAILED (5 s): 3 held up"));
        check("test parse ... ok", None);
    }

    #[test]
    fn accounts_for_what_ran_and_what_did_not() {
        let ran = |passed, failed| Outcome::new("ran", Ok(Tally { passed, failed }));
        let left_out = || Outcome::new("left out", Err(Missing("nothing there".to_owned())));
        let check = |outcomes: &[Outcome], skip_missing, expected| {
            assert_eq!(account(outcomes, skip_missing), expected);
        };
        check(&[ran(1, 0), ran(2, 0)], false, true);
        check(&[ran(1, 0), ran(2, 1)], true, false);
        check(&[ran(1, 0), left_out()], false, false);
        check(&[ran(1, 0), left_out()], true, true);
        check(&[left_out()], true, false);
        check(&[ran(0, 0)], false, false);
        check(&[], false, false);
    }
}
