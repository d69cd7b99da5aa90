//! The project's commands: `cargo xtask --help` lists them.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "these commands talk to whoever started them")]

mod api;
mod autobahn;
mod bench;
mod checks;
mod deb;
mod faults;
mod fuzz;
mod graphql;
mod install;
mod interop;
mod lines;
mod process;
mod project;
mod suites;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::project::Project;
use crate::suites::Outcome;

/// What went wrong, in a sentence.
type Result<T> = std::result::Result<T, String>;

/// The project's commands.
#[derive(Debug, PartialEq, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "On Debian, as root, what a suite needs is installed with apt-get; elsewhere it is named. Whatever else is \
                  installed or written goes below target/.",
    disable_help_subcommand = true,
    max_term_width = 120
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
    /// Do not fail when a suite is left out because a program it needs is missing
    #[arg(long, global = true)]
    skip_missing: bool,
}

#[derive(Debug, PartialEq, Subcommand)]
enum Task {
    /// Run every test: unit, integration, documentation, a real browser, Python, fuzz targets, Autobahn, faults, counts
    Test,
    /// Check format, lints, features, documentation, the public interface and dependencies, then do what `test` does
    Ci,
    /// List the public interface anew, in the folder `api`
    Api,
    /// Run the Autobahn test suite against the server and the client
    Autobahn {
        /// The cases to run, such as 1.*,7.1.6
        #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
        cases: Vec<String>,
        /// All of the slow sections 12 and 13; otherwise a third, and as server alone
        #[arg(long)]
        all: bool,
    },
    /// Run the tests that drive a real browser
    Browser,
    /// Run the tests against websockets of Python, clients of Centrifugo, curl, apt-get, wget, aria2c and nginx
    Interop,
    /// Run the example of async-graphql against its client graphql-ws, from npm
    Graphql,
    /// Run the fuzz targets that are named, or all of them
    Fuzz(fuzz::Options),
    /// Attack and overload the server, interrupt it, and measure what becomes of it (Linux)
    Faults {
        /// A case to run; all by default, may be repeated
        #[arg(long = "case", value_name = "NAME")]
        cases: Vec<String>,
    },
    /// Put a mixed load on the server for some minutes, and see whether anything is left of it (Linux)
    Soak {
        /// For how long
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
        minutes: u64,
    },
    /// Make the package for Debian, of the release build, and say where it is
    Deb,
    /// Count the lines of the examples that have a bound, and fail above it
    Lines,
    /// Compare the server with others, on a quiet machine with two cores or more
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let Arguments { task, skip_missing } = Arguments::parse();
    match perform(task, skip_missing) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task, skip_missing: bool) -> Result<bool> {
    let outcomes = match task {
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
        Task::Api => return api::renew(&Project::find()?).map(|()| true),
        Task::Autobahn { cases, all } => autobahn::run(&Project::find()?, &cases, all),
        Task::Bench(options) => return bench::run(&Project::find()?, &options),
        Task::Lines => return lines::run(&Project::find()?),
        Task::Deb => {
            let made = deb::make(&Project::find()?).map_err(|missing| missing.to_string())?;
            println!("{}", made.display());
            return Ok(true);
        }
        Task::Faults { cases } => faults::run(&Project::find()?, &faults::Options { long: true, minutes: None, cases }),
        Task::Soak { minutes } => {
            let options = faults::Options { long: true, minutes: Some(minutes), cases: vec!["soak".to_owned()] };
            faults::run(&Project::find()?, &options)
        }
        Task::Browser => suites::browser(&Project::find()?),
        Task::Interop => interop::run(&Project::find()?),
        Task::Graphql => graphql::run(&Project::find()?),
        Task::Fuzz(options) => fuzz::run(&Project::find()?, &options),
    };
    Ok(suites::account(&outcomes, skip_missing))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> std::result::Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once("xtask").chain(line.split_whitespace()))
    }

    #[test]
    fn understands_its_arguments() {
        Arguments::command().debug_assert();
        let check = |line: &str, task| {
            assert_eq!(parse(line).unwrap(), Arguments { task, skip_missing: false }, "{line}");
        };
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        check("test", Task::Test);
        check("interop", Task::Interop);
        check("lines", Task::Lines);
        check("graphql", Task::Graphql);
        check("deb", Task::Deb);
        let cases = words(&["1.*", "7.1.6", "2.1"]);
        check("autobahn --cases 1.*,7.1.6 --cases 2.1", Task::Autobahn { cases, all: false });
        check("autobahn --all", Task::Autobahn { cases: Vec::new(), all: true });
        check("faults", Task::Faults { cases: Vec::new() });
        check("faults --case a --case b", Task::Faults { cases: words(&["a", "b"]) });
        check("soak", Task::Soak { minutes: 20 });
        check("soak --minutes 3", Task::Soak { minutes: 3 });
        let options =
            |cases: &[&str], rounds, goals| bench::Options { cases: words(cases), rounds, goals, ..Default::default() };
        check("bench", Task::Bench(bench::Options::default()));
        check("bench --case a --goals --case b --rounds 3", Task::Bench(options(&["a", "b"], 3, true)));
        let smoke = bench::Options { smoke: true, seconds: 0.5, ..Default::default() };
        check("bench --smoke --seconds 0.5", Task::Bench(smoke));
        let files = bench::Options { only: Some(bench::Part::Files), goals: true, ..Default::default() };
        check("bench files --goals", Task::Bench(files.clone()));
        check("bench --goals files", Task::Bench(files));
        let counts = bench::Options { gate: true, renew: true, cases: words(&["a"]), ..Default::default() };
        check("bench --gate --renew --case a", Task::Bench(counts));
        let options = |seconds, targets: &[&str]| fuzz::Options { seconds, targets: words(targets) };
        check("fuzz", Task::Fuzz(fuzz::Options::default()));
        check("fuzz frames --seconds 300 deflate", Task::Fuzz(options(300, &["frames", "deflate"])));
        for line in ["ci --skip-missing", "--skip-missing ci"] {
            assert_eq!(parse(line).unwrap(), Arguments { task: Task::Ci, skip_missing: true }, "{line}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_its_arguments() {
        let check = |line: &str, expected: &str| {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        };
        check("browser --help", "Run the tests that drive a real browser");
        check("--help", "Run the fuzz targets that are named");
        check("test --cases 1.*", "unexpected argument '--cases'");
        check("autobahn --cases", "a value is required for '--cases <A,B,...>'");
        check("faults --minutes 3", "unexpected argument '--minutes'");
        check("soak --minutes 0", "0 is not in 1..");
        check("bench --rounds 0", "0 is not in 1..");
        check("bench --seconds 0", "a number from 0.1 to 60");
        check("bench --seconds NaN", "a number from 0.1 to 60");
        check("bench --frob", "unexpected argument '--frob'");
        check("bench --renew", "--gate");
        check("bench --gate --goals", "cannot be used with '--goals'");
        check("bench --gate --peer a", "cannot be used with '--peer");
        check("bench folders", "invalid value 'folders'");
        check("fuzz --seconds 0", "0 is not in 1..");
        check("fuzz --second", "unexpected argument '--second'");
        check("frobnicate", "unrecognized subcommand 'frobnicate'");
        check("", "Usage: cargo xtask [OPTIONS] <COMMAND>");
    }
}
