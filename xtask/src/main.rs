//! The project's commands: `cargo xtask --help` lists them.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "these commands talk to whoever started them")]

mod autobahn;
mod bench;
mod checks;
mod faults;
mod fuzz;
mod install;
mod interop;
mod process;
mod project;
mod suites;

use std::process::ExitCode;

use crate::project::Project;
use crate::suites::Outcome;

/// What went wrong, in a sentence.
type Result<T> = std::result::Result<T, String>;

const USAGE: &str = "\
Usage: cargo xtask COMMAND [OPTION]

Commands:
  test      run every test: unit, integration, documentation, a real browser, Python, fuzz targets, Autobahn, faults
  ci        check format, lints, features, documentation and dependencies, then do what `test` does
  autobahn  run the Autobahn test suite against the server and the client
  browser   run the tests that drive a real browser
  interop   run the tests against websockets of Python, apt-get, wget, aria2c and nginx
  fuzz      run the fuzz targets that are named, or all of them
  faults    attack and overload the server, interrupt it, and measure what becomes of it (Linux)
  soak      put a mixed load on the server for some minutes, and see whether anything is left of it (Linux)
  bench     compare the server with others, on a quiet machine with two cores or more;
            with the word files behind it, over HTTP alone

Options:
  --skip-missing   do not fail when a suite is left out because a program it needs is missing
  --cases A,B,...  autobahn only: the cases to run, such as 1.*,7.1.6
  --all            autobahn only: all of the slow sections 12 and 13; otherwise a third, and as server alone
  --seconds N      fuzz only: how long each target runs; 20 by default
  --case NAME      bench and faults: a case to run; all by default, may be repeated
  --minutes N      soak only: for how long; 20 by default
  --peer NAME      bench only: a server to compare with; all by default, may be repeated
  --uws PATH       bench only: an echo server on uWebSockets that takes its port as its argument
  --rounds N       bench only: how often everything is measured; 5 by default
  --seconds N      bench only: how long a server is measured in a round; 3 by default
  --smoke          bench only: see whether every case and server works; nothing is measured or kept
  --gate           bench only: fail if a goal is missed
  -h, --help       show this text

On Debian, as root, what a suite needs is installed with apt-get; elsewhere it is named. Whatever else is installed or
written goes below target/.
";

#[derive(Debug, PartialEq)]
enum Task {
    Help,
    Test,
    Ci,
    Autobahn { cases: Vec<String>, all: bool },
    Browser,
    Interop,
    Fuzz(fuzz::Options),
    Faults(faults::Options),
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let passed = parse(&arguments)
        .map_err(|error| format!("{error}\n\n{USAGE}"))
        .and_then(|(task, skip_missing)| perform(&task, skip_missing));
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: &Task, skip_missing: bool) -> Result<bool> {
    let outcomes = match task {
        Task::Help => {
            print!("{USAGE}");
            return Ok(true);
        }
        Task::Test => suites::all(&Project::find()?),
        Task::Ci => {
            let project = Project::find()?;
            let mut outcomes = checks::run(&project);
            // Tests take their time, and are of no use to a change that has to be made anew.
            if !outcomes.iter().any(Outcome::has_failed) {
                outcomes.extend(suites::all(&project));
            }
            outcomes
        }
        Task::Autobahn { cases, all } => autobahn::run(&Project::find()?, cases, *all),
        Task::Bench(options) => return bench::run(&Project::find()?, options),
        Task::Faults(options) => faults::run(&Project::find()?, options),
        Task::Browser => suites::browser(&Project::find()?),
        Task::Interop => interop::run(&Project::find()?),
        Task::Fuzz(options) => fuzz::run(&Project::find()?, options),
    };
    Ok(suites::account(&outcomes, skip_missing))
}

