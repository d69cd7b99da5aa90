//! The client: against our own server, and against servers that answer what they should not.

use std::collections::HashSet;
use std::time::Duration;

use axum::Extension;
use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use rikki::client::{Builder, ClientTls, ConnectError, connect};
use rikki::ws::{CloseCode, Compression, Config, Deadline, Error, Handler, Message, Opening, Socket, WebSocket};
use rikki::{ClientCertificate, Server, TlsError};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::talk::Talk;
use crate::wire::{Running, Via, soon};

pub(crate) fn url(server: &Running, via: Via, path: &str) -> String {
    let scheme = if via == Via::Tls { "wss" } else { "ws" };
    format!("{scheme}://localhost:{}{path}", server.address(via).port())
}

async fn next(socket: &mut WebSocket) -> Option<Message<'static>> {
    soon("a message", socket.next()).await.map(Result::unwrap)
}

/// Sends each message and awaits it back.
async fn echoed(socket: &mut WebSocket, messages: impl IntoIterator<Item = Message<'static>>) {
    for message in messages {
        soon("sending", socket.send(message.clone())).await.unwrap();
        assert_eq!(next(socket).await, Some(message));
    }
}

#[tokio::test]
async fn messages_of_every_size_come_back() {
    let messages = || {
        [0, 1, 125, 126, 65_535, 65_536, 3_000_000]
            .into_iter()
            .flat_map(|size| [Message::from("é".repeat(size / 2)), Message::from(vec![size as u8; size])])
    };
    for compression in [None, Some(Compression::shared()), Some(Compression::dedicated())] {
        let server = Running::echo(Server::new().websocket_config(Config::default().compression(compression))).await;
        for via in [Via::Tcp, Via::Tls] {
            let builder = Builder::new(url(&server, via, "/echo")).tls(server.trust());
            let builder = builder.config(Config::default().compression(compression));
            let (mut socket, response) = soon("connecting", builder.connect()).await.unwrap();
            assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
            assert_eq!(response.headers().contains_key("sec-websocket-extensions"), compression.is_some());
            echoed(&mut socket, messages()).await;
            soon("closing", socket.close()).await.unwrap();
            assert_eq!(next(&mut socket).await, None);
            assert_eq!(socket.closed().map(|closed| closed.code), Some(CloseCode::NORMAL));
        }
    }
}

/// A server that answers each connection's request with `answer`, in which `ACCEPT` stands for the right
/// Sec-WebSocket-Accept, and hands over the request and the connection.
async fn scripted(answer: &'static [u8]) -> (String, UnboundedReceiver<(String, Talk)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/path?query", listener.local_addr().unwrap());
    let (sender, receiver) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut talk = Talk::from(stream);
            let head = talk.head().await;
            let key = field(&head, "sec-websocket-key").unwrap_or_default().to_owned();
            let place = answer.windows(6).position(|window| window == b"ACCEPT");
            let (before, after) = place.map_or((answer, &b""[..]), |place| (&answer[..place], &answer[place + 6..]));
            let accept = if place.is_some() { accept_of(&key) } else { String::new() };
            talk.send([before, accept.as_bytes(), after].concat()).await;
            if sender.send((head, talk)).is_err() {
                break;
            }
        }
    });
    (url, receiver)
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .find_map(|line| line.split_once(": ").filter(|(found, _)| found.eq_ignore_ascii_case(name)))
        .map(|(_, value)| value)
}

/// What a server answers to this key, by our own server's reckoning, which the tests of the handshake hold to the RFC.
fn accept_of(key: &str) -> String {
    let request = http::Request::get("/")
        .header("host", "localhost")
        .header("upgrade", "websocket")
        .header("connection", "upgrade")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", key)
        .body(())
        .unwrap();
    let accepted = rikki_proto::handshake::accept(request.method(), request.version(), request.headers(), &[]);
    let response = accepted.unwrap().into_response();
    response.headers()["sec-websocket-accept"].to_str().unwrap().to_owned()
}

const SWITCHING: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n\r\n";

/// Config without compression: what goes over the wire is readable.
fn plain() -> Config {
    Config::default().compression(None)
}

