//! The opening handshake: what is refused, with which words, and what becomes of the bytes behind it.

use std::future::{IntoFuture as _, ready};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::StatusCode;
use http_body_util::BodyExt as _;
use rikki::Server;
use rikki::ws::{CloseCode, Group, Handler, Message, Opening, Socket, Upgrade};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::unbounded_channel;

use crate::talk::{Talk, close, frame, upgrade};
use crate::wire::{BOTH, RUNS, Running, soon};

/// Delivers a request, and expects this status, these words in the answer, and the end of TCP behind one response.
async fn check(server: &Running, request: &str, status: u16, words: &str) {
    for (via, delivery) in RUNS {
        let mut talk = Talk::connect(server, via).await;
        talk.stream.deliver(request.as_bytes(), delivery).await.unwrap();
        let answer = talk.text().await;
        let what = format!("{request:?} {via:?} {delivery:?}: {answer:?}");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{what}");
        assert!(answer.contains(words), "{what}");
        let (head, _) = answer.split_once("\r\n\r\n").unwrap();
        let closes = head.to_ascii_lowercase().split("\r\n").any(|line| line.starts_with("connection: close"));
        assert!(closes, "{what}");
        assert_eq!(answer.matches("HTTP/1.").count(), 1, "{what}");
    }
}

/// Delivers a request that is answered with 101, and lines that must be in the answer.
async fn check_accepted(server: &Running, request: &str, lines: &[&str]) {
    for (via, delivery) in RUNS {
        let mut talk = Talk::connect(server, via).await;
        talk.stream.deliver(request.as_bytes(), delivery).await.unwrap();
        let head = talk.head().await.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{request:?} {via:?} {delivery:?}: {head:?}");
        for line in ["sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=", "upgrade: websocket", "connection: upgrade"]
        {
            assert!(head.contains(&format!("\r\n{line}\r\n")), "{request:?}: {head:?}");
        }
        for line in lines {
            assert!(head.contains(&format!("\r\n{line}\r\n")), "{request:?}: {head:?}");
        }
        talk.echo("hello").await;
    }
}

/// A good request, with one change.
fn changed(from: &str, to: &str) -> String {
    let good = upgrade("/echo", "");
    assert!(good.contains(from), "{from}");
    good.replacen(from, to, 1)
}

const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A version other than 13, or one given twice, is refused with the one that is spoken.
#[tokio::test]
async fn versions() {
    let server = Running::echo(Server::new()).await;
    for version in ["12", "99", "13, 8", "013", "", "8\r\nSec-WebSocket-Version: 13"] {
        let request = changed("Version: 13", &format!("Version: {version}"));
        check(&server, &request, 426, "sec-websocket-version: 13\r\n").await;
        check(&server, &request, 426, "the header Sec-WebSocket-Version must appear once and be 13\n").await;
    }
    check(&server, &changed(VERSION, ""), 400, "the header Sec-WebSocket-Version is missing").await;
}

/// The key is there once, and is 16 bytes in base64.
#[tokio::test]
async fn keys() {
    let server = Running::echo(Server::new()).await;
    let words = "the header Sec-WebSocket-Key must appear exactly once and hold 16 bytes in base64\n";
    check(&server, &changed(KEY, ""), 400, words).await;
    check(&server, &changed(KEY, &KEY.repeat(2)), 400, words).await;
    for key in [
        "",
        "dGhlIHNhbXBsZSBub25j",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZWQ=",
        "!!!!IHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
    ] {
        check(&server, &changed("dGhlIHNhbXBsZSBub25jZQ==", key), 400, words).await;
    }
}

/// Another method, and fields that do not ask for a WebSocket, are refused.
#[tokio::test]
async fn methods_versions_and_upgrade_fields() {
    let server = Running::echo(Server::new()).await;
    check(&server, &changed("GET", "POST"), 405, "a WebSocket is opened with the method GET\n").await;
    check(&server, &changed("GET", "PUT"), 405, "allow: GET\r\n").await;
    check(&server, &changed("GET", "HEAD"), 405, "allow: GET\r\n").await;
    check(&server, &changed("Connection: Upgrade\r\n", ""), 400, "the header Connection must name upgrade\n").await;
    check(&server, &changed("Connection: Upgrade", "Connection: keep-alive"), 400, "must name upgrade\n").await;
    check(&server, &changed("Upgrade: websocket\r\n", ""), 426, "the header Upgrade must name websocket\n").await;
    check(&server, &changed("websocket", "totally-made-up/1.0"), 426, "upgrade: websocket\r\n").await;
    check(&server, &changed("websocket", "websocketx"), 426, "must name websocket\n").await;
}

