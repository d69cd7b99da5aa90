//! The command whose settings are read again: by SIGHUP, or not, where that is a terminal that goes away.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::process::{Folder, Process};
use crate::running::{address, ask, stubborn_at};

const RELOADED: &str = "the settings have been reloaded";

fn get(address: &str, target: &str, host: &str) -> String {
    ask(address, &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
}

/// Whether a text of so many bytes comes back, on a connection that does not end for it.
fn echoes(socket: &mut TcpStream, length: u8) -> bool {
    socket.write_all(&[&[0x82, 0x80 | length, 0, 0, 0, 0], vec![b'x'; length.into()].as_slice()].concat()).unwrap();
    let mut head = [0; 2];
    socket.read_exact(&mut head).unwrap();
    let mut payload = vec![0; head[1].into()];
    socket.read_exact(&mut payload).unwrap();
    head == [0x82, length] && payload.iter().all(|byte| *byte == b'x')
}

/// The next line of the log that is not of a WebSocket's end, which comes when it likes.
fn report(server: &Process) -> String {
    loop {
        let line = server.report();
        if !line.contains("rikki::access: closed ") {
            return line;
        }
    }
}

#[test]
fn every_kind_of_setting() {
    let folder = Folder::new();
    folder.write("a.txt", "of the root");
    folder.write("b.txt", "mounted");
    let key = folder.write("publish.key", "0123456789abcdef\n");
    let settings = |more: &str| {
        let file = format!("listen = [\"http://127.0.0.1:0\"]\nroot = {:?}\nworkers = 2\n{more}", folder.path(""));
        folder.write("rikki.toml", file)
    };
    let file = settings("max-message = 8\nallow-host = [\"a.test\"]\n[[topic]]\npath = \"/chat\"\n");
    let server = Process::start(&["--config", &file]);
    let address = address(&server);
    let reload = |more: &str| {
        settings(more);
        server.signal("HUP");
        report(&server)
    };
    let mut before = stubborn_at(&address, "/websocket");
    let mut subscriber = stubborn_at(&address, "/chat");
    assert!(echoes(&mut before, 8));
    assert!(get(&address, "/a.txt", "a.test").ends_with("of the root"));
    assert!(get(&address, "/more/b.txt", "localhost").starts_with("HTTP/1.1 404 "));

    let line = reload(&format!(
        "max-message = 16\nallow-host = [\"b.test\"]\nheader = [\"x-a: 1\"]\npublish-key = {key:?}\n\
         log = \"warn,rikki=info\"\naccess-log = true\n\
         [[mount]]\npath = \"/more\"\nfolder = {:?}\n[[topic]]\npath = \"/chat\"\nhistory = 5\n\
         [[topic]]\npath = \"/news\"\n[[endpoint]]\npath = \"/small\"\nmax-message = 4\n",
        folder.path("")
    ));
    assert!(line.contains("INFO rikki::server: ") && line.contains(RELOADED), "{line}");
    assert!(echoes(&mut before, 8));
    let answer = get(&address, "/more/b.txt", "b.test");
    assert!(answer.contains("\r\nx-a: 1\r\n") && answer.ends_with("mounted"), "{answer}");
    let line = report(&server);
    assert!(line.contains("rikki::access: ") && line.contains("target=/more/b.txt"), "{line}");
    assert!(get(&address, "/a.txt", "a.test").starts_with("HTTP/1.1 403 "));
    assert!(report(&server).contains("request refused"));
    assert!(report(&server).contains("status=403"));
    assert!(echoes(&mut stubborn_at(&address, "/websocket"), 16));
    assert!(report(&server).contains("status=101"));
    let mut small = stubborn_at(&address, "/small");
    assert!(report(&server).contains("status=101"));
    let mut kept = stubborn_at(&address, "/small");
    assert!(report(&server).contains("status=101"));
    assert!(echoes(&mut kept, 4) && echoes(&mut small, 4) && !echoes(&mut small, 5));
    // Whoever is subscribed is told of what comes by the new key.
    publishes(&server, &address, &mut subscriber);

    // What says nothing any more is as it was.
    settings("");
    server.signal("HUP");
    let line = report(&server);
    assert!(line.contains(RELOADED), "{line}");
    let answer = get(&address, "/a.txt", "localhost");
    assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.contains("x-a"), "{answer}");
    assert!(get(&address, "/news", "localhost").starts_with("HTTP/1.1 404 "));
    assert!(echoes(&mut before, 8) && echoes(&mut kept, 4));
}

/// With the key of the settings, to both topics that they have; whoever is subscribed to one of them gets it.
fn publishes(server: &Process, address: &str, subscriber: &mut TcpStream) {
    let publish = |path: &str| {
        let fields =
            "Host: localhost\r\nAuthorization: Bearer 0123456789abcdef\r\nContent-Length: 2\r\nConnection: close";
        ask(address, &format!("POST {path} HTTP/1.1\r\n{fields}\r\n\r\nhi"))
    };
    for path in ["/chat", "/news"] {
        assert!(publish(path).starts_with("HTTP/1.1 20"), "{path}");
        assert!(report(server).contains("method=POST"));
    }
    let mut told = [0; 4];
    subscriber.read_exact(&mut told).unwrap();
    assert_eq!(told, [0x81, 2, b'h', b'i']);
}

