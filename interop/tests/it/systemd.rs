//! The package for Debian under a systemd of its own: in namespaces, over a copy of this machine's files that goes with
//! them. Outside nothing is changed.
//!
//! The test runs once more inside, as a service that systemd starts.
#![expect(clippy::print_stdout, reason = "figures, for whoever asks for them by --nocapture")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::file_clients::Folder;

const INSIDE: &str = "TEST_OF_RIKKI_INSIDE_SYSTEMD";
const PACKAGE: &str = "INTEROP_DEB";

/// Namespaces, a root over that of this machine, and systemd as process 1, which ends when the test does.
const BOOT: &str = include_str!("../../systemd.sh");

/// How long systemd may take, with the test that it runs.
const LIMIT: &str = "150";

/// Where the service listens.
const ADDRESS: &str = "127.0.0.1:8000";

fn in_systemd(test: &str, work: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        return work();
    }
    let package = std::env::var_os(PACKAGE).map(PathBuf::from);
    let package = package.expect("INTEROP_DEB names the package: run `cargo xtask interop`");
    let folder = Folder::new();
    folder.write("boot.sh", BOOT);
    for name in ["out", "console", "rikki.log"] {
        folder.write(name, "");
    }
    let mut boot = Command::new("timeout");
    boot.args(["-s", "KILL", LIMIT, "sh"]).arg(folder.path("boot.sh")).arg(folder.path(""));
    boot.arg(std::env::current_exe().unwrap()).arg(test).arg(fs::canonicalize(package).unwrap());
    let output = boot.stdin(Stdio::null()).output().unwrap();
    let read = |name: &str| fs::read_to_string(folder.path(name)).unwrap_or_default();
    let out = read("out");
    assert!(
        out.contains("1 passed"),
        "{out}\n{}\n{}\n{}\n{:?}",
        read("rikki.log"),
        read("console"),
        String::from_utf8_lossy(&output.stderr),
        output.status
    );
    // For whoever asks for it by --nocapture.
    let _ = writeln!(std::io::stderr(), "{out}");
}

#[test]
fn the_package_installs_a_service_that_is_restarted_without_a_refused_connect() {
    in_systemd("systemd::the_package_installs_a_service_that_is_restarted_without_a_refused_connect", service);
}

fn service() {
    let steps: [(&str, fn()); 12] = [
        ("installed", install),
        ("has no rights", has_no_rights),
        ("reloads", reloads),
        ("restarts", restarts),
        ("starts with a connection", starts_with_a_connection),
        ("recovers from a hang", recovers_from_a_hang),
        ("is used as documented", is_used_as_documented),
        ("is looked into", is_looked_into),
        ("listens elsewhere", listens_elsewhere),
        ("reloads are waited for", reloads_are_waited_for),
        ("has TLS on a socket of its own", tls_on_a_socket_of_its_own),
        ("upgraded and removed", upgrades_and_goes),
    ];
    for (name, step) in steps {
        let began = Instant::now();
        step();
        println!("{name}, in {:.1?}", began.elapsed());
    }
}

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// What a command prints that has to end well.
#[track_caller]
fn said(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
    text
}

#[track_caller]
fn systemctl(line: &str) -> String {
    let output = run("systemctl", &line.split(' ').collect::<Vec<_>>());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "systemctl {line}: {text}{}", status());
    text
}

fn shown(property: &str) -> String {
    systemctl(&format!("show --value -p {property} rikki.service")).trim().to_owned()
}

/// What systemd says of both units.
#[track_caller]
fn are(asked: &str, expected: &str) {
    let told = run("systemctl", &[asked, "rikki.socket", "rikki.service"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.lines().count() == 2 && told.lines().all(|line| line == expected), "{told}{}", status());
}

fn status() -> String {
    let told = run("systemctl", &["status", "--no-pager", "--full", "rikki.socket", "rikki.service"]);
    String::from_utf8_lossy(&told.stdout).into_owned()
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: {}", status());
        // systemd says it to nobody who asks once.
        thread::sleep(Duration::from_millis(20));
    }
}

