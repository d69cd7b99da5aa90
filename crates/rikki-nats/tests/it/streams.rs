//! Topics of a pattern in a stream of their own.

use std::time::Duration;

use rikki_nats::{Nats, NatsConfig, StreamConfig};
use rikki_topics::{
    Broker as _, BrokerStatus, From, Identity, PresenceMode, PublishError, SubscribeOptions, TopicConfig,
};
use serde_json::Value;
use testkit::NatsServer;

use super::{Node, all, config_of, said, soon, there};

/// A stream for `chat/*`, and one that two patterns have together.
fn config(server: &NatsServer) -> NatsConfig {
    let chat = StreamConfig::named("chat").retention(Duration::from_secs(3600)).bytes(1_usize << 20);
    let few = || StreamConfig::named("few").bytes(2_usize << 20);
    let config = config_of(server).own_stream("chat/*", chat).unwrap();
    config.own_stream("chat/few", few()).unwrap().own_stream("few/*", few()).unwrap()
}

/// What JetStream says of a stream.
#[track_caller]
fn info(server: &NatsServer, stream: &str) -> Value {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let answer = runtime.block_on(async {
        let client = async_nats::connect(server.url()).await.unwrap();
        client.request(format!("$JS.API.STREAM.INFO.{stream}"), "".into()).await.unwrap()
    });
    serde_json::from_slice(&answer.payload).unwrap()
}

fn of(nats: &Nats, stream: &str) -> BrokerStatus {
    nats.statuses().into_iter().find(|status| status.stream == stream).unwrap()
}

#[test]
fn each_pattern_has_its_bounds() {
    let server = NatsServer::start();
    let (one, other) =
        (Node::with(config(&server), TopicConfig::default()), Node::with(config(&server), TopicConfig::default()));
    let names = ["chat/a", "chat/few", "few/a", "other"];
    let mut here: Vec<_> = names.iter().map(|name| one.topics.subscribe(name, From::Now).unwrap()).collect();
    let mut there: Vec<_> = names.iter().map(|name| other.topics.subscribe(name, From::Now).unwrap()).collect();
    for subscription in here.iter_mut().chain(&mut there) {
        assert_eq!(said(subscription), "joined");
    }
    let positions: Vec<_> = names.iter().map(|name| (one.publish(name, "1"), other.publish(name, "2")).0).collect();
    for subscription in here.iter_mut().chain(&mut there) {
        assert_eq!(all(subscription, 2), "1 2");
    }
    // Who comes to another node goes on there.
    let third = Node::with(config(&server), TopicConfig::default());
    for (name, position) in names.iter().zip(&positions) {
        let mut resumed = third.topics.subscribe(name, From::After(*position)).unwrap();
        assert_eq!(all(&mut resumed, 2), "recovered=true 2", "{name}");
    }
    assert!(positions[0].epoch != positions[3].epoch && positions[1].epoch == positions[2].epoch);
    for (stream, messages, bytes, hours) in [("rikki", 2, 16, 24), ("rikki_chat", 2, 1, 1), ("rikki_few", 4, 2, 24)] {
        let info = info(&server, stream);
        let (state, config) = (&info["state"], &info["config"]);
        assert_eq!((&state["messages"], &config["max_bytes"]), (&messages.into(), &(bytes << 20).into()), "{info}");
        assert_eq!(config["max_age"], Value::from(hours * 3_600_000_000_000_u64), "{info}");
    }
    // What is told as one is what is told of each.
    let (whole, each) = (one.nats.status(), one.nats.statuses());
    let names: Vec<_> = each.iter().map(|status| &*status.stream).collect();
    assert_eq!(names, ["rikki", "rikki_chat", "rikki_few"]);
    assert_eq!((&*whole.stream, whole.connected, whole.topics, whole.acknowledged), ("rikki", true, 4, 4));
    assert_eq!(each.iter().map(|status| status.topics).collect::<Vec<_>>(), [1, 1, 2]);
}

/// The point of it: what fills one stream takes nothing from others.
#[test]
fn a_full_stream_takes_no_place_of_others() {
    let server = NatsServer::start();
    let node = Node::with(config(&server), TopicConfig::default());
    let (kept, gone) = (node.publish("other", "kept"), node.publish("chat/a", "gone"));
    let text = "x".repeat(64 << 10);
    for _ in 0..40 {
        node.publish("chat/b", &text);
    }
    let first = |stream: &str| info(&server, stream)["state"]["first_seq"].as_u64().unwrap();
    assert!(first("rikki_chat") > gone.offset, "the stream is full, and its oldest messages have given way");
    assert_eq!(first("rikki"), kept.offset);
    let another = Node::with(config(&server), TopicConfig::default());
    let mut kept = another.topics.subscribe("other", From::Last(1)).unwrap();
    assert_eq!(all(&mut kept, 2), "joined kept");
    let mut gone = another.topics.subscribe("chat/a", From::Last(1)).unwrap();
    assert_eq!(said(&mut gone), "joined");
    assert!(gone.try_next().is_none());
}

