//! What is asked for and how it is refused: the flags that other clients have too.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Html;
use axum::routing::any;
use rikki::Server;
use rikki::ws::{Error, Upgrade};
use testkit::Certificate;

use super::{CLOSED, Echo, RUNTIME, Running, USAGE, check, connect};
use crate::process::Folder;

/// Tells each client what it has sent of these fields, and which subprotocol it has.
fn telling() -> Running {
    let told = any(|headers: HeaderMap, upgrade: Upgrade| async move {
        let field = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned();
        let text = format!("{} {} {}", field(header::AUTHORIZATION), field(header::ORIGIN), field(header::COOKIE));
        upgrade.any_origin().on_upgrade(async move |mut socket| {
            socket.send(text).await?;
            while socket.recv().await.is_some() {}
            Ok::<(), Error>(())
        })
    });
    Running::start(Server::new().protocols(["v1"]).route("/", told))
}

#[test]
fn who_asks_and_from_where() {
    let server = telling();
    let url = server.url.as_str();
    let basic = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
    let told = |args: &[&str], expected: &str| {
        check(args, "", 0, &format!("{expected}\n"), &["connected to ws://127", CLOSED])
    };
    told(&["--auth", "Aladdin:open sesame", url], &format!("{basic} - -"));
    told(&[&url.replace("ws://", "http://Aladdin:open%20sesame@")], &format!("{basic} - -"));
    told(&["-H", "Cookie: a=b", "--origin", "https://app.test", url], "- https://app.test a=b");
    let refused = |args: &[&str], report: &str| check(args, "", USAGE, "", &[report]);
    refused(&["--auth", "nobody", url], "--auth is USER:PASS");
    refused(&["--auth", "a:b", "-H", "Authorization: c", url], "a user and the header authorization both say who asks");
    refused(&["--auth", "a:b", &url.replace("//", "//c:d@")], "--auth and the URL both have a user");
    refused(&["--origin", "a", "-H", "Origin: b", url], "--origin and the header origin are the same");
    refused(
        &["--auth", "a\n:b", url],
        "a user has no colon in it, and neither user nor password has control characters",
    );
}

#[test]
fn a_subprotocol_that_was_not_taken_is_said() {
    let server = telling();
    let url = &server.url;
    let taken = format!("connected to {url}, subprotocol v1");
    check(&["-s", "v2", "-s", "v1", url], "", 0, "- - -\n", &[&taken, CLOSED]);
    let not_taken = format!("connected to {url}, without a subprotocol: the server took none of v3, v2");
    check(&["-s", "v3", "-s", "v2", url], "", 0, "- - -\n", &[&not_taken, CLOSED]);
}

#[test]
fn a_page_of_html_is_cut() {
    let page = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\n<body>a long page</body></html>";
    let server =
        Running::start(Server::new().route("/", any(move || async move { (StatusCode::FORBIDDEN, Html(page)) })));
    let mut client = connect(&[&server.url]);
    client.write("", true);
    let ended = client.end_with_open_stdin();
    let told = "rikki: the server answered 403 Forbidden instead of 101 Switching Protocols: \"Sign in\"\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(RUNTIME), told));
}

#[test]
fn a_certificate_of_nobody() {
    let folder = Folder::new();
    let Certificate { certificate, key } = Certificate::new(["localhost"]);
    let (certificate, key) = (folder.write("a.crt", certificate), folder.write("a.key", key));
    // The name is another one too.
    let echo = Echo::start("wss://127.0.0.1:0", &["--cert", &certificate, "--key", &key]);
    let warning = "warning: with --insecure anybody may be the server: its certificate is not checked";
    let connected = "connected to wss://127.0.0.1:";
    check(&["-k", &echo.url], "hi\n", 0, "hi\n", &[warning, connected, CLOSED]);
    let url = echo.url.replace("wss://", "https://");
    check(&["--insecure", &url], "hi\n", 0, "hi\n", &[warning, connected, CLOSED]);
    let mut client = connect(&[&echo.url]);
    client.write("", true);
    let ended = client.end_with_open_stdin();
    assert_eq!(ended.code, Some(RUNTIME), "{}", ended.stderr);
    assert!(ended.stderr.contains("--ca FILE") && ended.stderr.contains("--insecure"), "{}", ended.stderr);
    // Of another name is no matter of trust.
    let mut client = connect(&["--ca", &certificate, &echo.url]);
    client.write("", true);
    let ended = client.end_with_open_stdin();
    assert_eq!((ended.code, ended.stderr.contains("--ca FILE")), (Some(RUNTIME), false), "{}", ended.stderr);
    check(
        &["-k", "--ca", "a", &echo.url],
        "",
        USAGE,
        "",
        &["the argument '--insecure' cannot be used with '--ca <FILE>'"],
    );
    // Nothing is checked without TLS.
    let plain = Echo::plain();
    check(&["-k", &plain.url], "hi\n", 0, "hi\n", &["connected to ws://", CLOSED]);
}
