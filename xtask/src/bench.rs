//! The benchmark: rikki beside other echo servers, on one core each time, under the same load from another core.
//!
//! The load generator and the other servers are a workspace of their own in `bench/`. What is compared and what rikki
//! has to reach is in `cases`; a round starts every server afresh, and rounds alternate between them.

mod cases;
mod counts;
mod report;
mod server;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::Result;
use crate::process::{output, run as run_command};
use crate::project::Project;
use crate::suites::CARGO_LIMIT;

use cases::{CASES, Case};
use server::{Peer, Server};

/// The workspace of the load generator and the peers.
const BENCH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../bench");

/// How long one run of the load generator may take.
const LOAD_LIMIT: Duration = Duration::from_secs(120);

/// What is asked for on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// The cases and the servers to run; all if there are none.
    pub(crate) cases: Vec<String>,
    pub(crate) peers: Vec<String>,
    /// Fail if a goal is missed.
    pub(crate) gate: bool,
    /// An echo server on uWebSockets that takes its port as its argument.
    pub(crate) uws: Option<PathBuf>,
    pub(crate) rounds: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { cases: Vec::new(), peers: Vec::new(), gate: false, uws: None, rounds: 5 }
    }
}

impl Options {
    /// Takes one option, with its value from `arguments`.
    pub(crate) fn parse<'a>(&mut self, option: &str, arguments: &mut impl Iterator<Item = &'a str>) -> Result<()> {
        let mut value = || arguments.next().ok_or_else(|| format!("{option} needs a value"));
        match option {
            "--case" => self.cases.push(value()?.to_owned()),
            "--peer" => self.peers.push(value()?.to_owned()),
            "--uws" => self.uws = Some(value()?.into()),
            "--gate" => self.gate = true,
            "--rounds" => {
                let rounds = value()?.parse().ok().filter(|rounds| *rounds > 0);
                self.rounds = rounds.ok_or("--rounds needs a number above zero")?;
            }
            _ => return Err(format!("unknown option {option:?}")),
        }
        Ok(())
    }
}

/// Where everything is that runs, and on which cores.
struct Bench {
    rikki: PathBuf,
    /// The release folder of the workspace `bench`.
    programs: PathBuf,
    scratch: PathBuf,
    uws: Option<PathBuf>,
    server_core: String,
    load_core: String,
}

