//! `rikki connect`, against the command itself and against servers that end in other ways.

mod reconnect;
mod request;
mod routes;
mod scripts;
#[cfg(target_os = "linux")]
mod table;
#[cfg(target_os = "linux")]
mod terminal;

use std::io::{self, Write as _};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::any;
use rikki::ws::{CloseCode, Error, Message, Socket, Upgrade};
use rikki::{Handle, Server};
use testkit::Certificate;

use crate::process::{Folder, Process};

const RUNTIME: i32 = 1;
const USAGE: i32 = 2;

/// The command as a server, and the URL of its echo.
struct Echo {
    _process: Process,
    _root: Folder,
    url: String,
}

impl Echo {
    fn start(listen: &str, args: &[&str]) -> Self {
        let root = Folder::new();
        let process = Process::start(&[&["--listen", listen, &root.path("")], args].concat());
        let url = process.line().strip_prefix("Starting WS listener on ").unwrap().to_owned();
        Self { _process: process, _root: root, url }
    }

    fn plain() -> Self {
        Self::start("ws://127.0.0.1:0", &[])
    }
}

/// The library as a server, and the beginning of its URLs.
struct Running {
    _handle: Handle,
    url: String,
}

impl Running {
    fn start(server: Server) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.block_on(server.listen("ws://127.0.0.1:0").start()).unwrap();
        let url = format!("ws://{}", handle.bound()[0]);
        Self { _handle: handle, url }
    }

    fn closure<R: rikki::ws::Outcome + 'static>(
        answer: impl Fn(&mut Socket<'_>, Message<'_>) -> R + Send + Sync + 'static,
    ) -> Self {
        Self::start(Server::new().websocket("/", answer))
    }
}

fn connect(args: &[&str]) -> Process {
    Process::start(&[&["connect"], args].concat())
}

/// Connects, gives `input` to stdin and closes it; stdout is then as expected, and the reports begin with these words.
#[track_caller]
fn check(args: &[&str], input: impl Into<Vec<u8>>, code: i32, stdout: &str, reports: &[&str]) {
    let mut client = connect(args);
    client.write(input, true);
    let ended = client.end_with_open_stdin();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), stdout), "{args:?}: {}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), reports.len(), "{args:?}: {}", ended.stderr);
    for (line, report) in ended.stderr.lines().zip(reports) {
        assert!(line.strip_prefix("rikki: ").is_some_and(|line| line.starts_with(report)), "{report:?}: {line:?}");
    }
}

const CLOSED: &str = "closed: 1000";

#[test]
fn lines_go_out_and_messages_come_back() {
    let echo = Echo::plain();
    let connected = format!("connected to {}, permessage-deflate; ", echo.url);
    let check = |input: &str, stdout: &str| check(&[&echo.url], input, 0, stdout, &[&connected, CLOSED]);
    check("hi\n", "hi\n");
    check("", "");
    check("one\r\n\ntwo\nthree", "one\n\ntwo\nthree\n");
    check("\u{1b}[2J 😀\n", "\u{1b}[2J 😀\n");
    let many: String = (0..100_000).map(|number| format!("line {number}\n")).collect();
    check(&many, &many);
    let long = "x".repeat(4 << 20) + "\n";
    check(&long, &long);
}

#[test]
fn compression_is_a_choice() {
    let echo = Echo::start("ws://127.0.0.1:0", &["--compression", "dedicated", "--deflate-above", "1"]);
    let text = "the same again, and again, and again\n".repeat(1000);
    for (mode, agreed) in
        [("shared", ", permessage-deflate; server_no_con"), ("dedicated", ", permessage-deflate"), ("off", "")]
    {
        let connected = format!("connected to {}{agreed}", echo.url);
        check(&["--compression", mode, &echo.url], text.as_str(), 0, &text, &[&connected, CLOSED]);
    }
}