fn parse(arguments: &[String]) -> Result<(Task, bool)> {
    let mut arguments = arguments.iter().map(String::as_str);
    let mut task = match arguments.next() {
        Some("test") => Task::Test,
        Some("ci") => Task::Ci,
        Some("autobahn") => Task::Autobahn { cases: Vec::new(), all: false },
        Some("browser") => Task::Browser,
        Some("interop") => Task::Interop,
        Some("fuzz") => Task::Fuzz(fuzz::Options::default()),
        Some("faults") => Task::Faults(faults::Options { long: true, ..faults::Options::default() }),
        Some("soak") => Task::Faults(faults::Options { long: true, minutes: Some(20), cases: vec!["soak".to_owned()] }),
        Some("bench") => Task::Bench(bench::Options::default()),
        Some("-h" | "--help") => Task::Help,
        Some(other) => return Err(format!("unknown command {other:?}")),
        None => return Err("no command given".to_owned()),
    };
    let mut skip_missing = false;
    while let Some(argument) = arguments.next() {
        match (argument, &mut task) {
            ("-h" | "--help", _) => return Ok((Task::Help, false)),
            ("--skip-missing", _) => skip_missing = true,
            ("--all", Task::Autobahn { all, .. }) => *all = true,
            ("--cases", Task::Autobahn { cases, .. }) => {
                let list = arguments.next().ok_or("--cases needs a list such as 1.*,7.1.6")?;
                cases.extend(list.split(',').map(str::to_owned));
            }
            (_, Task::Fuzz(options)) => options.parse(argument, &mut arguments)?,
            ("--case", Task::Faults(faults::Options { minutes: None, cases, .. })) => {
                cases.push(arguments.next().ok_or("--case needs a name")?.to_owned());
            }
            ("--minutes", Task::Faults(faults::Options { minutes: Some(minutes), .. })) => {
                let number = arguments.next().and_then(|number| number.parse().ok()).filter(|number| *number > 0);
                *minutes = number.ok_or("--minutes needs a number above zero")?;
            }
            (_, Task::Bench(options)) => options.parse(argument, &mut arguments)?,
            _ => return Err(format!("unknown option {argument:?}")),
        }
    }
    Ok((task, skip_missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_its_arguments() {
        let check = |line: &str, expected: Result<(Task, bool)>| {
            let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(parse(&arguments), expected, "{line}");
        };
        check("test", Ok((Task::Test, false)));
        check("ci --skip-missing", Ok((Task::Ci, true)));
        check("interop", Ok((Task::Interop, false)));
        check("browser --help", Ok((Task::Help, false)));
        check(
            "autobahn --cases 1.*,7.1.6 --cases 2.1",
            Ok((Task::Autobahn { cases: ["1.*", "7.1.6", "2.1"].map(str::to_owned).into(), all: false }, false)),
        );
        check("autobahn --all", Ok((Task::Autobahn { cases: Vec::new(), all: true }, false)));
        check("test --cases 1.*", Err("unknown option \"--cases\"".to_owned()));
        check("autobahn --cases", Err("--cases needs a list such as 1.*,7.1.6".to_owned()));
        let faults = |minutes, cases: &[&str]| {
            let cases = cases.iter().map(|case| (*case).to_owned()).collect();
            Ok((Task::Faults(faults::Options { long: true, minutes, cases }), false))
        };
        check("faults", faults(None, &[]));
        check("faults --case a --case b", faults(None, &["a", "b"]));
        check("faults --minutes 3", Err("unknown option \"--minutes\"".to_owned()));
        check("soak", faults(Some(20), &["soak"]));
        check("soak --minutes 3", faults(Some(3), &["soak"]));
        check("soak --minutes 0", Err("--minutes needs a number above zero".to_owned()));
        let options = |cases: &[&str], rounds, gate| bench::Options {
            cases: cases.iter().map(|case| (*case).to_owned()).collect(),
            rounds,
            gate,
            ..bench::Options::default()
        };
        check("bench", Ok((Task::Bench(options(&[], 5, false)), false)));
        check("bench --case a --gate --case b --rounds 3", Ok((Task::Bench(options(&["a", "b"], 3, true)), false)));
        check("bench --rounds 0", Err("--rounds needs a number above zero".to_owned()));
        check("bench --seconds 0", Err("--seconds needs a number from 0.1 to 60".to_owned()));
        let smoke = bench::Options { smoke: true, seconds: 0.5, ..bench::Options::default() };
        check("bench --smoke --seconds 0.5", Ok((Task::Bench(smoke), false)));
        check("bench --frob", Err("unknown option \"--frob\"".to_owned()));
        let options = |seconds, targets: &[&str]| fuzz::Options {
            seconds,
            targets: targets.iter().map(|target| (*target).to_owned()).collect(),
        };
        check("fuzz", Ok((Task::Fuzz(options(20, &[])), false)));
        check("fuzz frames --seconds 300 deflate", Ok((Task::Fuzz(options(300, &["frames", "deflate"])), false)));
        check("fuzz --seconds 0", Err("--seconds needs a number above zero".to_owned()));
        check("fuzz --second", Err("unknown option \"--second\"".to_owned()));
        check("frobnicate", Err("unknown command \"frobnicate\"".to_owned()));
        check("", Err("no command given".to_owned()));
    }
}
