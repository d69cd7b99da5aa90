//! Clients that hold connections by being slow, as slowhttptest plays them
//! (<https://github.com/shekyan/slowhttptest>): heads, bodies, and reading.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Result;
use crate::attack;
use crate::case::{Bench, Case, Trouble};
use crate::good::Good;
use crate::server::{Server, within};

pub(crate) const CASES: &[Case] = &[
    Case { name: "slow-heads", run: slow_heads },
    Case { name: "slow-bodies", run: slow_bodies },
    Case { name: "slow-readers", run: slow_readers },
];

const PROGRAM: &str = "slowhttptest";

/// How long a body has for the next 500 bytes a second, in the short form and by default.
const SHORT_WINDOW: &str = "3";
const WINDOW: &str = "20";

/// Heads that grow by a field a second.
fn slow_heads(bench: &Bench) -> Result<String, Trouble> {
    let server = Server::rikki(bench, &["--log", "warn", "--head-timeout", bench.pick("10s", "3s")])?;
    slow(bench, &server, &["-H", "-u", &format!("http://{}/small", server.address)])
}

/// Bodies that grow by some bytes a second, for a handler that waits for their end.
fn slow_bodies(bench: &Bench) -> Result<String, Trouble> {
    let server = Server::target(bench, &["--body-window", bench.pick(WINDOW, SHORT_WINDOW)])?;
    slow(bench, &server, &["-B", "-s", "65536", "-u", &format!("http://{}/upload", server.address)])
}

/// Downloads that are taken at a few bytes a second.
fn slow_readers(bench: &Bench) -> Result<String, Trouble> {
    let window = format!("{}s", bench.pick(WINDOW, SHORT_WINDOW));
    let server = Server::rikki(bench, &["--log", "warn", "--body-window", &window])?;
    slow(bench, &server, &["-X", "-n", "1", "-z", "5", "-u", &format!("http://{}/large", server.address)])
}

/// Attacks with thousands of connections; all of them are ended long before the attack would end.
fn slow(bench: &Bench, server: &Server, arguments: &[&str]) -> Result<String, Trouble> {
    let time = bench.pick(Duration::from_secs(60), Duration::from_secs(20));
    let count: usize = bench.pick(2000, 200);
    let before = server.descriptors()?;
    attack::beside(bench, server, || {
        let _running = Running::start(arguments, count, time)?;
        let mut most = 0;
        let all_there = within(time, || {
            most = most.max(server.descriptors()?);
            Ok(most >= before + count * 9 / 10)
        })?;
        if all_there.is_none() {
            return Err(format!("no attack: {most} descriptors at most, {before} before").into());
        }
        let gone = within(time, || Ok(server.descriptors()? <= before + Good::CONNECTIONS as usize))?;
        let gone = gone.ok_or_else(|| format!("some of {count} connections still there after {time:?}"))?;
        Ok(format!("{count} connections, gone {gone:.1?} later"))
    })
}

/// The program at work; killed when dropped.
struct Running(Child);

impl Running {
    fn start(arguments: &[&str], count: usize, time: Duration) -> Result<Self, Trouble> {
        let mut command = Command::new("nice");
        command.args(["-n", "19", PROGRAM, "-i", "1", "-v", "0"]).args(arguments);
        command.args(["-c", &count.to_string(), "-r", &count.to_string(), "-l", &time.as_secs().to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if Command::new(PROGRAM).arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            return Err(Trouble::NotRun(format!("{PROGRAM} is missing (Debian: apt-get install {PROGRAM})")));
        }
        command.spawn().map(Self).map_err(|error| format!("{PROGRAM}: {error}").into())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
