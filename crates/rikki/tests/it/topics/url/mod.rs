//! A URL for each topic, over real sockets: WebSockets, streams of events, publishing and reading beside each other.

mod slow;

use std::time::Duration;

use axum::Router;
use rikki::Server;
use rikki::topics::{
    Broker, Epoch, From, Inlet, Policy, PublishError, Published, Publishing, TopicConfig, TopicUrl, Topics,
    TopicsConfig,
};
use tokio::net::TcpListener;

use super::text;
use crate::talk::{Talk, frame, upgrade};
use crate::wire::{BOTH, Running, Via, soon};

fn topics() -> Topics {
    let open = TopicConfig::default().publish(true).bytes(1 << 20);
    let config = TopicsConfig::default().others(None).topic("open/*", open.clone().bytes(10_000)).unwrap();
    let config = config.topic("large", open.clone()).unwrap().topic("news", TopicConfig::default()).unwrap();
    Topics::new(config.topic("strict", open.policy(Policy::Close)).unwrap())
}

fn url(topics: &Topics) -> TopicUrl {
    TopicUrl::new(topics)
}

fn server(topics: &Topics, url: &TopicUrl) -> Server {
    Server::new().topics(topics).route("/{*topic}", url.route())
}

/// A stream of events under way.
struct Events {
    talk: Talk,
    text: String,
}

impl Events {
    async fn open(talk: Talk, path: &str, more: &str) -> Self {
        let mut events = Self { talk, text: String::new() };
        let ask = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{more}\r\n");
        events.talk.send(ask).await;
        let head = events.talk.head().await.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200 ") && head.contains("content-type: text/event-stream\r\n"), "{head}");
        assert!(!head.contains("content-length"), "{head}");
        assert_eq!(events.next().await.as_deref(), Some("retry: 2000"));
        events
    }

    /// The next event without its empty line; `None` at the end of the answer.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = event.to_owned();
                self.text = rest.to_owned();
                return Some(event);
            }
            let mut size = Vec::new();
            while !size.ends_with(b"\r\n") {
                size.extend(self.talk.bytes(1).await);
            }
            let size = usize::from_str_radix(std::str::from_utf8(&size).unwrap().trim_end(), 16).unwrap();
            let chunk = self.talk.bytes(size + 2).await;
            if size == 0 {
                assert_eq!(self.text, "", "the end within an event");
                return None;
            }
            self.text.push_str(std::str::from_utf8(&chunk[..size]).unwrap());
        }
    }

    /// The data of the next event, which is a message, and its id.
    async fn message(&mut self) -> (String, String) {
        let event = self.next().await.expect("an event");
        let (id, data) = event.split_once('\n').unwrap();
        (data.strip_prefix("data: ").expect(&event).to_owned(), id.strip_prefix("id: ").expect(&event).to_owned())
    }

    async fn subscribed(&mut self) -> String {
        let event = self.next().await.expect("an event");
        assert!(event.starts_with("event: subscribed\nid: "), "{event}");
        event.rsplit_once("data: ").unwrap().1.to_owned()
    }
}

/// An answer to a request with fields and a body, on a connection of its own.
async fn ask(server: &Running, via: Via, request: &str) -> String {
    let mut talk = Talk::connect(server, via).await;
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let (line, fields) = head.split_once('\n').unwrap_or((head, ""));
    let head = format!("{line} HTTP/1.1\nHost: localhost\nConnection: close\n{fields}");
    talk.send(format!("{}\r\n\r\n{body}", head.trim_end().replace('\n', "\r\n"))).await;
    talk.text().await
}

fn post(topic: &str, body: &str) -> String {
    format!("POST {topic}\nContent-Length: {}\n\n{body}", body.len())
}

