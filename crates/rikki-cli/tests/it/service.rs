//! The command as a service: what it tells the service manager, and the sockets that it is passed.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{DEADLINE, Folder, Process};
use crate::running::{address, ask, serve, stubborn};

const GET: &str = "GET /rest HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// A service manager, and how a server finds it.
struct Manager {
    socket: UnixDatagram,
    named: String,
}

impl Manager {
    fn new(folder: &Folder) -> Self {
        let named = folder.path("notify");
        Self::with(UnixDatagram::bind(&named).unwrap(), named)
    }

    fn with(socket: UnixDatagram, named: String) -> Self {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket, named }
    }

    fn start(&self, flags: &[&str], more: &[(&str, &str)]) -> Process {
        let variables = [&[("NOTIFY_SOCKET", &*self.named)], more].concat();
        Process::start_with_variables(&[&["--listen", "http://127.0.0.1:0"], flags].concat(), &variables)
    }

    fn told(&self) -> String {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).expect("a message");
        String::from_utf8(message[..length].to_vec()).unwrap()
    }
}

#[test]
fn the_service_manager_is_told_what_the_server_does() {
    let folder = Folder::new();
    let manager = Manager::new(&folder);
    let file = folder.write("rikki.toml", format!("root = {:?}", folder.path("")));
    let admin = format!("unix:{}", folder.path("admin.sock"));
    let server = manager.start(&["--config", &file, "--admin", &admin], &[]);
    let address = address(&server);
    assert_eq!(manager.told(), format!("READY=1\nSTATUS=Listening on http://{address}"));

    let by_signal = || server.signal("HUP");
    let by_command = || drop(Process::start(&["admin", "--admin", &admin, "reload"]).end());
    let reloads = |reload: &dyn Fn(), settings: &str, expected: &str| {
        let now = || {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
            now.tv_sec * 1_000_000 + now.tv_nsec / 1000
        };
        folder.write("rikki.toml", settings);
        let before = now();
        reload();
        let told = manager.told();
        let since = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|rest| rest.split('\n').next());
        let since: i64 = since.unwrap_or_else(|| panic!("{told}")).parse().unwrap();
        assert!((before..=now()).contains(&since), "{since} since {before}");
        assert!(told.ends_with("\nSTATUS=Reloading the settings"), "{told}");
        let told = manager.told();
        assert!(told.starts_with(&format!("READY=1\nSTATUS=Listening on http://{address}; {expected}")), "{told}");
        assert_eq!(told.lines().count(), 2, "{told}");
    };
    for reload in [&by_signal as &dyn Fn(), &by_command] {
        reloads(reload, &format!("root = {:?}", folder.path("")), "reloaded");
        reloads(reload, "workers = 7", "reloaded, but for: another number of workers: 7");
        reloads(reload, "max-mesage = 5", "not reloaded: ");
    }

    let mut open = stubborn(&address);
    server.signal("TERM");
    assert_eq!(manager.told(), "STOPPING=1\nSTATUS=Draining: 1 connections, 1 of them WebSockets");
    // How far it is.
    assert_eq!(manager.told(), "STATUS=Draining: 1 connections, 1 of them WebSockets");
    let mut close = [0; 4];
    open.read_exact(&mut close).unwrap();
    drop(open);
    assert_eq!(server.end().code, Some(0));
}

/// What has been read by then comes too late, and nobody is told that the server is ready.
#[test]
fn settings_that_are_read_until_the_server_stops() {
    let folder = Folder::new();
    let manager = Manager::new(&folder);
    let file = folder.write("rikki.toml", "workers = 2");
    let server = manager.start(&["--config", &file, &folder.path("")], &[]);
    let mut open = stubborn(&address(&server));
    assert!(manager.told().starts_with("READY=1\n"));
    std::fs::remove_file(&file).unwrap();
    // Reading it takes until somebody writes.
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    server.signal("HUP");
    assert!(manager.told().starts_with("RELOADING=1\n"));
    server.signal("TERM");
    assert!(manager.told().starts_with("STOPPING=1\n"));
    std::fs::write(&file, "workers = 3").unwrap();
    while !server.report().contains("the settings stay as they are") {}
    let mut close = [0; 4];
    open.read_exact(&mut close).unwrap();
    drop(open);
    assert_eq!(server.end().code, Some(0));
    manager.socket.set_nonblocking(true).unwrap();
    let mut message = [0; 4096];
    while let Ok(length) = manager.socket.recv(&mut message) {
        let told = String::from_utf8_lossy(&message[..length]);
        assert!(told.starts_with("STATUS=Draining"), "{told}");
    }
}

