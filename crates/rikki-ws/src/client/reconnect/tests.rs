use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::{Sink, SinkExt, StreamExt as _};
use http::{Request, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::client::route::Route;
use crate::{Config, SendError};

/// The other end of each connection.
struct Server(UnboundedReceiver<DuplexStream>);

/// One that has been asked for a WebSocket.
struct Peer {
    stream: DuplexStream,
    request: Request<()>,
}

fn client_of(size: usize) -> (Builder, Server) {
    let (sender, receiver) = unbounded_channel();
    let mut builder = Builder::new("ws://host/path").config(Config::default().compression(None));
    builder.route = Route::Memory(size, sender);
    (builder, Server(receiver))
}

fn client() -> (Builder, Server) {
    client_of(64 * 1024)
}

impl Server {
    async fn asked(&mut self) -> Peer {
        let mut stream = self.0.recv().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let mut request = Request::get("/");
        for line in String::from_utf8(head).unwrap().lines().skip(1).filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        Peer { stream, request: request.body(()).unwrap() }
    }

    async fn open(&mut self) -> Peer {
        let mut peer = self.asked().await;
        let request = &peer.request;
        let accepted = rikki_proto::handshake::accept(request.method(), request.version(), request.headers(), &[]);
        let mut answer = b"HTTP/1.1 101 Switching Protocols\r\n".to_vec();
        for (name, value) in accepted.unwrap().into_response().headers() {
            answer.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        answer.extend(b"\r\n");
        peer.stream.write_all(&answer).await.unwrap();
        peer
    }

    async fn refuse(&mut self, status: u16, fields: &str) {
        let mut peer = self.asked().await;
        let answer = format!("HTTP/1.1 {status} No\r\n{fields}Content-Length: 0\r\n\r\n");
        peer.stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

impl Peer {
    async fn send(&mut self, text: &str) {
        let frame = [&[0x81, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        self.stream.write_all(&frame).await.unwrap();
    }

    /// Closes, takes the answer and ends. 0 is no code, 1006 an end without a Close.
    async fn close(mut self, code: u16) {
        match code {
            0 => self.stream.write_all(&[0x88, 0]).await.unwrap(),
            1006 => return,
            code => self.stream.write_all(&[&[0x88, 2], code.to_be_bytes().as_slice()].concat()).await.unwrap(),
        }
        while self.next().await.is_some() {}
    }

    /// The payload of the next frame, which is short.
    async fn next(&mut self) -> Option<String> {
        let mut head = [0; 6];
        self.stream.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; usize::from(head[1] & 127)];
        self.stream.read_exact(&mut payload).await.ok()?;
        let unmasked = payload.iter().zip(head[2..].iter().cycle()).map(|(byte, mask)| byte ^ mask);
        (head[0] == 0x81).then(|| String::from_utf8(unmasked.collect()).unwrap())
    }
}

/// In few words, what comes next.
async fn told(socket: &mut Reconnecting) -> String {
    match socket.recv().await {
        Some(Ok(Event::Message(message))) => message.as_text().unwrap().to_owned(),
        Some(Ok(Event::Connected { reconnects, response })) => {
            assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
            format!("connected {reconnects}")
        }
        Some(Ok(Event::Disconnected { why, .. })) => format!("disconnected: {why}"),
        Some(Err(error)) => format!("error: {error}"),
        None => "end".to_owned(),
    }
}

async fn check(socket: &mut Reconnecting, expected: impl IntoIterator<Item = impl AsRef<str>>) {
    for expected in expected {
        assert_eq!(told(socket).await, expected.as_ref());
    }
}

#[test]
fn it_can_be_sent_to_a_task() {
    fn is_send<T: Send + 'static>(_: &T) {}
    let (builder, _server) = client();
    is_send(&builder.reconnecting(Backoff::default()));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_is_made_anew_and_told() {
    let (builder, mut server) = client();
    let mut socket = builder.reconnecting(Backoff::default());
    let peers = tokio::spawn(async move {
        let mut peer = server.open().await;
        peer.send("one").await;
        peer.close(1012).await;
        let mut peer = server.open().await;
        peer.send("two").await;
        assert_eq!(peer.next().await.as_deref(), Some("three"));
        peer.close(1006).await;
        server.open().await.close(1000).await;
    });
    check(&mut socket, ["connected 0", "one"]).await;
    assert_eq!(socket.socket().map(|socket| socket.protocol()), Some(None));
    let Some(Ok(Event::Disconnected { why, retry_in })) = socket.recv().await else { panic!("no loss") };
    assert_eq!(why.code(), Some(CloseCode(1012)));
    let lost_at = Instant::now();
    check(&mut socket, ["connected 1"]).await;
    let waited = lost_at.elapsed();
    assert!((retry_in..retry_in + Duration::from_millis(20)).contains(&waited), "{waited:?}, not {retry_in:?}");
    check(&mut socket, ["two"]).await;
    socket.send("three").await.unwrap();
    check(&mut socket, ["disconnected: the connection broke: unexpected end of file", "connected 2", "end", "end"])
        .await;
    assert_eq!(socket.closed().map(|closed| closed.code), Some(CloseCode::NORMAL));
    assert!(matches!(socket.send("four").await, Err(ReconnectError::Send(SendError::Closed))));
    assert_eq!(socket.lost(), 0);
    peers.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn codes_decide_whether_there_is_another_one() {
    for (code, expected) in [
        (1000, "end"),
        (0, "end"),
        (1001, "disconnected: closed by the server: 1001"),
        (1006, "disconnected: the connection broke: unexpected end of file"),
        (1008, "error: closed by the server: 1008"),
        (1011, "disconnected: closed by the server: 1011"),
        (3999, "error: closed by the server: 3999"),
        (4499, "disconnected: closed by the server: 4499"),
        (4500, "error: closed by the server: 4500"),
    ] {
        let (builder, mut server) = client();
        let mut socket = builder.reconnecting(Backoff::default());
        let peer = async { server.open().await.close(code).await };
        tokio::join!(check(&mut socket, ["connected 0", expected]), peer);
        if !expected.starts_with("disconnected") {
            check(&mut socket, ["end"]).await;
        }
    }
    let (builder, mut server) = client();
    let again = |loss: &Loss| loss.code() == Some(CloseCode::NORMAL);
    let mut socket = builder.reconnecting(Backoff::default()).reconnect_if(again);
    let peers = async {
        server.open().await.close(1000).await;
        server.open().await.close(1012).await;
    };
    let expected =
        ["connected 0", "disconnected: closed by the server: 1000", "connected 1", "error: closed by the server: 1012"];
    tokio::join!(check(&mut socket, expected), peers);
}

#[tokio::test(start_paused = true)]
async fn refusals_are_waited_for_or_final() {
    let (builder, mut server) = client();
    let mut socket = builder.reconnecting(Backoff::default());
    let peers = async {
        server.refuse(503, "Retry-After: 7\r\n").await;
        server.refuse(429, "").await;
        server.refuse(401, "").await;
    };
    let began = Instant::now();
    let no = |status: &str| format!("the server answered {status} instead of 101 Switching Protocols");
    let expected = [
        format!("disconnected: {}", no("503 Service Unavailable")),
        format!("disconnected: {}", no("429 Too Many Requests")),
        format!("error: {}", no("401 Unauthorized")),
    ];
    tokio::join!(check(&mut socket, expected), peers);
    assert!(began.elapsed() >= Duration::from_secs(7));

    let (builder, mut server) = client();
    let mut socket = builder.reconnecting(Backoff::default().max_attempts(3));
    let peers = async {
        for _ in 0..3 {
            server.refuse(503, "").await;
        }
    };
    let no = no("503 Service Unavailable");
    let expected = [
        format!("disconnected: {no}"),
        format!("disconnected: {no}"),
        format!("error: gave up after 3 attempts: {no}"),
    ];
    tokio::join!(check(&mut socket, expected), peers);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_an_attempt_in_time() {
    let (builder, mut server) = client();
    let mut socket = builder.reconnecting(Backoff::default());
    let began = Instant::now();
    check(&mut socket, ["disconnected: the server did not answer in time"]).await;
    assert_eq!(began.elapsed().as_secs(), 10);
    let silent = server.asked().await;
    tokio::join!(check(&mut socket, ["connected 0"]), async { drop(server.open().await) });
    drop(silent);
}

#[tokio::test(start_paused = true)]
async fn hooks_come_before_and_after_each_connect() {
    let (builder, mut server) = client();
    let count = Arc::new(AtomicU32::new(0));
    let name = "lobby".to_owned();
    let mut socket = builder
        .reconnecting(Backoff::default())
        .request(async move |builder: Builder| match count.fetch_add(1, Ordering::Relaxed) {
            0 => Err("no token"),
            number => Ok(builder.header("x-token", number)),
        })
        .on_connect(async move |socket: &mut WebSocket| {
            socket.send(format!("join {name}")).await.map_err(std::io::Error::other)?;
            match socket.recv().await {
                Some(Ok(message)) if message.as_text() == Some("joined") => Ok(()),
                Some(Ok(_)) => std::future::pending().await,
                answer => Err(std::io::Error::other(format!("{answer:?}"))),
            }
        });
    let peers = async {
        for (token, answer) in [("1", "silence"), ("2", "joined")] {
            let mut peer = server.open().await;
            assert_eq!(peer.request.headers().get_all("x-token").iter().collect::<Vec<_>>(), [token]);
            assert_eq!(peer.next().await.as_deref(), Some("join lobby"));
            peer.send(answer).await;
            if answer == "joined" {
                peer.send("hello").await;
            }
            peer.close(1012).await;
        }
        // That this client is not to come back is said while it joins.
        let mut peer = server.open().await;
        assert_eq!(peer.next().await.as_deref(), Some("join lobby"));
        peer.close(4500).await;
    };
    let expected = [
        "disconnected: a hook failed: no token",
        "disconnected: a hook failed: it took longer than a connection may",
        "connected 0",
        "hello",
        "disconnected: closed by the server: 1012",
        "error: closed by the server: 4500",
    ];
    tokio::join!(check(&mut socket, expected), peers);
}

#[tokio::test(start_paused = true)]
async fn sending_waits_for_a_connection_and_needs_no_reader() {
    let (builder, mut server) = client();
    let mut socket = builder.reconnecting(Backoff::default());
    let peers = tokio::spawn(async move {
        for _ in 0..3 {
            server.refuse(503, "").await;
        }
        let mut peer = server.open().await;
        assert_eq!(peer.next().await.as_deref(), Some("one"));
        peer.send("unread").await;
        peer.close(1006).await;
        let mut peer = server.open().await;
        assert_eq!(peer.next().await.as_deref(), Some("two"));
        (server, peer)
    });
    socket.send("one").await.unwrap();
    // The sink alone reads no further than a message, so that it learns of the loss as it writes.
    while socket.lost() == 0 {
        socket.send("lost").await.unwrap();
        sleep(Duration::from_millis(1)).await;
    }
    socket.send("two").await.unwrap();
    let (_server, peer) = peers.await.unwrap();
    let no = "disconnected: the server answered 503 Service Unavailable instead of 101 Switching Protocols";
    let lost = "disconnected: the connection broke: broken pipe";
    check(&mut socket, [no, "connected 0", "unread", lost, "connected 1"]).await;
    let (closed, ()) = tokio::join!(socket.close_with(CloseCode::NORMAL, "bye"), peer.close(1000));
    closed.unwrap();
    assert!(socket.recv().await.is_none());
    assert_eq!(socket.lost(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_is_received_or_counted() {
    let (builder, mut server) = client_of(64);
    let config = Config::default().compression(None).write_queue(4096);
    let mut socket = builder.config(config).reconnecting(Backoff::default());
    let (connected, peer) = tokio::join!(told(&mut socket), server.open());
    assert_eq!(connected, "connected 0");
    let mut accepted = 0;
    let waits = std::future::poll_fn(|cx| {
        while let Poll::Ready(ready) = Sink::<Message<'_>>::poll_ready(Pin::new(&mut socket), cx) {
            ready.unwrap();
            Pin::new(&mut socket).start_send("1234".into()).unwrap();
            accepted += 1;
        }
        Poll::Ready(())
    });
    waits.await;
    // Frames of 10 bytes: as many as are written whole are received, if no more can be written.
    let Peer { mut stream, .. } = peer;
    let mut received = [0; 128];
    let received = stream.read(&mut received).await.unwrap() / 10;
    drop(stream);
    let lost = told(&mut socket).await;
    assert!(lost.starts_with("disconnected: the connection broke"), "{lost}");
    assert_eq!((received, socket.lost() + 6), (6, accepted));
    // Nothing of it is sent anew.
    let (connected, mut peer) = tokio::join!(told(&mut socket), server.open());
    assert_eq!(connected, "connected 1");
    socket.send("last").await.unwrap();
    assert_eq!(peer.next().await.as_deref(), Some("last"));
    assert_eq!(socket.lost() + 6, accepted);
}

/// A server that still talks while nothing can be written to it: what nobody reads has a bound.
#[tokio::test(start_paused = true)]
async fn what_a_broken_connection_says_is_kept_up_to_a_bound() {
    let (builder, mut server) = client_of(1 << 20);
    let config = Config::default().compression(None).write_queue(4096);
    let mut socket = builder.config(config).reconnecting(Backoff::default());
    let (_, mut peer) = tokio::join!(told(&mut socket), server.open());
    let text = "x".repeat(100);
    for _ in 0..1000 {
        peer.send(&text).await;
    }
    drop(peer);
    while socket.lost() == 0 {
        socket.send("lost").await.unwrap();
    }
    let kept = socket.unread.iter().filter(|event| event.is_message()).count();
    assert!((10..=4096 / 100).contains(&kept), "{kept} messages");
    for _ in 0..kept {
        assert_eq!(told(&mut socket).await, text);
    }
    let (_peer, connected) = tokio::join!(server.open(), async {
        assert!(told(&mut socket).await.starts_with("disconnected: "));
        told(&mut socket).await
    });
    assert_eq!((connected.as_str(), socket.unread_bytes), ("connected 1", 0));
}

#[tokio::test(start_paused = true)]
async fn closing_ends_it_in_every_state() {
    // Before anything was done, where a bad code closes nothing.
    let (builder, mut server) = client();
    let mut socket = builder.clone().reconnecting(Backoff::default());
    assert_eq!(socket.start_close(CloseCode(1005), ""), Err(SendError::InvalidCloseCode(1005)));
    assert_eq!(socket.start_close(CloseCode::NORMAL, &"x".repeat(124)), Err(SendError::ReasonTooLong { length: 124 }));
    assert!(!matches!(socket.state, State::Ended));
    socket.close_with(CloseCode::NORMAL, "").await.unwrap();
    assert!(socket.recv().await.is_none());
    // While it connects, and while it waits.
    for refuses in [false, true] {
        let mut socket = builder.clone().reconnecting(Backoff::default());
        tokio::select! {
            biased;
            event = socket.recv() => assert!(refuses, "{event:?}"),
            () = async {
                let asked = server.asked().await;
                if refuses { drop(asked); std::future::pending().await }
            } => {}
        }
        let began = Instant::now();
        socket.close_with(CloseCode::NORMAL, "").await.unwrap();
        assert!(matches!(socket.send("x").await, Err(ReconnectError::Send(SendError::Closed))));
        assert_eq!((socket.recv().await.is_none(), began.elapsed()), (true, Duration::ZERO));
    }
    // While it is open: a bad code closes nothing, and a server that does not answer is an error.
    let mut socket = builder.clone().reconnecting(Backoff::default());
    let (_, peer) = tokio::join!(told(&mut socket), server.open());
    let bad = socket.close_with(CloseCode(1005), "").await;
    assert!(matches!(bad, Err(ReconnectError::Send(SendError::InvalidCloseCode(1005)))), "{bad:?}");
    let silent = socket.close_with(CloseCode::NORMAL, "").await;
    assert!(matches!(silent, Err(ReconnectError::Final(Loss::Closed(_)))), "{silent:?}");
    assert!(socket.recv().await.is_none());
    drop(peer);
    // Dropped, as a WebSocket is.
    let mut socket = builder.reconnecting(Backoff::default());
    let (_, mut peer) = tokio::join!(told(&mut socket), server.open());
    drop(socket);
    let mut close = [0; 8];
    peer.stream.read_exact(&mut close).await.unwrap();
    assert_eq!((close[0], u16::from_be_bytes([close[6] ^ close[2], close[7] ^ close[3]])), (0x88, 1000));
}

#[tokio::test(start_paused = true)]
async fn two_tasks_may_share_it() {
    let (builder, mut server) = client();
    let (mut sink, mut stream) = builder.reconnecting(Backoff::default()).split();
    let writer = tokio::spawn(async move {
        let mut sent = 0;
        // As long as it is not over.
        while sink.send(sent.to_string().into()).await.is_ok() {
            sent += 1;
        }
        sent
    });
    let reader = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(event) = stream.next().await {
            seen.push(match event.unwrap() {
                Event::Message(message) => message.as_text().unwrap().to_owned(),
                Event::Connected { reconnects, .. } => format!("connected {reconnects}"),
                Event::Disconnected { .. } => "disconnected".to_owned(),
            });
        }
        seen
    });
    let mut received = Vec::new();
    for round in 0..4 {
        let mut peer = server.open().await;
        peer.send("hello").await;
        for _ in 0..5 {
            received.push(peer.next().await.unwrap().parse::<u32>().unwrap());
        }
        peer.close(if round == 3 { 1000 } else { 1006 }).await;
    }
    let (sent, seen) = tokio::join!(writer, reader);
    assert!(received.is_sorted_by(|one, other| one < other) && received.last() < Some(&sent.unwrap()), "{received:?}");
    let seen = seen.unwrap();
    assert_eq!(seen.iter().filter(|word| *word == "hello").count(), 4, "{seen:?}");
    assert_eq!(seen.last().map(String::as_str), Some("hello"));
}