/// The answer to a GET; an error says which step has failed.
fn get(path: &str) -> Result<String, String> {
    let mut stream = TcpStream::connect(ADDRESS).map_err(|error| format!("connect: {error}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(|error| format!("write: {error}"))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| format!("read: {error}"))?;
    Ok(answer)
}

/// What docs/systemd.md shows.
fn snippet(name: &str) -> String {
    let snippets = testkit::snippets(include_str!("../../../docs/systemd.md"));
    snippets.iter().find(|snippet| snippet.name == name).unwrap_or_else(|| panic!("{name}")).text.to_owned()
}

fn package() -> String {
    std::env::var(PACKAGE).unwrap()
}

fn drop_in(unit: &str, name: &str, text: &str) {
    let folder = Path::new("/etc/systemd/system").join(format!("{unit}.d"));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{name}.conf")), text).unwrap();
}

fn install() {
    // There is no journal here.
    drop_in("rikki.service", "log", "[Service]\nStandardOutput=append:/test/rikki.log\nStandardError=inherit\n");
    said("dpkg", &["--no-triggers", "-i", &package()]);
    are("is-active", "active");
    are("is-enabled", "enabled");
    assert_eq!(shown("StatusText"), format!("Listening on http://{ADDRESS}"));
    let answer = get("/").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("<h1>rikki is running</h1>"), "{answer}");
    let listed = said("dpkg", &["-L", "rikki"]);
    for file in
        ["man1/rikki.1", "man1/rikki-connect.1", "man1/rikki-check.1", "completions/rikki", "/_rikki", "rikki.fish"]
    {
        assert!(listed.contains(file), "{file}: {listed}");
    }
    for name in ["rikki.service", "rikki.socket"] {
        let verified = said("systemd-analyze", &["verify", name]);
        assert!(!verified.contains("rikki"), "{verified}");
    }
}

/// The process may do little, and systemd has enforced what the unit says.
fn has_no_rights() {
    let status = fs::read_to_string(format!("/proc/{}/status", shown("MainPID"))).unwrap();
    let field = |name: &str| {
        let line =
            status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {status}"));
        line.split_whitespace().next().unwrap_or_default().to_owned()
    };
    for (name, expected) in [("CapEff:", "0000000000000000"), ("CapBnd:", "0000000000000000")] {
        assert_eq!(field(name), expected, "{name}");
    }
    assert_eq!((field("NoNewPrivs:"), field("Seccomp:")), ("1".to_owned(), "2".to_owned()));
    assert!(field("Uid:").parse::<u32>().unwrap() >= 61184, "of a dynamic user: {status}");
    let security = said("systemd-analyze", &["security", "--no-pager", "rikki.service"]);
    let level = security.lines().find(|line| line.contains("Overall exposure")).unwrap_or_default().to_owned();
    let number = level.split_whitespace().find_map(|word| word.parse::<f64>().ok());
    assert!(number.is_some_and(|number| number <= 1.5), "{level}");
    println!("{level}");
}

fn reloads() {
    let file = "/etc/rikki/rikki.toml";
    let before = fs::read_to_string(file).unwrap();
    fs::write(file, format!("{before}\nheader = [\"x-a: 1\"]\ndrain-window = \"0s\"\n")).unwrap();
    systemctl("reload rikki.service");
    until("it is reloaded", || shown("StatusText").ends_with("; reloaded"));
    assert!(get("/").unwrap().contains("\r\nx-a: 1\r\n"));
    fs::write(file, format!("{before}\nheader = [\"x-a: 1\"]\ndrain-window = \"0s\"\nmax-mesage = 1\n")).unwrap();
    systemctl("reload rikki.service");
    until("it is refused", || shown("StatusText").contains("not reloaded: "));
    are("is-active", "active");
    fs::write(file, format!("{before}\nheader = [\"x-a: 1\"]\ndrain-window = \"0s\"\n")).unwrap();
    systemctl("reload rikki.service");
    until("it is reloaded", || shown("StatusText").ends_with("; reloaded"));
}

/// Clients that ask again and again while something else goes on: what they got, and who was refused.
fn under_load(work: impl FnOnce()) -> usize {
    let over = Arc::<AtomicBool>::default();
    let (answered, cut) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (over, answered, cut) = (over.clone(), answered.clone(), cut.clone());
            thread::spawn(move || {
                while !over.load(Relaxed) {
                    // So that there is time for what goes on beside them.
                    thread::sleep(Duration::from_millis(5));
                    match get("/") {
                        Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => answered.fetch_add(1, Relaxed),
                        Err(error) if error.starts_with("connect: ") => panic!("{error}"),
                        // One that was accepted as the drain began.
                        _ => cut.fetch_add(1, Relaxed),
                    };
                }
            })
        })
        .collect();
    work();
    over.store(true, Relaxed);
    for client in clients {
        client.join().expect("nobody is refused");
    }
    let (answered, cut) = (answered.load(Relaxed), cut.load(Relaxed));
    // How many it is at that moment is up to the machine.
    assert!(cut * 20 <= answered, "{cut} of {answered} cut");
    println!("{answered} answered, {cut} cut, none refused");
    answered
}

fn restarts() {
    const RESTARTS: usize = 20;
    let answered = under_load(|| {
        for _ in 0..RESTARTS {
            let before = shown("MainPID");
            systemctl("restart rikki.service");
            assert_ne!(shown("MainPID"), before);
        }
    });
    assert!(answered > RESTARTS);
}

fn starts_with_a_connection() {
    systemctl("stop rikki.service");
    assert_eq!(shown("MainPID"), "0");
    assert!(get("/").unwrap().starts_with("HTTP/1.1 200 "));
    are("is-active", "active");
}

