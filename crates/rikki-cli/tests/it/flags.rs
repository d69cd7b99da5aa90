//! The command line: what a wrong one says, and that nothing is left running after it.

use std::net::TcpListener;

use rcgen::KeyPair;
use testkit::Certificate;

use crate::process::{Folder, Process};

const RUNTIME: i32 = 1;
const USAGE: i32 = 2;

/// A port of which the system says that it is free.
const FREE: &str = "http://127.0.0.1:0";

#[test]
fn usage_errors() {
    let check = |args: &[&str], cause: &str| check_refused(args, USAGE, &[cause]);
    check(&["--nonsense"], "--nonsense");
    check(&["-nonsense"], "-n");
    check(&["--max-message", "4XB"], "4XB");
    check(&["--max-message", "0"], "--max-message");
    check(&["--ping-interval", "30"], "--ping-interval");
    check(&["--workers", "none"], "--workers");
    check(&["--log", "rikki=loud"], "rikki=loud");
    check(&["--log", "loud"], "loud is no level");
    check(&["connect", "ws://127.0.0.1:1", "--log", "loud"], "loud is no level");
    check(&["--listen", "ftp://127.0.0.1:0"], "ftp://127.0.0.1:0");
    check(&["--listen", "80000"], "80000");
    check(&["-url"], "--listen");
    check(&["--listen", "https://127.0.0.1:0"], "--tls-self-signed");
    check(&["--listen", FREE, "--tls-self-signed"], "a certificate needs an https or wss URL");
    check(&["--listen", "https://127.0.0.1:0", "--cert", "server.crt"], "--key");
    check(&["--listen", "https://127.0.0.1:0", "--cert=a", "--cert=b", "--key=a"], "--cert is given 2 times, --key 1");
    check(&["--listen", FREE, "--redirect-http=0"], "--redirect-http needs an https or wss URL");
    check(&["--listen", FREE, "--allow-origin", ""], "is no origin that a client can send");
    check(&["--listen", FREE, "--mount", "/rest=."], "/rest");
    check(&["--listen", FREE, "--mount", "docs=."], "cannot serve files at docs: it must begin with a slash");
    check(&["--listen", FREE, "--mount", "/a=.", "--mount", "/a/=."], "two folders cannot have the same path");
    check(&["--listen", FREE, "--header", "Content-Length: 1"], "cannot add the header content-length: ");
    check(&["--header", "no colon"], "expected NAME:VALUE");
    check(&["--cache-control", "3600"], "max-age=3600");
    check(&["--no-file-compression", "--compress-files-above", "1"], "cannot be used with");
}

#[test]
fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let url = format!("http://{address}");
    check_taken(&["--listen", &url], &address);
    let redirect = format!("--redirect-http={}", taken.local_addr().unwrap().port());
    let redirects = ["--listen", "https://127.0.0.1:0", "--tls-self-signed", &redirect];
    check_refused(&redirects, RUNTIME, &[&address, "choose another one with --redirect-http=PORT"]);
    // One listener less than asked for is no server.
    check_taken(&["--listen", FREE, "--listen", &url], &address);
}

/// A line that says so, and one that is to be copied.
fn check_taken(args: &[&str], address: &str) {
    let ended = Process::start(args).end();
    let lines: Vec<_> = ended.stderr.lines().collect();
    let told = format!("rikki: cannot listen on {address}: the port is taken; choose another one; this would do:");
    assert!(ended.code == Some(RUNTIME) && lines.len() == 2 && lines[0] == told, "{ended:?}");
    assert!(lines[1].starts_with("    ") && lines[1].contains(" --listen http://127.0.0.1:"), "{ended:?}");
}

#[test]
fn a_root_that_is_no_folder() {
    let folder = Folder::new();
    check_refused(&["--listen", FREE, &folder.path("missing")], RUNTIME, &["missing"]);
    check_refused(&["--listen", FREE, &folder.write("file.txt", "")], RUNTIME, &["file.txt"]);
    check_refused(&["--listen", FREE, "--mount", "/docs=/no/such/folder"], RUNTIME, &["/no/such/folder"]);
    check_refused(&["--listen", FREE, &folder.path(""), "--error-page", "404.html"], RUNTIME, &["404.html"]);
}