#[test]
fn a_bad_file_is_one_line_and_changes_nothing() {
    let folder = Folder::new();
    folder.write("a.txt", "as ever");
    let settings = |more: &str| {
        let file = format!("listen = [\"http://127.0.0.1:0\"]\nroot = {:?}\n{more}\n", folder.path(""));
        folder.write("rikki.toml", file)
    };
    let file = settings("header = [\"x-a: 1\"]");
    let server = Process::start(&["--config", &file]);
    let address = address(&server);
    let mut open = stubborn_at(&address, "/websocket");
    let missing = folder.path("missing");
    let wrong = [
        ("max-mesage = 5", "rikki.toml:3:1: unknown key \"max-mesage\", did you mean \"max-message\"?"),
        (
            "max-head = \"1XB\"\nkeep-alive = 5.0",
            "keep-alive: expected a string, as in \"30s\", not a number with a point",
        ),
        ("= 5", "rikki.toml:3:1: "),
        ("allow-origin = [\"a\\nb\"]", "origin"),
        (&format!("mount = [\"/more={missing}\"]"), "missing"),
        ("cert = [\"a.crt\"]", "--key"),
        ("[[topic]]\npath = \"/rest\"", "no topic can be at /rest"),
        ("[[listen]]\nurl = \"http://127.0.0.1:0\"\nmax-connections = 1", "rikki.toml:3"),
    ];
    for (text, expected) in wrong {
        settings(text);
        server.signal("HUP");
        let line = server.report();
        let is_told = line.contains("ERROR rikki::server: the settings stay as they are: ") && line.contains(expected);
        assert!(is_told, "{text}: {line}");
        let answer = get(&address, "/a.txt", "localhost");
        assert!(answer.contains("\r\nx-a: 1\r\n") && answer.ends_with("as ever"), "{text}: {answer}");
    }
    assert!(echoes(&mut open, 5));
    // It is read again all the same.
    settings("header = [\"x-a: 3\"]\nworkers = 7");
    server.signal("HUP");
    assert!(server.report().contains(RELOADED));
    let line = server.report();
    assert!(line.contains("WARN rikki::server: this takes a restart: another number of workers: 7"), "{line}");
    assert!(get(&address, "/a.txt", "localhost").contains("\r\nx-a: 3\r\n"));
}

#[test]
fn listeners_of_a_file_have_limits_of_their_own() {
    let folder = Folder::new();
    let file = format!(
        "root = {:?}\nlisten = [\"http://127.0.0.2:0\", {{ url = \"http://127.0.0.1:0\", max-message = 4, \
         keep-alive = \"7s\" }}]\nmax-message = 9\n",
        folder.path("")
    );
    let file = folder.write("rikki.toml", file);
    let shown = Process::start(&["check", "--print", "--config", &file]).end().stdout;
    let line = shown.lines().find(|line| line.starts_with("listen = ")).unwrap();
    let own = "{ url = \"http://127.0.0.1:0\", keep-alive = \"7s\", max-message = \"4\" }";
    assert!(line.starts_with(&format!("listen = [\"http://127.0.0.2:0\", {own}]  # ")), "{line}");
    let again = folder.write("again.toml", &shown);
    assert_eq!(Process::start(&["check", "--config", &again]).end().code, Some(0));
    let server = Process::start(&["--config", &file]);
    let next = || loop {
        let line = server.line();
        if let Some(rest) = line.strip_prefix("Starting WS listener on ws://") {
            return rest.split('/').next().unwrap().to_owned();
        }
    };
    let (second, first) = (next(), next());
    assert!(echoes(&mut stubborn_at(&second, "/websocket"), 9));
    assert!(!echoes(&mut stubborn_at(&first, "/websocket"), 5));
    let ends = |address: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /rest HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut head = [0; 256];
        let length = stream.read(&mut head).unwrap();
        String::from_utf8_lossy(&head[..length]).contains("keep-alive: timeout=7\r\n")
    };
    assert_eq!((ends(&first), ends(&second)), (true, false));
}

/// What is started so has a terminal; nobody else has it open when the other end is given up.
#[cfg(target_os = "linux")]
mod terminals {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::process::terminal;

    fn start(before: &str, folder: &Folder) -> (Process, String, std::os::fd::OwnedFd) {
        let (master, slave) = terminal();
        let script = format!("{before} setsid --ctty \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_rikki"), "--listen", "http://127.0.0.1:0"]);
        command.arg(folder.path("")).stdin(slave);
        let server = Process::spawn_as(&mut command, Stdio::piped(), Stdio::piped());
        let address = address(&server);
        (server, address, master)
    }

    #[test]
    fn one_that_goes_away_ends_the_server_and_one_that_stays_does_not() {
        let folder = Folder::new();
        // Also where whoever runs the tests is to outlive theirs.
        let (server, address, terminal) = start("exec env --default-signal=HUP", &folder);
        let mut socket = stubborn_at(&address, "/websocket");
        server.signal("HUP");
        let line = server.report();
        assert!(line.contains(RELOADED), "{line}");
        assert!(echoes(&mut socket, 5));
        drop(terminal);
        let mut close = [0; 4];
        socket.read_exact(&mut close).unwrap();
        assert_eq!(close, [0x88, 2, 0x03, 0xe9]);
        socket.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9]).unwrap();
        let ended = server.end();
        assert!(ended.code == Some(0) && ended.stderr.contains("draining"), "{ended:?}");
    }

    #[test]
    fn whoever_is_told_to_outlive_it_does() {
        let folder = Folder::new();
        let (server, address, terminal) = start("trap '' HUP; exec", &folder);
        let mut socket = stubborn_at(&address, "/websocket");
        drop(terminal);
        assert!(echoes(&mut socket, 5));
        // That of the terminal is one too.
        assert!(server.report().contains(RELOADED));
        server.signal("HUP");
        let line = server.report();
        assert!(line.contains(RELOADED), "{line}");
        assert!(echoes(&mut socket, 5));
    }
}
