//! The server as people at a keyboard have it: what they type, and what is on the screen.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

use crate::process::{Folder, Process};
use crate::running::{ask, stubborn_at};
use crate::screen::{Screen, authority};

const FREE: &str = "127.0.0.1:0";

/// A server on a terminal, its address, and what it has shown.
fn on_screen(flags: &[&str], folder: &Folder) -> (Screen, String) {
    let flags = [&["--listen", FREE], flags].concat();
    let screen = Screen::start(&flags, &folder.path(""), &[]);
    let address = authority(&screen.expect("files in .\n")).to_owned();
    (screen, address)
}

fn get(address: &str, target: &str, fields: &str) -> String {
    ask(address, &format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n"))
}

/// The lines that begin with a time, without it, and without how long it took.
fn lines(screen: &str) -> Vec<String> {
    let is_time = |word: &str| word.len() == 8 && word.bytes().filter(|byte| *byte == b':').count() == 2;
    let timed = screen.lines().filter_map(|line| line.split_once(' ').filter(|(time, _)| is_time(time)));
    let plain = |line: &str| line.replace("\u{1b}[32m", "").replace("\u{1b}[33m", "").replace("\u{1b}[0m", "");
    let untimed = |line: String| match line.rsplit_once(' ') {
        Some((rest, "ms")) => rest.rsplit_once(' ').map_or(rest, |(rest, _)| rest).to_owned(),
        _ => line,
    };
    timed.map(|(_, line)| untimed(plain(line))).collect()
}

#[test]
fn a_port_that_is_taken_ends_with_a_line_to_copy() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let place = format!("127.0.0.1:{port}");
    for flags in [&["--listen", &*place, "."][..], &["-url", &format!("ws://{place}/websocket")]] {
        let (code, screen) = Screen::start(flags, &folder.path(""), &[]).end();
        let lines: Vec<_> = screen.lines().collect();
        let [told, line] = *lines else { panic!("{screen}") };
        let expected =
            format!("rikki: cannot listen on {place}: the port is taken; choose another one; this would do:");
        assert_eq!((code, told), (Some(1), &*expected));
        assert!(line.starts_with(&format!("    {} ", env!("CARGO_BIN_EXE_rikki"))) && !line.contains(&place), "{line}");
        // It does.
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec {}", line.trim())]).current_dir(folder.path(""));
        let shown = Screen::of(shell).expect("files in .\n");
        assert!(!authority(&shown).ends_with(&port), "{shown}");
    }
}

#[test]
fn what_is_typed_in_the_place_of_a_folder() {
    let folder = Folder::new();
    let check = |args: &[&str], variables: &[(&str, &str)], code: i32, expected: &str| {
        let ended = Screen::start(args, &folder.path(""), variables).end();
        assert_eq!(ended, (Some(code), format!("rikki: {expected}\n")), "{args:?}");
    };
    check(&["9000"], &[], 1, "there is no folder 9000: write rikki --port 9000");
    check(&[":9000"], &[], 1, "there is no folder :9000: write rikki --listen :9000");
    check(&["conect"], &[], 1, "there is no folder conect: write rikki connect URL");
    let client = "there is no folder ws://a: write rikki connect ws://a for a client, or rikki --listen ws://a";
    check(&["ws://a"], &[], 1, client);
    check(&["conect", "ws://a"], &[], 2, "unexpected argument 'ws://a' found; write rikki connect URL (try --help)");
    check(
        &["--ssl"],
        &[],
        2,
        "there is no --ssl here: write --tls-self-signed, or --cert FILE with --key FILE (try --help)",
    );
    check(&["--nonsense"], &[], 2, "unexpected argument '--nonsense' found (try --help)");
    check(&[], &[("PORT", "http")], 2, "PORT: expected a port, a number from 0 to 65535, not \"http\"");
    check(&["check"], &[("PORT", "http")], 2, "PORT: expected a port, a number from 0 to 65535, not \"http\"");
    // A folder of the name is served.
    std::fs::create_dir(folder.path("9000")).unwrap();
    Screen::start(&["9000"], &folder.path(""), &[("PORT", "0")]).expect("files in 9000\n");
}