#[test]
fn a_manager_with_an_abstract_name_has_its_watchdog_fed() {
    let folder = Folder::new();
    let start = |name: &str, whom: Option<&str>| {
        let name = format!("rikki-test-{}-{name}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let manager = Manager::with(socket, format!("@{name}"));
        let period = ("WATCHDOG_USEC", "100000");
        let whom = whom.map(|whom| ("WATCHDOG_PID", whom));
        let server = manager.start(&[&folder.path("")], &[period].into_iter().chain(whom).collect::<Vec<_>>());
        (manager, server)
    };
    let (manager, _server) = start("fed", None);
    for _ in 0..3 {
        // One of the others says that it is ready.
        while manager.told() != "WATCHDOG=1" {}
    }
    let (manager, _server) = start("not-fed", Some("1"));
    assert!(manager.told().starts_with("READY=1\n"), "it is somebody else's");
    manager.socket.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
    assert_eq!(manager.socket.recv(&mut [0; 64]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// One that takes nothing, or is not there, holds up neither requests nor the end.
#[test]
fn a_manager_that_takes_nothing_holds_up_nobody() {
    let folder = Folder::new();
    let stuck = Manager::new(&folder);
    let filler = UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send_to(b"X=1", &stuck.named).is_ok() {}
    let check = |named: &str, expected: Option<&str>| {
        let variables = [("NOTIFY_SOCKET", named), ("WATCHDOG_USEC", "20000")];
        let flags = ["--listen", "http://127.0.0.1:0", &folder.path("")];
        let server = Process::start_with_variables(&flags, &variables);
        let address = address(&server);
        assert!(ask(&address, GET).starts_with("HTTP/1.1 200 "), "{named}");
        server.signal("HUP");
        if let Some(expected) = expected {
            // In which order it and the reload are logged is a matter of chance.
            let mut lines = std::iter::repeat_with(|| server.report());
            let line = lines.find(|line| line.contains("cannot tell the service manager")).unwrap();
            assert!(line.contains(expected), "{named}: {line}");
        }
        let asked = Instant::now();
        server.signal("TERM");
        let ended = server.end();
        assert_eq!(ended.code, Some(0), "{named}: {ended:?}");
        assert!(asked.elapsed() < Duration::from_secs(10), "{named}: {:?}", asked.elapsed());
    };
    check(&stuck.named, None);
    check(&folder.path("missing"), Some("No such file"));
    check("vsock:2:1", Some("neither a whole path nor @"));
    check(&format!("/{}", "x".repeat(300)), Some("path"));
}

/// The command with this socket as its third descriptor, as a service has it, and what is said of it.
fn passed(socket: impl Into<OwnedFd>, variables: &str, flags: &[&str]) -> Process {
    let script = format!("exec 3<&0 </dev/null; {variables} exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_rikki")]).args(flags).stdin(Stdio::from(socket.into()));
    Process::spawn_as(&mut command, Stdio::piped(), Stdio::piped())
}

const OURS: &str = "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web";

#[test]
fn a_socket_that_was_passed_outlives_the_server() {
    let folder = Folder::new();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap().to_string();
    let flags = ["--listen", "fd:web", &folder.path("")];
    let start = || passed(socket.try_clone().unwrap(), OURS, &flags);
    let server = start();
    assert_eq!(address(&server), at);
    assert!(ask(&at, GET).starts_with("HTTP/1.1 200 "));
    server.signal("TERM");
    assert_eq!(server.end().code, Some(0));
    let mut waits = TcpStream::connect(&at).unwrap();
    waits.write_all(GET.as_bytes()).unwrap();
    let server = start();
    let mut answer = String::new();
    waits.set_read_timeout(Some(DEADLINE)).unwrap();
    waits.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // Reading the settings again keeps it.
    assert_eq!(address(&server), at);
    server.signal("HUP");
    let line = server.report();
    assert!(line.contains("the settings have been reloaded"), "{line}");
    assert!(ask(&at, GET).starts_with("HTTP/1.1 200 "));
}

#[test]
fn unix_sockets_and_tls_on_what_was_passed() {
    let folder = Folder::new();
    let path = folder.path("s");
    let socket = UnixListener::bind(&path).unwrap();
    let server = passed(socket, OURS, &["--listen", "fd:web", &folder.path("")]);
    assert_eq!(server.line(), format!("Starting WS listener on unix:{path}"));
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(GET.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    server.signal("TERM");
    assert_eq!(server.end().code, Some(0));
    assert!(std::fs::exists(&path).unwrap());
    let secure = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = secure.local_addr().unwrap();
    let server = passed(secure, OURS, &["--listen", "fd:web,tls", "--tls-self-signed", &folder.path("")]);
    assert_eq!(server.line(), format!("Starting WS listener on wss://{at}/websocket"));
}

#[test]
fn what_cannot_be_listened_on_is_named() {
    let folder = Folder::new();
    let check = |socket: OwnedFd, variables: &str, expected: &str| {
        let ended = passed(socket, variables, &["--listen", "fd:web", &folder.path("")]).end();
        assert_eq!(ended.code, Some(1), "{variables}: {ended:?}");
        let line = ended.stderr.strip_prefix("rikki: cannot listen on fd:web: ").unwrap_or_else(|| panic!("{ended:?}"));
        assert!(line.contains(expected) && line.lines().count() == 1, "{variables}: {line}");
    };
    let tcp = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    let none = "no socket was passed; systemd passes those of a .socket unit";
    check(tcp(), "", none);
    check(tcp(), "LISTEN_PID=$$ LISTEN_FDS=0", none);
    check(tcp(), "LISTEN_PID=1 LISTEN_FDS=1 LISTEN_FDNAMES=web", "to the process LISTEN_PID=1, and this is ");
    check(tcp(), "LISTEN_FDS=1 LISTEN_FDNAMES=web", "to the process LISTEN_PID=, and this is ");
    check(tcp(), "LISTEN_PID=$$ LISTEN_FDS=99999999999 LISTEN_FDNAMES=web", "no number up to 1024");
    check(tcp(), "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web", "1 names for 2 sockets");
    check(tcp(), &format!("{OURS} LISTEN_FDS_FIRST_FD=0"), "descriptors begin at 3");
    check(UdpSocket::bind("127.0.0.1:0").unwrap().into(), OURS, "descriptor 3 is no stream socket of TCP or Unix");
    check(UnixDatagram::unbound().unwrap().into(), OURS, "descriptor 3 is no stream socket");
    check(std::fs::File::open("/dev/null").unwrap().into(), OURS, "descriptor 3 is no stream socket");
    let (pair, _other) = UnixStream::pair().unwrap();
    check(pair.into(), OURS, "it does not listen");
    // The second is not open.
    let more = passed(tcp(), "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=a:web", &["--listen", "fd:web"]).end();
    assert!(more.stderr.contains("descriptor 4 is no stream socket"), "{more:?}");
    // What is wrong of itself is said first.
    for (flags, why) in [
        (["--listen", "fd:"], "the name is missing"),
        (["--listen", "fd:web,mode=660"], "what follows the comma is tls"),
        (["--admin", "fd:web"], "--admin fd:web is no place for it"),
    ] {
        let ended = Process::start(&flags).end();
        assert!(ended.code == Some(2) && ended.stderr.contains(why), "{flags:?}: {ended:?}");
    }
    // What nobody asks for is said, and harms nobody.
    let other = passed(tcp(), OURS, &["--listen", "http://127.0.0.1:0", &folder.path("")]);
    assert_eq!(other.report(), "rikki: --listen fd:web is not given, and it was passed");
    assert!(ask(&address(&other), GET).starts_with("HTTP/1.1 200 "));
}

/// What a client runs is no part of its service.
#[test]
fn the_commands_of_a_client_are_told_nothing_of_its_service() {
    let folder = Folder::new();
    let (_server, address) = serve(&[&folder.path("")]);
    let command = "echo \"${NOTIFY_SOCKET-none} ${WATCHDOG_USEC-none} ${LISTEN_FDS-none}\"";
    let url = format!("ws://{address}/websocket");
    let flags = ["connect", "--no-history", "--exec", command, "--send", "a", &url];
    let variables = [("NOTIFY_SOCKET", "/x"), ("WATCHDOG_USEC", "1"), ("LISTEN_FDS", "1")];
    assert_eq!(Process::start_with_variables(&flags, &variables).line(), "none none none");
}
