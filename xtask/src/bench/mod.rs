//! The benchmark: rikki beside other servers, on one core each time, under the same load from another core.
//!
//! The load generator and the other servers are a workspace of their own in `bench/`. What is compared is in `cases`,
//! what rikki has to reach in `goals`; a round starts every server afresh, and rounds alternate between them.

mod cases;
mod counts;
mod gate;
mod goals;
mod options;
mod plot;
mod programs;
mod report;
mod samples;
mod server;
mod start;
mod summary;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use crate::Result;
use crate::install::Missing;
use crate::process::{output, run as run_command};
use crate::project::Project;
use crate::suites::CARGO_LIMIT;

use cases::{CASES, CHANGED, Case, FILES, Mode};
use counts::Counted;
pub(crate) use gate::suite as gate;
use goals::Judged;
pub(crate) use options::{Options, Part};
use programs::Program;
use samples::{PER_SECOND, REPORTED, Samples};
use server::{Peer, Server};

/// The workspace of the load generator and the peers.
const BENCH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../bench");

const NGINX: Peer = Peer::Nginx { keeps_files: true };

/// How long one run of the load generator may take.
const LOAD_LIMIT: Duration = Duration::from_secs(90);

/// The shortest warm-up, in seconds: Node compiles what it runs often.
const LEAST_WARMUP: f64 = 0.3;

/// Where everything is that runs, and on which cores.
struct Bench {
    rikki: PathBuf,
    load: PathBuf,
    /// The release folder of the workspace `bench`.
    programs: PathBuf,
    scratch: PathBuf,
    /// The folder that is served.
    root: PathBuf,
    uws: Option<PathBuf>,
    libwebsockets: std::result::Result<Program, Missing>,
    node: std::result::Result<Program, Missing>,
    nginx: std::result::Result<Program, Missing>,
    cores: Cores,
    options: Options,
}

/// As taskset names them.
struct Cores {
    server: String,
    load: String,
    all: String,
}

/// What became of a case.
struct Outcome {
    case: Case,
    results: Vec<(Peer, Samples)>,
    /// The servers that failed; why is on standard error, with paths that are nobody else's business.
    left_out: Vec<Peer>,
    goals: Vec<Judged>,
}

/// Runs the benchmark; false if a goal is missed and that matters.
pub(crate) fn run(project: &Project, options: &Options) -> Result<bool> {
    if options.gate {
        return gate::run(project, options);
    }
    let mut cases = select(CASES, |case| case.name, &options.cases)?;
    if options.only == Some(Part::Files) {
        cases.retain(|case| case.mode == Mode::Http);
        if cases.is_empty() {
            return Err("none of these cases is about files".to_owned());
        }
    }
    let peers: Vec<Peer> =
        server::PEERS.iter().copied().filter(|peer| *peer != Peer::Uws || options.uws.is_some()).collect();
    let mut peers = select(&peers, |peer| peer.name(), &options.peers)?;
    if !peers.contains(&Peer::Rikki) {
        peers.insert(0, Peer::Rikki);
    }
    let bench =
        Bench::prepare(project, options, |peer| peers.contains(&peer) && cases.iter().any(|case| case.takes(peer)))?;
    if options.smoke {
        return bench.smoke(&cases, &peers);
    }
    let machine = report::Machine::look(&bench)?;
    // A part of the servers is no result to keep.
    let keep = options.peers.is_empty();
    let mut outcomes = Vec::new();
    for case in &cases {
        let outcome = bench.measure(case, &peers, &outcomes)?;
        let text = report::case(&outcome, &machine);
        println!("{text}");
        if keep {
            write_result(&format!("{}.md", case.name), &text)?;
        }
        outcomes.push(outcome);
        if keep && options.cases.is_empty() && options.only.is_none() {
            // After each case: a run that is cut short leaves what it has found.
            write_result("README.md", &summary::page(&outcomes, &machine))?;
            write_result("ratios.svg", &plot::ratios(&outcomes))?;
        }
    }
    // What a program given with --uws can do is not known before.
    let complete = |outcome: &Outcome| outcome.left_out.iter().all(|peer| *peer == Peer::Uws);
    let met = |outcome: &Outcome| complete(outcome) && outcome.goals.iter().all(|goal| goal.met);
    Ok(outcomes.iter().all(met) || !options.goals)
}