#[test]
fn the_port_of_the_environment_is_no_address() {
    let folder = Folder::new();
    let screen = Screen::start(&[], &folder.path(""), &[("PORT", "0")]).expect("--lan lets phones in\n");
    let (host, port) = authority(&screen).rsplit_once(':').unwrap();
    assert!(host == "localhost" && port != "0" && port != "8000", "{screen}");
    assert!(screen.ends_with("\n  only this computer can connect: --lan lets phones in\n"), "{screen}");
    let printed = Process::start_with_variables(&["check", "--print"], &[("PORT", "9000")]).end().stdout;
    assert!(printed.contains("\nport = 9000  # PORT\n"), "{printed}");
    assert!(printed.contains("# listen = [\"http://localhost:9000\"]  # default"), "{printed}");
}

/// What most people need is on a screen of 24 lines, and all the rest is told by `--help`.
#[test]
fn the_help_fits_the_screen() {
    let folder = Folder::new();
    let (code, short) = Screen::start(&["-h"], &folder.path(""), &[]).end();
    assert_eq!(code, Some(0));
    assert!(short.lines().count() <= 24 && short.lines().all(|line| line.chars().count() <= 80), "{short}");
    assert!(short.contains("--lan  ") && short.contains("Examples:\n  rikki www "), "{short}");
    let (code, all) = Screen::start(&["--help"], &folder.path(""), &[]).end();
    assert_eq!(code, Some(0));
    assert!(all.lines().count() > 200 && all.lines().all(|line| line.chars().count() <= 80), "{all}");
    assert!(
        all.contains("\n      --drain-code <CODE>\n          Code that a shutdown closes WebSockets with"),
        "{all}"
    );
}

#[test]
fn requests_and_websockets_are_lines_on_a_terminal() {
    let folder = Folder::new();
    folder.write("index.html", "x".repeat(402));
    let (screen, address) = on_screen(&[], &folder);
    get(&address, "/index.html?token=secret", "");
    get(&address, "/none\u{1b}[2J", "");
    get(&address, "/none", "");
    let mut socket = stubborn_at(&address, "/websocket");
    for _ in 0..3 {
        socket.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).unwrap();
        socket.read_exact(&mut [0; 4]).unwrap();
    }
    socket.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).unwrap();
    let shown = screen.expect(" WS /websocket ");
    let lines = lines(&shown);
    let expected =
        ["200 GET /index.html?... 402 B", "404 GET /none", "101 GET /websocket", "1000 WS /websocket 3 in, 3 out"];
    for (line, expected) in lines.iter().filter(|line| !line.starts_with("400")).zip(expected) {
        assert!(line.starts_with(expected), "{line}\n{shown}");
    }
    assert!(
        shown.contains("\u{1b}[32m200\u{1b}[0m GET") && !shown.contains("secret") && !shown.contains("[2J"),
        "{shown}"
    );
    // Nobody is told where they do not want it, or where no people read.
    let (quiet, address) = on_screen(&["--quiet"], &folder);
    get(&address, "/index.html", "");
    quiet.signal("TERM");
    let (code, shown) = quiet.end();
    assert!(code == Some(0) && shown.contains("draining") && !shown.contains("GET"), "{shown}");
    let piped = Process::start(&["--listen", FREE, &folder.path("")]);
    let address = crate::running::address(&piped);
    get(&address, "/index.html", "");
    piped.signal("TERM");
    let ended = piped.end();
    assert!(!ended.stderr.contains("GET"), "{ended:?}");
}

/// The time is that of the clock on the wall.
#[test]
fn lines_have_the_time_of_this_place() {
    let folder = Folder::new();
    let screen = Screen::start(&["--listen", FREE], &folder.path(""), &[("TZ", "XXX-5:30")]);
    let address = authority(&screen.expect("files in .\n")).to_owned();
    let minutes = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() / 60 + 5 * 60 + 30;
    let before = minutes();
    get(&address, "/rest", "");
    let shown = screen.expect(" GET /rest 16 B ");
    let line = shown.lines().find(|line| line.contains("GET /rest")).unwrap();
    let possible: Vec<_> = (before..=minutes()).map(|now| format!("{:02}:{:02}:", now / 60 % 24, now % 60)).collect();
    assert!(possible.iter().any(|time| line.starts_with(time)), "{line} {possible:?}");
}

