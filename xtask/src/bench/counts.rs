//! What repeats on a noisy machine: system calls and user-space instructions per message.
//!
//! Each is the difference of two runs that differ in the number of messages alone, divided by that difference: what
//! starting, opening connections and ending costs falls out.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Bench;
use super::cases::Case;
use super::samples::{CALLS, INSTRUCTIONS, Samples};
use super::server::{Peer, Server};
use crate::Result;
use crate::process::{Running, run as run_command, works};

/// The messages of the two runs.
const FEW: u64 = 1_000;
const MANY: u64 = 5_000;

/// How many times as many where one message counts for each that it comes to: else there would be one and five of them.
const TO_ALL: u64 = 16;

const LIMIT: Duration = Duration::from_secs(60);

/// Counts what the machine has a program for.
pub(super) fn count(bench: &Bench, case: &Case, peer: Peer, samples: &mut Samples) -> Result<()> {
    let has = |program| works(Command::new(program).arg("--version"));
    let mut difference = |quantity, count: &dyn Fn(u64) -> Result<u64>| {
        let times = if case.mode.is_to_all() { TO_ALL } else { 1 };
        let (few, many) = (count(times * FEW)?, count(times * MANY)?);
        samples.add(quantity, many.saturating_sub(few) as f64 / (times * (MANY - FEW)) as f64);
        Ok::<_, String>(())
    };
    if has("strace") {
        difference(CALLS, &|messages| system_calls(bench, case, peer, messages))?;
    }
    // Node does not start below valgrind within a minute.
    if has("valgrind") && peer != Peer::Node {
        difference(INSTRUCTIONS, &|messages| instructions(bench, case, peer, messages))?;
    }
    Ok(())
}

/// Sends `signal` to a process that this program started.
pub(super) fn signal(signal: &str, pid: u32) -> Result<()> {
    run_command(Command::new("kill").args([signal, &pid.to_string()]), LIMIT)
}

fn talk(bench: &Bench, case: &Case, peer: Peer, server: &Server, messages: u64) -> Result<()> {
    bench.load(case, peer, server, &["--messages", &messages.to_string()]).map(drop)
}

fn system_calls(bench: &Bench, case: &Case, peer: Peer, messages: u64) -> Result<u64> {
    let server = Server::start(bench, peer, case, &[])?;
    let file = bench.scratch.join("strace.txt");
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-o"]).arg(&file).args(["-p", &server.pid().to_string()]).stderr(Stdio::piped());
    let mut strace = Running::spawn(&mut command)?;
    wait_for_tracer(server.pid())?;
    talk(bench, case, peer, &server, messages)?;
    signal("-INT", strace.id())?;
    // Interrupted as asked: how it ends says nothing.
    strace.wait(Instant::now() + LIMIT)?;
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    total_calls(&text).ok_or_else(|| format!("strace's table is not understood: {text}"))
}

/// Waits until `pid` is traced, so that no call is missed.
fn wait_for_tracer(pid: u32) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let path = format!("/proc/{pid}/status");
        let status = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        if status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|tracer| tracer.trim() != "0")) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err("strace cannot attach to the server".to_owned());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The number of calls in the line that sums up: `100.00 0.5 10 1234 5 total`.
fn total_calls(table: &str) -> Option<u64> {
    let line = table.lines().find(|line| line.trim_end().ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

fn instructions(bench: &Bench, case: &Case, peer: Peer, messages: u64) -> Result<u64> {
    let log = bench.scratch.join("valgrind.txt");
    let wrapper = [
        "valgrind".to_owned(),
        "--tool=callgrind".to_owned(),
        format!("--callgrind-out-file={}", bench.scratch.join("callgrind.out").display()),
        format!("--log-file={}", log.display()),
    ];
    let server = Server::start(bench, peer, case, &wrapper)?;
    talk(bench, case, peer, &server, messages)?;
    server.end()?;
    let text = fs::read_to_string(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    collected(&text).ok_or_else(|| format!("valgrind's summary is not understood: {text}"))
}

/// The number in a line such as `==42== Collected : 4273593`.
fn collected(log: &str) -> Option<u64> {
    log.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
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
        assert_eq!(collected("==42== Events    : Ir\n==42== Collected : 4273593\n==42==\n"), Some(4_273_593));
        assert_eq!(collected("==42== Events    : Ir\n"), None);
    }
}