/// HTTP/1.0 has no Upgrade; hyper answers in the version that it was asked in.
#[tokio::test]
async fn http_1_0() {
    let server = Running::echo(Server::new()).await;
    for (via, delivery) in RUNS {
        let mut talk = Talk::connect(&server, via).await;
        talk.stream.deliver(changed("HTTP/1.1", "HTTP/1.0").as_bytes(), delivery).await.unwrap();
        let answer = talk.text().await;
        assert!(answer.starts_with("HTTP/1.0 400 "), "{answer}");
        assert!(answer.ends_with("a WebSocket is opened over HTTP/1.1, not over an older version\n"), "{answer}");
    }
}

/// Lists, spellings and repeated fields that ask for a WebSocket all the same must pass.
#[tokio::test]
async fn what_is_accepted() {
    let server = Running::echo(Server::new()).await;
    check_accepted(&server, &upgrade("/echo", ""), &[]).await;
    check_accepted(&server, &changed("Connection: Upgrade", "Connection: keep-alive, Upgrade"), &[]).await;
    check_accepted(&server, &changed("Connection: Upgrade", "connection: foo\r\nCONNECTION: ,uPGRADE ,"), &[]).await;
    check_accepted(&server, &changed("Upgrade: websocket", "uPgRaDe: WebSocket"), &[]).await;
    check_accepted(&server, &changed("Upgrade: websocket", "Upgrade: h2c, WEBSOCKET"), &[]).await;
    check_accepted(&server, &upgrade("/echo?token=1", ""), &[]).await;
    check_accepted(&server, &upgrade("/echo", "Content-Length: 0\r\n"), &[]).await;
    check_accepted(&server, &upgrade("/echo", "Sec-WebSocket-Extensions: permessage-deflate; nonsense=1\r\n"), &[])
        .await;
}

/// A request that has a body is no handshake.
#[tokio::test]
async fn bodies() {
    let server = Running::echo(Server::new()).await;
    let words = "an upgrade request must have no body";
    let frames = String::from_utf8(vec![b'a'; 5]).unwrap();
    check(&server, &(upgrade("/echo", "Content-Length: 5\r\n") + &frames), 400, words).await;
    let chunked = upgrade("/echo", "Transfer-Encoding: chunked\r\n");
    check(&server, &(chunked + "5\r\naaaaa\r\n0\r\n\r\n"), 400, words).await;
}

/// Frames in the same write as the handshake are not lost.
#[tokio::test]
async fn frames_behind_the_handshake() {
    let server = Running::echo(Server::new()).await;
    let frames = [frame(0x81, "early"), frame(0x01, "in "), frame(0x80, "pieces"), close(1000, "")].concat();
    let input = [upgrade("/echo", "").into_bytes(), frames].concat();
    for (via, delivery) in RUNS {
        let mut talk = Talk::connect(&server, via).await;
        talk.stream.deliver(&input, delivery).await.unwrap();
        let head = talk.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert_eq!(talk.rest().await, "text(early) text(in pieces) close(1000)", "{via:?} {delivery:?}");
    }
}

/// What follows a refused handshake is never a request.
#[tokio::test]
async fn requests_behind_a_refused_handshake() {
    let server = Running::echo(Server::new()).await;
    let admin = "GET /admin HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (refused, status) in [
        (changed("Version: 13", "Version: 12"), 426),
        (changed(KEY, ""), 400),
        (changed("GET", "POST"), 405),
        (changed("Host: localhost", "Host: evil.test"), 403),
        (changed("Host: localhost\r\n", ""), 400),
        (upgrade("/echo", "Origin: https://evil.test\r\n"), 403),
    ] {
        check(&server, &(refused + &admin.repeat(3)), status, "").await;
    }
}

/// Only one subprotocol that the server lists is echoed, its preferred one.
#[tokio::test]
async fn subprotocols() {
    let server = Running::echo(Server::new().protocols(["v2.chat", "v1.chat"])).await;
    let offering = |offer: &str| upgrade("/echo", &format!("Sec-WebSocket-Protocol: {offer}\r\n"));
    check_accepted(&server, &offering("v1.chat"), &["sec-websocket-protocol: v1.chat"]).await;
    check_accepted(&server, &offering("v1.chat, v2.chat"), &["sec-websocket-protocol: v2.chat"]).await;
    let two_lines = "other\r\nSec-WebSocket-Protocol: v1.chat";
    check_accepted(&server, &offering(two_lines), &["sec-websocket-protocol: v1.chat"]).await;
    let words = "the header Sec-WebSocket-Protocol must be a list of distinct tokens\n";
    for offer in ["v1.chat, v1.chat", "v1 chat", "v1.chat;x=1"] {
        check(&server, &offering(offer), 400, words).await;
    }
    for via in BOTH {
        // Python's clients write an empty list like this.
        for offer in ["other", "V1.CHAT", ""] {
            let mut talk = Talk::connect(&server, via).await;
            talk.send(offering(offer)).await;
            let head = talk.head().await;
            assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
            assert!(!head.to_ascii_lowercase().contains("sec-websocket-protocol"), "{head}");
        }
    }
}