fn write_result(name: &str, text: &str) -> Result<()> {
    let file = Path::new(BENCH).join("results").join(name);
    fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))
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
    /// Builds everything, installs what is `needed` and picks the cores.
    fn prepare(project: &Project, options: &Options, needed: impl Fn(Peer) -> bool) -> Result<Self> {
        let unneeded = || Err(Missing("not asked for".to_owned()));
        let bench = Self::build(project, options, &["--release"], "release")?;
        let scratch = &bench.scratch;
        Ok(Self {
            libwebsockets: if needed(Peer::Lws) { programs::libwebsockets(scratch) } else { unneeded() },
            node: if needed(Peer::Node) { programs::node(scratch) } else { unneeded() },
            nginx: if needed(NGINX) || needed(Peer::Nginx { keeps_files: false }) {
                programs::nginx()
            } else {
                unneeded()
            },
            ..bench
        })
    }

    /// Builds what counting rikki takes: the release that other suites test too, and the load as fast as that can be had.
    fn prepare_to_count(project: &Project) -> Result<Self> {
        Self::build(project, &Options::default(), &["--package", "load"], "debug")
    }

    /// Builds rikki, and in the workspace `bench` what `arguments` say, which goes to `folder`.
    fn build(project: &Project, options: &Options, arguments: &[&str], folder: &str) -> Result<Self> {
        run_command(
            project.cargo().args(["build", "--release", "--package", "rikki-cli", "--bin", "rikki"]),
            CARGO_LIMIT,
        )?;
        let mut command = project.cargo();
        run_command(command.current_dir(BENCH).args(["build", "--locked"]).args(arguments), CARGO_LIMIT)?;
        let mut command = project.cargo();
        command.current_dir(BENCH).args(["metadata", "--no-deps", "--format-version", "1"]);
        let metadata = parse(&output(&mut command, CARGO_LIMIT)?)?;
        let target = metadata["target_directory"].as_str().ok_or("cargo metadata names no target_directory")?;
        let programs = Path::new(target).join(folder);
        let scratch = project.target.join("bench");
        let root = scratch.join("root");
        for folder in [&root, &Path::new(BENCH).join("results")] {
            fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        for (name, size) in FILES {
            let text = "0123456789abcde\n".repeat(size / 16);
            let write = |path: &Path| {
                fs::write(path, text)?;
                fs::File::options().write(true).open(path)?.set_modified(UNIX_EPOCH + CHANGED)
            };
            write(&root.join(name)).map_err(|error| format!("{name}: {error}"))?;
        }
        let unneeded = || Err(Missing("not asked for".to_owned()));
        Ok(Self {
            rikki: project.target.join("release/rikki"),
            load: programs.join("load"),
            programs,
            libwebsockets: unneeded(),
            node: unneeded(),
            nginx: unneeded(),
            scratch,
            root,
            uws: options.uws.clone(),
            cores: Cores::look()?,
            options: options.clone(),
        })
    }

    fn server_cores(&self, case: &Case) -> &str {
        if case.beside.is_some() { &self.cores.all } else { &self.cores.server }
    }

    /// Puts every server through `case` in turn, and counts what does not depend on time once. A server that fails is
    /// left out from then on; rikki may not.
    fn measure(&self, case: &Case, peers: &[Peer], earlier: &[Outcome]) -> Result<Outcome> {
        let mut results: Vec<_> =
            peers.iter().filter(|peer| case.takes(**peer)).map(|peer| (*peer, Samples::default())).collect();
        let mut left_out = Vec::new();
        let rounds = if case.mode.is_timed() { self.options.rounds } else { 1 };
        for round in 1..=rounds {
            // There and back again, so that no server is always the first.
            results.reverse();
            for (peer, mut samples) in std::mem::take(&mut results) {
                eprintln!("{}, round {round} of {rounds}: {}", case.name, peer.name());
                match self.round(case, peer, &mut samples) {
                    Ok(()) => results.push((peer, samples)),
                    Err(error) if peer == Peer::Rikki => return Err(error),
                    Err(error) => {
                        eprintln!("left out: {}: {error}", peer.name());
                        left_out.push(peer);
                    }
                }
            }
        }
        for (peer, samples) in results.iter_mut().filter(|_| case.counted != Counted::NOTHING) {
            eprintln!("{}, counting: {}", case.name, peer.name());
            match counts::count(self, case, *peer, samples) {
                Err(error) if *peer == Peer::Rikki => return Err(error),
                // What was timed is good all the same.
                Err(error) => eprintln!("not counted: {}: {error}", peer.name()),
                Ok(()) => {}
            }
        }
        let own = |wanted: &str| {
            let outcome = earlier.iter().find(|outcome| outcome.case.name == wanted)?;
            goals::own(&outcome.results)?.median(PER_SECOND)
        };
        let goals = goals::judge(case.goals, &results, &own);
        Ok(Outcome { case: *case, results, left_out, goals })
    }

    fn round(&self, case: &Case, peer: Peer, samples: &mut Samples) -> Result<()> {
        match case.mode {
            Mode::Start => return start::time(self, case, samples),
            Mode::Size => return start::size(self, samples),
            _ => {}
        }
        let server = Server::start(self, peer, case, &[])?;
        let seconds = self.options.seconds;
        let (warmup, seconds) = ((seconds / 3.0).max(LEAST_WARMUP).to_string(), seconds.to_string());
        let report = self.load(case, peer, &server, &["--seconds", &seconds, "--warmup", &warmup])?;
        for quantity in REPORTED {
            if let Some(value) = report[quantity].as_f64() {
                samples.add(quantity, value);
            }
        }
        Ok(())
    }

    /// Lets every server do a little in every case; false if one cannot.
    fn smoke(&self, cases: &[Case], peers: &[Peer]) -> Result<bool> {
        let mut passed = true;
        for case in cases {
            for peer in peers.iter().copied().filter(|peer| case.takes(*peer)) {
                let outcome = match case.mode {
                    Mode::Start | Mode::Size => self.round(case, peer, &mut Samples::default()),
                    mode => Server::start(self, peer, case, &[]).and_then(|server| {
                        let more: &[&str] = if mode == Mode::Idle { &["--connections", "200"] } else { &[] };
                        let brief = [&["--seconds", "0.2", "--warmup", "0.1"], more].concat();
                        self.load(case, peer, &server, &brief).map(drop)
                    }),
                };
                passed &= outcome.is_ok();
                let text = outcome.map_or_else(|error| format!("FAILED: {error}"), |()| "works".to_owned());
                println!("{}, {}: {text}", case.name, peer.name());
            }
        }
        Ok(passed)
    }

    /// One run of the load generator against `server`.
    fn load(&self, case: &Case, peer: Peer, server: &Server, more: &[&str]) -> Result<Value> {
        let mut command = self.load_command(case, peer, server, more)?;
        let text =
            output(&mut command, LOAD_LIMIT).map_err(|error| format!("{} in {}: {error}", peer.name(), case.name))?;
        parse(&text)
    }

    fn load_command(&self, case: &Case, peer: Peer, server: &Server, more: &[&str]) -> Result<Command> {
        let mode = case.mode.word().ok_or_else(|| format!("{} has no load", case.name))?;
        let cores = if case.beside.is_some() { &self.cores.all } else { &self.cores.load };
        let mut command = pinned(cores, &self.load);
        command.arg(if peer == Peer::Tcp { "raw" } else { mode });
        command.args(["--port", &server.port.to_string(), "--pid", &server.pid().to_string()]);
        command.args(case.load).args(more);
        command.args(case.tls.then_some("--tls")).args(case.deflate.then_some("--deflate"));
        Ok(command)
    }
}

impl Cores {
    /// One for the server, another for the load.
    fn look() -> Result<Self> {
        match std::thread::available_parallelism().map_or(1, usize::from) {
            1 => Err("the server and the load need a core each, and there is only one".to_owned()),
            cores => {
                Ok(Self { server: "0".to_owned(), load: (cores - 1).to_string(), all: format!("0-{}", cores - 1) })
            }
        }
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
