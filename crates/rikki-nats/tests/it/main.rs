//! Topics on a real nats-server.

#[path = "../../../rikki-topics/tests/contract/mod.rs"]
#[allow(dead_code, reason = "other brokers need more of it")]
mod contract;

mod away;
mod delivery;
mod histories;
mod presence;
mod setup;
mod streams;

use std::thread;
use std::time::{Duration, Instant};

use rikki_nats::{Nats, NatsConfig};
use rikki_topics::{Position, PublishError, Subscription, TopicConfig, Topics, TopicsConfig, Update};
use testkit::NatsServer;

use contract::{Work, holds_in};

/// How long anything may take that waits for another process.
const LIMIT: Duration = Duration::from_secs(20);

/// Everything that every broker holds to, each time with a stream that is new.
#[test]
fn what_every_broker_holds_to() {
    let server = NatsServer::start();
    let number = std::cell::Cell::new(0);
    let make = |config: TopicsConfig| {
        number.set(number.get() + 1);
        let nats = Nats::start(config_of(&server).stream(format!("s{}", number.get()))).unwrap();
        there(&nats);
        Topics::with_broker(config, nats)
    };
    holds_in(40, make, Work::All);
}

/// With little room, since a server sets apart what a stream may take.
fn config_of(server: &NatsServer) -> NatsConfig {
    NatsConfig::new(server.url()).bytes(16_usize << 20)
}

/// Looks at it until it holds.
#[track_caller]
fn soon<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < LIMIT, "not in time: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[track_caller]
fn there(nats: &Nats) {
    soon("NATS is there", || nats.status().connected.then_some(()));
}

#[track_caller]
fn away(nats: &Nats) {
    soon("NATS is away", || (!nats.status().connected).then_some(()));
}

/// A process, as far as topics go.
struct Node {
    nats: Nats,
    topics: Topics,
}

impl Node {
    #[track_caller]
    fn start(server: &NatsServer) -> Self {
        Self::with(config_of(server), TopicConfig::default())
    }

    #[track_caller]
    fn with(config: NatsConfig, topic: TopicConfig) -> Self {
        let nats = Nats::start(config).unwrap();
        there(&nats);
        let topics = Topics::with_broker(TopicsConfig::default().others(topic), nats.clone());
        Self { nats, topics }
    }

    #[track_caller]
    fn publish(&self, topic: &str, text: &str) -> Position {
        self.topics.publish(topic, text.to_owned()).wait().unwrap()
    }

    /// Publishes it when that works again.
    #[track_caller]
    fn publish_again(&self, topic: &str, text: &str) -> Position {
        soon("it is published", || match self.topics.publish(topic, text.to_owned()).idempotency_key(text).wait() {
            Ok(position) => Some(position),
            Err(PublishError::Unavailable | PublishError::Unknowable) => None,
            Err(error) => panic!("{error}"),
        })
    }
}

/// The next update.
#[track_caller]
fn next(subscription: &mut Subscription) -> Update {
    soon("there is an update", || subscription.try_next())
}

/// The next update in words.
#[track_caller]
fn said(subscription: &mut Subscription) -> String {
    match next(subscription) {
        Update::Joined(joined) => match joined.recovered {
            Some(recovered) => format!("recovered={recovered}"),
            None => "joined".to_owned(),
        },
        Update::Message(message) => match message.message.as_text() {
            Some(text) => text.to_owned(),
            None => format!("{:?}", message.message.as_bytes()),
        },
        Update::Gap(_) => "gap".to_owned(),
        other => format!("{other:?}"),
    }
}

/// So many of them.
#[track_caller]
fn all(subscription: &mut Subscription, count: usize) -> String {
    (0..count).map(|_| said(subscription)).collect::<Vec<_>>().join(" ")
}
