//! The Autobahn test suite against the server and the client, held to a committed table.
//!
//! A case passes when behaviour and close behaviour are those of `autobahn/expected.tsv`; any other verdict, a case
//! that did not run and a case the table does not know all fail. Reports, logs and the summary stay in the folder
//! `autobahn` below cargo's target folder.

mod install;
mod peers;
mod report;
mod table;

use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use crate::Result;
use crate::process::run as run_command;
use crate::project::Project;
use crate::suites::{CARGO_LIMIT, Outcome};

use install::Suite;
use peers::{Server, Shard};
use table::{CaseId, Table};

/// The verdicts that server and client must earn.
const EXPECTED: &str = include_str!("../../../autobahn/expected.tsv");

/// What is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Server,
    TlsServer,
    Client,
}

impl Subject {
    const ALL: [Self; 3] = [Self::Server, Self::TlsServer, Self::Client];

    fn name(self) -> &'static str {
        match self {
            Self::Server => "server over ws",
            Self::TlsServer => "server over wss",
            Self::Client => "client over ws",
        }
    }

    /// Whether this one is tested with `case`. Sections 12 and 13 move 10.9 GB each way through the suite's Python,
    /// most of the time of a run: unless all are wanted, the server gets every third case of each of their sets, from
    /// the smallest messages to the largest (128 KiB, whole and in fragments), and the client none. Over TLS, where
    /// the suite is eight times as slow, there are none at all.
    fn covers(self, case: &CaseId, all: bool) -> bool {
        match (case.parts(), self) {
            (&[12 | 13, .., number], Self::Server) => all || number % 3 == 1,
            (&[12 | 13, ..], Self::Client) => all,
            (&[12 | 13, ..], Self::TlsServer) => false,
            _ => true,
        }
    }
}

/// Runs the cases that match `patterns` (all if there are none) with everything that is tested.
pub(crate) fn run(project: &Project, patterns: &[String], all: bool) -> Vec<Outcome> {
    let suite = match install::suite(project) {
        Ok(suite) => suite,
        Err(missing) => return vec![Outcome::new("Autobahn", Err(missing))],
    };
    let expected = match prepare(project, patterns) {
        Ok(expected) => expected,
        Err(error) => return vec![Outcome::failed("Autobahn", error)],
    };
    let mut summary = format!("# Autobahn test suite {}, rikki {}\n", suite.version, env!("CARGO_PKG_VERSION"));
    let mut outcomes = Vec::new();
    // Cases that are asked for by number are all run.
    let all = all || !patterns.is_empty();
    for subject in Subject::ALL {
        let mut expected = expected.clone();
        expected.retain(|case, _| subject.covers(case, all));
        if expected.is_empty() {
            continue;
        }
        let name = subject.name();
        println!("running {} cases: {name}", expected.len());
        let started = Instant::now();
        let (passed, failures, text) = match verdicts(project, &suite, subject, &expected) {
            Ok(got) => {
                let passed = expected.iter().filter(|(case, verdict)| got.get(case) == Some(verdict)).count();
                let failures = table::differences(&expected, &got).iter().map(ToString::to_string).collect();
                (passed, failures, report::summary(name, started.elapsed(), &expected, &got))
            }
            Err(error) => (0, vec![error.clone()], format!("## {name}\n\n{error}\n")),
        };
        print!("\n{text}\n");
        // Writing to a String cannot fail.
        let _ = write!(summary, "\n{text}");
        outcomes.push(Outcome::ran(&format!("Autobahn {}, {name}", suite.version), passed, failures));
    }
    let file = suite.folder.join("summary.md");
    match fs::write(&file, summary) {
        Ok(()) => println!("summary: {}", file.display()),
        Err(error) => println!("the summary is lost: {}: {error}", file.display()),
    }
    outcomes
}

/// Builds what is tested and picks the cases.
fn prepare(project: &Project, patterns: &[String]) -> Result<Table> {
    let expected = table::select(table::parse(EXPECTED)?, patterns)?;
    for what in [["rikki-cli", "--bin", "rikki"], ["rikki", "--example", "autobahn_client"]] {
        run_command(project.cargo().args(["build", "--release", "--package"]).args(what), CARGO_LIMIT)?;
    }
    Ok(expected)
}

/// What the suite says about each of the `expected` cases.
fn verdicts(project: &Project, suite: &Suite, subject: Subject, expected: &Table) -> Result<Table> {
    let folder = suite.folder.join(subject.name().replace(' ', "-"));
    // Reports of an earlier run must not pass for those of this one.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let server = match subject {
        Subject::Server => Some(Server::start(project, &folder, "ws", &[])?),
        Subject::TlsServer => Some(Server::start(project, &folder, "wss", &["--tls-self-signed"])?),
        Subject::Client => None,
    };
    let shards = shards(expected.keys());
    let shards = shards.iter().filter(|cases| !cases.is_empty()).enumerate();
    let shards = shards.map(|(number, cases)| {
        let folder = folder.join(number.to_string());
        match &server {
            Some(server) => Shard::of_server(suite, &folder, &server.url, cases),
            None => Shard::of_client(project, suite, &folder, cases),
        }
    });
    // All must have started before one is waited for.
    let shards: Vec<_> = shards.collect::<Result<_>>()?;
    let mut got = Table::new();
    for shard in shards {
        got.extend(table::parse_report(&shard.finish()?)?);
    }
    Ok(got)
}

/// Two groups that take about equally long. A case takes the longer the greater its last number is within a set of
/// cases, so the even numbers are in one group for one set and in the other for the next.
fn shards<'a>(cases: impl Iterator<Item = &'a CaseId>) -> [Vec<&'a CaseId>; 2] {
    let (even, odd) = cases.partition(|case| case.parts().iter().sum::<u32>() % 2 == 0);
    [even, odd]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_case() {
        let expected = table::parse(EXPECTED).unwrap();
        let of = |section| expected.keys().filter(|case| case.parts()[0] == section).count();
        assert_eq!([1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 13].map(of), [16, 11, 7, 10, 20, 145, 37, 54, 1, 90, 126]);
        assert_eq!(expected.len(), 517);
        let other: Vec<_> = expected.iter().filter(|(_, verdict)| !verdict.is("OK")).collect();
        assert_eq!(other.iter().map(|(case, _)| case.to_string()).collect::<Vec<_>>(), ["7.1.6", "7.13.1", "7.13.2"]);
        assert!(other.iter().all(|(_, verdict)| verdict.is("INFORMATIONAL")));
    }

    #[test]
    fn the_compressed_sections_are_run_in_part_unless_all_are_wanted() {
        let expected = table::parse(EXPECTED).unwrap();
        let count = |subject: Subject, all| expected.keys().filter(|case| subject.covers(case, all)).count();
        assert_eq!(Subject::ALL.map(|subject| count(subject, false)), [301 + 72, 301, 301]);
        assert_eq!(Subject::ALL.map(|subject| count(subject, true)), [517, 301, 517]);
    }

    #[test]
    fn shards_have_equally_many_of_the_slow_cases() {
        let expected = table::parse(EXPECTED).unwrap();
        let [even, odd] = shards(expected.keys());
        assert_eq!(even.len() + odd.len(), expected.len());
        let slow =
            |cases: &[&CaseId]| cases.iter().filter(|case| matches!(case.parts(), [12 | 13, _, 10 | 16])).count();
        assert_eq!((slow(&even), slow(&odd)), (12, 12));
    }
}
