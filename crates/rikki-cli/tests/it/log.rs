//! A log that nobody reads, or cannot be written: the server serves on and ends when it is told to.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _, pipe};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::termios::{Action, tcflow};

use crate::process::{DEADLINE, Folder, Process, terminal};
use crate::running::{ask, serve_logging, stubborn};

/// Enough for the pipe, whose 64 KiB hold about 450 lines of the access log.
const REQUESTS: usize = 600;

/// Asks on one connection; each is logged.
fn ask_often(address: &str, requests: usize) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut answer = [0; 1024];
    for number in 0..requests {
        stream.write_all(b"GET /rest HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let read = stream.read(&mut answer).unwrap_or_else(|error| panic!("answer {number}: {error}"));
        assert!(answer[..read].starts_with(b"HTTP/1.1 200 "));
    }
}

/// What a signal must come to, with a log that nobody reads.
fn ends(server: Process, signals: usize) {
    let since = Instant::now();
    for _ in 0..signals {
        server.signal("TERM");
    }
    let ended = server.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_neither_requests_nor_a_signal() {
    let folder = Folder::new();
    let (reader, writer) = pipe().unwrap();
    let (server, address) = serve_logging(&["--access-log", &folder.path("")], writer.into());
    ask_often(&address, REQUESTS);
    ends(server, 1);
    drop(reader);
}

#[test]
fn the_second_signal_ends_at_once_with_a_log_that_nobody_reads() {
    let folder = Folder::new();
    let (reader, writer) = pipe().unwrap();
    let wait = ["--drain-timeout", "1h", "--close-timeout", "1h", "--access-log", &folder.path("")];
    let (server, address) = serve_logging(&wait, writer.into());
    ask_often(&address, REQUESTS);
    // Drains for an hour, unless it is told again: signals that come at the same time are one.
    let mut socket = stubborn(&address);
    server.signal("TERM");
    socket.read_exact(&mut [0; 4]).unwrap();
    ends(server, 1);
    drop(reader);
}

/// What was left out meanwhile is said, for programs too, and the last line is there.
#[test]
fn a_reader_that_goes_on_gets_what_there_was_room_for() {
    const REQUESTS: usize = 10_000;
    let folder = Folder::new();
    let (reader, writer) = pipe().unwrap();
    let flags = ["--max-requests", "1000000", "--access-log", "--log-format=json", &folder.path("")];
    let (server, address) = serve_logging(&flags, writer.into());
    ask_often(&address, REQUESTS);
    let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
    let (mut logged, mut left_out) = (0, 0);
    while left_out == 0 {
        let line = lines.next().unwrap();
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        left_out = line["fields"]["left_out"].as_u64().unwrap_or_default() as usize;
        logged += usize::from(line["fields"]["target"] == "/rest");
    }
    assert_eq!(logged + left_out, REQUESTS);
    ask(&address, "GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let rest = std::thread::spawn(move || lines.collect::<Vec<_>>());
    ends(server, 1);
    let rest = rest.join().unwrap();
    assert!(rest.iter().any(|line| line.contains("\"target\":\"/last\"")), "{rest:?}");
}

#[test]
fn a_full_disk_holds_up_nobody() {
    let folder = Folder::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (server, address) = serve_logging(&["--access-log", &folder.path("")], full.into());
    ask_often(&address, REQUESTS);
    ends(server, 1);
}

/// Ctrl-S: not even the greeting can be written.
#[test]
fn a_stopped_terminal_holds_up_neither_requests_nor_a_signal() {
    let folder = Folder::new();
    let (_shown, terminal) = terminal();
    tcflow(&terminal, Action::OOff).unwrap();
    // The greeting tells nobody its port.
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().to_string();
    let stdout = Stdio::from(terminal.try_clone().unwrap());
    let url = format!("http://{free}");
    let server = Process::start_on(&["--listen", &url, "--access-log", &folder.path("")], stdout, terminal.into());
    let since = Instant::now();
    while TcpStream::connect(&free).is_err() {
        assert!(since.elapsed() < DEADLINE, "no server started");
        std::thread::yield_now();
    }
    ask_often(&free, REQUESTS);
    ends(server, 1);
}