#[tokio::test]
async fn web_sockets() {
    let topics = topics();
    let server = Running::start(server(&topics, &url(&topics))).await;
    for (room, via) in ["/open/tcp", "/open/tls"].into_iter().zip(BOTH) {
        let name = &room[1..];
        let (mut ada, mut bob) = (Talk::open(&server, via, room).await, Talk::open(&server, via, room).await);
        ada.send(text("hello")).await;
        for talk in [&mut ada, &mut bob] {
            assert_eq!(talk.next().await, "text(hello)");
        }
        bob.send(frame(0x82, b"\x00\xff")).await;
        for talk in [&mut ada, &mut bob] {
            assert_eq!(talk.next().await, "binary(\\x00\\xff)");
        }
        let epoch = topics.history(name, From::Now).unwrap().position.epoch;
        let mut late = Talk::open(&server, via, &format!("{room}?since={epoch}:1")).await;
        assert_eq!(late.next().await, "binary(\\x00\\xff)");
        let mut late = Talk::open(&server, via, &format!("{room}?last=1&envelope=json&token=x")).await;
        let subscribed = format!("text({{\\\"subscribed\\\":{{\\\"epoch\\\":\\\"{epoch}\\\",\\\"offset\\\":1}}}})");
        assert_eq!(late.next().await, subscribed);
        let binary = late.next().await;
        assert!(binary.ends_with("\\\"base64\\\":\\\"AP8=\\\"})"), "{binary}");
        let mut lost = Talk::open(&server, via, &format!("{room}?since=00000000deadbeef:1&envelope=json")).await;
        let subscribed = lost.next().await;
        assert!(subscribed.contains("\\\"recovered\\\":false"), "{subscribed}");

        ada.send(text(&"x".repeat(10_001))).await;
        assert_eq!(ada.next().await, "close(1009)");
        let mut reader = Talk::open(&server, via, "/news").await;
        reader.send(text("news")).await;
        assert_eq!(reader.next().await, "close(1008)");
        for (path, status) in [("/other", "404"), ("/news?last=x", "400"), ("/news%00", "400")] {
            let mut talk = Talk::connect(&server, via).await;
            talk.send(upgrade(path, "")).await;
            assert_eq!(talk.head().await.split(' ').nth(1), Some(status), "{path}");
        }
    }
    assert!(topics.history("news", From::Last(1)).is_none_or(|news| news.messages.is_empty()));
}

#[tokio::test]
async fn streams_of_events() {
    let topics = topics();
    let server = Running::start(server(&topics, &url(&topics))).await;
    for (room, via) in ["/open/tcp", "/open/tls"].into_iter().zip(BOTH) {
        let mut events = Events::open(Talk::connect(&server, via).await, room, "").await;
        assert!(!events.subscribed().await.contains("recovered"));
        let answer = ask(&server, via, &post(room, "hello\nworld")).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(",\"offset\":1}\n"), "{answer}");
        let (data, id) = events.message().await;
        assert_eq!(data, "hello\ndata: world");
        assert!(answer.contains(&format!("topic-position: {id}\r\n")), "{answer}");
        let mut talk = Talk::open(&server, via, room).await;
        talk.send(text("two")).await;
        assert_eq!(events.message().await.0, "two");
        drop(events);

        let more = format!("Last-Event-ID: {id}\r\n");
        let mut events = Events::open(Talk::connect(&server, via).await, room, &more).await;
        assert!(events.subscribed().await.ends_with(",\"recovered\":true}"));
        assert_eq!(events.message().await.0, "two");
        let more = "Last-Event-ID: 00000000deadbeef:1\r\n";
        let mut lost = Events::open(Talk::connect(&server, via).await, room, more).await;
        assert!(lost.subscribed().await.ends_with(",\"recovered\":false}"));
        assert_eq!(lost.message().await.0, "hello\ndata: world");
        drop((events, lost, talk));
        // The server sees that they have gone, though nothing is published.
        let gone = async {
            while topics.counters().iter().any(|counted| counted.subscribers > 0) {
                tokio::task::yield_now().await;
            }
        };
        soon("nobody being there", gone).await;
    }
}

#[tokio::test]
async fn publishing() {
    let topics = topics();
    let server = Running::start(server(&topics, &url(&topics))).await;
    for (room, via) in ["/open/tcp", "/open/tls"].into_iter().zip(BOTH) {
        for expect in ["", "\nExpect: 100-continue"] {
            let answer = ask(&server, via, &format!("POST {room}\nContent-Length: 1073741824{expect}\n\n")).await;
            assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
            assert!(answer.ends_with("message of 1073741824 bytes, the topic takes 10000\n"), "{answer}");
        }
        let chunk = format!("1770\r\n{}\r\n", "x".repeat(6000));
        let mut talk = Talk::connect(&server, via).await;
        let head = format!("POST {room} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
        talk.send(format!("{head}{chunk}")).await;
        talk.send(chunk).await;
        let head = talk.head().await;
        assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
        // Nothing but the answer, and then the end.
        let said = "message of more than 10000 bytes, which are what the topic takes\n";
        assert_eq!(talk.bytes(said.len()).await, said.as_bytes());
        assert_eq!(talk.text().await, "");
        assert_eq!(topics.history(&room[1..], From::Last(1)), None, "nothing is published");

        let ndjson = post(room, "1\nx\n{\"a\":2}\n")
            .replace("\n\n", "\nContent-Type: application/x-ndjson\nIdempotency-Key: k\n\n");
        for _ in 0..2 {
            let answer = ask(&server, via, &ndjson).await;
            let lines: Vec<_> = answer.lines().rev().take(3).collect();
            assert!(lines[2].ends_with(",\"offset\":1}") && lines[0].ends_with(",\"offset\":2}"), "{answer}");
            assert!(lines[1].starts_with("{\"error\":\"this is no JSON: "), "{answer}");
        }
        for _ in 0..2 {
            let answer = ask(&server, via, &post(room, "x").replace("\n\n", "\nIdempotency-Key: other\n\n")).await;
            assert!(answer.ends_with(",\"offset\":3}\n"), "{answer}");
        }
        let answer = ask(&server, via, &format!("GET {room}\n\n")).await;
        assert!(
            answer.contains("\"data\":\"{\\\"a\\\":2}\"") && answer.contains("\"offset\":3,\"messages\":["),
            "{answer}"
        );
        for accept in ["", "\nAccept: text/event-stream"] {
            let answer = ask(&server, via, &format!("HEAD {room}{accept}\n\n")).await.to_ascii_lowercase();
            assert!(answer.starts_with("http/1.1 200 ") && answer.contains(":3\r\n"), "{answer}");
            // What GET would have: https://www.rfc-editor.org/rfc/rfc9110#section-8.6
            assert!(answer.ends_with("\r\n\r\n") && !answer.contains("content-length"), "{answer}");
        }
        let answer = ask(&server, via, &post("/news", "x")).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        let foreign = post(room, "x").replace("\n\n", "\nOrigin: http://evil.test\n\n");
        let answer = ask(&server, via, &foreign).await;
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("Server::allow_origin("), "{answer}");
    }
    assert_eq!(server.handle.counters().refused_origins, 2);
}

