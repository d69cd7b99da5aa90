//! Readers that are slow, and the end of a server: what was published before it arrives.

use std::time::Duration;

use rikki::Server;
use rikki::topics::{From, Policy, Subscribe, SubscribeOptions, TopicConfig, Topics, TopicsConfig};
use rikki::ws::{Config, Handler, Message, Opening, Socket};

use crate::talk::{Talk, close, frame};
use crate::wire::{BOTH, Running, Via, WORKERS, soon};

/// Subscribes each to the topic, in envelopes or not, and hears nothing.
struct Listening {
    topics: Topics,
    has_envelope: bool,
}

impl Handler for Listening {
    type State = ();

    fn open(&self, socket: &mut Socket<'_>, _: &Opening) {
        let options = SubscribeOptions::from(From::Now).envelope(self.has_envelope);
        socket.subscribe_with(&self.topics, "t", options).unwrap();
    }

    fn message(&self, (): &mut (), _: &mut Socket<'_>, _: Message<'_>) {}
}

fn topics(config: TopicConfig) -> Topics {
    Topics::new(TopicsConfig::default().others(config))
}

fn server(topics: &Topics) -> Server {
    let listening = |has_envelope| Listening { topics: topics.clone(), has_envelope };
    Server::new().topics(topics).websocket("/plain", listening(false)).websocket("/envelope", listening(true))
}

/// Opens one, and waits until it is subscribed.
async fn open(server: &Running, via: Via, path: &str, topics: &Topics) -> Talk {
    let before = topics.counters()[0].subscribers;
    let talk = Talk::open(server, via, path).await;
    until("it is subscribed", || topics.counters()[0].subscribers > before).await;
    talk
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    soon(what, waiting).await;
}

/// More than the buffers of both systems hold.
const MANY: usize = 14 << 20;

/// Of so many bytes each.
const MESSAGE: usize = 32 << 10;

/// Publishes more than a peer that does not read can be sent, as fast as the others read it.
async fn publish_many(topics: &Topics, reader: &mut Talk) {
    for n in 0..MANY / MESSAGE {
        topics.publish("t", format!("{n:<MESSAGE$}")).await.unwrap();
        let frame = reader.frame().await.unwrap();
        assert!(frame.payload.len() == MESSAGE && frame.payload.starts_with(format!("{n} ").as_bytes()), "{n}");
    }
}

#[tokio::test]
async fn who_does_not_read_costs_the_others_nothing() {
    for (workers, via) in WORKERS.into_iter().zip(BOTH) {
        let topics = topics(TopicConfig::default().bytes(1 << 20));
        let server = Running::start_on(workers, server(&topics)).await;
        let mut reader = open(&server, via, "/plain", &topics).await;
        let mut slow = open(&server, via, "/envelope", &topics).await;
        publish_many(&topics, &mut reader).await;
        let queued = server.handle.counters().queued_bytes as usize;
        assert!(queued <= 2 * MESSAGE, "{queued} bytes wait for it");
        assert!(topics.counters()[0].ring_bytes <= 2 << 20);
        // It is told, and goes on with what is there.
        topics.publish("t", "the end").await.unwrap();
        let (mut missed, mut got) = (0, 0);
        loop {
            let said = String::from_utf8(slow.frame().await.unwrap().payload).unwrap();
            if said.contains("\"the end\"") {
                break;
            }
            if let Some(gap) = said.strip_prefix("{\"gap\":{\"missed\":") {
                missed += gap.trim_end_matches('}').parse::<usize>().unwrap();
            } else if said.starts_with("{\"offset\":") {
                got += 1;
            } else {
                assert!(said.starts_with("{\"subscribed\":"), "{said}");
            }
        }
        assert!(missed > 0);
        assert_eq!(missed + got, MANY / MESSAGE);
        assert_eq!(topics.counters()[0].missed, missed as u64);
        drop((reader, slow));
        server.handle.shutdown().await;
    }
}

