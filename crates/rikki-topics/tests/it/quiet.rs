//! Topics in which nothing comes: where they are is said all the same, so that no position grows old.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rikki_topics::{
    Broker, Epoch, From, Inlet, Position, Published, Publishing, Subscribe, SubscribeOptions, TopicConfig, Topics,
    TopicsConfig,
};
use rikki_ws::testing::Client;
use rikki_ws::{Handler, Message, Opening, Socket};

/// A broker that is told by the test what it says.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Option<Inlet>>>);

impl Told {
    fn inlet(&self) -> Inlet {
        self.0.lock().unwrap().clone().unwrap()
    }
}

impl Broker for Told {
    fn attach(&self, topic: &Inlet) {
        topic.begin(Epoch(7), 0, []);
        *self.0.lock().unwrap() = Some(topic.clone());
    }

    fn publish(&self, topic: &Inlet, message: Published) -> Publishing {
        Publishing::Done(topic.publish(message))
    }
}

/// Subscribes whoever comes. A number that is sent is how far the topic is known from then on, by the clock of the test;
/// anything else is published.
struct Room {
    topics: Topics,
    broker: Told,
    has_envelope: bool,
}

impl Handler for Room {
    type State = ();

    fn open(&self, socket: &mut Socket<'_>, _: &Opening) {
        let options = SubscribeOptions::default().envelope(self.has_envelope);
        socket.subscribe_with(&self.topics, "t", options).unwrap();
    }

    fn message(&self, (): &mut (), _: &mut Socket<'_>, message: Message<'_>) {
        match message.as_text().unwrap().parse() {
            Ok(offset) => self.broker.inlet().reach(None, offset),
            Err(_) => _ = self.topics.publish("t", message.into_owned()).wait().unwrap(),
        }
    }
}

fn open(topics: &Topics, broker: &Told, has_envelope: bool) -> Client {
    Client::open(Room { topics: topics.clone(), broker: broker.clone(), has_envelope }).paused()
}

fn topics(broker: &Told) -> Topics {
    let config = TopicConfig::default().age(Duration::from_secs(60));
    Topics::with_broker(TopicsConfig::default().others(config), broker.clone())
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(offset: u64) -> String {
    format!(r#"{{"position":{{"epoch":"0000000000000007","offset":{offset}}}}}"#)
}

#[test]
fn who_has_an_envelope_is_told_where_it_is() {
    let broker = Told::default();
    let topics = topics(&broker);
    let mut client = open(&topics, &broker, true);
    client.send("one");
    assert!(
        client.expect_message().as_text().unwrap().starts_with(r#"{"offset":1,"epoch":"0000000000000007","time":"#)
    );
    // Not while something comes.
    client.send("5");
    client.advance(seconds(14));
    client.send("6");
    client.expect_silence();
    client.advance(seconds(2));
    client.send("6");
    client.expect(at(6));
    // Not where it knows that, and not often.
    client.advance(seconds(20));
    client.send("6");
    client.expect_silence();
    client.send("9");
    client.expect(at(9));
    client.advance(seconds(5));
    client.send("12");
    client.expect_silence();
    client.advance(seconds(11));
    client.send("12");
    client.expect(at(12));
    // A message says it too.
    client.send("two");
    assert!(client.expect_message().as_text().unwrap().starts_with(r#"{"offset":13,"#));
    client.advance(seconds(20));
    client.send("13");
    client.expect_silence();
    // Who comes knows it already, and whose messages have all gone has missed none of them.
    let mut late = open(&topics, &broker, true);
    late.expect_silence();
    late.advance(seconds(70));
    late.send("30");
    late.expect(at(30));
    let resumed = |offset| {
        let position = Position { epoch: Epoch(7), offset };
        topics.subscribe("t", From::After(position)).unwrap().joined().unwrap().recovered
    };
    assert_eq!([13, 30].map(resumed), [Some(true); 2]);
}

#[test]
fn who_has_none_is_told_messages_alone() {
    let broker = Told::default();
    let topics = topics(&broker);
    let mut client = open(&topics, &broker, false);
    client.send("one");
    client.expect("one");
    for offset in ["5", "9"] {
        client.advance(seconds(20));
        client.send(offset);
        client.expect_silence();
    }
    client.send("two");
    client.expect("two");
}

/// A history that has begun anew has offsets of its own, which may be less.
#[test]
fn another_history() {
    let broker = Told::default();
    let topics = topics(&broker);
    let mut client = open(&topics, &broker, true);
    client.send("500");
    client.expect(at(500));
    broker.inlet().begin(Epoch(8), 3, []);
    client.expect(r#"{"gap":{"missed":null}}"#);
    client.advance(seconds(20));
    client.send("4");
    client.expect(r#"{"position":{"epoch":"0000000000000008","offset":4}}"#);
}