#[tokio::test]
async fn the_request_is_that_of_section_4_1() {
    let (url, mut requests) = scripted(SWITCHING).await;
    let mut builder = Builder::new(&url).protocols(["v2", "v1"]).header("x-token", "42").header("x-token", "43");
    for compression in [None, Some(Compression::shared()), Some(Compression::dedicated())] {
        builder = builder.config(Config::default().compression(compression));
        let (socket, _) = soon("connecting", builder.connect()).await.unwrap();
        assert_eq!(socket.protocol(), None, "the server chose none");
        let (head, _) = requests.recv().await.unwrap();
        assert!(head.starts_with("GET /path?query HTTP/1.1\r\n"), "{head}");
        let host = url.strip_prefix("ws://").unwrap().strip_suffix("/path?query").unwrap();
        for (name, expected) in [
            ("host", Some(host)),
            ("upgrade", Some("websocket")),
            ("connection", Some("Upgrade")),
            ("sec-websocket-version", Some("13")),
            ("sec-websocket-protocol", Some("v2, v1")),
            ("x-token", Some("42")),
            ("content-length", None),
        ] {
            assert_eq!(field(&head, name), expected, "{head}");
        }
        assert!(head.contains("x-token: 43\r\n"), "{head}");
        let offer = match compression {
            None => None,
            Some(shared) if shared == Compression::shared() => Some(
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
            ),
            Some(_) => Some("permessage-deflate; client_max_window_bits"),
        };
        assert_eq!(field(&head, "sec-websocket-extensions"), offer);
    }
}

#[tokio::test]
async fn every_answer_but_the_right_one_is_an_error_that_says_why() {
    async fn check(answer: &'static [u8], expected: &str) {
        let (url, _requests) = scripted(answer).await;
        let error = soon("connecting", connect(&url)).await.expect_err(expected);
        assert_eq!(error.to_string(), expected);
    }
    check(
        b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere/\x1b[2J\r\n\r\n",
        "the opening handshake failed: invalid HTTP header parsed",
    )
    .await;
    check(
        b"HTTP/1.1 308 Permanent Redirect\r\nLocation: wss://elsewhere/\r\nContent-Length: 0\r\n\r\n",
        "the server answered 308 Permanent Redirect, a redirect to \"wss://elsewhere/\", which is not followed",
    )
    .await;
    check(
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 18\r\n\r\nnot\x1b from\r\n here\r\n",
        "the server answered 403 Forbidden instead of 101 Switching Protocols: \"not\\u{1b} from\\r\\n here\"",
    )
    .await;
    check(
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "the server answered 200 OK instead of 101 Switching Protocols",
    )
    .await;
    check(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n",
        "the server's header Sec-WebSocket-Accept does not answer the key",
    )
    .await;
    check(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "the opening handshake failed: invalid HTTP version parsed").await;
}

#[tokio::test]
async fn a_refusal_keeps_its_head_and_the_beginning_of_its_text() {
    static ANSWER: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
        let head = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 100000\r\n\r\n";
        format!("{head}{}", "x".repeat(100_000)).into_bytes()
    });
    let (url, _requests) = scripted(&ANSWER).await;
    match soon("connecting", connect(&url)).await {
        Err(ConnectError::Refused(response)) => {
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()["retry-after"], "7");
            assert_eq!(response.body().len(), 4096);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_refused_before_anything_is_sent() {
    async fn check(builder: Builder, expected: &str) {
        let error = soon("connecting", builder.connect()).await.expect_err(expected);
        assert_eq!(error.to_string(), expected);
    }
    let url = |url: &str| Builder::new(url);
    let form = "write it as ws://HOST[:PORT]/PATH or wss://";
    check(url("localhost:80"), &format!("cannot connect to \"localhost:80\": {form}")).await;
    check(url("http://localhost/"), &format!("cannot connect to \"http://localhost/\": {form}")).await;
    check(url("ws:///x"), &format!("cannot connect to \"ws:///x\": {form}")).await;
    check(
        url("ws://h/#part"),
        "cannot connect to \"ws://h/#part\": a WebSocket has no fragment: leave out # and what follows it",
    )
    .await;
    check(
        url("ws://user:secret@h/"),
        "the URI must be ws://host[:port]/path or wss://, with a host and no credentials",
    )
    .await;
    check(url("ws://h").header("a b", "x"), "the name of a header is not a token").await;
    check(url("ws://h").header("a", "x\ny"), "the value of header a has bytes that no header can have").await;
    check(url("ws://h").header("Upgrade", "x"), "the header upgrade is written by the handshake: leave it out").await;
    check(
        url("ws://h").protocols(["a", "b c"]),
        "\"b c\" is not a subprotocol name: use ASCII letters, digits and !#$%&'*+-.^_`|~ without spaces",
    )
    .await;
}

#[tokio::test]
async fn an_absent_or_silent_server_is_an_error_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let brief = Builder::new(&url).connect_timeout(Duration::from_millis(50));
    let error = soon("connecting", brief.connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut), "{error}");
    drop(listener);
    let error = soon("connecting", connect(&url)).await.unwrap_err();
    assert!(matches!(&error, ConnectError::Unreachable { port, .. } if url.contains(&port.to_string())), "{error}");
}

