//! Readers of topics that are slow, stop or wait, and what is left of them when the server goes.

use std::time::Duration;

use axum::body::Body;
use futures_util::future::join_all;
use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinHandle;

use super::{Events, server, topics, url};
use crate::talk::Talk;
use crate::wire::{BOTH, Running, Via, soon};

/// A connection of HTTP/2.
struct Http2 {
    sender: SendRequest<Body>,
    ended: JoinHandle<hyper::Result<()>>,
}

impl Http2 {
    async fn connect(server: &Running) -> Self {
        let stream = TokioIo::new(server.connect_with(Via::Tls, b"h2").await);
        let client = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(65_535)
            .initial_connection_window_size(1 << 24)
            .handshake(stream);
        let (sender, connection) = soon("a handshake", client).await.unwrap();
        Self { sender, ended: tokio::spawn(connection) }
    }

    /// Opens a stream of events.
    async fn open(&mut self, path: &str) -> Incoming {
        let request = Request::get(format!("https://localhost{path}")).header("accept", "text/event-stream");
        let request = request.body(Body::empty()).unwrap();
        let answer = soon("an answer", self.sender.send_request(request)).await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.into_body()
    }
}

/// Reads on until this has come.
async fn read_until(stream: &mut Incoming, expected: &str) {
    let mut read = String::new();
    while !read.contains(expected) {
        let piece = soon(expected, stream.frame()).await.expect(expected).unwrap().into_data().unwrap();
        read.push_str(std::str::from_utf8(&piece).unwrap());
    }
}

/// What was published before that comes, and then the end: also over HTTP/2.
#[tokio::test]
async fn a_drain_ends_streams() {
    let topics = topics();
    let server = Running::start(server(&topics, &url(&topics))).await;
    let mut streams = Vec::new();
    for via in BOTH {
        let mut events = Events::open(Talk::connect(&server, via).await, "/large", "").await;
        events.subscribed().await;
        streams.push(events);
    }
    let mut connection = Http2::connect(&server).await;
    let stream = connection.open("/large").await;
    for number in 0..200 {
        topics.publish("large", format!("{number} {}", "x".repeat(4000))).await.unwrap();
    }
    let down = tokio::spawn(async move { server.handle.shutdown().await });
    for mut events in streams {
        for number in 0..200 {
            let (data, _) = events.message().await;
            assert!(data.starts_with(&format!("{number} ")), "{number}: {}", &data[..10]);
        }
        assert_eq!(events.next().await, None);
        assert_eq!(events.talk.text().await, "");
    }
    let text = soon("the end of the stream", stream.collect()).await.unwrap().to_bytes();
    assert_eq!(text.windows(4).filter(|window| window == b"\nid:").count(), 201);
    soon("the end", down).await.unwrap();
    drop(connection.sender);
    soon("the end of HTTP/2", connection.ended).await.unwrap().unwrap();
    assert!(topics.counters().iter().all(|counted| counted.subscribers == 0));
}

/// Who reads gets everything, also when somebody else has stopped, and is cut for it.
#[tokio::test]
async fn a_reader_that_stops_is_cut() {
    const MESSAGES: usize = 1500;
    let topics = topics();
    let routes = server(&topics, &url(&topics)).min_body_rate(10, Duration::from_secs(1));
    let server = Running::start(routes).await;
    let mut stopped = Vec::new();
    for via in BOTH {
        stopped.push(Events::open(Talk::connect(&server, via).await, "/large", "").await);
    }
    let readers = BOTH.map(async |via| {
        let mut events = Events::open(Talk::connect(&server, via).await, "/large", "").await;
        events.subscribed().await;
        events
    });
    let mut readers = join_all(readers).await;
    for number in 0..MESSAGES {
        topics.publish("large", format!("{number} {}", "x".repeat(16 << 10))).await.unwrap();
        for events in &mut readers {
            let (data, _) = events.message().await;
            assert!(data.starts_with(&format!("{number} ")), "{number}: {}", &data[..10]);
        }
    }
    let cut = async {
        while server.handle.counters().closed_slow < 2 || topics.counters().iter().any(|topic| topic.subscribers > 2) {
            tokio::task::yield_now().await;
        }
    };
    soon("the cut", cut).await;
    topics.publish("large", "on").await.unwrap();
    for events in &mut readers {
        assert_eq!(events.message().await.0, "on");
    }
    assert_eq!(server.handle.counters().closed_slow, 2);
}