/// Nobody's topics wait for a stream that is not theirs.
#[test]
fn one_that_cannot_be_had() {
    let server = NatsServer::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ask = |subject: &str, body: &'static str| {
        runtime.block_on(async {
            let client = async_nats::connect(server.url()).await.unwrap();
            client.request(format!("$JS.API.STREAM.{subject}"), body.into()).await.unwrap();
        });
    };
    ask("CREATE.rikki_chat", r#"{"name":"rikki_chat","subjects":["somebody.else"],"storage":"file"}"#);
    let nats = Nats::start(config(&server)).unwrap();
    soon("others are there", || (of(&nats, "rikki").connected && of(&nats, "rikki_few").connected).then_some(()));
    let why = soon("it is told why", || of(&nats, "rikki_chat").why_not.filter(|why| why.contains("subjects")));
    assert!(why.contains("rikki_chat") && why.contains("somebody.else"), "{why}");
    let whole = nats.status();
    assert!(!whole.connected && whole.why_not == Some(format!("rikki_chat: {why}")), "{whole:?}");
    let topics = rikki_topics::Topics::with_broker(rikki_topics::TopicsConfig::default(), nats.clone());
    let mut works = topics.subscribe("other", From::Now).unwrap();
    assert_eq!(said(&mut works), "joined");
    topics.publish("other", "works").wait().unwrap();
    assert_eq!(said(&mut works), "works");
    assert_eq!(topics.publish("chat/a", "never").wait(), Err(PublishError::Unavailable));
    assert!(nats.is_away("chat/a") && !nats.is_away("chat/few") && !nats.is_away("other"));
    assert_eq!((of(&nats, "rikki_chat").refused, of(&nats, "rikki").refused), (1, 0));
    // Who waits for it gets what comes when the operator has put it right.
    let mut waiting = topics.subscribe("chat/a", From::Now).unwrap();
    assert!(waiting.try_next().is_none());
    ask("DELETE.rikki_chat", "");
    there(&nats);
    assert_eq!(said(&mut waiting), "joined");
    topics.publish("chat/a", "at last").wait().unwrap();
    assert_eq!(said(&mut waiting), "at last");
}

/// A history that is lost is lost by the topics of its stream alone.
#[test]
fn each_stream_has_its_history() {
    let server = NatsServer::start();
    let node = Node::with(config(&server), TopicConfig::default());
    let (mut chat, mut other) =
        (node.topics.subscribe("chat/a", From::Now).unwrap(), node.topics.subscribe("other", From::Now).unwrap());
    assert_eq!((said(&mut chat), said(&mut other)), ("joined".to_owned(), "joined".to_owned()));
    let old = node.publish("chat/a", "old");
    assert_eq!(said(&mut chat), "old");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = async_nats::connect(server.url()).await.unwrap();
        client.request("$JS.API.STREAM.DELETE.rikki_chat", "".into()).await.unwrap();
    });
    node.publish("other", "meanwhile");
    soon("another history", || {
        let position = node.topics.publish("chat/a", "new").idempotency_key("new").wait().ok()?;
        (position.epoch != old.epoch).then_some(())
    });
    node.publish("other", "after");
    assert_eq!(all(&mut chat, 2), "gap new");
    assert_eq!(all(&mut other, 2), "meanwhile after");
}

/// Who is there is said in one place, whichever stream a topic is in.
#[test]
fn presence() {
    let server = NatsServer::start();
    let start = || Node::with(config(&server), TopicConfig::default().presence(PresenceMode::Members));
    let (one, other) = (start(), start());
    let options = || SubscribeOptions::from(From::Now).identity(Identity::user("ada"));
    let _here: Vec<_> = ["chat/a", "other"].map(|name| one.topics.subscribe(name, options()).unwrap()).into();
    for name in ["chat/a", "other"] {
        let _there = other.topics.subscribe(name, From::Now).unwrap();
        soon(name, || (other.topics.present(name).count == 2).then_some(()));
    }
    assert!(info(&server, "KV_rikki_chat_presence")["error"].is_object());
}