#[test]
fn binary_is_identical_both_ways() {
    let echo = Echo::plain();
    // Numbers of xorshift: bytes of every value, which do not compress.
    let mut state = 1_u64;
    let numbers = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let bytes: Vec<u8> = numbers.take(1 << 17).flatten().collect();
    for limit in ["4MiB", "1000"] {
        let mut client = connect(&["--binary", "--max-message", limit, &echo.url]);
        client.write(bytes.as_slice(), true);
        let (code, stdout, stderr) = client.end_with_bytes();
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stdout == bytes, "{} bytes came back of {}", stdout.len(), bytes.len());
    }
}

#[test]
fn binary_messages_are_shown_as_numbers() {
    let server =
        Running::closure(|socket, message| socket.send([message.as_bytes(), &[0, 255]].concat()).and(socket.send("")));
    check(&[&server.url], "hel\n", 0, "binary, 5 bytes: 68 65 6c 00 ff\n\n", &["connected", CLOSED]);
}

#[test]
fn lines_that_cannot_be_sent() {
    let echo = Echo::plain();
    let check = |input: &[u8], stdout, report| {
        check(&["--max-message", "10", &echo.url], input, RUNTIME, stdout, &["connected", report, CLOSED]);
    };
    check(b"a\nb\n\xff\nc\n", "a\nb\n", "line 3 of stdin is not UTF-8");
    check(b"a\n0123456789\n0123456789x\nb\n", "a\n0123456789\n", "line 3 of stdin is longer than 10 bytes");
}

#[test]
fn a_line_without_an_end_is_refused_while_stdin_is_open() {
    let echo = Echo::plain();
    let mut client = connect(&["--max-message", "1KiB", &echo.url]);
    client.write([b"a\n".as_slice(), &[b'x'; 1025]].concat(), false);
    let ended = client.end_with_open_stdin();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(RUNTIME), "a\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("line 2 of stdin is longer than 1024 bytes"), "{}", ended.stderr);
}

#[test]
fn tls() {
    let folder = Folder::new();
    let Certificate { certificate, key } = Certificate::new(["127.0.0.1"]);
    let (ca, key) = (folder.write("a.crt", certificate), folder.write("a.key", key));
    let echo = Echo::start("wss://127.0.0.1:0", &["--cert", &ca, "--key", &key]);
    check(&["--ca", &ca, &echo.url], "hi\n", 0, "hi\n", &["connected to wss://127.0.0.1:", CLOSED]);
    let failed = "the TLS handshake with 127.0.0.1 failed: ";
    let other = Certificate::new(["127.0.0.1"]).certificate;
    check(&["--ca", &folder.write("b.crt", other), &echo.url], "", RUNTIME, "", &[failed]);
    check(&["--ca", &key, &echo.url], "", RUNTIME, "", &[&format!("no certificate in {key}")]);

    let strict = Echo::start("wss://127.0.0.1:0", &["--cert", &ca, "--key", &key, "--ca", &ca]);
    let identified = ["--ca", &ca, "--cert", &ca, "--key", &key, &strict.url];
    check(&identified, "hi\n", 0, "hi\n", &["connected", CLOSED]);
    check(&["--ca", &ca, &strict.url], "", RUNTIME, "", &["the opening handshake failed: "]);
    check(&["--ca", &ca, "ws://127.0.0.1:1"], "", USAGE, "", &["--ca and --cert need a wss URL"]);
}

#[test]
fn headers_and_subprotocols_reach_the_server() {
    let headers = any(|headers: HeaderMap, upgrade: Upgrade| async move {
        let tokens: Vec<_> = headers.get_all("x-token").iter().map(|value| value.to_str().unwrap()).collect();
        let text = tokens.join(" and ");
        upgrade.on_upgrade(async move |mut socket| {
            if let Some(sender) = socket.sender() {
                sender.send(text)?;
            }
            std::future::poll_fn(|cx| futures_core::Stream::poll_next(std::pin::pin!(&mut socket), cx)).await;
            Ok::<(), Error>(())
        })
    });
    let server = Running::start(Server::new().protocols(["v1", "v2"]).route("/", headers));
    let url = &server.url;
    check(&["--header", "x-token: 1", "--header", "X-Token:2", url], "", 0, "1 and 2\n", &["connected", CLOSED]);
    let both = format!("connected to {url}, subprotocol v2");
    check(&["--subprotocol", "v3", "--subprotocol", "v2", url], "", 0, "\n", &[&both, CLOSED]);
}

