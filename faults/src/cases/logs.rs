//! A log that cannot be written.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::Result;
use crate::case::{Bench, Case, Trouble};
use crate::client::{Client, ECHO};
use crate::good::Good;
use crate::server::{Server, command, within};

pub(crate) const CASES: &[Case] =
    &[Case { name: "log-full", run: log_full }, Case { name: "log-unread", run: log_unread }];

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
