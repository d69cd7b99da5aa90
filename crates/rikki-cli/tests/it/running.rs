//! The server while it runs and while it ends: what it logs, and what signals do.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Instant;

use crate::process::{DEADLINE, Folder, Process};

/// A server on a free port, and its address.
pub(crate) fn serve(flags: &[&str]) -> (Process, String) {
    serve_logging(flags, Stdio::piped())
}

/// The same with another stderr.
pub(crate) fn serve_logging(flags: &[&str], stderr: Stdio) -> (Process, String) {
    let flags = [&["--listen", "http://127.0.0.1:0"], flags].concat();
    let server = Process::start_on(&flags, Stdio::piped(), stderr);
    let address = address(&server);
    (server, address)
}

/// The address that it tells.
pub(crate) fn address(server: &Process) -> String {
    let url = server.line();
    let address = url.strip_prefix("Starting WS listener on ws://").and_then(|rest| rest.split('/').next());
    address.unwrap_or_else(|| panic!("{url}")).to_owned()
}

pub(crate) fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

#[test]
fn the_access_log_has_a_line_for_each_request() {
    let folder = Folder::new();
    let (server, address) = serve(&["--access-log", "--log", "rikki::access=info", &folder.path("")]);
    let agent = format!("evil\u{9b}31m\" {}", "x".repeat(300));
    ask(
        &address,
        &format!(
            "GET /rest?token=secret HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n"
        ),
    );
    let line = server.report();
    for part in
        ["INFO rikki::access: ", "peer=127.0.0.1:", " method=GET", " target=/rest?... ", " status=200", " bytes=16"]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(line.contains("agent=\"evil\\u{9b}31m\\\" xxx") && line.ends_with("xxx...\""), "{line}");
    assert!(!line.contains("secret"), "{line}");
    ask(&address, "GET /none HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n");
    let line = server.report();
    assert!(line.contains(" target=/none ") && line.contains(" status=403"), "{line}");
}

#[test]
fn the_access_log_and_refusals_name_the_client_behind_a_proxy() {
    let folder = Folder::new();
    let log = ["--access-log", "--log", "rikki::access=info,rikki::http=warn", "--trust", "127.0.0.0/8"];
    let (server, address) = serve(&[&log[..], &[&folder.path("")]].concat());
    let fields = "X-Forwarded-For: 198.51.100.1, 192.0.2.7:9\r\nForwarded: for=192.0.2.8\r\nConnection: close\r\n\r\n";
    ask(&address, &format!("GET /rest HTTP/1.1\r\nHost: localhost\r\n{fields}"));
    let line = server.report();
    assert!(line.contains(" peer=192.0.2.7:9 method=GET "), "{line}");
    ask(&address, &format!("GET /rest HTTP/1.1\r\nHost: evil.test\r\n{fields}"));
    let line = server.report();
    assert!(line.contains("request refused: ") && line.contains(" peer=192.0.2.7:9"), "{line}");
    let (server, address) = serve(&[&log[..], &["--proxy-protocol", &folder.path("")]].concat());
    let request = "GET /rest HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    ask(&address, &format!("PROXY TCP6 2001:db8::7 ::1 9 80\r\n{request}"));
    let line = server.report();
    assert!(line.contains(" peer=[2001:db8::7]:9 method=GET "), "{line}");
    let (server, address) = serve(&["--trust", "192.0.2.1", "--proxy-protocol", &folder.path("")]);
    assert_eq!(ask(&address, ""), "");
    let line = server.report();
    assert!(
        line.contains("connection closed: its peer is not trusted ") && line.contains("--trust 127.0.0.1"),
        "{line}"
    );
}

