//! What makes the server do the same in each run, so that it can be counted: it is stopped for a moment while it sleeps,
//! and whoever counts is told when to begin and when to end.

use std::fs;
use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Result;
use crate::args::Args;

/// How long a server may take to have nothing to do, or to stop.
const LIMIT: Duration = Duration::from_secs(20);

/// The states of proc(5) of a thread that waits for something.
const SLEEPING: &str = "SI";

/// How often it is looked at, and how many times in a row it has to look the same.
const LOOK: Duration = Duration::from_micros(100);
const LOOKS: u32 = 5;

/// Prints `line` when the server of `args` has done what it had to, and waits for a line on standard input.
pub(crate) fn wait_to_be_counted(args: &Args, line: &str) -> Result<()> {
    args.pid.map_or(Ok(()), |pid| wait_for(pid, SLEEPING))?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(|error| format!("standard output: {error}"))?;
    match std::io::stdin().read_line(&mut String::new()) {
        Ok(0) => Err("nobody counts: standard input has ended".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("standard input: {error}")),
    }
}

/// A process that is stopped, and goes on when this is dropped.
pub(crate) struct Pause(Pid);

impl Pause {
    /// Waits until each thread of `pid` sleeps, and stops it.
    pub(crate) fn begin(pid: u32) -> Result<Self> {
        let process = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or("--pid is no process")?;
        wait_for(pid, SLEEPING)?;
        // Made first: if it does not stop as it should, it goes on all the same.
        let pause = Self(process);
        kill_process(process, Signal::STOP).map_err(|error| format!("stopping the server: {error}"))?;
        wait_for(pid, "Tt")?;
        Ok(pause)
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        // Fails only for a process that is gone, which is found out by the next message.
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// Waits until all threads of `pid` are in one of the `states` for some looks in a row.
fn wait_for(pid: u32, states: &str) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    let mut looks = 0;
    while looks < LOOKS {
        if Instant::now() > deadline {
            return Err(format!("the server has not come to one of the states {states} of proc(5)"));
        }
        looks = if are_in(pid, states)? { looks + 1 } else { 0 };
        thread::sleep(LOOK);
    }
    Ok(())
}

fn are_in(pid: u32, states: &str) -> Result<bool> {
    let folder = format!("/proc/{pid}/task");
    let threads = fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))?;
    // A thread may end while it is looked at.
    let mut texts = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("stat")).ok());
    Ok(texts.all(|text| state(&text).is_some_and(|state| states.contains(state))))
}

/// The state in a line of `/proc/PID/task/TID/stat`. The name before it may have anything in it.
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn reads_the_state_of_a_thread() {
        assert_eq!(state("42 (a) b) S 1 42 42"), Some('S'));
        assert_eq!(state("42"), None);
    }

    #[test]
    fn stops_a_sleeping_process_and_lets_it_go_on() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pause = Pause::begin(child.id()).unwrap();
        assert!(are_in(child.id(), "T").unwrap());
        drop(pause);
        wait_for(child.id(), "S").unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(Pause::begin(u32::MAX).is_err());
    }
}
