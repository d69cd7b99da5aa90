//! The Autobahn test suite against the server, over ws and wss, held to a committed table.
//!
//! A case passes when behaviour and close behaviour are those of `autobahn/expected.tsv`; any other verdict, a case
//! that did not run and a case the table does not know all fail. Reports, logs and the summary stay in the folder
//! `autobahn` below cargo's target folder.

mod install;
mod peers;
mod report;
mod table;

use std::fs;

use crate::Result;
use crate::process::run as run_command;
use crate::project::Project;
use crate::suites::{CARGO_LIMIT, Outcome, Tally};

use install::Suite;
use table::{CaseId, Table};

/// The verdicts that the server must earn.
const EXPECTED: &str = include_str!("../../autobahn/expected.tsv");

/// Whether the cases of a scheme include this one. Sections 12 and 13 move 10.9 GB each way through the suite's Python,
/// a few minutes for each of their largest: over ws the same third of each set (messages of 16 B to 8 KiB, and 8 and
/// 16 KiB in fragments) unless all are wanted, over wss none.
fn covers(scheme: &str, case: &CaseId, all: bool) -> bool {
    match *case.parts() {
        [12 | 13, .., number] => scheme == "ws" && (all || [1, 3, 5, 6, 11, 12].contains(&number)),
        _ => true,
    }
}

/// What is tested: the scheme of the URL, and what the server needs for it.
const SCHEMES: [(&str, &[&str]); 2] = [("ws", &[]), ("wss", &["--tls-self-signed"])];

/// Runs the cases that match `patterns` (all if there are none) over both schemes.
pub(crate) fn run(project: &Project, patterns: &[String], all: bool) -> Vec<Outcome> {
    let suite = match install::suite(project) {
        Ok(suite) => suite,
        Err(missing) => return vec![Outcome { suite: "Autobahn".to_owned(), result: Err(missing) }],
    };
    let expected = match prepare(project, patterns) {
        Ok(expected) => expected,
        Err(error) => {
            println!("Autobahn: {error}");
            return vec![Outcome { suite: "Autobahn".to_owned(), result: Ok(Tally { passed: 0, failed: 1 }) }];
        }
    };
    let mut summary = format!("# Autobahn test suite {}\n", suite.version);
    let mut outcomes = Vec::new();
    // Cases that are asked for by number are all run.
    let all = all || !patterns.is_empty();
    for (scheme, flags) in SCHEMES {
        let mut expected = expected.clone();
        expected.retain(|case, _| covers(scheme, case, all));
        if expected.is_empty() {
            continue;
        }
        println!("running {} cases over {scheme}", expected.len());
        let (tally, text) = match cases_over(project, &suite, scheme, flags, &expected) {
            Ok(got) => (tally(&expected, &got), report::summary(scheme, &expected, &got)),
            Err(error) => (Tally { passed: 0, failed: 1 }, format!("## Over {scheme}\n\n{error}\n")),
        };
        print!("\n{text}\n");
        summary = format!("{summary}\n{text}");
        outcomes.push(Outcome { suite: format!("Autobahn {} over {scheme}", suite.version), result: Ok(tally) });
    }
    let file = suite.folder.join("summary.md");
    match fs::write(&file, summary) {
        Ok(()) => println!("summary: {}", file.display()),
        Err(error) => println!("the summary is lost: {}: {error}", file.display()),
    }
    outcomes
}

/// Builds the server and picks the cases.
fn prepare(project: &Project, patterns: &[String]) -> Result<Table> {
    let expected = table::select(table::parse(EXPECTED)?, patterns)?;
    run_command(project.cargo().args(["build", "--release", "--package", "rikki-cli"]), CARGO_LIMIT)?;
    Ok(expected)
}

/// What the suite says about each of the `expected` cases over one scheme.
fn cases_over(project: &Project, suite: &Suite, scheme: &str, flags: &[&str], expected: &Table) -> Result<Table> {
    let folder = suite.folder.join(scheme);
    // Reports of an earlier run must not pass for those of this one.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let server = peers::Server::start(project, &folder, scheme, flags)?;
    let shards = shards(expected.keys());
    let clients = shards.iter().filter(|cases| !cases.is_empty()).enumerate();
    // Both must have started before either is waited for.
    let clients: Vec<_> = clients
        .map(|(number, cases)| peers::Client::start(suite, &folder.join(number.to_string()), &server.url, cases))
        .collect::<Result<_>>()?;
    let mut got = Table::new();
    for client in clients {
        got.extend(table::parse_report(&client.finish()?)?);
    }
    Ok(got)
}

fn tally(expected: &Table, got: &Table) -> Tally {
    let passed = expected.iter().filter(|(case, verdict)| got.get(case) == Some(verdict)).count();
    Tally { passed, failed: table::differences(expected, got).len() }
}

/// Two groups that take about equally long: in 9.1 to 9.3 the client spends half of its time on a few large messages,
/// and the compressed sections are dealt out in turn.
fn shards<'a>(cases: impl Iterator<Item = &'a CaseId>) -> [Vec<&'a CaseId>; 2] {
    let (compressed, plain): (Vec<_>, Vec<_>) = cases.partition(|case| matches!(case.parts(), [12 | 13, ..]));
    let (mut slow, mut quick): (Vec<_>, Vec<_>) =
        plain.into_iter().partition(|case| matches!(case.parts(), [9, 1..=3, ..]));
    for (index, case) in compressed.into_iter().enumerate() {
        if index % 2 == 0 { slow.push(case) } else { quick.push(case) }
    }
    [slow, quick]
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
    fn a_third_of_the_compressed_sections_is_run_unless_all_are_wanted() {
        let expected = table::parse(EXPECTED).unwrap();
        let count = |scheme, all| expected.keys().filter(|case| covers(scheme, case, all)).count();
        assert_eq!([count("ws", false), count("ws", true), count("wss", true)], [301 + 72, 517, 301]);
    }

    #[test]
    fn every_case_is_in_one_shard() {
        let expected = table::parse(EXPECTED).unwrap();
        let [slow, quick] = shards(expected.keys());
        assert_eq!((slow.len(), quick.len()), (21 + 108, 280 + 108));
        assert!(slow.iter().all(|case| !quick.contains(case)));
    }
}