#[test]
fn no_connection() {
    let elsewhere = any(|| async { (StatusCode::FOUND, [(header::LOCATION, "wss://elsewhere/")]) });
    let hostile = any(|| async { (StatusCode::FORBIDDEN, "no\n\u{1b}[2J") });
    let server = Running::start(Server::new().route("/old", elsewhere).route("/hostile", hostile));
    let check = |path: &str, report: &str| check(&[&format!("{}{path}", server.url)], "", RUNTIME, "", &[report]);
    check("/old", "the server answered 302 Found, a redirect to \"wss://elsewhere/\", which is not followed");
    check("/hostile", r#"the server answered 403 Forbidden instead of 101 Switching Protocols: "no\n\u{1b}[2J""#);
    check("/nowhere", "the server answered 404 Not Found instead of 101 Switching Protocols");

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let report = format!("cannot reach 127.0.0.1 port {}: ", closed.port());
    self::check(&[&format!("ws://{closed}")], "", RUNTIME, "", &[&report]);
    // It accepts, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", silent.local_addr().unwrap());
    self::check(&["--connect-timeout", "200ms", &url], "", RUNTIME, "", &["the server did not answer in time"]);
}

#[test]
fn wrong_command_lines() {
    let check = |args: &[&str], report: &str| check(args, "", USAGE, "", &[report]);
    check(&[], "the following required arguments were not provided: <URL>");
    check(&["ftp://127.0.0.1:1"], "cannot connect to \"ftp://127.0.0.1:1\": write it as ws://");
    check(&["ws://127.0.0.1:1/#a"], "cannot connect to \"ws://127.0.0.1:1/#a\": ");
    check(&["--header", "Host: a", "ws://127.0.0.1:1"], "the header host is written by the handshake");
    check(&["--subprotocol", "a b", "ws://127.0.0.1:1"], "\"a b\" is not a subprotocol name");
}

/// Closes with the code and the reason that it is told, such as `1001 bye`.
fn closing(socket: &mut Socket<'_>, message: Message<'_>) {
    let (code, reason) = message.as_text().unwrap().split_once(' ').unwrap();
    socket.close(CloseCode(code.parse().unwrap()), reason).unwrap();
}

#[test]
fn the_server_closes_first() {
    let server = Running::closure(closing);
    let check = |line: &str, code: i32, report: &str| {
        let mut client = connect(&[&server.url]);
        client.write(format!("{line}\n"), false);
        let ended = client.end_with_open_stdin();
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{line}");
        assert_eq!(ended.stderr.lines().last(), Some(format!("rikki: closed by the server: {report}").as_str()));
    };
    check("1000 ", 0, "1000");
    check("1001 restart", 0, "1001 \"restart\"");
    check("1011 ", RUNTIME, "1011");
    check("4001 \u{1b}[2J", RUNTIME, r#"4001 "\u{1b}[2J""#);
}

#[test]
fn a_connection_that_breaks() {
    let server = Running::closure(|socket, _| socket.send("x".repeat(2000)));
    let too_long = ["connected", "the peer went past a limit: message of 2000 bytes, limit 1000"];
    check(&["--max-message", "1000", "--compression", "off", &server.url], "a\n", RUNTIME, "", &too_long);
}

#[test]
fn answers_may_take_longer_than_the_close_timeout() {
    // More than is gathered before it is written.
    let answer = "x".repeat(100_000);
    let expected = format!("{answer}\n").repeat(60);
    let server = Running::closure(move |socket, _| {
        thread::sleep(Duration::from_millis(60));
        socket.send(answer.as_str())
    });
    let args = ["--close-timeout", "3s", "--compression", "off", &server.url];
    check(&args, "a\n".repeat(60), 0, &expected, &["connected", CLOSED]);
}

/// A server whose handler does not return before the sender is dropped.
fn stuck() -> (Running, mpsc::Sender<()>) {
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let server = Running::closure(move |_, _| assert!(released.lock().unwrap().recv().is_err()));
    (server, release)
}

#[test]
fn a_close_that_is_not_answered() {
    let (server, release) = stuck();
    let reports = ["connected", "the peer did not answer the Close in time"];
    check(&["--close-timeout", "200ms", &server.url], "a\n", RUNTIME, "", &reports);
    drop(release);
}

#[test]
fn a_reader_that_has_seen_enough() {
    let echo = Echo::plain();
    let (reader, mut writer) = io::pipe().unwrap();
    drop(reader);
    // A process that another test starts has a copy of it for a moment, and would be a reader still.
    while writer.write(b"x").is_ok() {
        thread::yield_now();
    }
    let mut client = Process::start_with(&["connect", &echo.url], Stdio::from(writer));
    client.write("a\n", false);
    let ended = client.end_with_open_stdin();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().nth(1), Some("rikki: closed: 1000"));
}

#[cfg(unix)]
#[test]
fn signals_close_the_connection() {
    let echo = Echo::plain();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut client = connect(&[&echo.url]);
        client.write("a\n", false);
        assert_eq!(client.line(), "a");
        assert!(client.report().starts_with("rikki: connected"));
        client.signal(signal);
        let ended = client.end_with_open_stdin();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(code), "rikki: closed: 1000\n"));
    }
}