/// A stream of HTTP/2, while the connection goes on.
#[tokio::test]
async fn a_stream_of_http2_that_is_not_read_is_reset() {
    let topics = topics();
    let server = Running::start(server(&topics, &url(&topics)).min_body_rate(1000, Duration::from_secs(1))).await;
    let mut connection = Http2::connect(&server).await;
    let (mut read, unread) = (connection.open("/large").await, connection.open("/large").await);
    for number in 0..20 {
        topics.publish("large", format!("{number} {}", "x".repeat(16 << 10))).await.unwrap();
        read_until(&mut read, &format!("data: {number} ")).await;
    }
    let reset = async {
        while server.handle.counters().closed_slow < 1 {
            tokio::task::yield_now().await;
        }
    };
    soon("the reset", reset).await;
    assert!(soon("the end of it", unread.collect()).await.is_err());
    topics.publish("large", "on").await.unwrap();
    read_until(&mut read, "data: on\n").await;
    assert_eq!((server.handle.counters().closed_slow, topics.counters()[1].subscribers), (1, 1));
}

/// Nothing moves for longer than the window of bodies, and nobody waits for the client.
#[tokio::test]
async fn a_stream_without_events_goes_on() {
    let topics = topics();
    let window = Duration::from_millis(500);
    let url = url(&topics).heartbeat(Duration::from_secs(60));
    let server = Running::start(server(&topics, &url).min_body_rate(1000, window)).await;
    let mut streams = Vec::new();
    for via in BOTH {
        let mut events = Events::open(Talk::connect(&server, via).await, "/large", "").await;
        events.subscribed().await;
        streams.push(events);
    }
    let mut connection = Http2::connect(&server).await;
    let mut stream = connection.open("/large").await;
    read_until(&mut stream, "event: subscribed").await;
    tokio::time::sleep(4 * window).await;
    topics.publish("large", "on").await.unwrap();
    read_until(&mut stream, "data: on\n").await;
    for events in &mut streams {
        assert_eq!(events.message().await.0, "on");
    }
    assert_eq!(server.handle.counters().closed_slow, 0);
}

/// Whoever has missed something is told how much of it, or closed.
#[tokio::test]
async fn readers_that_fall_behind() {
    const MESSAGES: usize = 1500;
    let topics = topics();
    let server = Running::start(server(&topics, &url(&topics))).await;
    let mut events = Events::open(Talk::connect(&server, Via::Tcp).await, "/large", "").await;
    events.subscribed().await;
    let mut gap = Talk::open(&server, Via::Tcp, "/large?envelope=json").await;
    assert!(gap.next().await.contains("subscribed"));
    let mut strict = Events::open(Talk::connect(&server, Via::Tcp).await, "/strict", "").await;
    strict.subscribed().await;
    let mut closed = Talk::open(&server, Via::Tcp, "/strict").await;
    for number in 0..MESSAGES {
        for topic in ["large", "strict"] {
            topics.publish(topic, format!("{number} {}", "x".repeat(16 << 10))).await.unwrap();
        }
    }
    let (mut had, mut missed) = (0, 0);
    while had + missed < MESSAGES {
        let event = events.next().await.unwrap();
        match event.strip_prefix("event: gap\ndata: {\"missed\":") {
            Some(count) => missed += count.trim_end_matches('}').parse::<usize>().unwrap(),
            None => had += 1,
        }
    }
    assert!(missed > 0 && had > 0);
    (had, missed) = (0, 0);
    while had + missed < MESSAGES {
        let frame = gap.frame().await.unwrap();
        match frame.payload.strip_prefix(b"{\"gap\":{\"missed\":") {
            Some(count) => {
                missed += std::str::from_utf8(count).unwrap().trim_end_matches('}').parse::<usize>().unwrap()
            }
            None => had += 1,
        }
    }
    assert!(missed > 0 && had > 0);
    while strict.next().await.is_some() {}
    while let Some(frame) = closed.frame().await
        && frame.first != 0x88
    {}
    assert_eq!(topics.counters().iter().map(|counted| counted.closed).sum::<u64>(), 2);
}
