//! One policy for what is set wrong: it is noted, and a `StartError` says so; nothing panics, is passed over or taken
//! for something else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use axum::Router;
use axum::routing::{any, get, post};
use rikki::client::{Builder, ConnectError};
use rikki::ws::{CloseCode, Config, Endpoint, Message, Socket};
use rikki::{Files, Server, StartError};

fn echo(socket: &mut Socket<'_>, message: Message<'_>) {
    let _ = socket.send(message);
}

/// The server does not start, and says why.
fn check(server: Server, expected: &str) {
    let text = match server.listen("http://localhost:0").run() {
        Err(StartError::Runtime(error)) => panic!("{expected}: {error}"),
        Err(error) => error.to_string(),
        Ok(()) => panic!("{expected}: it has run"),
    };
    assert!(text.contains(expected), "{expected}: {text}");
}

/// What can be told without a socket is told without one, and no port is taken.
#[test]
fn a_server_says_what_was_set_wrong_without_a_start() {
    let check = |server: Server, expected: Option<&str>| {
        let error = server.check().err().map(|error| error.to_string());
        assert!(error.as_deref().unwrap_or_default().contains(expected.unwrap_or_default()), "{expected:?}: {error:?}");
        assert_eq!(error.is_some(), expected.is_some(), "{expected:?}: {error:?}");
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", taken.local_addr().unwrap());
    let files = || Files::new(env!("CARGO_MANIFEST_DIR")).unwrap();
    check(Server::new().listen(&url).mount("/", files()), None);
    check(Server::new().listen("none"), Some("cannot listen on none: "));
    check(Server::new().listen(&url).listen("https://localhost"), Some("TLS needs a certificate"));
    check(Server::new().workers(0), Some("workers: it must be above zero"));
    check(Server::new().max_headers(24_577), Some("max-headers: it must be 24576 or less"));
    let taken = Server::new().route("/docs/{*rest}", any(|| async {})).mount("/docs", files());
    check(taken, Some("a route for /docs: "));
}

#[test]
fn a_server_says_at_its_start_what_was_set_wrong() {
    let new = Server::new;
    check(new().route("rest", get(|| async {})), "a route for rest: it must begin with a slash");
    check(new().route("", get(|| async {})), "it must begin with a slash");
    check(new().websocket("chat", echo), "a route for chat: it must begin with a slash");
    check(new().websocket("/chat", echo).websocket("/chat", echo), "a route for /chat: ");
    check(new().websocket("/chat", echo).endpoint("/chat", Endpoint::new(echo)), "a route for /chat: ");
    check(new().route("/a", get(|| async {})).route("/a", get(|| async {})), "a route for /a: Overlapping method");
    check(new().route("/{a}", any(|| async {})).route("/{b}", any(|| async {})), "a route for /{b}: ");
    check(new().route("/a", get(|| async {})).merge(Router::new().route("/a", get(|| async {}))), "an application: ");
    let fallback = || Router::new().fallback(|| async {});
    check(new().merge(fallback()).merge(fallback()), "an application: ");
    let files = || Files::new(env!("CARGO_MANIFEST_DIR")).unwrap();
    check(new().route("/docs/{*rest}", any(|| async {})).mount("/docs", files()), "a route for /docs: ");
    check(new().mount("/docs", files().max_waiting(0)), "max-waiting: it must be above zero");

    check(new().workers(0), "workers: it must be above zero");
    check(new().drain_code(CloseCode(1005)), "cannot close with 1005 when the server drains");
    check(new().max_connections(0), "max-connections: it must be above zero");
    // That would be a server that serves nobody.
    check(new().max_connections_per_address(0), "max-per-address: it must be above zero");
    check(new().max_headers(24_577), "max-headers: it must be 24576 or less");
    check(new().max_requests(0), "max-requests: it must be above zero");
    check(new().max_request_rate(0), "max-request-rate: it must be above zero");
    check(new().keep_alive(Duration::ZERO), "keep-alive: it must be above zero");
    check(new().set("max-head", "much"), "max-head: ");
    check(new().set("max-nothing", "1"), "there is no limit called \"max-nothing\"");
    check(new().websocket_config(Config::default().max_fragments(0)), "max-fragments: it must be above zero");
    let endpoint = Endpoint::new(echo).config(Config::default().max_message_rate(0));
    check(new().endpoint("/", endpoint), "max-message-rate: it must be above zero");
    check(new().protocols(["two words"]), "\"two words\" is not a subprotocol name");
    check(new().allow_origin(""), "is no origin");
    check(new().allow_host("a b"), "is not a host");
    check(new().allow_peer("10.0.0.1/8"), "cannot answer 10.0.0.1/8 alone: it has bits of an address behind");
    check(new().header("a b", "c"), "the name is not a token");
    // The first of several.
    check(new().workers(0).max_connections(0).websocket("chat", echo), "workers: ");
}

/// Several methods of one path are no mistake, and a time without end is taken for a year.
#[tokio::test]
async fn what_is_right_starts() {
    let server = Server::new().route("/a", get(|| async {})).route("/a", post(|| async {}));
    let server = server.keep_alive(Duration::MAX).min_body_rate(0, Duration::MAX).listen("http://localhost:0");
    server.start().await.unwrap().shutdown().await;
}

#[tokio::test]
async fn a_client_says_when_it_connects() {
    let check = async |builder: Builder, expected: &str| {
        let error = builder.connect().await.unwrap_err();
        assert!(matches!(error, ConnectError::Limit(_)) && error.to_string().contains(expected), "{expected}: {error}");
    };
    let new = || Builder::new("ws://localhost:1");
    check(new().set("connect-timeout", "soon"), "connect-timeout: ").await;
    check(new().set("max-nothing", "1"), "there is no limit called \"max-nothing\"").await;
    check(new().config(Config::default().max_fragments(0)), "max-fragments: it must be above zero").await;
}

/// Where a thread may not be blocked it says what to do, at the caller's line; where it may, it goes on.
#[tokio::test]
async fn run_inside_of_a_runtime_says_what_to_do() {
    let run = || Server::new().workers(0).run();
    let panic = catch_unwind(AssertUnwindSafe(|| drop(run()))).unwrap_err();
    let said = panic.downcast_ref::<&str>().copied().unwrap_or_default();
    assert!(said.contains("use start().await"), "{said:?}");
    let error = tokio::task::spawn_blocking(run).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("workers"), "{error}");
}