#[test]
fn refusals_name_the_flag_that_would_allow_it_to_the_client_and_in_the_log() {
    let folder = Folder::new();
    let (server, address) = serve(&[&folder.path("")]);
    let check = |target: &str, fields: &str, expected: &str| {
        let answer = ask(&address, &format!("GET {target} HTTP/1.1\r\nConnection: close\r\n{fields}\r\n"));
        assert!(answer.contains(expected), "{expected}: {answer}");
        let line = server.report();
        assert!(line.contains(expected), "{expected}: {line}");
    };
    let upgrade = |origin: &str| {
        format!(
            "Host: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: {origin}\r\n"
        )
    };
    check("/rest", "Host: evil.test:80\r\n", "server; --allow-host evil.test would allow it");
    let refused = "on localhost; --allow-origin https://evil.test:444 would allow it";
    check("/websocket", &upgrade("https://evil.test:444"), refused);
    check("/websocket", &upgrade("; sudo x"), "; --allow-origin '; sudo x' would allow it");
    check("/websocket", &upgrade("null"), "; --allow-origin null would allow it");
    let long = "y".repeat(17 * 1024);
    check("/", &format!("x: {long}\r\n"), "; --max-head and --max-headers would allow more");
}

#[cfg(unix)]
#[test]
fn a_unix_socket_is_served_and_removed_at_the_end() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixStream;

    let folder = Folder::new();
    let path = folder.path("s");
    let flags = ["--access-log", "--log", "rikki::access=info", "--listen", &format!("unix:{path},mode=600")];
    let server = Process::start(&[&flags[..], &[&folder.path("")]].concat());
    assert_eq!(server.line(), format!("Starting WS listener on unix:{path}"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"GET /rest HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let line = server.report();
    assert!(line.contains(" peer=unix method=GET target=/rest "), "{line}");
    let refused = Process::start(&flags[3..]).end();
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("a server listens there") && refused.stderr.lines().count() == 1,
        "{}",
        refused.stderr
    );
    server.signal("TERM");
    assert_eq!(server.end().code, Some(0));
    assert!(!std::fs::exists(&path).unwrap());
}

#[cfg(unix)]
#[test]
fn what_is_refused_again_and_again_is_logged_once_a_second() {
    const REFUSALS: usize = 300;
    let folder = Folder::new();
    let (server, address) = serve(&[&folder.path("")]);
    let started = Instant::now();
    let evil = "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n";
    let foreign = "GET /websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Origin: http://evil.test\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let broken = foreign.replace("Version: 13", "Version: 12");
    for _ in 0..REFUSALS {
        for request in [evil, foreign, &broken] {
            ask(&address, request);
        }
    }
    let most = 3 * (started.elapsed().as_secs() as usize + 2);
    server.signal("TERM");
    let log = server.end().stderr;
    let refusals: Vec<&str> = log.lines().filter(|line| line.contains("refused")).collect();
    assert!((3..=most).contains(&refusals.len()), "{} lines, at most {most}", refusals.len());
    for line in refusals {
        assert!(line.contains(" peer=127.0.0.1:"), "{line}");
    }
}

/// A WebSocket whose client does not answer a Close; it is open when the head of the answer is read.
#[cfg(unix)]
pub(crate) fn stubborn(address: &str) -> TcpStream {
    stubborn_at(address, "/websocket")
}

/// The same at another path.
#[cfg(unix)]
pub(crate) fn stubborn_at(address: &str, path: &str) -> TcpStream {
    upgraded(address, path, "")
}

/// A WebSocket with these fields in its request, which does nothing by itself.
pub(crate) fn upgraded(address: &str, path: &str, fields: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend_from_slice(&byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    stream
}

#[cfg(unix)]
#[test]
fn the_first_signal_drains_and_the_second_ends() {
    // Without the second it would take as long as the client may take to answer.
    let folder = Folder::new();
    let wait = ["--drain-timeout", "1h", "--close-timeout", "1h", "--linger-timeout", "1h"];
    let (server, address) = serve(&[&wait[..], &["--drain-code", "1012", &folder.path("")]].concat());
    let mut socket = stubborn(&address);
    server.signal("TERM");
    let mut close = [0; 4];
    socket.read_exact(&mut close).unwrap();
    assert_eq!(close, [0x88, 2, 0x03, 0xf4], "1012");
    let line = server.report();
    assert!(line.contains("draining connections=1 websockets=1"), "{line}");
    server.signal("INT");
    let ended = server.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[cfg(unix)]
#[test]
fn a_drain_ends_with_0_when_all_have_gone() {
    let folder = Folder::new();
    let (server, address) = serve(&["--drain-timeout", "1h", &folder.path("")]);
    let mut socket = stubborn(&address);
    server.signal("INT");
    let mut close = [0; 4];
    socket.read_exact(&mut close).unwrap();
    socket.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9]).unwrap();
    assert_eq!(socket.read(&mut close).unwrap(), 0, "the server ends TCP first");
    drop(socket);
    assert_eq!(server.end().code, Some(0));
}