#[tokio::test]
async fn giving_up_on_connecting_closes_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    for connecting in [true, false] {
        let builder = Builder::new(&url);
        let mut future = Box::pin(async {
            if connecting { connect(&url).await } else { builder.connect().await.map(|(socket, _)| socket) }
        });
        let accept = async { Talk::from(listener.accept().await.unwrap().0) };
        let mut talk = tokio::select! {
            _ = &mut future => panic!("nobody has answered"),
            talk = async { let mut talk = accept.await; talk.head().await; talk } => talk,
        };
        drop(future);
        assert_eq!(talk.text().await, "", "the end of TCP and nothing else");
    }
}

#[tokio::test]
async fn frames_are_masked_with_keys_that_differ() {
    let (url, mut requests) = scripted(SWITCHING).await;
    let (mut socket, _) = soon("connecting", Builder::new(url).config(plain()).connect()).await.unwrap();
    let (_, mut talk) = requests.recv().await.unwrap();
    let mut keys = HashSet::new();
    for _ in 0..100 {
        socket.send("aaaa").await.unwrap();
        let frame: [u8; 10] = talk.bytes(10).await.try_into().unwrap();
        let [0x81, 0x84, a, b, c, d, payload @ ..] = frame else { panic!("{frame:02x?}") };
        assert_eq!(payload, [a, b, c, d].map(|byte| byte ^ b'a'));
        keys.insert([a, b, c, d]);
    }
    // Among 100 random ones of 2^32 the chance that two are equal is about one in a million.
    assert_eq!(keys.len(), 100);
}

#[tokio::test]
async fn what_the_server_sends_right_behind_its_answer_is_not_lost() {
    static ANSWER: std::sync::LazyLock<Vec<u8>> =
        std::sync::LazyLock::new(|| [SWITCHING, b"\x81\x05early\x89\x04ping\x88\x02\x03\xe8"].concat());
    let (url, mut requests) = scripted(&ANSWER).await;
    let (mut socket, _) = soon("connecting", Builder::new(url).config(plain()).connect()).await.unwrap();
    assert_eq!(next(&mut socket).await, Some(Message::from("early")));
    let (_, mut talk) = requests.recv().await.unwrap();
    // The client waits for the server to end TCP (section 7.1.1).
    let server = async {
        assert_eq!(talk.bytes(10).await[..2], [0x8a, 0x84]);
        assert_eq!(talk.bytes(8).await[..2], [0x88, 0x82]);
        drop(talk);
    };
    let (end, ()) = tokio::join!(next(&mut socket), server);
    assert_eq!(end, None);
}

#[tokio::test]
async fn a_server_that_breaks_a_rule_or_a_limit_is_told() {
    async fn check(frames: &'static [u8], code: u16) {
        let (url, mut requests) = scripted(SWITCHING).await;
        let settings = plain().max_message_size(1000);
        let (mut socket, _) = soon("connecting", Builder::new(url).config(settings).connect()).await.unwrap();
        let (_, mut talk) = requests.recv().await.unwrap();
        talk.send(frames).await;
        let server = async {
            let close = talk.bytes(8).await;
            assert_eq!(close[0], 0x88);
            assert_eq!(u16::from_be_bytes([close[6] ^ close[2], close[7] ^ close[3]]), code);
            drop(talk);
        };
        let (end, ()) = tokio::join!(soon("the end", socket.next()), server);
        assert!(matches!(end, Some(Err(Error::Protocol(_) | Error::Limit(_)))), "{end:?}");
        assert_eq!(socket.closed().map(|closed| closed.code.0), Some(code));
    }
    check(b"\x81\x85\0\0\0\0Hello", 1002).await;
    check(b"\xc1\x05Hello", 1002).await;
    check(b"\x81\x01\xff", 1007).await;
    check(b"\x82\x7e\x03\xe9", 1009).await;
}