/// What was measured of one server in one case: a sample of each quantity per round.
#[derive(Debug, Default)]
struct Samples(BTreeMap<&'static str, Vec<f64>>);

/// The quantities that the load generator reports, and the two that are counted.
const PER_SECOND: &str = "per_second";
const CPU: &str = "cpu_us";
const BUSY: &str = "busy";
const P50: &str = "p50_us";
const P99: &str = "p99_us";
const BYTES: &str = "bytes";
const CALLS: &str = "system calls";
const INSTRUCTIONS: &str = "instructions";

impl Samples {
    fn add(&mut self, quantity: &'static str, value: f64) {
        self.0.entry(quantity).or_default().push(value);
    }

    /// The median, if there is one.
    fn median(&self, quantity: &str) -> Option<f64> {
        let mut samples = self.0.get(quantity)?.clone();
        samples.sort_by(f64::total_cmp);
        let middle = samples.len() / 2;
        if samples.len() % 2 == 1 {
            samples.get(middle).copied()
        } else {
            Some(samples[middle - 1..=middle].iter().sum::<f64>() / 2.0)
        }
    }

    /// How far the samples lie apart, as a part of their median.
    fn spread(&self, quantity: &str) -> Option<f64> {
        let samples = self.0.get(quantity)?;
        let low = samples.iter().copied().min_by(f64::total_cmp)?;
        let high = samples.iter().copied().max_by(f64::total_cmp)?;
        Some((high - low) / self.median(quantity)?)
    }
}

/// Runs the benchmark; false if a goal is missed and that matters.
pub(crate) fn run(project: &Project, options: &Options) -> Result<bool> {
    let cases = select(CASES, |case| case.name, &options.cases)?;
    let peers: Vec<Peer> =
        server::PEERS.iter().copied().filter(|peer| *peer != Peer::Uws || options.uws.is_some()).collect();
    let mut peers = select(&peers, |peer| peer.name(), &options.peers)?;
    if !peers.contains(&Peer::Rikki) {
        peers.insert(0, Peer::Rikki);
    }
    let bench = Bench::prepare(project, options)?;
    let machine = report::Machine::look(&bench)?;
    let mut met = true;
    for case in &cases {
        let results = bench.measure(case, &peers, options.rounds)?;
        let goals = cases::judge(case, &results);
        met &= goals.iter().all(|goal| goal.met);
        let text = report::case(case, &machine, options.rounds, &results, &goals);
        println!("{text}");
        // A part of the servers is no result to keep.
        if options.peers.is_empty() {
            let file = Path::new(BENCH).join("results").join(format!("{}.md", case.name));
            fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        }
    }
    Ok(met || !options.gate)
}

/// The `all` whose names are in `wanted`, which may only name what there is.
fn select<T: Copy>(all: &[T], name: impl Fn(&T) -> &'static str, wanted: &[String]) -> Result<Vec<T>> {
    let names: Vec<_> = all.iter().map(&name).collect();
    if let Some(unknown) = wanted.iter().find(|wanted| !names.contains(&wanted.as_str())) {
        return Err(format!("there is no {unknown:?}, only {}", names.join(", ")));
    }
    let chosen = all.iter().filter(|item| wanted.is_empty() || wanted.iter().any(|wanted| *wanted == name(item)));
    Ok(chosen.copied().collect())
}

impl Bench {
    /// Builds everything and picks the cores.
    fn prepare(project: &Project, options: &Options) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if cores < 2 {
            return Err("the server and the load need a core each, and there is only one".to_owned());
        }
        run_command(project.cargo().args(["build", "--release", "--package", "rikki-cli"]), CARGO_LIMIT)?;
        run_command(project.cargo().current_dir(BENCH).args(["build", "--release", "--locked"]), CARGO_LIMIT)?;
        let mut command = project.cargo();
        command.current_dir(BENCH).args(["metadata", "--no-deps", "--format-version", "1"]);
        let metadata = parse(&output(&mut command, CARGO_LIMIT)?)?;
        let target = metadata["target_directory"].as_str().ok_or("cargo metadata names no target_directory")?;
        let scratch = project.target.join("bench");
        for folder in [&scratch.join("root"), &Path::new(BENCH).join("results")] {
            fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        Ok(Self {
            rikki: project.target.join("release/rikki"),
            programs: Path::new(target).join("release"),
            scratch,
            uws: options.uws.clone(),
            server_core: "0".to_owned(),
            load_core: (cores - 1).to_string(),
        })
    }

    /// Puts every server through `case`, `rounds` times in turn, and counts what does not depend on time once.
    fn measure(&self, case: &Case, peers: &[Peer], rounds: usize) -> Result<Vec<(Peer, Samples)>> {
        let mut results: Vec<_> =
            peers.iter().filter(|peer| case.takes(**peer)).map(|peer| (*peer, Samples::default())).collect();
        for round in 1..=rounds {
            for (peer, samples) in &mut results {
                eprintln!("{}, round {round} of {rounds}: {}", case.name, peer.name());
                let server = Server::start(self, *peer, case.tls, &[])?;
                let report = self.load(case, *peer, &server, &[])?;
                for quantity in [PER_SECOND, CPU, BUSY, P50, P99, BYTES] {
                    if let Some(value) = report[quantity].as_f64() {
                        samples.add(quantity, value);
                    }
                }
            }
        }
        if case.counted {
            for (peer, samples) in &mut results {
                eprintln!("{}, counting: {}", case.name, peer.name());
                counts::count(self, case, *peer, samples)?;
            }
        }
        Ok(results)
    }

    /// One run of the load generator against `server`.
    fn load(&self, case: &Case, peer: Peer, server: &Server, more: &[&str]) -> Result<Value> {
        let mut command = pinned(&self.load_core, &self.programs.join("load"));
        command.arg(if peer == Peer::Tcp { "raw" } else { case.mode });
        command.args(["--port", &server.port.to_string(), "--pid", &server.pid().to_string()]);
        command.args(case.load).args(more);
        if case.tls {
            command.arg("--tls");
        }
        let text =
            output(&mut command, LOAD_LIMIT).map_err(|error| format!("{} in {}: {error}", peer.name(), case.name))?;
        parse(&text)
    }
}

fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| format!("{error} in {text:?}"))
}

/// `program`, held to one core.
fn pinned(core: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_middle_of_the_samples() {
        let check = |values: &[f64], median, spread| {
            let mut samples = Samples::default();
            values.iter().for_each(|value| samples.add(CPU, *value));
            assert_eq!((samples.median(CPU), samples.spread(CPU)), (median, spread), "{values:?}");
        };
        check(&[], None, None);
        check(&[4.0], Some(4.0), Some(0.0));
        check(&[9.0, 1.0, 2.0], Some(2.0), Some(4.0));
        check(&[8.0, 2.0, 4.0, 4.0], Some(4.0), Some(1.5));
    }

    #[test]
    fn selects_by_name_and_refuses_what_is_unknown() {
        let check = |wanted: &[&str], expected: Result<Vec<&'static str>>| {
            let wanted: Vec<_> = wanted.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(select(&["a", "b"], |name| name, &wanted), expected, "{wanted:?}");
        };
        check(&[], Ok(vec!["a", "b"]));
        check(&["b"], Ok(vec!["b"]));
        check(&["b", "c"], Err("there is no \"c\", only a, b".to_owned()));
    }
}