/// It is closed though it does not read that, and cut when it does not answer.
#[tokio::test]
async fn who_does_not_read_is_closed_where_that_is_the_policy() {
    for (workers, via) in WORKERS.into_iter().zip(BOTH) {
        for reads_again in [false, true] {
            let topics = topics(TopicConfig::default().bytes(1 << 20).policy(Policy::Close));
            let close_timeout = Duration::from_millis(if reads_again { 30_000 } else { 500 });
            let config = Config::default().close_timeout(close_timeout);
            let server = Running::start_on(workers, server(&topics).websocket_config(config)).await;
            let mut reader = open(&server, via, "/plain", &topics).await;
            let mut slow = open(&server, via, "/plain", &topics).await;
            publish_many(&topics, &mut reader).await;
            until("it is closed", || topics.counters()[0].closed == 1).await;
            if reads_again {
                let mut last = slow.next().await;
                while last.starts_with("text(") {
                    last = slow.next().await;
                }
                assert_eq!(last, "close(1013)");
                slow.send(close(1013, "")).await;
                drop(slow);
            }
            until("it is gone", || server.handle.counters().websockets == 1).await;
            assert_eq!(topics.counters()[0].subscribers, 1);
            reader.send(close(1000, "")).await;
            assert_eq!(reader.rest().await, "close(1000)");
            server.handle.shutdown().await;
        }
    }
}

/// Of several topics that a peer does not read, each does what its policy says.
#[tokio::test]
async fn who_does_not_read_several_topics() {
    let gap = TopicConfig::default().bytes(1 << 20);
    let config = TopicsConfig::default().others(gap.clone().policy(Policy::Close)).topic("t", gap).unwrap();
    let topics = Topics::new(config);
    let both = topics.clone();
    let subscribes = move |socket: &mut Socket<'_>, _: Message<'_>| {
        for topic in ["t", "u"] {
            socket.subscribe(&both, topic).unwrap();
        }
    };
    let server = Running::start(server(&topics).websocket("/both", subscribes)).await;
    let mut reader = open(&server, Via::Tcp, "/plain", &topics).await;
    let mut slow = Talk::open(&server, Via::Tcp, "/both").await;
    slow.send(frame(0x81, "")).await;
    until("it is subscribed", || topics.counters()[1].subscribers == 1).await;
    publish_many(&topics, &mut reader).await;
    assert_eq!(topics.counters()[1].closed, 0);
    for n in 0..200 {
        topics.publish("u", format!("{n:<10000}")).await.unwrap();
    }
    until("it is closed", || {
        topics.publish("u", "x".repeat(10_000)).wait().unwrap();
        topics.counters()[1].closed == 1
    })
    .await;
}

/// However much was published before a drain, each has it before the Close.
#[tokio::test]
async fn a_drain_delivers_what_was_published() {
    for (workers, via) in WORKERS.into_iter().zip(BOTH) {
        let topics = topics(TopicConfig::default().bytes(64 << 20));
        let server = Running::start_on(workers, server(&topics)).await;
        let mut all = Vec::new();
        for _ in 0..10 {
            all.push(open(&server, via, "/plain", &topics).await);
        }
        for n in 0..200 {
            topics.publish("t", format!("{n:<10000}")).await.unwrap();
        }
        let shutdown = server.handle.shutdown();
        let reading = async {
            for talk in &mut all {
                for n in 0..200 {
                    let frame = talk.frame().await.unwrap();
                    let said = String::from_utf8_lossy(&frame.payload).into_owned();
                    assert_eq!(said.trim_end(), n.to_string());
                }
                assert_eq!(talk.next().await, "close(1001)");
                talk.send(close(1001, "")).await;
            }
        };
        tokio::join!(shutdown, reading);
        assert_eq!(topics.counters()[0].delivered, 10 * 200);
        assert_eq!(topics.counters()[0].subscribers, 0);
    }
}
