//! The command with several certificates, with certificates that are replaced, and with a port that leads to them.

use testkit::Certificate;

use crate::process::{Folder, Process};
use crate::running::ask;

/// What the command tells to listen on: with TLS, and the port that leads there.
fn addresses(server: &Process) -> (String, String) {
    let secure = server.line().strip_prefix("Starting WS listener on wss://").unwrap().replace("/websocket", "");
    loop {
        if let Some(plain) = server.line().strip_prefix("Redirecting http://") {
            return (secure, plain.strip_suffix(" to https").unwrap().to_owned());
        }
    }
}

/// Nothing is told to the server but by what is in its files.
#[test]
fn certificates_by_name_that_are_replaced() {
    let folder = Folder::new();
    let (first, second, renewed) =
        (Certificate::new(["127.0.0.1"]), Certificate::new(["localhost"]), Certificate::new(["localhost"]));
    let write = |name: &str, text: &str| folder.write(name, text);
    let (first_file, first_key) = (write("a.crt", &first.certificate), write("a.key", &first.key));
    let (second_file, second_key) = (write("b.crt", &second.certificate), write("b.key", &second.key));
    let pairs = ["--cert", &first_file, "--key", &first_key, "--cert", &second_file, "--key", &second_key];
    let root = folder.path("");
    let flags = [&["--listen", "https://127.0.0.1:0", "--redirect-http=0"][..], &pairs, &[&root]].concat();
    let server = Process::start(&flags);
    let (secure, plain) = addresses(&server);
    let port = secure.rsplit_once(':').unwrap().1;

    let answer = ask(&plain, "GET /websocket?a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    assert!(answer.contains(&format!("location: https://localhost:{port}/websocket?a\r\n")), "{answer}");
    let answer = ask(&plain, "GET / HTTP/1.1\r\nHost: a@b\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 ") && !answer.contains("location"), "{answer}");
    let line = server.report();
    assert!(line.contains("request refused: the host \"a@b\""), "{line}");

    let connect = |name: &str, trusted: &str, expected: i32| {
        let url = format!("wss://{name}:{port}/websocket");
        let ended = Process::start(&["connect", "--ca", trusted, &url]).end();
        assert_eq!(ended.code, Some(expected), "{name} {trusted}: {ended:?}");
    };
    let renewed_ca = write("renewed.crt", &renewed.certificate);
    let second_ca = write("second.crt", &second.certificate);
    connect("127.0.0.1", &first_file, 0);
    connect("localhost", &second_ca, 0);
    connect("localhost", &first_file, 1);
    write("b.crt", &renewed.certificate);
    write("b.key", &renewed.key);
    let line = server.report();
    assert!(line.contains("INFO") && line.contains("b.crt has been replaced: new connections use it"), "{line}");
    connect("127.0.0.1", &first_file, 0);
    connect("localhost", &renewed_ca, 0);
    connect("localhost", &second_ca, 1);
}
