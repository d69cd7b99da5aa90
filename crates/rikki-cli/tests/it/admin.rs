//! Looking inside: the listener of its own, `rikki admin` and `rikki health`.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use crate::process::{DEADLINE, Ended, Folder, Process};
use crate::running::{address, ask, stubborn};

/// A server that is looked into on a socket, its address, and the place of the socket.
fn serve(folder: &Folder, flags: &[&str]) -> (Process, String, String) {
    let place = format!("unix:{}", folder.path("admin.sock"));
    let root = folder.path("");
    let server = Process::start(
        &[&["--listen", "http://127.0.0.1:0", "--admin", &place, "--no-listing", &root], flags].concat(),
    );
    let address = address(&server);
    // The last line of the greeting is written with the others.
    while !server.line().contains("admin.sock looks inside") {}
    (server, address, place)
}

fn admin(place: &str, arguments: &[&str]) -> Ended {
    Process::start(&[&["admin", "--admin", place], arguments].concat()).end()
}

fn health(arguments: &[&str]) -> Ended {
    Process::start(&[&["health"], arguments].concat()).end()
}

#[track_caller]
fn check(ended: &Ended, code: i32, text: &str) {
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(ended.code == Some(code) && said.contains(text), "{text}: {ended:?}");
}

/// Asks until the answer has `text`: what was read a moment ago is told again.
#[track_caller]
fn check_soon(place: &str, command: &str, text: &str) {
    let started = Instant::now();
    loop {
        let ended = admin(place, &[command]);
        if ended.code == Some(0) && ended.stdout.contains(text) {
            return;
        }
        assert!(started.elapsed() < DEADLINE, "{text}: {ended:?}");
    }
}

