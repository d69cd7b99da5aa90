//! A log that cannot be written.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Result;
use crate::attack::{self, yielding};
use crate::case::{Bench, Case, Trouble};
use crate::client::{Client, ECHO, in_time};
use crate::good::Good;
use crate::http2::{END_HEADERS, END_STREAM, Http2, Kind, fields_for, frame};
use crate::server::{Server, command, within};

pub(crate) const CASES: &[Case] = &[
    Case { name: "log-full", run: log_full },
    Case { name: "log-unread", run: log_unread },
    Case { name: "log-stalled", run: log_stalled },
    Case { name: "log-refusals", run: log_refusals },
];

/// Every request is logged, and more.
const LOUD: &[&str] = &["--log", "debug", "--access-log"];

/// Stdout and stderr are on a disk that is full.
fn log_full(bench: &Bench) -> Result<String, Trouble> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    let address = free.map_err(|error| format!("a free port: {error}"))?;
    // The greeting is lost, so the shell that becomes the server gives it.
    let mut shell = Command::new("sh");
    shell.args(["-c", "echo \"$0\"; exec \"$@\" >/dev/full"]);
    shell.arg(format!("Starting WS listener on ws://{address}/websocket"));
    let server = command(bench, &format!("http://{address}"), LOUD);
    shell.arg(server.get_program()).args(server.get_args());
    let full = File::create("/dev/full").map_err(|error| format!("/dev/full: {error}"))?;
    serves_on(bench, Server::spawn_logging(shell, full, PathBuf::new())?)
}

/// Whoever read the log is gone.
fn log_unread(bench: &Bench) -> Result<String, Trouble> {
    let (reader, writer) = std::io::pipe().map_err(|error| format!("a pipe: {error}"))?;
    let server = Server::spawn_logging(command(bench, "http://127.0.0.1:0", LOUD), writer, PathBuf::new())?;
    drop(reader);
    serves_on(bench, server)
}

/// Whoever reads the log has stopped to, and is still there.
fn log_stalled(bench: &Bench) -> Result<String, Trouble> {
    let (reader, writer) = std::io::pipe().map_err(|error| format!("a pipe: {error}"))?;
    let server = Server::spawn_logging(command(bench, "http://127.0.0.1:0", LOUD), writer, PathBuf::new())?;
    let asked = bench.runtime.block_on(in_time("the answers", ask(server.address, bench.pick(100_000, 2000))))?;
    let figures = serves_on(bench, server)?;
    drop(reader);
    Ok(format!("{asked} requests logged to nobody; then {figures}"))
}

/// Asks so often, on one connection after the other; gives how often there was an answer.
async fn ask(server: SocketAddr, often: usize) -> Result<usize> {
    const ON_ONE: usize = 1000;
    let failed = |error: std::io::Error| format!("a request: {error}");
    let mut answer = [0; 1024];
    for number in 0..often / ON_ONE {
        let mut stream = TcpStream::connect(server).await.map_err(failed)?;
        for _ in 0..ON_ONE {
            stream.write_all(b"GET /rest HTTP/1.1\r\nHost: localhost\r\n\r\n").await.map_err(failed)?;
            if !stream.read(&mut answer).await.is_ok_and(|read| answer[..read].starts_with(b"HTTP/1.1 200 ")) {
                return Err(format!("no answer on connection {number}"));
            }
        }
    }
    Ok(often)
}

/// Requests for a foreign host over HTTP/2, on 4 connections at a time.
fn log_refusals(bench: &Bench) -> Result<String, Trouble> {
    /// What is logged in a second, in bytes: a line of a kind.
    const MOST: u64 = 1024;
    /// How many refusals there are in a second.
    const LEAST: u64 = 500;
    let flags = ["--workers", "1", "--listen", "https://127.0.0.1:0", "--tls-self-signed"];
    let server = Server::rikki(bench, &flags)?;
    let address = server.next_address()?;
    let refused = AtomicU64::new(0);
    let started = Instant::now();
    let attack = async || {
        let mut requests = Vec::new();
        for stream in (0..100).map(|index| 2 * index + 1) {
            let fields = fields_for("evil.test", "GET", "/");
            frame(&mut requests, Kind::Headers, END_STREAM | END_HEADERS, stream, &fields);
        }
        let connections = (0..4).map(async |_| Http2::connect(address).await?.answers(&requests, 100).await);
        for answers in futures_util::future::join_all(connections).await {
            refused.fetch_add(answers?, Relaxed);
        }
        Ok(())
    };
    let figures = attack::beside(bench, &server, || {
        yielding(|| attack::repeat(attack::duration(bench), &attack))?;
        Ok(format!("{} refusals", refused.load(Relaxed)))
    })?;
    let seconds = started.elapsed().as_secs() + 1;
    let (bytes, refused) = (server.log_text().len() as u64, refused.load(Relaxed));
    let figures = format!("{figures}; {bytes} bytes of log in {seconds} s");
    if refused < LEAST || bytes == 0 || bytes > MOST * seconds {
        return Err(figures.into());
    }
    Ok(figures)
}

/// The server answers, and ends as it should.
fn serves_on(bench: &Bench, mut server: Server) -> Result<String, Trouble> {
    let answers = || Ok(bench.runtime.block_on(Client::connect(server.address, ECHO)).is_ok());
    within(Duration::from_secs(20), answers)?.ok_or("the server does not answer")?;
    let figures = Good::watch(server.address, bench.pick(Duration::from_secs(10), Duration::from_secs(1)))?;
    figures.check()?;
    server.signal(Signal::TERM)?;
    let status = server.wait(Duration::from_secs(10))?;
    if !status.success() {
        return Err(format!("the server ended with {status}").into());
    }
    Ok(figures.to_string())
}
