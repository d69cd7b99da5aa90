//! Drives servers into trouble and measures what becomes of them: one case after the other, each with its figures.
//!
//! The servers are processes of their own, on loopback. Building them and installing other programs is left to
//! `cargo xtask`; the last line is that of cargo's test harness, which it counts by.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "figures are printed for whoever started this")]

mod attack;
mod cable;
mod case;
mod cases;
mod client;
mod fair;
mod folders;
mod good;
mod http2;
mod memory_group;
mod network;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use case::{Bench, Case, Trouble};

/// What went wrong, in a sentence.
type Result<T, E = String> = std::result::Result<T, E>;

/// Drives servers into trouble and measures what becomes of them.
#[derive(Parser)]
struct Options {
    /// The command
    #[arg(long, value_name = "PATH", required_unless_present = "list")]
    rikki: Option<PathBuf>,
    /// With the numbers that are reported, not with those of every day
    #[arg(long)]
    long: bool,
    /// How long the soak takes
    #[arg(long, value_name = "N")]
    minutes: Option<u64>,
    /// Name the cases, and run none
    #[arg(long)]
    list: bool,
    /// A case to run; all by default, may be repeated
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the cases asked for, and says whether all of them passed.
fn run(options: Options) -> Result<bool> {
    let cases: Vec<&Case> = cases::all()
        .filter(|case| options.cases.is_empty() || options.cases.iter().any(|name| name == case.name))
        .collect();
    if options.list {
        cases.iter().for_each(|case| println!("{}", case.name));
        return Ok(true);
    }
    if let Some(unknown) = options.cases.iter().find(|name| cases.iter().all(|case| case.name != **name)) {
        return Err(format!("there is no case {unknown:?}; --list names them"));
    }
    let bench = Bench::new(options.rikki.unwrap_or_default(), options.long, options.minutes)?;
    let (mut passed, mut failed, mut left_out) = (0, 0, 0);
    for case in cases {
        let started = Instant::now();
        let result = (case.run)(&bench);
        let took = started.elapsed().as_secs();
        match result {
            Ok(figure) => {
                passed += 1;
                println!("{} ... ok ({took} s): {figure}", case.name);
            }
            Err(Trouble::Wrong(why)) => {
                failed += 1;
                println!("{} ... FAILED ({took} s): {why}", case.name);
            }
            Err(Trouble::NotRun(why)) => {
                left_out += 1;
                println!("{} ... not run: {why}", case.name);
            }
        }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {verdict}. {passed} passed; {failed} failed; {left_out} ignored");
    Ok(failed == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_its_arguments() {
        let check = |line: &str, expected: Result<(bool, Option<u64>, &[&str])>| {
            let parsed = Options::try_parse_from(std::iter::once("faults").chain(line.split_whitespace()));
            match (parsed, expected) {
                (Ok(options), Ok((long, minutes, cases))) => {
                    assert_eq!((options.long, options.minutes), (long, minutes), "{line}");
                    assert_eq!(options.cases, cases, "{line}");
                }
                (Err(error), Err(expected)) => assert!(error.to_string().contains(&expected), "{line}: {error}"),
                (parsed, _) => panic!("{line}: {:?}", parsed.map(drop)),
            }
        };
        check("--rikki a --case x --case y", Ok((false, None, &["x", "y"])));
        check("--long --rikki a --minutes 3", Ok((true, Some(3), &[])));
        check("--list", Ok((false, None, &[])));
        check("", Err("--rikki <PATH>".to_owned()));
        check("--rikki a --minutes x", Err("invalid value 'x'".to_owned()));
    }
}
