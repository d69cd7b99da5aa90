//! The async face in an axum application of its own, on tokio's multi-threaded runtime.

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use axum::Router;
use axum::extract::Path;
use axum::routing::any;
use futures_util::{FutureExt, SinkExt, StreamExt};
use rikki::ws::{
    CloseCode, Config, ContextHandler, Endpoint, Message, Opening, SendError, Socket, Termination, Upgrade, WebSocket,
};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::talk::{Talk, close, frame, hex, upgrade};
use crate::wire::{Delivery, soon};

/// Runs an application whose only endpoint, `/`, is served with `endpoint`.
async fn application<F, Fut>(endpoint: F) -> SocketAddr
where
    F: Fn(WebSocket) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output: Termination> + Send + 'static,
{
    serve(Router::new().route("/", any(async move |upgrade: Upgrade| upgrade.on_upgrade(endpoint)))).await
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, router).into_future());
    address
}

async fn echo(mut socket: WebSocket) -> Result<(), rikki::ws::Error> {
    while let Some(message) = socket.next().await {
        socket.send(message?).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn echoes() {
    let address = application(echo).await;
    for delivery in [Delivery::Whole, Delivery::Bytewise, Delivery::Random] {
        let mut talk = Talk::open_at(address, "/").await;
        let all = [
            frame(0x81, "hello"),
            frame(0x82, ""),
            frame(0x89, "ping"),
            frame(0x01, "in "),
            frame(0x80, "pieces"),
            close(4000, "done"),
        ];
        talk.stream.deliver(&all.concat(), delivery).await.unwrap();
        assert_eq!(talk.rest().await, "text(hello) binary() pong(ping) text(in pieces) close(4000)");
    }
    let mut talk = Talk::open_at(address, "/").await;
    talk.send(hex("81 05 48656c6c6f")).await;
    assert_eq!(talk.rest().await, "close(1002)");
}

/// What an endpoint sets for itself, in an application that is not behind rikki's server.
#[tokio::test(flavor = "multi_thread")]
async fn settings_of_an_endpoint() {
    let plain = any(async |upgrade: Upgrade| upgrade.on_upgrade(echo));
    let endpoint = Endpoint::default().config(Config::default().max_message_size(3));
    let special = any(async move |upgrade: Upgrade| {
        upgrade.at(&endpoint).protocols(["chat"]).unwrap().any_origin().on_upgrade(echo)
    });
    let address = serve(Router::new().route("/", plain).route("/special", special)).await;
    for (path, more, expected) in [
        ("/", "Origin: http://localhost\r\n", "101"),
        ("/", "Origin: http://evil.test\r\n", "403"),
        ("/", "Origin: null\r\n", "403"),
        ("/special", "Origin: http://evil.test\r\n", "101"),
    ] {
        let mut talk = Talk::connect_to(address).await;
        talk.send(upgrade(path, more)).await;
        let head = talk.head().await;
        assert_eq!(&head[9..12], expected, "{path} {more}: {head}");
    }
    // What is told names nothing that only exists under rikki's own server.
    for (origin, expected) in [
        ("http://evil.test", "pages of http://evil.test may not open WebSockets on localhost"),
        ("null", "pages without an origin may not open WebSockets here"),
    ] {
        let mut talk = Talk::connect_to(address).await;
        talk.send(upgrade("/", &format!("Origin: {origin}\r\n"))).await;
        let answer = talk.text().await;
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        assert_eq!(body, format!("{expected}; rikki::ws::Upgrade::any_origin would allow it\n"));
    }
    let mut talk = Talk::connect_to(address).await;
    talk.send(upgrade("/special", "Sec-WebSocket-Protocol: chat\r\n")).await;
    let head = talk.head().await;
    assert!(head.contains("\r\nsec-websocket-protocol: chat\r\n"), "{head}");
    talk.echo("abc").await;
    talk.send(frame(0x81, "abcd")).await;
    assert_eq!(talk.rest().await, "close(1009)");
}

/// Says hello to whom the request was of.
struct Greeter;

impl ContextHandler for Greeter {
    type Context = String;
    type State = String;

    fn open(&self, socket: &mut Socket<'_>, _: &Opening, user: String) -> String {
        socket.send(format!("hello {user}")).unwrap();
        user
    }

    fn message(&self, user: &mut String, socket: &mut Socket<'_>, message: Message<'_>) {
        let text = message.as_text().unwrap();
        socket.send(format!("{user} said {text}")).unwrap();
    }
}

/// What extractors have found before a handler opens, and who may open it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_has_told() {
    let endpoint = Arc::new(Endpoint::new(Greeter));
    let join = any(async move |Path(user): Path<String>, upgrade: Upgrade| {
        let upgrade = upgrade.allow_origin("https://app.test").unwrap();
        upgrade.allow_origin_if(|origin| origin.ends_with(".app.test")).serve_with(&endpoint, user)
    });
    let address = serve(Router::new().route("/rooms/{user}", join)).await;
    for (origin, expected) in [
        ("http://localhost", "101"),
        ("https://app.test", "101"),
        ("https://a.app.test", "101"),
        ("https://app.test.evil.test", "403"),
    ] {
        let mut talk = Talk::connect_to(address).await;
        talk.send(upgrade("/rooms/ada", &format!("Origin: {origin}\r\n"))).await;
        assert_eq!(&talk.head().await[9..12], expected, "{origin}");
        if expected == "101" {
            talk.send([frame(0x81, "hi"), close(4000, "")].concat()).await;
            assert_eq!(talk.rest().await, "text(hello ada) text(ada said hi) close(4000)");
        }
    }
}

/// The stream tells of every end, and keeps to itself that one was normal.
#[tokio::test(flavor = "multi_thread")]
async fn how_streams_end() {
    let (ends, mut seen) = mpsc::unbounded_channel();
    let address = application(move |mut socket: WebSocket| {
        let ends = ends.clone();
        async move {
            let mut errors = Vec::new();
            while let Some(message) = socket.next().await {
                errors.extend(message.err().map(|error| format!("{error:?}")));
            }
            let closed = socket.closed().unwrap();
            ends.send(format!("{} {:?} {}", closed.code, &*closed.reason, errors.join(" "))).unwrap();
        }
    })
    .await;
    for (bytes, expected) in [
        (close(4000, "bye"), "4000 \"bye\" "),
        (frame(0x88, ""), "1005 \"\" "),
        (hex("81 05 48656c6c6f"), "1002 \"\" Protocol("),
        (hex("81 ff 7fffffffffffffff 00000000"), "1009 \"\" Limit("),
        (Vec::new(), "1006 \"\" Io("),
    ] {
        let mut talk = Talk::open_at(address, "/").await;
        talk.send(&bytes).await;
        drop(talk);
        let end = soon("an end", seen.recv()).await.unwrap();
        assert!(end.starts_with(expected), "{end}");
    }
}

/// The halves work in two tasks: one reads and passes on, the other sends that and more.
#[tokio::test(flavor = "multi_thread")]
async fn halves() {
    let address = application(|socket: WebSocket| async move {
        let (mut sink, mut stream) = socket.split();
        let (pass, mut passed) = mpsc::channel::<Message<'static>>(1);
        let writing = tokio::spawn(async move {
            for number in 0.. {
                sink.send(format!("unasked {number}").into()).await.unwrap();
                let Some(message) = passed.recv().await else { break };
                sink.send(message).await.unwrap();
            }
            sink.close().await.unwrap();
        });
        while let Some(Ok(message)) = stream.next().await {
            if message.as_text() == Some("end") {
                break;
            }
            pass.send(message).await.unwrap();
        }
        drop(pass);
        writing.await.unwrap();
        // The closing handshake goes on while the stream is polled.
        assert!(stream.next().await.is_none());
    })
    .await;
    let mut talk = Talk::open_at(address, "/").await;
    for number in 0..100 {
        assert_eq!(talk.next().await, format!("text(unasked {number})"));
        talk.echo("passed on").await;
    }
    assert_eq!(talk.next().await, "text(unasked 100)");
    talk.send(frame(0x81, "end")).await;
    assert_eq!(talk.next().await, "close(1000)");
    talk.send(close(1000, "")).await;
    assert_eq!(talk.rest().await, "");
}

/// A WebSocket that is dropped says goodbye, and sends what was sent before.
#[tokio::test(flavor = "multi_thread")]
async fn dropping_closes() {
    let address = application(|mut socket: WebSocket| async move {
        let message = socket.next().await.unwrap().unwrap();
        socket.feed(Message::from("last words")).await.unwrap();
        assert_ne!(message.as_text(), Some("panic"), "as asked for");
    })
    .await;
    for (text, code) in [("return", 1000), ("panic", 1011)] {
        let mut talk = Talk::open_at(address, "/").await;
        talk.send(frame(0x81, text)).await;
        assert_eq!(talk.next().await, "text(last words)");
        assert_eq!(talk.next().await, format!("close({code})"));
        talk.send([frame(0x81, "nobody reads this"), close(code, "")].concat()).await;
        assert_eq!(talk.rest().await, "");
    }
}

/// `next()` is given up after every single byte, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn next_can_be_cancelled() {
    let (given_up, mut times) = watch::channel(0_u64);
    let address = application(move |mut socket: WebSocket| {
        let given_up = given_up.clone();
        async move {
            loop {
                match socket.next().now_or_never() {
                    Some(Some(message)) => socket.send(message.unwrap()).await.unwrap(),
                    Some(None) => break,
                    None => {
                        given_up.send_modify(|times| *times += 1);
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
    })
    .await;
    let mut talk = Talk::open_at(address, "/").await;
    let long = "long ".repeat(30);
    let all = [
        frame(0x81, "hello"),
        frame(0x89, "ping"),
        frame(0x01, "in "),
        frame(0x8a, "pong"),
        frame(0x80, "pieces"),
        frame(0x82, &long),
        close(1000, ""),
    ];
    let all = all.concat();
    for byte in &all[..all.len() - 1] {
        talk.send([*byte]).await;
        // It has been polled since the byte was there, and given up.
        let before = *times.borrow_and_update();
        soon("being given up", times.wait_for(|times| *times >= before + 2)).await.unwrap();
    }
    talk.send(&all[all.len() - 1..]).await;
    let expected = format!("text(hello) pong(ping) text(in pieces) binary({long}) close(1000)");
    assert_eq!(talk.rest().await, expected);
}

/// A flush that is given up while the peer does not read is taken up again where it was.
#[tokio::test(flavor = "multi_thread")]
async fn sending_can_be_cancelled() {
    const SIZE: usize = 100_000;
    const COUNT: u8 = 200;
    let (given_up, mut times) = watch::channel(0_u64);
    let address = application(move |mut socket: WebSocket| {
        let given_up = given_up.clone();
        async move {
            socket.next().await.unwrap().unwrap();
            for number in 0..COUNT {
                socket.feed(vec![number; SIZE].into()).await.unwrap();
                while socket.flush().now_or_never().is_none() {
                    given_up.send_modify(|times| *times += 1);
                    tokio::task::yield_now().await;
                }
            }
        }
    })
    .await;
    let mut talk = Talk::open_at(address, "/").await;
    talk.send(frame(0x81, "go")).await;
    // 20 MB are more than the kernel takes for a client that does not read.
    soon("a full socket", times.wait_for(|times| *times > 100)).await.unwrap();
    for number in 0..COUNT {
        let frame = talk.frame().await.unwrap();
        assert_eq!((frame.first, frame.payload.len()), (0x82, SIZE));
        assert!(frame.payload.iter().all(|byte| *byte == number), "{number}");
    }
    assert_eq!(talk.next().await, "close(1000)");
}

/// A thread pushes through a `Sender` while the stream is polled and the client sends.
#[tokio::test(flavor = "multi_thread")]
async fn a_thread_pushes() {
    const COUNT: usize = 2000;
    let address = application(|mut socket: WebSocket| async move {
        let sender = socket.sender().unwrap();
        let pusher = thread::spawn(move || {
            for number in 0..COUNT {
                while let Err(error) = sender.send(format!("push {number}")) {
                    assert_eq!(error, SendError::Full);
                    thread::yield_now();
                }
            }
            sender.close(CloseCode(4001), "all pushed").unwrap();
            sender
        });
        while let Some(Ok(message)) = socket.next().await {
            // It may be closing already.
            let _ = socket.send(message).await;
        }
        assert_eq!(pusher.join().unwrap().send("gone"), Err(SendError::Closed));
    })
    .await;
    let mut talk = Talk::open_at(address, "/").await;
    let (mut pushed, mut echoed, mut sent) = (0, 0, 0);
    loop {
        if sent <= echoed {
            talk.send(frame(0x81, format!("echo {sent}"))).await;
            sent += 1;
        }
        let next = talk.next().await;
        if next == format!("text(push {pushed})") {
            pushed += 1;
        } else if next == format!("text(echo {echoed})") {
            echoed += 1;
        } else {
            assert_eq!(next, "close(4001)");
            break;
        }
    }
    assert_eq!(pushed, COUNT);
    talk.send(close(4001, "")).await;
    assert_eq!(talk.rest().await, "");
}

/// Both halves wait for the same socket, and each has a task that only its own waker wakes.
#[tokio::test(flavor = "multi_thread")]
async fn halves_of_a_split_stream_get_everything_under_pressure() {
    const BIG: usize = 256 * 1024;
    let address = application(|socket: WebSocket| async move {
        let (mut sink, stream) = socket.split();
        let reading = tokio::spawn(stream.take(2000).fold(0, async |count, message| count + message.is_ok() as usize));
        for _ in 0..64 {
            sink.send(Message::from(vec![7; BIG])).await.unwrap();
        }
        sink.send(Message::from(format!("read {}", reading.await.unwrap()))).await.unwrap();
    })
    .await;
    let mut talk = Talk::open_at(address, "/").await;
    talk.send(frame(0x81, "x").repeat(2000)).await;
    for _ in 0..64 {
        let big = talk.frame().await.unwrap();
        assert!(big.first == 0x82 && big.payload == [7; BIG]);
    }
    assert_eq!(talk.next().await, "text(read 2000)");
}

/// The half that reads is told when the other one closes, and waits for the answer no longer than it may take.
#[tokio::test(flavor = "multi_thread")]
async fn closing_by_the_half_that_writes_has_its_deadline() {
    let (ended, mut seen) = mpsc::unbounded_channel();
    let short = Endpoint::default().config(Config::default().close_timeout(std::time::Duration::from_millis(300)));
    let endpoint = any(async move |upgrade: Upgrade| {
        upgrade.at(&short).on_upgrade(move |socket| async move {
            let (mut sink, mut stream) = socket.split();
            let reading = tokio::spawn(async move {
                let mut last = None;
                while let Some(message) = stream.next().await {
                    last = message.err();
                }
                last
            });
            sink.close().await.unwrap();
            ended.send(format!("{:?}", reading.await.unwrap())).unwrap();
        })
    });
    let mut talk = Talk::open_at(serve(Router::new().route("/", endpoint)).await, "/").await;
    assert_eq!(talk.next().await, "close(1000)");
    assert_eq!(soon("the end", seen.recv()).await.unwrap(), "Some(TimedOut(Close))");
}

/// The 101 is a response like any other: the application adds header fields of its own.
#[tokio::test(flavor = "multi_thread")]
async fn header_fields_of_the_application() {
    let endpoint = any(async |upgrade: Upgrade| ([("x-session", "42")], upgrade.on_upgrade(echo)));
    let mut talk = Talk::connect_to(serve(Router::new().route("/", endpoint)).await).await;
    talk.send(upgrade("/", "")).await;
    let head = talk.head().await;
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("\r\nx-session: 42\r\n"), "{head}");
    talk.echo("hello").await;
}
