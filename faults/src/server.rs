//! A server process: started on a free port, watched through /proc, killed when dropped.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use crate::Result;
use crate::case::Bench;

const START_LIMIT: Duration = Duration::from_secs(20);

/// How often something outside of this process is looked at again.
const POLL: Duration = Duration::from_millis(5);

/// A running server; killed when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Those of further listeners.
    others: Mutex<Receiver<SocketAddr>>,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// The command with its defaults and `flags`, on plain HTTP.
    pub(crate) fn rikki(bench: &Bench, flags: &[&str]) -> Result<Self> {
        Self::rikki_on(bench, "http", flags)
    }

    /// The same with `scheme` in its listen URL; `https` needs `--tls-self-signed` among the flags.
    pub(crate) fn rikki_on(bench: &Bench, scheme: &str, flags: &[&str]) -> Result<Self> {
        Self::spawn(bench, command(bench, &format!("{scheme}://127.0.0.1:0"), flags))
    }

    /// The command with an allocator that gives back at once what is freed, and takes no huge pages: its memory is what
    /// the server holds.
    pub(crate) fn frugal(bench: &Bench, flags: &[&str]) -> Result<Self> {
        let mut command = command(bench, "http://127.0.0.1:0", flags);
        command.envs([("MIMALLOC_PURGE_DELAY", "0"), ("MIMALLOC_ALLOW_THP", "0")]);
        Self::spawn(bench, command)
    }

    /// The server on the library.
    pub(crate) fn target(bench: &Bench, flags: &[&str]) -> Result<Self> {
        let mut command = Command::new(&bench.target);
        // Panics are asked for: looking up where they were takes longer than all the rest.
        command.args(flags).env_remove("RUST_BACKTRACE");
        Self::spawn(bench, command)
    }

    /// Starts `command`, which prints its URL to stdout and logs to stderr.
    pub(crate) fn spawn(bench: &Bench, command: Command) -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let log = bench.scratch.join(format!("log-{}", COUNT.fetch_add(1, Relaxed)));
        let log_file = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        Self::spawn_logging(command, log_file, log)
    }

    /// The same with another end for its log, of which nothing can be read in `log` then.
    pub(crate) fn spawn_logging(mut command: Command, stderr: impl Into<Stdio>, log: PathBuf) -> Result<Self> {
        command.stdin(Stdio::null()).stderr(stderr);
        Self::spawn_as(command, log)
    }

    /// One that has its stdin and its stderr already.
    pub(crate) fn spawn_as(mut command: Command, log: PathBuf) -> Result<Self> {
        command.stdout(Stdio::piped());
        let child = command.spawn().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        // It may hold the other end of a pipe.
        drop(command);
        let (found, others) = mpsc::channel();
        let mut server =
            Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), others: Mutex::new(others), child, log };
        let stdout = server.child.stdout.take().ok_or("stdout is piped")?;
        thread::spawn(move || {
            // Read to its end: a pipe that is closed or full would be another fault.
            for line in BufReader::new(stdout).lines().map_while(std::result::Result::ok) {
                if let Some(address) = announced(&line) {
                    let _ = found.send(address);
                }
            }
        });
        server.address = server.next_address()?;
        Ok(server)
    }

    /// The address of its next listener, in the order in which they were given.
    pub(crate) fn next_address(&self) -> Result<SocketAddr> {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.recv_timeout(START_LIMIT).map_err(|_| format!("no server started; {}", self.log_text()))
    }

    /// What it has logged.
    pub(crate) fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn pid(&self) -> Result<Pid> {
        i32::try_from(self.id()).ok().and_then(Pid::from_raw).ok_or_else(|| "a process id".to_owned())
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid()?, signal).map_err(|error| format!("{signal:?}: {error}"))
    }

    /// Sets its limit of descriptors.
    pub(crate) fn limit_descriptors(&self, most: u64) -> Result<()> {
        let limit = Rlimit { current: Some(most), maximum: Some(20_000.max(most)) };
        prlimit(Some(self.pid()?), Resource::Nofile, limit).map_err(|error| format!("prlimit: {error}"))?;
        Ok(())
    }

    /// Waits for it to end by itself.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().map_err(|error| format!("waiting: {error}"))? {
                return Ok(status);
            }
            thread::sleep(POLL);
        }
        Err(format!("the server was still running after {limit:?}"))
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Resident memory, in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        self.status("VmRSS:").map(|kib| kib * 1024)
    }

    /// The most resident memory since it started, or since this was forgotten; in bytes.
    pub(crate) fn peak_memory(&self) -> Result<u64> {
        self.status("VmHWM:").map(|kib| kib * 1024)
    }

    /// Makes the peak what is resident now.
    pub(crate) fn forget_peak(&self) -> Result<()> {
        // https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html
        let path = format!("/proc/{}/clear_refs", self.id());
        fs::write(&path, "5").map_err(|error| format!("{path}: {error}"))
    }

    pub(crate) fn threads(&self) -> Result<u64> {
        self.status("Threads:")
    }

    fn status(&self, name: &str) -> Result<u64> {
        let text = self.proc("status")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.ok_or_else(|| format!("no {name} in the status of the process"))
    }

    /// The number that the next descriptor will have.
    pub(crate) fn next_descriptor(&self) -> Result<u64> {
        let folder = format!("/proc/{}/fd", self.id());
        let entries = fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))?;
        let used: HashSet<u64> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        (0..).find(|number| !used.contains(number)).ok_or_else(|| format!("{folder} is full"))
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> Result<usize> {
        let folder = format!("/proc/{}/fd", self.id());
        fs::read_dir(&folder).map(Iterator::count).map_err(|error| format!("{folder}: {error}"))
    }

    /// Time on a processor so far, in steps of 10 ms.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        // https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: fields 14 and 15, of which the second is in
        // brackets.
        let text = self.proc("stat")?;
        let fields = text.rsplit_once(')').map(|(_, rest)| rest.split_whitespace());
        let ticks = fields.map(|fields| fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum());
        let ticks: u64 = ticks.ok_or("the statistics of the process")?;
        Ok(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
    }

    fn proc(&self, name: &str) -> Result<String> {
        let path = format!("/proc/{}/{name}", self.id());
        fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command, listening on `url`.
pub(crate) fn command(bench: &Bench, url: &str, flags: &[&str]) -> Command {
    let mut command = Command::new(&bench.rikki);
    command.arg(bench.root()).args(["--listen", url]).args(flags);
    command
}

/// Looks at `condition` until it holds; says after what time it did.
pub(crate) fn within(limit: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<Option<Duration>> {
    let started = Instant::now();
    loop {
        if condition()? {
            return Ok(Some(started.elapsed()));
        }
        if started.elapsed() >= limit {
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// The address in a line such as `Starting WS listener on ws://127.0.0.1:8000/websocket`.
fn announced(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.strip_prefix("Starting WS listener on ")?.split_once("://")?;
    rest.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_address_that_a_server_tells() {
        let check = |line: &str, expected: Option<&str>| {
            assert_eq!(announced(line), expected.map(|address| address.parse().unwrap()), "{line}");
        };
        check("Starting WS listener on wss://127.0.0.1:8443/websocket", Some("127.0.0.1:8443"));
        check("  https://127.0.0.1:8443/test.html  try the WebSocket", None);
        check("Starting WS listener on soon", None);
    }
}