/// An endpoint that lets those in who have a session, and knows them after that.
#[tokio::test]
async fn an_application_judges_before_the_upgrade() {
    #[derive(Clone)]
    struct Visitor(String);
    struct Greeter;
    impl Handler for Greeter {
        type State = ();
        fn open(&self, socket: &mut Socket<'_>, opening: &Opening) {
            let visitor = opening.extensions().get::<Visitor>().map(|visitor| visitor.0.as_str());
            socket.send(visitor.unwrap_or("a stranger")).unwrap();
        }
        fn message(&self, (): &mut (), _: &mut Socket<'_>, _: Message<'_>) {}
    }
    async fn judge(upgrade: Upgrade) -> Response {
        let cookie = upgrade.headers().get("cookie").and_then(|cookie| cookie.to_str().ok()).unwrap_or_default();
        let local = upgrade.peer_addr().is_some_and(|address| address.ip().is_loopback());
        let session = cookie.strip_prefix("session=").filter(|_| local && upgrade.method() == "GET");
        match (session.map(str::to_owned), upgrade.uri().query()) {
            (Some(session), Some(room)) => {
                let visitor = Visitor(format!("{session} in {room}"));
                upgrade.attach(visitor).on_upgrade_with(Arc::new(Greeter))
            }
            _ => (StatusCode::UNAUTHORIZED, [("www-authenticate", "Bearer")], "who are you?").into_response(),
        }
    }
    let server = Running::start(Server::new().route("/room", any(judge))).await;
    for via in BOTH {
        let mut talk = Talk::connect(&server, via).await;
        talk.send(upgrade("/room?blue", "Cookie: session=rikki\r\n")).await;
        assert!(talk.head().await.starts_with("HTTP/1.1 101 "));
        assert_eq!(talk.next().await, "text(rikki in blue)");
        for (path, headers) in [("/room?blue", ""), ("/room", "Cookie: session=rikki\r\n")] {
            let mut talk = Talk::connect(&server, via).await;
            talk.send(upgrade(path, headers)).await;
            let head = talk.head().await;
            assert!(head.starts_with("HTTP/1.1 401 ") && head.contains("www-authenticate: Bearer\r\n"), "{head}");
            assert_eq!(talk.bytes(12).await, b"who are you?");
        }
    }
}

/// A layer may change its mind when the handshake has been accepted, and an application may accept it too late.
#[tokio::test]
async fn an_upgrade_that_is_answered_otherwise_after_all_is_none() {
    let (called, mut calls) = unbounded_channel();
    let too_late = called.clone();
    let changed = any(async move |upgrade: Upgrade| {
        let accepted = upgrade.on_upgrade(async move |_socket| called.send("called"));
        assert_eq!(accepted.status(), StatusCode::SWITCHING_PROTOCOLS);
        StatusCode::FORBIDDEN
    });
    let (keep, mut kept) = unbounded_channel();
    let late = any(async move |upgrade: Upgrade| {
        keep.send(upgrade).unwrap();
        StatusCode::FORBIDDEN
    });
    let server = Running::start(Server::new().route("/changed", changed).route("/late", late)).await;
    for via in BOTH {
        for path in ["/changed", "/late"] {
            let mut talk = Talk::connect(&server, via).await;
            talk.send(upgrade(path, "")).await;
            let head = talk.head().await;
            assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
            if let Ok(upgrade) = kept.try_recv() {
                let called = too_late.clone();
                drop(upgrade.on_upgrade(async move |_socket| called.send("called late")));
            }
        }
    }
    let Running { handle, .. } = server;
    soon("the end", handle.shutdown()).await;
    // The last of what could call went with the server.
    drop((handle, too_late));
    assert_eq!(soon("the last call", calls.recv()).await, None);
}

