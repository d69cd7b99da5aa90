//! A server for phones on the local network: in a network namespace that has one, and another network beyond.
//!
//! The test runs once more, inside of the namespace, where everything is this machine: `192.0.2.1` is its address in a
//! network, `192.0.2.7` a phone in it, and `198.51.100.2` somebody of another one. These are addresses for documentation
//! (<https://www.rfc-editor.org/rfc/rfc5737>).

use std::io::Write as _;
use std::process::Command;

use qrcode::{Color, EcLevel, QrCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use crate::process::{Folder, Process};
use crate::screen::Screen;

const INSIDE: &str = "TEST_OF_RIKKI_INSIDE";

const NETWORK: &str = "ip link set lo up && ip link add lan type veth peer name far && ip address add 192.0.2.1/24 dev lan && \
                       ip link set far up && ip link set lan up && ip route add local 198.51.100.0/24 dev lo && \
                       ip route add local 192.0.2.7 dev lo && exec \"$0\" --exact \"$1\" --nocapture";

/// Runs the test of this name in a namespace of its own. Without the rights for one, or the tools, it says so.
fn in_a_namespace(test: &str, work: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        return work();
    }
    let is_root = rustix::process::geteuid().is_root();
    let flags: &[&str] = if is_root { &["--net"] } else { &["--net", "--user", "--map-root-user"] };
    let possible = Command::new("unshare").args(flags).args(["ip", "link"]).output();
    if !possible.as_ref().is_ok_and(|output| output.status.success()) {
        // `cargo xtask test` installs what root needs for it.
        assert!(!is_root, "unshare (util-linux) and ip (iproute2) are needed: {possible:?}");
        let _ = writeln!(std::io::stderr(), "{test} is not run: it needs root, or namespaces for users, and ip");
        return;
    }
    let mut command = Command::new("unshare");
    command.args(flags).args(["sh", "-c", NETWORK]).arg(std::env::current_exe().unwrap()).arg(test);
    let output = command.env(INSIDE, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let is_run = text.contains("1 passed");
    assert!(output.status.success() && is_run, "{text}{}", String::from_utf8_lossy(&output.stderr));
}

/// The status of an answer; nothing if the connection is cut.
fn status(from: &str, to: &str, host: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let asked = async {
        let to: std::net::SocketAddr = to.parse().unwrap();
        let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
        let from: std::net::IpAddr = from.parse().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let mut stream = socket.connect(to).await.unwrap();
        // It may be reset before this is written.
        let _ = stream
            .write_all(format!("GET /rest HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())
            .await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(answer.get(9..12).unwrap_or_default()).into_owned()
    };
    runtime
        .block_on(async { tokio::time::timeout(crate::process::DEADLINE, asked).await.expect("an answer, or an end") })
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_str().unwrap().to_ascii_lowercase()
}

#[test]
fn phones_on_the_network_and_nobody_else() {
    in_a_namespace("lan::phones_on_the_network_and_nobody_else", phones);
}

fn phones() {
    let folder = Folder::new();
    let screen = Screen::start(&["--lan", "-p", "0"], &folder.path(""), &[]);
    // The code comes last.
    let shown = screen.expect("\u{1b}[0m\n");
    let port = crate::screen::authority(&shown).strip_prefix("localhost:").unwrap().to_owned();
    let line = format!("\n  http://192.0.2.1:{port}/  ws://192.0.2.1:{port}/websocket  lan\n");
    assert!(shown.contains(&line), "{shown}");
    let first = host_name().split('.').next().unwrap().to_owned();
    let named = format!("\n  http://{first}.local:{port}/  ws://{first}.local:{port}/websocket  where names");
    assert!(shown.contains(&named), "{shown}");
    let (to, there) = (format!("127.0.0.1:{port}"), format!("192.0.2.1:{port}"));
    for (from, to, host, expected) in [
        ("127.0.0.1", &to, "localhost", "200"),
        ("192.0.2.7", &there, &*there, "200"),
        ("192.0.2.7", &there, &host_name(), "200"),
        ("192.0.2.7", &there, &format!("{first}.LOCAL:{port}"), "200"),
        ("192.0.2.1", &there, "192.0.2.1", "200"),
        // A page whose name resolves to the address, and whatever is like ours.
        ("192.0.2.7", &there, "evil.test", "403"),
        ("192.0.2.1", &there, &format!("evil.test:{port}"), "403"),
        ("127.0.0.1", &to, "evil.test", "403"),
        ("192.0.2.7", &there, "192.0.2.2", "403"),
        ("192.0.2.7", &there, "192.0.2.1.evil.test", "403"),
        ("192.0.2.7", &there, &format!("{first}.local.evil.test"), "403"),
        // Another network, whatever it asks for.
        ("198.51.100.2", &there, &*there, ""),
        ("198.51.100.2", &there, "localhost", ""),
        ("198.51.100.2", &to, "localhost", ""),
    ] {
        assert_eq!(status(from, to, host), expected, "{from} {to} {host}");
    }
    let shown = screen.expect("it comes from another network");
    assert!(shown.contains("peer=198.51.100.2:") || shown.contains("198.51.100.2"), "{shown}");
    screen.expect("--allow-host evil.test would allow it");
    // An address that nobody types is known, and not told of.
    assert_eq!(status("127.0.0.1", &to, "[fe80::77]"), "403");
    change_addresses("address add fe80::77/64 dev far");
    wait_until("it is called so", || status("127.0.0.1", &to, "[fe80::77]") == "200");
    assert!(!screen.expect("for others").contains("in other networks now"));
    // Carried elsewhere, it goes by what it has there.
    let moved = format!("203.0.113.1:{port}");
    change_addresses("address add 203.0.113.1/24 dev lan");
    change_addresses("address delete 192.0.2.1/24 dev lan");
    screen.expect("this computer is in other networks now");
    screen.expect(&format!("\n  http://{moved}/  ws://{moved}/websocket  lan\n"));
    wait_until("it follows", || {
        status("203.0.113.1", &moved, &moved) == "200" && status("192.0.2.7", &moved, &moved).is_empty()
    });
    assert_eq!(status("127.0.0.1", &to, &there), "403", "what it was called there");
}

fn change_addresses(arguments: &str) {
    assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success(), "{arguments}");
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let until = std::time::Instant::now() + crate::process::DEADLINE;
    while !is_so() {
        assert!(std::time::Instant::now() < until, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn the_code_leads_to_the_first_address() {
    in_a_namespace("lan::the_code_leads_to_the_first_address", code);
}

fn code() {
    let folder = Folder::new();
    let screen = Screen::start(&["--lan", "-p", "0"], &folder.path(""), &[]);
    let begin = "\u{1b}[38;5;16;48;5;231m";
    // The code comes in pieces, if need be.
    let is_whole = |shown: &str| {
        let lines: Vec<_> =
            shown.lines().filter_map(|line| line.strip_prefix(begin)?.strip_suffix("\u{1b}[0m")).collect();
        lines.first().is_some_and(|line| lines.len() == line.chars().count().div_ceil(2)) && shown.ends_with('\n')
    };
    let shown = screen.expect_that("a whole code", is_whole);
    let port = crate::screen::authority(&shown).rsplit_once(':').unwrap().1.to_owned();
    let code = QrCode::with_error_correction_level(format!("http://192.0.2.1:{port}/"), EcLevel::L).unwrap();
    let side = code.width() + 8;
    let count = side.div_ceil(2);
    screen.signal("TERM");
    let (_, shown) = screen.end();
    let lines: Vec<Vec<char>> = shown
        .lines()
        .filter_map(|line| line.strip_prefix(begin)?.strip_suffix("\u{1b}[0m"))
        .map(|line| line.chars().collect())
        .collect();
    assert!(lines.len() == count && lines.iter().all(|line| line.len() == side), "{shown}");
    for y in 0..code.width() {
        for x in 0..code.width() {
            let (letter, is_upper) = (lines[(y + 4) / 2][x + 4], (y + 4) % 2 == 0);
            let is_dark = letter == '\u{2588}' || letter == if is_upper { '\u{2580}' } else { '\u{2584}' };
            assert_eq!(is_dark, code[(x, y)] == Color::Dark, "{x} {y}\n{shown}");
        }
    }
    // No terminal, no code; and a plain listener tells of addresses too.
    let piped = Process::start(&["--listen", "0.0.0.0:0", &folder.path("")]);
    let mut told = String::new();
    while !told.contains("  where names of mDNS are known") {
        told += &(piped.line() + "\n");
    }
    assert!(told.contains("\nfor others who can reach this computer:\n  http://192.0.2.1:"), "{told}");
    assert!(!told.contains('\u{2588}') && !told.contains("only this computer"), "{told}");
    // It answers everybody by every name, as before.
    let port = told.split("http://192.0.2.1:").nth(1).unwrap().split('/').next().unwrap();
    assert_eq!(status("198.51.100.2", &format!("192.0.2.1:{port}"), "any.test"), "200");
}

#[test]
fn a_certificate_for_the_network() {
    in_a_namespace("lan::a_certificate_for_the_network", certificate);
}

/// All of the screen when it has a fingerprint in its whole length, and the last: lines of the log may follow it.
fn fingerprint(screen: &Screen) -> (String, String) {
    let last =
        |shown: &str| shown.rsplit_once("its SHA-256 is\n  ")?.1.split_once('\n').map(|(line, _)| line.to_owned());
    let shown = screen.expect_that("a fingerprint", |shown| last(shown).is_some_and(|last| last.len() == 95));
    let last = last(&shown).unwrap();
    (shown, last)
}

fn certificate() {
    let folder = Folder::new();
    let certs = folder.path("certs");
    let flag = format!("--tls-self-signed={certs}");
    let start = || {
        let screen = Screen::start(&["--lan", "-p", "0", &flag], &folder.path(""), &[]);
        let (shown, fingerprint) = fingerprint(&screen);
        let port = shown.split("wss://localhost:").nth(1).unwrap().split('/').next().unwrap().to_owned();
        (screen, port, fingerprint)
    };
    let (screen, port, first_fingerprint) = start();
    let file = format!("{certs}/rikki-development-cert.pem");
    let first = host_name().split('.').next().unwrap().to_owned();
    for name in ["localhost".to_owned(), "192.0.2.1".to_owned(), format!("{first}.local")] {
        // Whoever trusts the file may call it so: the address is the same, and the name is in the certificate.
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--cacert", &file, "--resolve", &format!("{name}:{port}:192.0.2.1")])
            .arg(format!("https://{name}:{port}/rest"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("123"), "{name}: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
    use std::os::unix::fs::PermissionsExt as _;
    for name in ["rikki-development-cert.pem", ".rikki-development-key.pem"] {
        let mode = std::fs::metadata(format!("{certs}/{name}")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    // The key is in the folder that is served, and is not given away.
    assert_eq!(curl_status(&format!("https://192.0.2.1:{port}/certs/.rikki-development-key.pem")), "404");
    assert_eq!(curl_status(&format!("https://192.0.2.1:{port}/certs/rikki-development-cert.pem")), "200");
    drop(screen);
    let (again, _, second) = start();
    assert_eq!(first_fingerprint, second, "it stays the same");
    // Of a network that has come, it is told with another certificate; that stays when the network goes.
    change_addresses("address add 203.0.113.1/24 dev lan");
    again.expect("this computer is in other networks now");
    again.expect_that("two fingerprints", |shown| shown.matches("its SHA-256 is\n").count() == 2);
    let (_, third) = fingerprint(&again);
    assert_ne!(third, second);
    change_addresses("address delete 203.0.113.1/24 dev lan");
    let told = "this computer is in other networks now";
    let shown = again.expect_that("other networks again", |shown| shown.matches(told).count() == 2);
    assert_eq!(shown.matches("its SHA-256 is\n").count(), 2, "{shown}");
    // The key is not given away either by who knows nothing of it, as after a slip: a space in the place of the equals sign.
    let screen = Screen::start(&["--lan", "-p", "0", "--tls-self-signed", "certs"], &folder.path(""), &[]);
    let port = crate::screen::authority(&screen.expect("its SHA-256 is\n  ")).rsplit(':').next().unwrap().to_owned();
    assert_eq!(curl_status(&format!("https://192.0.2.1:{port}/.rikki-development-key.pem")), "404");
    assert_eq!(curl_status(&format!("https://192.0.2.1:{port}/rikki-development-cert.pem")), "200");
}

fn curl_status(url: &str) -> String {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--insecure", "--write-out", "%{http_code}", "--output", "/dev/null", url]);
    String::from_utf8(curl.output().unwrap().stdout).unwrap()
}
