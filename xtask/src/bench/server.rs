//! The servers that are compared: how each is started, and on which port it listens.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::cases::{BROADCAST_PATH, Case, FILE_SERVER, HYPER, Mode, SENDERS, SENDERS_EACH};
use super::{Bench, pinned, programs};
use crate::Result;
use crate::process::Running;

/// A server under valgrind takes its time.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How often a server that does not say when it is ready is asked.
const RETRY: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Rikki,
    /// rikki without topics, in the cases with them.
    Senders {
        /// Given the message itself, and not what was prepared for all.
        each: bool,
    },
    /// A program of the workspace `bench`, called like its library.
    Library(&'static str),
    /// uWebSockets, where its path is given.
    Uws,
    /// libwebsockets, in C.
    Lws,
    /// The package ws on Node.
    Node,
    /// For HTTP alone.
    Nginx {
        /// With `open_file_cache`: it looks at a file once a minute, and not for each request.
        keeps_files: bool,
    },
    /// No WebSocket at all: the limit.
    Tcp,
}

/// Everybody, in the order in which they take their turns.
pub(super) const PEERS: &[Peer] = &[
    Peer::Rikki,
    Peer::Senders { each: false },
    Peer::Senders { each: true },
    Peer::Uws,
    Peer::Library("fastwebsockets"),
    Peer::Library("sockudo-ws"),
    Peer::Library("tokio-websockets"),
    Peer::Library("tokio-tungstenite"),
    Peer::Library("axum"),
    Peer::Library(FILE_SERVER),
    Peer::Lws,
    Peer::Node,
    Peer::Library(HYPER),
    Peer::Nginx { keeps_files: true },
    Peer::Nginx { keeps_files: false },
    Peer::Tcp,
];

impl Peer {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Rikki => "rikki",
            Self::Senders { each: false } => SENDERS,
            Self::Senders { each: true } => SENDERS_EACH,
            Self::Library(name) => name,
            Self::Uws => "uWebSockets",
            Self::Lws => "libwebsockets",
            Self::Node => "ws",
            Self::Nginx { keeps_files: true } => "nginx",
            Self::Nginx { keeps_files: false } => "nginx without open_file_cache",
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
    /// Starts `peer` for `case` on a free port of loopback, under the program and arguments of `wrapper` if there are
    /// any.
    pub(super) fn start(bench: &Bench, peer: Peer, case: &Case, wrapper: &[String]) -> Result<Self> {
        let CommandLine { program, arguments, port } = command_line(bench, peer, case)?;
        let mut command = match wrapper.split_first() {
            None => pinned(bench.server_cores(case), &program),
            Some((wrapper, arguments)) => {
                let mut command = pinned(bench.server_cores(case), wrapper.as_ref());
                command.args(arguments).arg(&program);
                command
            }
        };
        command.env("NODE_PATH", programs::ws_server(&bench.scratch).1);
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
}

/// How a server is called, and its port if it does not choose one itself.
struct CommandLine {
    program: PathBuf,
    arguments: Vec<String>,
    port: Option<u16>,
}

fn command_line(bench: &Bench, peer: Peer, case: &Case) -> Result<CommandLine> {
    let flags = [("--tls", case.tls), ("--deflate", case.deflate), ("--push", case.mode.is_to_all())];
    let flags = flags.iter().filter(|(_, given)| *given).map(|(flag, _)| (*flag).to_owned());
    Ok(match peer {
        Peer::Rikki | Peer::Library(_) if matches!(case.mode, Mode::Chat | Mode::Ticker) => {
            let program = match (case.mode, peer) {
                (Mode::Chat, Peer::Rikki) => "rikki-chat",
                (Mode::Chat, _) => "chat-axum",
                (_, Peer::Rikki) => "rikki-ticker",
                _ => "ticker-axum",
            };
            CommandLine::without_port(bench.programs.join(program), [])
        }
        Peer::Rikki if case.mode == Mode::Push => CommandLine::without_port(bench.programs.join(SENDERS), []),
        Peer::Rikki if case.mode == Mode::Topic => CommandLine::without_port(bench.programs.join("rikki-topic"), []),
        Peer::Rikki => CommandLine::without_port(bench.rikki.clone(), rikki_arguments(bench, case)),
        Peer::Senders { each } => {
            CommandLine::without_port(bench.programs.join(SENDERS), each.then(|| "--each".to_owned()))
        }
        Peer::Library(FILE_SERVER) => {
            CommandLine::without_port(bench.programs.join(FILE_SERVER), [bench.root.display().to_string()])
        }
        Peer::Library(name) => CommandLine::without_port(bench.programs.join(name), flags),
        Peer::Tcp => CommandLine::without_port(bench.programs.join("tcp"), []),
        Peer::Node => {
            let node = bench.node.as_ref().map_err(|missing| missing.to_string())?;
            let (script, _) = programs::ws_server(&bench.scratch);
            CommandLine::without_port(node.path.clone(), std::iter::once(script).chain(flags))
        }
        Peer::Nginx { keeps_files } => {
            let nginx = bench.nginx.as_ref().map_err(|missing| missing.to_string())?;
            let port = free_port()?;
            let how = programs::Nginx { port, keeps_files, tls: case.tls };
            let arguments = programs::nginx_arguments(bench, &how)?;
            CommandLine { program: nginx.path.clone(), arguments, port: Some(port) }
        }
        Peer::Lws => {
            let echo = bench.libwebsockets.as_ref().map_err(|missing| missing.to_string())?;
            let port = free_port()?;
            CommandLine { program: echo.path.clone(), arguments: vec![port.to_string()], port: Some(port) }
        }
        Peer::Uws => {
            let port = free_port()?;
            let program = bench.uws.clone().ok_or("--uws is missing")?;
            let arguments = [port.to_string()].into_iter().chain(case.mode.is_to_all().then(|| "push".to_owned()));
            CommandLine { program, arguments: arguments.collect(), port: Some(port) }
        }
    })
}

impl CommandLine {
    fn without_port(program: PathBuf, arguments: impl IntoIterator<Item = String>) -> Self {
        Self { program, arguments: arguments.into_iter().collect(), port: None }
    }
}

/// As it is without flags, but for its workers, a free port, and connections on which requests never end.
fn rikki_arguments(bench: &Bench, case: &Case) -> Vec<String> {
    let listen = format!("{}://127.0.0.1:0", if case.tls { "wss" } else { "ws" });
    let root = bench.root.display().to_string();
    let workers = case.beside.unwrap_or("1");
    let words = [&root, "--listen", &listen, "--workers", workers, "--log", "warn", "--max-requests", "1000000000"];
    let tls = case.tls.then_some("--tls-self-signed");
    let topic = (case.mode == Mode::Broadcast).then_some(["--broadcast", BROADCAST_PATH]);
    let admin = (case.mode == Mode::Watched).then_some(["--admin", "http://127.0.0.1:0"]);
    words.into_iter().chain(tls).chain([topic, admin].into_iter().flatten().flatten()).map(str::to_owned).collect()
}

fn free_port() -> Result<u16> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    Ok(free.map_err(|error| format!("a free port: {error}"))?.port())
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