#[tokio::test]
async fn a_silent_server_is_pinged_and_then_dropped() {
    let (url, mut requests) = scripted(SWITCHING).await;
    let brief = Duration::from_millis(1);
    let settings = plain().ping_interval(brief).pong_timeout(brief);
    let (mut socket, _) = soon("connecting", Builder::new(url).config(settings).connect()).await.unwrap();
    let (_, mut talk) = requests.recv().await.unwrap();
    let (end, ping) = tokio::join!(soon("the end", socket.next()), talk.bytes(6));
    assert_eq!(ping[..2], [0x89, 0x80]);
    assert!(matches!(end, Some(Err(Error::TimedOut(Deadline::Pong)))), "{end:?}");
}

#[tokio::test]
async fn a_subprotocol_and_headers_are_seen_by_both() {
    struct Greeter;
    impl Handler for Greeter {
        type State = ();
        fn open(&self, socket: &mut Socket<'_>, opening: &Opening) {
            let token = opening.headers().get("x-token").and_then(|token| token.to_str().ok());
            socket.send(format!("{token:?} {:?}", opening.protocol())).unwrap();
        }
        fn message(&self, (): &mut (), _: &mut Socket<'_>, _: Message<'_>) {}
    }
    let server = Running::start(Server::new().protocols(["v1", "v2"]).websocket("/", Greeter)).await;
    let builder = Builder::new(url(&server, Via::Tcp, "/")).protocols(["v3", "v2"]).header("x-token", "42");
    let (mut socket, _) = soon("connecting", builder.connect()).await.unwrap();
    assert_eq!(socket.protocol(), Some("v2"));
    assert_eq!(next(&mut socket).await, Some(Message::from("Some(\"42\") Some(\"v2\")")));
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_not_talked_to() {
    let server = Running::echo(Server::new()).await;
    // The authorities of the system, whatever they are, have not issued it.
    let system = Builder::new(url(&server, Via::Tls, "/echo"));
    let other = rikki::ServerTls::self_signed(["localhost"]).unwrap();
    let other = system.clone().tls(ClientTls::ca_pem(other.certificate_pem().unwrap()).unwrap());
    for builder in [system, other] {
        match soon("connecting", builder.connect()).await.map(drop) {
            Err(error @ ConnectError::TlsHandshake { .. }) => {
                let text = error.to_string();
                assert!(
                    text.starts_with("the TLS handshake with localhost failed: invalid peer certificate"),
                    "{text}"
                );
                assert!(!error.is_transient());
            }
            Err(ConnectError::Tls(TlsError::NoRoots { .. })) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_refusal_whose_text_does_not_end_is_told() {
    let (url, _requests) = scripted(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 10\r\n\r\nhalf").await;
    let error = soon("connecting", connect(&url)).await.unwrap_err();
    assert_eq!(error.to_string(), "the server answered 401 Unauthorized instead of 101 Switching Protocols: \"half\"");
}

/// Schemes are compared without case: RFC 3986 section 3.1.
#[tokio::test]
async fn a_scheme_may_be_written_in_capitals() {
    let server = Running::echo(Server::new()).await;
    for via in [Via::Tcp, Via::Tls] {
        let url = url(&server, via, "/echo").replace("ws", "WS");
        let (mut socket, _) = soon("connecting", Builder::new(url).tls(server.trust()).connect()).await.unwrap();
        echoed(&mut socket, [Message::from("hello")]).await;
    }
}

#[tokio::test]
async fn the_wrong_scheme_is_said() {
    let server = Running::echo(Server::new()).await;
    let error = async |url: String| {
        let builder = Builder::new(url).tls(server.trust());
        soon("connecting", builder.connect()).await.unwrap_err().to_string()
    };
    let plain = url(&server, Via::Tcp, "/echo").replace("ws:", "wss:");
    assert_eq!(error(plain).await, "this port does not speak TLS: use ws://");
    let tls = error(url(&server, Via::Tls, "/echo").replace("wss:", "ws:")).await;
    assert!(tls.contains("400 Bad Request") && tls.contains("this port speaks TLS: use wss://"), "{tls}");
    // Other servers answer with an alert alone.
    let (url, _requests) = scripted(b"\x15\x03\x03\0\x02\x02\x46").await;
    assert_eq!(error(url).await, "this port speaks TLS: use wss://");
}

/// In TLS 1.3 the client has sent its request by the time the server finds that a certificate is missing: its alert is
/// not lost to the reset that unread bytes would cause.
#[tokio::test]
async fn the_alert_for_a_missing_certificate_arrives() {
    let tls = rikki::ServerTls::self_signed(["localhost"]).unwrap();
    let certificate = tls.certificate_pem().unwrap().to_owned();
    let path = std::env::temp_dir().join(format!("rikki-client-ca-{}.pem", std::process::id()));
    std::fs::write(&path, &certificate).unwrap();
    let server = Running::start_with(Server::new(), tls.client_ca(&path).unwrap(), &certificate).await;
    std::fs::remove_file(path).unwrap();
    for _ in 0..20 {
        let builder = Builder::new(url(&server, Via::Tls, "/")).tls(server.trust());
        let error = soon("connecting", builder.connect()).await.unwrap_err().to_string();
        assert!(error.contains("received fatal alert: CertificateRequired"), "{error}");
    }
}

/// What a server has said before it reset the connection is read.
#[tokio::test]
async fn a_refusal_is_read_when_nothing_can_be_written() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nfull").await.unwrap();
        // Over unread bytes, if the request is there.
    });
    let error = soon("connecting", connect(&url)).await.unwrap_err();
    assert!(error.to_string().starts_with("the server answered 503 Service Unavailable"), "{error}");
    server.await.unwrap();
}

/// Handlers of routes and of WebSockets learn who has connected.
#[tokio::test]
async fn the_subject_of_a_client_certificate_is_given_to_handlers() {
    let tls = rikki::ServerTls::self_signed(["localhost"]).unwrap();
    let certificate = tls.certificate_pem().unwrap().to_owned();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "alice, the first");
    let key = rcgen::KeyPair::generate().unwrap();
    let own = params.self_signed(&key).unwrap().pem();
    let folder = std::env::temp_dir().join(format!("rikki-client-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (own_path, key_path) = (folder.join("own.pem"), folder.join("own.key"));
    std::fs::write(&own_path, own).unwrap();
    std::fs::write(&key_path, key.serialize_pem()).unwrap();
    let route = async |Extension(client): Extension<ClientCertificate>| client.subject().to_owned();
    let socket = async |upgrade: rikki::ws::Upgrade| upgrade.on_upgrade_with(std::sync::Arc::new(Subject));
    let server = Server::new().route("/", axum::routing::get(route)).route("/socket", axum::routing::any(socket));
    let server = Running::start_with(server, tls.client_ca(&own_path).unwrap(), &certificate).await;
    let trust = server.trust().certificate(&own_path, &key_path).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    let builder = Builder::new(url(&server, Via::Tls, "/socket")).tls(trust.clone());
    let (mut socket, _) = soon("connecting", builder.connect()).await.unwrap();
    assert_eq!(next(&mut socket).await, Some(Message::from("CN=alice\\, the first")));
    // The text of what is no WebSocket comes with its refusal.
    let refused = soon("asking", Builder::new(url(&server, Via::Tls, "/")).tls(trust).connect()).await.unwrap_err();
    assert!(refused.to_string().contains("CN=alice"), "{refused}");
}

struct Subject;

impl Handler for Subject {
    type State = ();

    fn open(&self, socket: &mut Socket<'_>, opening: &Opening) {
        let client = opening.extensions().get::<ClientCertificate>().expect("it has one");
        socket.send(client.subject()).unwrap();
    }

    fn message(&self, (): &mut (), _: &mut Socket<'_>, _: Message<'_>) {}
}
