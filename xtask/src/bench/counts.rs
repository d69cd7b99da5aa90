//! What repeats on a noisy machine: system calls and user-space instructions per message.
//!
//! They are counted once all connections are open and have had their messages before. The load sends in rounds and stops
//! the server meanwhile, so that it finds a whole round at once: how many messages meet in one turn of its loop does not
//! depend on who was faster.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::Bench;
use super::cases::Case;
use super::samples::{CALLS, INSTRUCTIONS, Samples};
use super::server::{Peer, Server};
use crate::Result;
use crate::process::{Running, run as run_command, works};

const LIMIT: Duration = Duration::from_secs(60);

/// What is counted in a case, and over how many messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// A multiple of those in a round; where one comes to all, each that it comes to counts.
    pub(super) messages: u64,
    pub(super) instructions: bool,
    pub(super) calls: bool,
}

impl Counted {
    pub(super) const NOTHING: Self = Self { messages: 0, instructions: false, calls: false };

    pub(super) const fn both(messages: u64) -> Self {
        Self { messages, instructions: true, calls: true }
    }

    /// For files: valgrind up to 3.25 does not know `openat2`, so that rikki opens them by another way under it.
    pub(super) const fn calls(messages: u64) -> Self {
        Self { messages, instructions: false, calls: true }
    }

    /// Where the kernel decides in how many pieces something is read or written.
    pub(super) const fn instructions(messages: u64) -> Self {
        Self { messages, instructions: true, calls: false }
    }
}

/// Counts what the machine has a program for.
pub(super) fn count(bench: &Bench, case: &Case, peer: Peer, samples: &mut Samples) -> Result<()> {
    let has = |program| works(Command::new(program).arg("--version"));
    let each = |count: u64| count as f64 / case.counted.messages as f64;
    if case.counted.calls && has("strace") {
        samples.add(CALLS, each(system_calls(bench, case, peer)?));
    }
    // Node does not start below valgrind within a minute.
    if case.counted.instructions && has("valgrind") && peer != Peer::Node {
        samples.add(INSTRUCTIONS, each(instructions(bench, case, peer)?));
    }
    Ok(())
}

/// Sends `signal` to a process that this program started.
fn signal(signal: &str, pid: u32) -> Result<()> {
    run_command(Command::new("kill").args([signal, &pid.to_string()]), LIMIT)
}

/// Lets the load talk to `server`, and does `begin` and `end` before and after the messages that count.
fn talk<T>(
    bench: &Bench,
    case: &Case,
    peer: Peer,
    server: &Server,
    begin: impl FnOnce() -> Result<T>,
    end: impl FnOnce(T) -> Result<()>,
) -> Result<()> {
    let messages = case.counted.messages.to_string();
    let mut command = bench.load_command(case, peer, server, &["--counted", "--messages", &messages])?;
    if !case.mode.is_talk() {
        // One after another: then it does not depend on who is faster what meets in one turn.
        command.args(["--connections", "1"]);
    }
    let mut load = Running::spawn_to_tell(command.stdout(Stdio::piped()))?;
    let lines = load.lines()?;
    expect(&lines, "ready")?;
    let began = begin()?;
    load.tell("")?;
    expect(&lines, "done")?;
    end(began)?;
    load.tell("")?;
    let status = load.wait(Instant::now() + LIMIT)?;
    if status.success() { Ok(()) } else { Err(format!("the load has failed: {status}")) }
}

fn expect(lines: &Receiver<String>, expected: &str) -> Result<()> {
    match lines.recv_timeout(LIMIT) {
        Ok(line) if line == expected => Ok(()),
        Ok(line) => Err(format!("the load says {line:?}, not {expected:?}")),
        Err(_) => Err(format!("the load is not {expected:?}")),
    }
}

fn system_calls(bench: &Bench, case: &Case, peer: Peer) -> Result<u64> {
    let server = Server::start(bench, peer, case, &[])?;
    let file = bench.scratch.join("strace.txt");
    let begin = || {
        let mut command = Command::new("strace");
        command.args(["-f", "-c", "-o"]).arg(&file).args(["-p", &server.pid().to_string()]).stderr(Stdio::null());
        let strace = Running::spawn(&mut command)?;
        wait_for_tracer(server.pid())?;
        Ok(strace)
    };
    let end = |mut strace: Running| {
        signal("-INT", strace.id())?;
        // Interrupted as asked: how it ends says nothing.
        strace.wait(Instant::now() + LIMIT).map(drop)
    };
    talk(bench, case, peer, &server, begin, end)?;
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    total_calls(&text).ok_or_else(|| format!("strace's table is not understood: {text}"))
}

/// Waits until each thread of `pid` is traced, so that no call is missed.
fn wait_for_tracer(pid: u32) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    let folder = format!("/proc/{pid}/task");
    loop {
        let threads = fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))?;
        // A thread may end while it is looked at.
        let mut texts = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("status")).ok());
        if texts.all(|text| is_traced(&text)) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err("strace cannot attach to the server".to_owned());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_traced(status: &str) -> bool {
    status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|tracer| tracer.trim() != "0"))
}

/// The number of calls in the line that sums up: `100.00 0.5 10 1234 5 total`.
fn total_calls(table: &str) -> Option<u64> {
    let line = table.lines().find(|line| line.trim_end().ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

fn instructions(bench: &Bench, case: &Case, peer: Peer) -> Result<u64> {
    let out = bench.scratch.join("callgrind.out");
    // Its number is appended to each that is written.
    let dump = bench.scratch.join("callgrind.out.1");
    let _old = fs::remove_file(&dump);
    let wrapper = [
        "valgrind".to_owned(),
        "--tool=callgrind".to_owned(),
        "--instr-atstart=no".to_owned(),
        format!("--callgrind-out-file={}", out.display()),
        format!("--log-file={}", bench.scratch.join("valgrind.txt").display()),
    ];
    let server = Server::start(bench, peer, case, &wrapper)?;
    let control = |words: &[&str]| {
        let mut command = Command::new("vgdb");
        command.arg(format!("--pid={}", server.pid())).args(words).stdout(Stdio::null()).stderr(Stdio::null());
        run_command(&mut command, LIMIT)
    };
    talk(bench, case, peer, &server, || control(&["instrumentation", "on"]), |()| control(&["dump"]))?;
    let text = fs::read_to_string(&dump).map_err(|error| format!("{}: {error}", dump.display()))?;
    total_instructions(&text).ok_or_else(|| format!("{} has no totals", dump.display()))
}

/// The number in the line `totals: 4273593`.
fn total_instructions(dump: &str) -> Option<u64> {
    dump.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_tools_write() {
        let strace = "% time     seconds  usecs/call     calls    errors syscall\n\
                      ------ ----------- ----------- --------- --------- ----------------\n\
                      60.00    0.000300           0       700           sendto\n\
                      40.00    0.000200           0       534        20 recvfrom\n\
                      ------ ----------- ----------- --------- --------- ----------------\n\
                      100.00    0.000500           0      1234        20 total\n";
        assert_eq!(total_calls(strace), Some(1234));
        assert_eq!(total_calls(""), None);
        assert_eq!(total_instructions("events: Ir\nfn=(1)\n0 5\ntotals: 4273593\n"), Some(4_273_593));
        assert_eq!(total_instructions("events: Ir\n"), None);
        assert!(is_traced("Name:\ta\nTracerPid:\t42\n"));
        assert!(!is_traced("Name:\ta\nTracerPid:\t0\n"));
    }
}
