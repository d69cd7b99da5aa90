//! The servers that are compared: how each is started, and on which port it listens.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{Bench, pinned};
use crate::Result;
use crate::process::Running;

/// A server under valgrind takes its time.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How often a server that does not say when it is ready is asked.
const RETRY: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Rikki,
    /// A program of the workspace `bench`, called like its library.
    Library(&'static str),
    /// uWebSockets, where its path is given.
    Uws,
    /// No WebSocket at all: the limit.
    Tcp,
}

/// Everybody, in the order in which they take their turns.
pub(super) const PEERS: &[Peer] = &[
    Peer::Rikki,
    Peer::Uws,
    Peer::Library("fastwebsockets"),
    Peer::Library("sockudo-ws"),
    Peer::Library("tokio-websockets"),
    Peer::Library("tokio-tungstenite"),
    Peer::Library("axum"),
    Peer::Tcp,
];

impl Peer {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Rikki => "rikki",
            Self::Library(name) => name,
            Self::Uws => "uWebSockets",
            Self::Tcp => "tcp",
        }
    }
}

/// A running server, killed when dropped.
pub(super) struct Server {
    pub(super) port: u16,
    process: Running,
}

impl Server {
    /// Starts `peer` on a free port of loopback, under the program and arguments of `wrapper` if there are any.
    pub(super) fn start(bench: &Bench, peer: Peer, tls: bool, wrapper: &[String]) -> Result<Self> {
        let (program, arguments, port) = command_line(bench, peer, tls)?;
        let mut command = match wrapper.split_first() {
            None => pinned(&bench.server_core, &program),
            Some((wrapper, arguments)) => {
                let mut command = pinned(&bench.server_core, wrapper.as_ref());
                command.args(arguments).arg(&program);
                command
            }
        };
        let log = bench.scratch.join("server.log");
        let log_file = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        command.args(arguments).stdout(Stdio::piped()).stderr(log_file);
        let mut process = Running::spawn(&mut command)?;
        let deadline = Instant::now() + START_LIMIT;
        let lost = || format!("{} did not start; its log: {}", peer.name(), log.display());
        let lines = process.lines()?;
        if let Some(port) = port {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
                if Instant::now() >= deadline {
                    return Err(lost());
                }
                std::thread::sleep(RETRY);
            }
            return Ok(Self { port, process });
        }
        loop {
            let wait = deadline.saturating_duration_since(Instant::now());
            let line = lines.recv_timeout(wait).map_err(|_| lost())?;
            if let Some(port) = announced_port(&line) {
                return Ok(Self { port, process });
            }
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Asks the server to end, and waits until it has.
    pub(super) fn end(mut self) -> Result<()> {
        super::counts::signal("-TERM", self.pid())?;
        self.process.wait(Instant::now() + START_LIMIT).map(drop)
    }
}

/// How `peer` is called, and its port if it does not choose one itself.
fn command_line(bench: &Bench, peer: Peer, tls: bool) -> Result<(PathBuf, Vec<String>, Option<u16>)> {
    Ok(match peer {
        Peer::Rikki => {
            let scheme = if tls { "wss" } else { "ws" };
            let root = bench.scratch.join("root").display().to_string();
            let listen = format!("{scheme}://127.0.0.1:0");
            let mut arguments = vec![root, "--listen".to_owned(), listen];
            arguments.extend(["--workers", "1", "--log", "warn"].map(str::to_owned));
            arguments.extend(tls.then(|| "--tls-self-signed".to_owned()));
            (bench.rikki.clone(), arguments, None)
        }
        Peer::Library(name) => (bench.programs.join(name), tls.then(|| "--tls".to_owned()).into_iter().collect(), None),
        Peer::Tcp => (bench.programs.join("tcp"), Vec::new(), None),
        Peer::Uws => {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
            let port = free.map_err(|error| format!("a free port: {error}"))?.port();
            (bench.uws.clone().ok_or("--uws is missing")?, vec![port.to_string()], Some(port))
        }
    })
}

/// The port in a line such as `listening 8000` or `Starting WS listener on ws://127.0.0.1:8000/websocket`.
fn announced_port(line: &str) -> Option<u16> {
    if let Some(port) = line.strip_prefix("listening ") {
        return port.trim().parse().ok();
    }
    let (_, authority) = line.strip_prefix("Starting WS listener on ")?.split_once("://")?;
    authority.split('/').next()?.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_port_that_a_server_tells() {
        let check = |line: &str, expected| assert_eq!(announced_port(line), expected, "{line}");
        check("listening 4711", Some(4711));
        check("Starting WS listener on wss://127.0.0.1:8443/websocket", Some(8443));
        check("  https://127.0.0.1:8443/test.html  try the WebSocket", None);
        check("listening soon", None);
    }
}
