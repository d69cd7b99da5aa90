//! The ways to a server: a proxy, by a flag or a variable, and a Unix socket.

use std::net::TcpListener;

#[cfg(unix)]
use super::{CLOSED, check};
use super::{Echo, RUNTIME, USAGE, connect};
#[cfg(unix)]
use crate::process::Folder;
use crate::process::Process;

/// The first line of stderr, and the code.
fn refused(mut client: Process) -> (Option<i32>, String) {
    client.write("", true);
    let ended = client.end_with_open_stdin();
    (ended.code, ended.stderr.lines().next().unwrap_or_default().to_owned())
}

#[test]
fn a_proxy_is_a_flag_or_a_variable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let unreachable = |(code, line): (Option<i32>, String)| {
        assert_eq!(code, Some(RUNTIME));
        assert!(line.starts_with(&format!("rikki: the proxy {proxy} cannot be reached: ")), "{line}");
    };
    unreachable(refused(connect(&["--proxy", &proxy, "ws://example.org"])));
    let with = |variables: &[(&str, &str)]| Process::start_with_variables(&["connect", "ws://example.org"], variables);
    unreachable(refused(with(&[("http_proxy", proxy.as_str())])));
    unreachable(refused(with(&[("ALL_PROXY", proxy.as_str())])));
    let (code, line) = refused(connect(&["--proxy", "ftp://user:secret@h", "ws://example.org"]));
    assert_eq!((code, line.contains("secret")), (Some(USAGE), false), "{line}");
    let echo = Echo::plain();
    let variables = [("all_proxy", proxy.as_str()), ("no_proxy", "localhost,127.0.0.1")];
    let mut client = Process::start_with_variables(&["connect", &echo.url], &variables);
    client.write("one\n", true);
    let ended = client.end_with_open_stdin();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "one\n"), "{}", ended.stderr);
}

#[cfg(unix)]
#[test]
fn a_unix_socket_stands_for_the_host() {
    let folder = Folder::new();
    let path = folder.path("rikki.sock");
    let process = Process::start(&["--listen", &format!("unix:{path}"), &folder.path("")]);
    process.line();
    let url = "ws://localhost/websocket";
    check(&["--unix", &path, url], "one\n", 0, "one\n", &["connected to ws://localhost/websocket", CLOSED]);
}