/// Under `axum::serve` too, where hyper gives up the stream of each request that asks for an upgrade when its connection
/// ends, whatever it was answered with.
#[tokio::test]
async fn under_another_server_one_that_is_answered_otherwise_is_none() {
    let (group, kept) = (Group::new(), Arc::new(Mutex::new(None::<Upgrade>)));
    let (joins, keep) = (group.clone(), kept.clone());
    let changed = async move |upgrade: Upgrade| {
        drop(upgrade.group(&joins).on_upgrade(async |mut socket| socket.send("let in").await));
        StatusCode::FORBIDDEN
    };
    let late = async move |upgrade: Upgrade| {
        *keep.lock().unwrap() = Some(upgrade);
        StatusCode::FORBIDDEN
    };
    let app = Router::new().route("/changed", any(changed)).route("/late", any(late));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    for path in ["/changed", "/late"] {
        for connection in ["Upgrade, close", "Upgrade"] {
            let mut talk = Talk::connect_to(address).await;
            let request = upgrade(path, "").replace("Connection: Upgrade", &format!("Connection: {connection}"));
            talk.send(request).await;
            let head = talk.head().await;
            assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
            if let Some(upgrade) = kept.lock().unwrap().take() {
                drop(upgrade.group(&group).on_upgrade(async |mut socket| socket.send("let in late").await));
            }
            if connection == "Upgrade" {
                // While the connection is there.
                soon("nobody", group.close(CloseCode::GOING_AWAY, "", Duration::ZERO)).await.unwrap();
                talk.stream.shutdown().await.unwrap();
            }
            talk.gone().await;
        }
    }
}

/// The body of the answer tells that it was sent, through what is around it if that passes the question on.
#[tokio::test]
async fn under_another_server_the_body_tells_that_its_answer_was_sent() {
    let route = |layer: fn(Body) -> Body| {
        let upgrade = async |upgrade: Upgrade| upgrade.on_upgrade(async |mut socket| socket.send("hello").await);
        any(upgrade).layer(map_response(move |response: Response| ready(response.map(layer))))
    };
    let app = Router::new()
        .route("/passes", route(|body| Body::new(body.map_err(axum::Error::new))))
        .route("/hides", route(|body| Body::from_stream(body.into_data_stream())))
        .route("/replaces", route(|_| Body::empty()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    assert_eq!(Talk::open_at(address, "/passes").await.next().await, "text(hello)");
    for path in ["/hides", "/replaces"] {
        Talk::open_at(address, path).await.gone().await;
    }
}

/// What starts a WebSocket is the answer that the handshake gave, with whatever is added to it; not its status.
#[tokio::test]
async fn a_101_of_the_application_starts_no_websocket() {
    let (called, mut calls) = unbounded_channel();
    let route = |answer: fn(Response) -> Response| {
        let called = called.clone();
        any(async move |upgrade: Upgrade| {
            answer(upgrade.on_upgrade(async move |mut socket| {
                called.send("called").unwrap();
                socket.send("hello").await
            }))
        })
    };
    let own = route(|accepted| {
        let fields = [("connection", "upgrade"), ("upgrade", "websocket")];
        (StatusCode::SWITCHING_PROTOCOLS, fields, accepted.into_body()).into_response()
    });
    let refused = route(|accepted| (StatusCode::FORBIDDEN, accepted).into_response());
    let added = route(|accepted| ([("x-session", "42")], accepted).into_response());
    let server = Server::new().route("/own", own).route("/refused", refused).route("/added", added);
    drop(called);
    let server = Running::start(server).await;
    for via in BOTH {
        for (path, status) in [("/own", "101"), ("/refused", "403")] {
            let mut talk = Talk::connect(&server, via).await;
            talk.send(upgrade(path, "")).await;
            let head = talk.head().await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            talk.stream.shutdown().await.unwrap();
            talk.gone().await;
            assert_eq!(calls.try_recv(), Err(TryRecvError::Empty), "{path} {via:?}");
        }
        let mut talk = Talk::connect(&server, via).await;
        talk.upgrade("/added").await;
        assert_eq!(talk.next().await, "text(hello)");
        assert_eq!(calls.recv().await, Some("called"));
    }
}

/// Each request has its own, also where the application keeps one for later.
#[tokio::test]
async fn an_upgrade_takes_nothing_from_another_on_its_connection() {
    let kept = Arc::new(Mutex::new(None::<Upgrade>));
    let route = any(async move |upgrade: Upgrade| {
        let mut kept = kept.lock().unwrap();
        let Some(before) = kept.take() else {
            *kept = Some(upgrade);
            return StatusCode::FORBIDDEN.into_response();
        };
        let accepted = upgrade.on_upgrade(async |mut socket| socket.send("from the second").await);
        drop(before.on_upgrade(async |mut socket| socket.send("from the first").await));
        accepted
    });
    let server = Running::start(Server::new().route("/", route)).await;
    for via in BOTH {
        let mut talk = Talk::connect(&server, via).await;
        talk.send(upgrade("/", "")).await;
        let head = talk.head().await;
        assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
        talk.upgrade("/").await;
        assert_eq!(talk.next().await, "text(from the second)");
    }
}