#[tokio::test]
async fn no_more_than_there_may_be() {
    let config = TopicsConfig::default().max_subscriptions(1);
    let topics = Topics::new(config);
    let server = Running::start(server(&topics, &url(&topics))).await;
    let first = Talk::open(&server, Via::Tcp, "/one").await;
    for via in BOTH {
        let mut talk = Talk::open(&server, via, "/one").await;
        assert_eq!(talk.next().await, "close(1013)");
        let answer = ask(&server, via, "GET /one\nAccept: text/event-stream\n\n").await.to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 503 ") && answer.contains("retry-after: 1\r\n"), "{answer}");
    }
    drop(first);
    let answered = async {
        loop {
            let mut talk = Talk::open(&server, Via::Tcp, "/one?last=1&envelope=json").await;
            if talk.next().await.contains("subscribed") {
                break;
            }
        }
    };
    soon("room for one", answered).await;
}

/// A broker that is away.
#[derive(Debug)]
struct Away;

impl Broker for Away {
    fn attach(&self, topic: &Inlet) {
        topic.begin(Epoch(7), 0, []);
    }

    fn publish(&self, topic: &Inlet, _: Published) -> Publishing {
        match topic.name() {
            "now" => Publishing::Done(Err(PublishError::Unavailable)),
            _ => Publishing::Later(Box::pin(async { Err(PublishError::Unknowable) })),
        }
    }
}

#[tokio::test]
async fn what_the_broker_does_not_take() {
    let config = TopicsConfig::default().others(TopicConfig::default().publish(true));
    let topics = Topics::with_broker(config, Away);
    let server = Running::start(server(&topics, &url(&topics))).await;
    for via in BOTH {
        for (topic, status) in [("/now", "503"), ("/later", "504")] {
            let mut talk = Talk::open(&server, via, topic).await;
            talk.send(text("hello")).await;
            assert_eq!(talk.next().await, "close(1013)");
            let answer = ask(&server, via, &post(topic, "hello")).await;
            assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
        }
    }
}

/// Under another server, where tasks move from thread to thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_another_server() {
    let topics = topics();
    let url = url(&topics).heartbeat(Duration::from_millis(250));
    let routes: Router = Router::new().route("/{*topic}", url.route());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
    let mut talks = Vec::new();
    let mut streams = Vec::new();
    for _ in 0..4 {
        talks.push(Talk::open_at(address, "/open/room").await);
        streams.push(Events::open(Talk::connect_to(address).await, "/open/room", "").await);
    }
    for events in &mut streams {
        events.subscribed().await;
        let heartbeat = events.next().await.unwrap();
        assert!(heartbeat.starts_with(":\nid: ") && heartbeat.ends_with(":0"), "{heartbeat}");
    }
    talks[0].send(text("hello")).await;
    for talk in &mut talks {
        assert_eq!(talk.next().await, "text(hello)");
    }
    for events in &mut streams {
        loop {
            let event = events.next().await.unwrap();
            if !event.starts_with(':') {
                assert!(event.ends_with("\ndata: hello"), "{event}");
                break;
            }
        }
    }
    let mut foreign = Talk::connect_to(address).await;
    foreign.send("POST /open/room HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\nContent-Length: 0\r\n\r\n").await;
    assert!(foreign.head().await.starts_with("HTTP/1.1 403 "));
    serving.abort();
}