#[cfg(unix)]
#[test]
fn a_signal_waits_for_the_close_timeout_at_most() {
    let (server, release) = stuck();
    let mut client = connect(&["--close-timeout", "200ms", &server.url]);
    client.write("a\n", false);
    assert!(client.report().starts_with("rikki: connected"));
    client.signal("INT");
    assert_eq!(client.end_with_open_stdin().code, Some(130));
    drop(release);
}

#[cfg(unix)]
#[test]
fn a_second_signal_does_not_wait() {
    let (server, release) = stuck();
    let mut client = connect(&["--close-timeout", "1h", &server.url]);
    client.write("a\n", false);
    assert!(client.report().starts_with("rikki: connected"));
    // Two that come at once may be taken for one.
    let until = std::time::Instant::now() + crate::process::DEADLINE;
    while !client.has_ended() {
        assert!(std::time::Instant::now() < until, "the command should end");
        client.signal("INT");
    }
    assert_eq!(client.end_with_open_stdin().code, Some(130));
    drop(release);
}

/// Who closed is said, though input had ended before; and how large a compressed message was is not made up.
#[test]
fn who_closed_is_said_though_input_had_ended() {
    let server = Echo::start("ws://127.0.0.1:0", &["--max-message", "1000"]);
    let reports = ["connected to", "closed by the server: 1009 \"message of 2000 bytes, limit 1000\""];
    let line = format!("{}\n", "x".repeat(2000));
    check(&[&server.url, "--compression", "off"], line.clone(), RUNTIME, "", &reports);
    let reports = ["connected to", "closed by the server: 1009 \"compressed message of more than 1000 bytes\""];
    check(&[&server.url], line, RUNTIME, "", &reports);
}

/// A server that does not answer the Close, since it is busy.
#[cfg(unix)]
#[test]
fn the_first_interrupt_says_what_it_waits_for() {
    let (end, ended) = mpsc::channel::<()>();
    let (hold, held) = mpsc::channel();
    let ended = std::sync::Mutex::new(ended);
    let server = Running::closure(move |_, _| {
        hold.send(()).unwrap();
        let _ = ended.lock().unwrap().recv();
    });
    let mut client = connect(&[&server.url, "--close-timeout", "1h"]);
    client.write("hold\n", false);
    assert!(client.report().starts_with("rikki: connected to"));
    held.recv().unwrap();
    client.signal("INT");
    assert_eq!(client.report(), "rikki: waiting for the server to close; once more ends at once");
    client.signal("INT");
    assert_eq!(client.end_with_open_stdin().code, Some(130));
    drop(end);
}
