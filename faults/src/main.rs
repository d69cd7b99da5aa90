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
mod server;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use case::{Bench, Case, Trouble};

/// What went wrong, in a sentence.
type Result<T, E = String> = std::result::Result<T, E>;

const USAGE: &str = "Usage: faults --rikki PATH [--long] [--minutes N] [--case NAME]... | --list";

#[derive(Default)]
struct Options {
    rikki: Option<PathBuf>,
    long: bool,
    /// How long the soak takes.
    minutes: Option<u64>,
    list: bool,
    /// Those to run; all if empty.
    cases: Vec<String>,
}

fn main() -> ExitCode {
    let passed = parse(std::env::args().skip(1)).and_then(run);
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options::default();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value\n{USAGE}"));
        match argument.as_str() {
            "--rikki" => options.rikki = Some(value()?.into()),
            "--case" => options.cases.push(value()?),
            "--minutes" => {
                let minutes = value()?.parse().map_err(|_| format!("--minutes needs a number\n{USAGE}"))?;
                options.minutes = Some(minutes);
            }
            "--long" => options.long = true,
            "--list" => options.list = true,
            _ => return Err(format!("unknown option {argument:?}\n{USAGE}")),
        }
    }
    Ok(options)
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
    let bench = Bench::new(options.rikki.ok_or(USAGE)?, options.long, options.minutes)?;
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
