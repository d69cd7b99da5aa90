//! The result of a case as a page of Markdown, with the machine it comes from.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::goals::{self, Judged};
use super::samples::{
    BUSY, BYTES, CALLS, CPU, Estimate, INSTRUCTIONS, MEMORY, MILLISECONDS, P50, P99, PER_SECOND, REPLY_BYTES, Samples,
    interval,
};
use super::server::{PEERS, Peer};
use super::{BENCH, Bench, Outcome};
use crate::Result;
use crate::process::output;

/// With more cores than this at work before the first case, figures of time mean little.
const QUIET: f64 = 0.2;
/// How long is looked whether they are: not the load average, which is that of the build before.
const LOOK: Duration = Duration::from_secs(2);
const STAT: &str = "/proc/stat";

/// Where the figures come from.
pub(super) struct Machine {
    text: String,
    versions: BTreeMap<String, String>,
    /// How many cores were at work when nothing of the benchmark was.
    busy: f64,
}

impl Machine {
    pub(super) fn look(bench: &Bench) -> Result<Self> {
        let say = |program: &str, arguments: &[&str]| {
            let text = output(Command::new(program).args(arguments), Duration::from_secs(20))?;
            Ok::<_, String>(text.trim().to_owned())
        };
        let processor = read("/proc/cpuinfo")?
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name.to_owned()))
            .unwrap_or_else(|| "an unknown processor".to_owned());
        let before = read(STAT)?;
        std::thread::sleep(LOOK);
        let busy = busy_cores(&before, &read(STAT)?);
        let (outside, confidence) = interval(bench.options.rounds);
        let text = format!(
            "{}, {}, {}; server on core {}, load on core {}; {}. Medians of rounds in which the servers take turns, and of \
             the ratios in each: {}, of {} s each where time matters. In brackets, from where to where the true median is \
             with {:.0} % confidence, whatever the distribution: {}. Instructions and system calls are counted once.",
            processor,
            say("uname", &["-sr"])?,
            say("rustc", &["--version"])?,
            bench.cores.server,
            bench.cores.load,
            say("date", &["-u", "+%F"])?,
            bench.options.rounds,
            bench.options.seconds,
            confidence * 100.0,
            match outside {
                0 => "the lowest and the highest round".to_owned(),
                outside => format!("without the {outside} lowest and highest rounds"),
            },
        );
        let lock = Path::new(BENCH).join("Cargo.lock");
        let mut versions = versions(&read(&lock.display().to_string())?);
        let programs = [
            (Peer::Lws, &bench.libwebsockets),
            (Peer::Node, &bench.node),
            (Peer::Nginx { keeps_files: true }, &bench.nginx),
        ];
        let found = programs.iter().filter_map(|(peer, program)| Some((peer, program.as_ref().ok()?)));
        versions.extend(found.map(|(peer, program)| (peer.name().to_owned(), program.version.clone())));
        Ok(Self { text, versions, busy })
    }

    /// The machine, the date, the rounds, and a warning if something else was at work.
    pub(super) fn describe(&self) -> String {
        if self.busy <= QUIET {
            return format!("{}\n", self.text);
        }
        format!("{}\n\n**Not to be published: the machine was busy ({:.1} cores at work).**\n", self.text, self.busy)
    }

    /// The server and its version.
    pub(super) fn name(&self, peer: Peer) -> String {
        match peer {
            Peer::Rikki => format!("**rikki {}**", env!("CARGO_PKG_VERSION")),
            Peer::Tcp => "bare TCP, no WebSocket".to_owned(),
            Peer::Senders { .. } => peer.name().to_owned(),
            // Its version stands beside the other one.
            Peer::Nginx { keeps_files: false } => peer.name().to_owned(),
            Peer::Library(_) | Peer::Uws | Peer::Lws | Peer::Node | Peer::Nginx { .. } => {
                match self.versions.get(peer.name()) {
                    Some(version) => format!("{} {version}", peer.name()),
                    None => peer.name().to_owned(),
                }
            }
        }
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

/// The versions of the packages in a Cargo.lock.
fn versions(lock: &str) -> BTreeMap<String, String> {
    let value =
        |line: &str, key: &str| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"').map(str::to_owned);
    let lines: Vec<_> = lock.lines().collect();
    lines.windows(2).filter_map(|pair| Some((value(pair[0], "name")?, value(pair[1], "version")?))).collect()
}

/// The page of one case.
pub(super) fn case(outcome: &Outcome, machine: &Machine) -> String {
    let Outcome { case, results, left_out, goals } = outcome;
    let mut text = format!("# {}\n\n{}", case.title, machine.describe());
    let columns = columns(results);
    text.push('\n');
    text.push_str(&row("server", columns.iter().map(|column| column.title.to_owned())));
    // Nothing here fails: a line that is written into a string.
    let _ = writeln!(text, "|---|{}", "--:|".repeat(columns.len()));
    let own = goals::own(results);
    for peer in PEERS {
        let Some(samples) = goals::of(results, *peer) else { continue };
        text.push_str(&row(&machine.name(*peer), columns.iter().map(|column| (column.cell)(samples, own))));
    }
    if !left_out.is_empty() {
        let names: Vec<_> = left_out.iter().map(Peer::name).collect();
        let _ = writeln!(text, "\nLeft out, because it failed: {}.", names.join(", "));
    }
    if !goals.is_empty() {
        text.push_str("\nrikki's goals:\n\n");
        for Judged { text: goal, met } in goals {
            let _ = writeln!(text, "- {}: {goal}", if *met { "met" } else { "**missed**" });
        }
    }
    text
}

pub(super) fn row(first: &str, rest: impl Iterator<Item = String>) -> String {
    let cells: Vec<_> = std::iter::once(first.to_owned()).chain(rest).collect();
    format!("| {} |\n", cells.join(" | "))
}

struct Column {
    title: &'static str,
    cell: fn(&Samples, Option<&Samples>) -> String,
}

/// Those that were measured.
fn columns(results: &[(Peer, Samples)]) -> Vec<Column> {
    let all: [(&str, Column); 16] = [
        (PER_SECOND, Column { title: "per second", cell: |own, _| whole(own, PER_SECOND) }),
        (PER_SECOND, Column { title: "rikki is", cell: |own, rikki| ratio(rikki, Some(own), PER_SECOND) }),
        (CPU, Column { title: "CPU µs each", cell: |own, _| fine(own, CPU) }),
        (CPU, Column { title: "rikki is", cell: |own, rikki| ratio(Some(own), rikki, CPU) }),
        (BUSY, Column { title: "core in use", cell: |own, _| percent(own.median(BUSY)) }),
        (P50, Column { title: "median µs", cell: |own, _| whole(own, P50) }),
        (P99, Column { title: "99 % µs", cell: |own, _| whole(own, P99) }),
        (MEMORY, Column { title: "rikki is", cell: |own, rikki| ratio(Some(own), rikki, P99) }),
        (MEMORY, Column { title: "bytes in RAM", cell: |own, _| whole(own, MEMORY) }),
        (MEMORY, Column { title: "times rikki's", cell: |own, rikki| ratio(Some(own), rikki, MEMORY) }),
        (REPLY_BYTES, Column { title: "bytes sent each", cell: |own, _| whole(own, REPLY_BYTES) }),
        (CALLS, Column { title: "system calls", cell: |own, _| fine(own, CALLS) }),
        (INSTRUCTIONS, Column { title: "user instructions", cell: |own, _| whole(own, INSTRUCTIONS) }),
        (MILLISECONDS, Column { title: "ms", cell: |own, _| fine(own, MILLISECONDS) }),
        (BYTES, Column { title: "bytes", cell: |own, _| whole(own, BYTES) }),
        (BYTES, Column { title: "times rikki's", cell: |own, rikki| ratio(Some(own), rikki, BYTES) }),
    ];
    let measured = |quantity| results.iter().any(|(_, samples)| samples.median(quantity).is_some());
    all.into_iter().filter(|(quantity, _)| measured(quantity)).map(|(_, column)| column).collect()
}

pub(super) const NONE: &str = "-";

/// Whole numbers with their thousands apart: the median, and its interval if there is one.
pub(super) fn whole(samples: &Samples, quantity: &str) -> String {
    cell(samples.estimate(quantity), "", thousands)
}

pub(super) fn fine(samples: &Samples, quantity: &str) -> String {
    cell(samples.estimate(quantity), "", |value| format!("{value:.2}"))
}

fn cell(estimate: Option<Estimate>, unit: &str, write: impl Fn(f64) -> String) -> String {
    let Some(Estimate { median, low, high }) = estimate else { return NONE.to_owned() };
    let interval = if low < high { format!(" [{}, {}]", write(low), write(high)) } else { String::new() };
    write(median) + unit + &interval
}

fn thousands(value: f64) -> String {
    let mut text = format!("{value:.0}");
    for at in (1..text.len()).rev().filter(|at| (text.len() - at) % 3 == 0).collect::<Vec<_>>() {
        text.insert(at, ',');
    }
    text
}

/// How many cores were at work between two looks at /proc/stat (proc_stat(5)): whatever is neither idle nor waiting for
/// a disk, time that the machine's own host took included.
fn busy_cores(before: &str, after: &str) -> f64 {
    let times = |text: &str| {
        let mut fields = text.lines().next()?.split_whitespace().skip(1).map_while(|field| field.parse::<f64>().ok());
        let (user, nice, system) = (fields.next()?, fields.next()?, fields.next()?);
        let unused = fields.next()? + fields.next()?;
        // Guests (the last two) are in user and nice already.
        Some((user + nice + system + fields.take(3).sum::<f64>(), unused))
    };
    let cores = before.lines().filter(|line| line.starts_with("cpu")).count().saturating_sub(1);
    times(before).zip(times(after)).map_or(f64::NAN, |(before, after)| {
        let (used, unused) = (after.0 - before.0, after.1 - before.1);
        used / (used + unused) * cores as f64
    })
}

fn percent(part: Option<f64>) -> String {
    part.map_or(NONE.to_owned(), |part| format!("{:.0} %", part * 100.0))
}

fn ratio(above: Option<&Samples>, below: Option<&Samples>, quantity: &str) -> String {
    let times = above.zip(below).and_then(|(above, below)| above.times(below, quantity));
    cell(times, " x", |times| format!("{times:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_numbers_for_people() {
        let check = |values: &[f64], expected: &str| {
            let mut samples = Samples::default();
            values.iter().for_each(|value| samples.add(CPU, *value));
            assert_eq!(whole(&samples, CPU), expected, "{values:?}");
        };
        check(&[], "-");
        check(&[7.0], "7");
        check(&[123.4], "123");
        check(&[1234.0], "1,234");
        check(&[1_234_567.0], "1,234,567");
        check(&[90.0, 100.0, 1110.0], "100 [90, 1,110]");
    }

    #[test]
    fn tells_how_many_cores_are_at_work() {
        let before = "cpu  100 0 50 800 50 0 0 0 40 0\ncpu0 50 0 25 400 25\ncpu1 50 0 25 400 25\nintr 7\n";
        let after = "cpu  120 10 60 830 60 5 5 10 60 0\ncpu0 60 0 25 400 25\ncpu1 60 0 25 400 25\nintr 9\n";
        // 60 of 100 ticks on two cores.
        assert!((busy_cores(before, after) - 1.2).abs() < 1e-9, "{}", busy_cores(before, after));
        assert!(busy_cores("", "").is_nan(), "nothing to tell from");
    }

    #[test]
    fn finds_versions_in_a_lock_file() {
        let lock =
            "[[package]]\nname = \"axum\"\nversion = \"0.8.9\"\n\n[[package]]\nname = \"mio\"\nversion = \"1.2.4\"\n";
        let found = versions(lock);
        assert_eq!(found.get("axum").map(String::as_str), Some("0.8.9"));
        assert_eq!(found.len(), 2);
    }
}