#[test]
fn a_server_is_looked_into_and_told_what_to_do() {
    let folder = Folder::new();
    let config = folder.write("rikki.toml", "log = \"info\"\n");
    let (server, address, place) = serve(&folder, &["--config", &config]);
    let socket = folder.path("admin.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    check(&health(&[&place]), 0, "200 ready");
    check(&health(&[&place, "--path", "/none"]), 1, "404");
    check(&health(&[&format!("http://{address}/rest")]), 0, "200");
    check(&health(&[&format!("ws://{address}/websocket")]), 0, "101");
    check(&health(&[&format!("http://{address}/none")]), 1, "404");
    check(&health(&["http://127.0.0.1:1/"]), 1, "127.0.0.1 port 1");
    check(&health(&["ftp://a"]), 2, "write http or https");
    check(&health(&["a"]), 2, "is no URL");

    let _open = stubborn(&address);
    check_soon(&place, "status", "\"endpoint\":\"/websocket\",\"transport\":\"tcp\",\"open\":1,");
    check_soon(&place, "metrics", "rikki_websockets{endpoint=\"/websocket\",transport=\"tcp\"} 1.0");
    check(&admin(&place, &["connection", "99999"]), 1, "no WebSocket that is open has this id");
    check(&admin(&place, &["close", "99999", "1001"]), 1, "has the id 99999 (404)");
    check(&admin(&place, &["close", "x"]), 2, "invalid value");
    check(&admin(&place, &["log", "loud"]), 2, "loud is no level");
    check(&admin(&place, &["log", "rikki=debug"]), 0, "the log has rikki=debug from now on");
    let logged = || std::iter::from_fn(|| Some(server.report()));
    let _another = stubborn(&address);
    assert!(logged().take(50).any(|line| line.contains("DEBUG") && line.contains("rikki::ws")), "at another level");

    // What is wrong changes nothing, and is said; so is what takes a restart.
    folder.write("rikki.toml", "log = \"loud\"\n");
    check(&admin(&place, &["reload"]), 1, "the settings stay as they are: ");
    check_soon(&place, "metrics", "rikki_configuration_reloads_total{result=\"refused\"} 1");
    folder.write("rikki.toml", "log = \"info\"\nworkers = 7\n");
    check(&admin(&place, &["reload"]), 0, "this takes a restart: another number of workers: 7");
    check_soon(&place, "status", "\"generation\":2,");
    check(&admin(&place, &["drain", "/websocket"]), 0, "2 WebSockets are closed with 1001");
    check(&health(&[&format!("ws://{address}/websocket")]), 1, "503");
    check(&admin(&place, &["undrain", "/websocket"]), 0, "are let in at /websocket");
    check(&health(&[&format!("ws://{address}/websocket")]), 0, "101");
    check(&admin(&place, &["drain"]), 0, "the server drains");
    let ended = server.end();
    assert!(ended.code == Some(0), "{ended:?}");
    assert!(!std::path::Path::new(&socket).exists());
    check(&admin(&place, &["status"]), 1, "admin.sock: ");
    check(&health(&[&place]), 1, "admin.sock");
}

/// SIGTERM is a drain too: probes say so until it is over.
#[test]
fn a_drain_is_told_until_its_end() {
    let folder = Folder::new();
    let (server, address, place) = serve(&folder, &["--drain-timeout", "3s"]);
    let mut open = stubborn(&address);
    server.signal("TERM");
    let until = Instant::now() + DEADLINE;
    while health(&[&place]).code == Some(0) {
        assert!(Instant::now() < until, "it should drain");
    }
    check(&health(&[&place]), 1, "503 draining");
    check(&health(&[&place, "--path", "/healthz"]), 0, "200 ok");
    check(&admin(&place, &["reload"]), 1, "(409)");
    check_soon(&place, "metrics", "rikki_ready 0.0");
    let mut rest = Vec::new();
    // The Close is not answered, so it is cut.
    let _ = open.read_to_end(&mut rest);
    assert_eq!(server.end().code, Some(0));
}

#[test]
fn settings_of_it_are_judged() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("http://{}", taken.local_addr().unwrap());
    let run =
        |flags: &[&str]| Process::start(&[&["--listen", "http://127.0.0.1:0", &folder.path("")], flags].concat()).end();
    check(&run(&["--admin", &taken]), 1, "--admin: cannot listen on 127.0.0.1");
    check(&run(&["--admin", "unix:/none/such/admin.sock"]), 1, "--admin: ");
    check(&run(&["--admin", "https://127.0.0.1:0"]), 2, "speaks no TLS");
    check(&run(&["--admin", "localhost"]), 2, "has no port");
    check(&run(&["--admin", "nonsense://"]), 2, "--admin: ");
    let checked = |admin: &str| {
        let config = folder.write("rikki.toml", format!("admin = \"{admin}\"\n"));
        Process::start(&["check", "--config", &config, &folder.path("")]).end()
    };
    check(&checked("unix:admin.sock,mode=660"), 0, "the settings are good");
    check(&checked("9100"), 0, "the settings are good");
    check(&checked("unix:admin.sock,mode=999"), 2, "the mode is an octal number");
    check(&checked("ftp://a"), 2, "--admin: ");
    let ended = Process::start(&["admin", "status"]).end();
    check(&ended, 2, "write --admin PLACE, or set RIKKI_ADMIN");
    let by_variable = [("RIKKI_ADMIN", "unix:/none/such/admin.sock")];
    let ended = Process::start_with_variables(&["admin", "status"], &by_variable).end();
    check(&ended, 1, "unix:/none/such/admin.sock: ");
}

/// On the address of a network there is nothing that tells of clients.
#[test]
fn where_others_can_reach_it_there_are_probes_alone() {
    let folder = Folder::new();
    let flags = ["--listen", "http://127.0.0.1:0", "--admin", "http://0.0.0.0:0", &folder.path("")];
    let server = Process::start(&flags);
    let line = std::iter::from_fn(|| Some(server.line())).find(|line| line.contains("looks inside")).unwrap();
    let port = line.split("0.0.0.0:").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
    let ask = |target: &str, host: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        ask(&format!("127.0.0.1:{port}"), &request)
    };
    assert!(ask("/readyz", "192.0.2.1").starts_with("HTTP/1.1 200 "));
    assert!(ask("/readyz", "evil.test").starts_with("HTTP/1.1 403 "));
    assert!(ask("/status", "192.0.2.1").starts_with("HTTP/1.1 403 "));
}