/// A process that does nothing any more gets no watchdog fed, and another takes its place.
fn recovers_from_a_hang() {
    drop_in("rikki.service", "watchdog", "[Service]\nWatchdogSec=1s\nTimeoutAbortSec=1s\n");
    systemctl("daemon-reload");
    systemctl("restart rikki.service");
    let before = shown("MainPID");
    said("kill", &["-STOP", &before]);
    until("another process answers", || match get("/") {
        Err(error) if error.starts_with("connect: ") => panic!("{error}"),
        // Who was accepted by the one that hung goes with it.
        answer => answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 ")) && shown("MainPID") != before,
    });
    assert_eq!(shown("NRestarts"), "1");
}

/// What people type.
fn is_used_as_documented() {
    let lines = snippet("use");
    for line in lines.lines() {
        said("sh", &["-c", line]);
        until("it runs", || shown("ActiveState") == "active");
    }
    assert_eq!(lines.lines().count(), 4);
}

/// Where it listens is up to its socket's unit.
fn listens_elsewhere() {
    drop_in("rikki.socket", "port", &snippet("rikki.socket.d/port.conf"));
    anew("rikki.socket");
    assert_eq!(shown("StatusText"), "Listening on http://[::]:80");
    assert!(said("curl", &["--noproxy", "*", "-sS", "http://127.0.0.1/"]).contains("rikki is running"));
    fs::remove_dir_all("/etc/systemd/system/rikki.socket.d").unwrap();
    anew("rikki.socket");
    assert_eq!(shown("StatusText"), format!("Listening on http://{ADDRESS}"));
}

/// Takes over what units say of sockets.
fn anew(sockets: &str) {
    systemctl("daemon-reload");
    systemctl(&format!("stop rikki.service {sockets}"));
    systemctl(&format!("start {sockets} rikki.service"));
}

/// Root looks inside, at a place that the unit has for it.
fn is_looked_into() {
    let file = "/etc/rikki/rikki.toml";
    let before = fs::read_to_string(file).unwrap();
    fs::write(file, format!("{}{before}", snippet("admin"))).unwrap();
    systemctl("restart rikki.service");
    let told = said("sh", &["-c", &snippet("look")]);
    assert!(told.contains("ready"), "{told}");
    fs::write(file, before).unwrap();
    systemctl("restart rikki.service");
}

/// Where systemd knows of it, a reload has ended when the command has.
fn reloads_are_waited_for() {
    let version = systemctl("--version");
    let version = version.split_whitespace().nth(1).and_then(|version| version.parse::<u32>().ok());
    if version.is_none_or(|version| version < 253) {
        println!("not tried: Type=notify-reload, which this systemd does not know");
        return;
    }
    drop_in("rikki.service", "reload", &snippet("rikki.service.d/reload.conf"));
    systemctl("daemon-reload");
    systemctl("restart rikki.service");
    systemctl("reload rikki.service");
    assert!(shown("StatusText").ends_with("; reloaded"), "{}", status());
}

fn tls_on_a_socket_of_its_own() {
    let certificate = testkit::Certificate::new(["localhost"]);
    // As the package ssl-cert has it.
    let _there_already = run("groupadd", &["--system", "ssl-cert"]);
    fs::create_dir_all("/etc/ssl/private").unwrap();
    fs::write("/etc/ssl/app.pem", &certificate.certificate).unwrap();
    fs::write("/etc/ssl/private/app.key", &certificate.key).unwrap();
    for (path, mode) in [("/etc/ssl/private", 0o710), ("/etc/ssl/private/app.key", 0o640)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        said("chgrp", &["ssl-cert", path]);
    }
    fs::write("/etc/systemd/system/rikki-tls.socket", snippet("rikki-tls.socket")).unwrap();
    drop_in("rikki.service", "tls", &snippet("rikki.service.d/tls.conf"));
    let file = "/etc/rikki/rikki.toml";
    let settings = fs::read_to_string(file).unwrap().replace("listen = [\"fd:web\"]", snippet("rikki.toml").trim());
    fs::write(file, settings).unwrap();
    anew("rikki-tls.socket rikki.socket");
    assert_eq!(shown("StatusText"), format!("Listening on http://{ADDRESS}, https://[::]:443"));
    let said = said("curl", &["--noproxy", "*", "-sS", "--cacert", "/etc/ssl/app.pem", "https://localhost/"]);
    assert!(said.contains("rikki is running"), "{said}");
}

fn upgrades_and_goes() {
    let before = shown("MainPID");
    under_load(|| drop(said("dpkg", &["--no-triggers", "-i", "--force-confold", &package()])));
    are("is-active", "active");
    assert_ne!(shown("MainPID"), before, "it is the program of the upgrade");
    said("dpkg", &["--no-triggers", "--purge", "rikki"]);
    assert!(TcpStream::connect(ADDRESS).is_err());
    assert!(!Path::new("/etc/rikki/rikki.toml").exists() && !Path::new("/usr/bin/rikki").exists());
}