#[test]
fn a_page_under_construction() {
    const UPGRADE: &str =
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let folder = Folder::new();
    folder.write("index.html", "a page");
    let flags =
        ["--dev", "--log", "warn,rikki::access=info", "--cache-control", "max-age=60", "--topic", "/chat,publish"];
    let (screen, address) = on_screen(&flags, &folder);
    let upgrade = |path: &str, origin: &str| {
        let request = get_upgrade(path, &format!("{UPGRADE}Origin: {origin}\r\n"));
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(crate::process::DEADLINE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        String::from_utf8_lossy(&status[9..]).into_owned()
    };
    for (origin, expected) in [
        ("http://localhost:5173", "101"),
        ("http://127.0.0.1:5500", "101"),
        ("http://[::1]:3000", "101"),
        ("http://app.localhost:3000", "101"),
        ("null", "403"),
        ("http://evil.test", "403"),
        ("http://localhost.evil.test", "403"),
        ("http://localhost@evil.test", "403"),
    ] {
        for path in ["/websocket", "/chat", "/connection/websocket"] {
            assert_eq!(upgrade(path, origin), expected, "{path} {origin}");
        }
        let answer = get(&address, "/index.html", &format!("Origin: {origin}\r\n"));
        let allowed = format!("access-control-allow-origin: {origin}\r\n");
        assert_eq!(answer.contains(&allowed), expected == "101", "{origin}: {answer}");
        assert_eq!(answer.contains("access-control-allow-origin"), expected == "101", "{origin}: {answer}");
        assert!(answer.contains("cache-control: no-cache\r\n") && answer.contains("vary: origin"), "{answer}");
    }
    // Where there is none, the screen says where there is one.
    upgrade("/ws", "http://localhost:5173");
    let shown =
        screen.expect("\n         there is no WebSocket at /ws: try /websocket, /chat, /connection/websocket\n");
    assert_eq!(shown.matches("there is no WebSocket").count(), 1, "{shown}");
    let mut socket = stubborn_at(&address, "/websocket");
    let text = format!("\u{1b}[2J\u{202e}{}", "x".repeat(118));
    let frame = [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat();
    socket.write_all(&frame).unwrap();
    socket.write_all(&[0x82, 0x83, 0, 0, 0, 0, 0, 0xff, 0x10]).unwrap();
    let shown = screen.expect(" B binary 00ff10\n");
    let escaped = format!("/websocket 125 B \"\\u{{1b}}[2J\\u{{202e}}{}\"\n", "x".repeat(118));
    let number = shown.split(" in  #").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    for direction in ["in ", "out"] {
        let line = format!(" {direction} #{number} {escaped}");
        assert_eq!(shown.matches(&line).count(), 1, "{line}\n{shown}");
    }
    let shown = screen.expect(&format!(" out #{number} /websocket 3 B binary 00ff10\n"));
    assert!(!shown.contains("\u{1b}[2J") && !shown.contains('\u{202e}'), "{shown}");
}

fn get_upgrade(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost:5173\r\nConnection: Upgrade\r\n{fields}\r\n")
}

/// The echo at another path, at the root beside the files, and nowhere.
#[test]
fn where_the_echo_is() {
    let folder = Folder::new();
    folder.write("index.html", "a page");
    let status = |address: &str, path: &str| get(address, path, "")[9..12].to_owned();
    let (screen, address) = on_screen(&["--websocket", "/"], &folder);
    // curl asks for HTTP/2 so, and takes a page.
    for fields in ["", "Upgrade: h2c\r\n"] {
        assert!(get(&address, "/", fields).ends_with("a page"), "{fields}");
    }
    assert!(get(&address, "/test.html", "").contains(" data-websocket=\"/\""));
    assert_eq!(status(&address, "/websocket"), "404");
    stubborn_at(&address, "/").write_all(&[0x88, 0x80, 0, 0, 0, 0]).unwrap();
    screen.expect(" WS / 0 in, 0 out ");
    let (_screen, address) = on_screen(&["--websocket", "/ws/echo"], &folder);
    stubborn_at(&address, "/ws/echo");
    assert_eq!(status(&address, "/websocket"), "404");
    let screen = Screen::start(&["--listen", FREE, "--no-demo"], &folder.path(""), &[]);
    let shown = screen.expect("files in .\n");
    let address = shown.strip_prefix("Starting listener on http://").unwrap().split('\n').next().unwrap();
    for path in ["/websocket", "/rest", "/test.html"] {
        assert_eq!(status(address, path), "404", "{path}");
    }
    assert!(get(address, "/", "").ends_with("a page"));
    get(address, "/websocket", "Upgrade: websocket\r\n");
    screen.expect("there is no WebSocket at /websocket, nor anywhere else: --topic /websocket,publish makes one\n");
}