#[test]
fn certificates_that_cannot_be_used() {
    let folder = Folder::new();
    let Certificate { certificate, key } = Certificate::new(["localhost"]);
    let certificate = folder.write("server.crt", certificate);
    let key = folder.write("server.key", key);
    let other = folder.write("other.key", KeyPair::generate().unwrap().serialize_pem());
    let empty = folder.write("empty.pem", "");
    let missing = folder.path("missing.pem");
    let check = |files: &[&str], causes: &[&str]| {
        let args = [&["--listen", "https://127.0.0.1:0"], files].concat();
        check_refused(&args, RUNTIME, causes);
    };

    check(&["--cert", &certificate, "--key", &missing], &["missing.pem"]);
    check(&["--cert", &missing, "--key", &key], &["missing.pem"]);
    check(&["--cert", &certificate, "--key", &folder.path("")], &[&folder.path("")]);
    check(&["--cert", &certificate, "--key", &empty], &["empty.pem", "private key"]);
    check(&["--cert", &certificate, "--key", &other], &["other.key", "server.crt", "does not belong"]);
    check(&["--cert", &certificate, "--key", &key, "--ca", &empty], &["empty.pem", "certificate"]);
}

#[test]
fn the_two_spellings_start_a_server() {
    let folder = Folder::new();
    let root = folder.path("");
    check_starts(&["--listen", "ws://127.0.0.1:0", &root], "ws://127.0.0.1:");
    check_starts(&["--listen", "https://127.0.0.1:0", "--tls-self-signed", &root], "wss://127.0.0.1:");
    check_starts(&["-url", "ws://127.0.0.1:0", &root], "ws://127.0.0.1:");

    let Certificate { certificate, key } = Certificate::new(["localhost"]);
    let certificate = folder.write("server.crt", certificate);
    let key = folder.write("server.key", key);
    let tls = ["-url", "wss://127.0.0.1:0", "-cert", &certificate, "-key", &key, "-ca", &certificate, &root];
    check_starts(&tls, "wss://127.0.0.1:");
}

#[test]
fn version_and_help() {
    let printed = |flag: &str| {
        let ended = Process::start(&[flag]).end();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{flag}");
        ended.stdout
    };
    assert_eq!(printed("--version"), format!("rikki {}\n", env!("CARGO_PKG_VERSION")));
    let help = printed("--help");
    for flag in ["--listen <PLACE>", "--tls-self-signed[=<DIR>]", "--max-message <SIZE>", "[default: 4MiB]", "[ROOT]"] {
        assert!(help.contains(flag), "{flag} is not in:\n{help}");
    }
}

/// The command ends by itself with this code, nothing on stdout and one line on stderr that names the causes.
fn check_refused(args: &[&str], code: i32, causes: &[&str]) {
    let ended = Process::start(args).end();
    assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
    assert_eq!(ended.stdout, "", "{args:?}");
    assert!(ended.stderr.ends_with('\n') && ended.stderr.lines().count() == 1, "{args:?}: {ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{args:?}: {ended:?}");
    for cause in causes {
        assert!(ended.stderr.contains(cause), "{args:?} should name {cause:?}: {ended:?}");
    }
}

/// The command says where its WebSocket endpoint is, with the real port.
fn check_starts(args: &[&str], url: &str) {
    let line = Process::start(args).line();
    let port = line
        .strip_prefix("Starting WS listener on ")
        .and_then(|rest| rest.strip_prefix(url))
        .and_then(|rest| rest.strip_suffix("/websocket"))
        .and_then(|port| port.parse::<u16>().ok());
    assert!(port.is_some_and(|port| port != 0), "{args:?}: {line:?}");
}