/// The command with few descriptors: so many now, and so many at most.
#[cfg(unix)]
fn with_descriptors(soft: u32, hard: u32, flags: &[&str]) -> (Process, String) {
    let limits = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
    let args = [&["-c", &limits, env!("CARGO_BIN_EXE_rikki"), "--listen", "http://127.0.0.1:0"], flags].concat();
    let server = Process::start_program("sh", &args);
    let address = address(&server);
    (server, address)
}

#[cfg(unix)]
#[test]
fn it_takes_all_the_descriptors_that_it_may_have() {
    let folder = Folder::new();
    let (server, address) = with_descriptors(40, 2000, &["--max-connections", "200", &folder.path("")]);
    // Each of them is there until it is answered.
    let mut held: Vec<_> = (0..100).map(|_| stubborn(&address)).collect();
    assert!(ask(&address, "GET /rest HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ends_with("123}\n"));
    held.clear();
    server.signal("INT");
    let ended = server.end();
    assert!(!ended.stderr.contains("at most"), "{ended:?}");
}

/// Downloads that nobody reads and WebSockets that say nothing take all that there is: whoever comes next is told so.
#[cfg(unix)]
#[test]
fn whoever_comes_when_descriptors_are_scarce_is_told_so() {
    let folder = Folder::new();
    folder.write("large", vec![b'x'; 4 << 20]);
    let (server, address) = with_descriptors(200, 400, &["--workers", "1", &folder.path("")]);
    let line = server.report();
    assert!(line.contains("at most 200 connections, not 16384: the system lets this process open 400 files"), "{line}");
    let request = "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut held = Vec::new();
    let (mut served, mut refused) = (0, 0);
    for _ in 0..300 {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut start = [0; 12];
        // Where many are refused at once, some are cut.
        let status = stream.read_exact(&mut start).map(|()| start);
        match status.as_ref().map(|status| &status[9..]) {
            Ok(b"200") => served += 1,
            Ok(b"503") | Err(_) => refused += 1,
            Ok(other) => panic!("{other:?}"),
        }
        held.push(stream);
    }
    assert_eq!(served, 100, "files are sent at a time, and {refused} refused");
    drop(held);
}

/// Both ways of taking one port for another are said, to the client and in the log.
#[cfg(unix)]
#[test]
fn the_wrong_scheme_is_said() {
    let folder = Folder::new();
    let (server, address) = serve(&[&folder.path("")]);
    let ended = Process::start(&["connect", &format!("wss://{address}/websocket")]).end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("this port does not speak TLS: use ws://"), "{ended:?}");
    let line = server.report();
    assert!(line.contains("a client speaks TLS on a port that does not") && line.contains(" peer=127."), "{line}");
}

/// Also if there is nothing to wait for.
#[cfg(unix)]
#[test]
fn every_drain_is_logged() {
    let folder = Folder::new();
    for _ in 0..20 {
        let (server, _) = serve(&[&folder.path("")]);
        server.signal("INT");
        let ended = server.end();
        assert!(ended.stderr.contains("draining connections=0 websockets=0 longest=8s"), "{ended:?}");
    }
}

/// A terminal that shows colours, unless it is said not to.
#[cfg(target_os = "linux")]
#[test]
fn colours_are_for_who_wants_them() {
    let check = |name: &str, value: &str, expected: bool| {
        let folder = Folder::new();
        let (terminal, output) = crate::process::terminal();
        let server = Process::start_in(&["--listen", "http://127.0.0.1:0", &folder.path("")], &[(name, value)], output);
        let _ = server.line();
        server.signal("TERM");
        assert_eq!(server.end().code, Some(0));
        let text = crate::process::read_all(terminal);
        assert!(text.contains("draining"), "{text:?}");
        assert_eq!(text.contains('\u{1b}'), expected, "{name}={value}: {text:?}");
    };
    check("TERM", "xterm", true);
    check("TERM", "dumb", false);
    check("NO_COLOR", "1", false);
    check("NO_COLOR", "", true);
}
