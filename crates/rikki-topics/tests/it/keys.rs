//! Keys of messages: the latest of each, and what was published before.

use rikki_topics::{From, PublishError, TopicConfig, Topics, TopicsConfig};

use crate::all;

#[test]
fn the_latest_of_each_key() {
    let topics = Topics::new(TopicsConfig::default().others(TopicConfig::default().latest_by_key(true)));
    let publish = |key: &str, text: &str| topics.publish("t", text.to_owned()).key(key).wait().unwrap();
    let first = publish("a", "a1");
    let mut slow = topics.subscribe("t", From::Last(10)).unwrap();
    publish("b", "b1");
    publish("a", "a2");
    publish("a", "a3");
    topics.publish("t", "none").wait().unwrap();
    assert_eq!(all(&mut topics.subscribe("t", From::Last(10)).unwrap()), "joined b1 a3 none");
    assert_eq!(all(&mut topics.subscribe("t", From::Last(2)).unwrap()), "joined a3 none");
    assert_eq!(all(&mut topics.subscribe("t", From::After(first)).unwrap()), "recovered=true b1 a3 none");
    assert_eq!(all(&mut slow), "joined b1 a3 none", "nothing is missing");
    // However often a key is published, what is kept of it is one message.
    let bytes = topics.counters()[0].ring_bytes;
    for n in 0..10_000 {
        publish("a", &format!("a{}", n % 10));
    }
    assert_eq!(topics.counters()[0].ring_bytes, bytes);
    assert_eq!(all(&mut slow), "a9");
    assert_eq!(all(&mut topics.subscribe("t", From::Last(10)).unwrap()), "joined b1 none a9");
    let mut waiting = topics.subscribe("t", From::Now).unwrap();
    publish("b", "b2");
    assert_eq!(all(&mut waiting), "joined b2");
}

/// A value that is published anew takes its own room, and not that of another key.
#[test]
fn a_new_value_costs_no_other_key() {
    let config = TopicConfig::default().latest_by_key(true).bytes(4 * (100 + 250 + 1 + 64) - 250);
    let topics = Topics::new(TopicsConfig::default().others(config));
    for key in ["a", "b", "c", "d", "d", "d"] {
        topics.publish("t", key.repeat(100)).key(key).wait().unwrap();
    }
    assert_eq!(topics.history("t", From::Last(9)).unwrap().messages.len(), 4);
}

#[test]
fn once_for_each_idempotency_key() {
    let topics = Topics::new(TopicsConfig::default());
    let publish = |topic: &str, key: &str, text: &str| {
        topics.publish(topic, text.to_owned()).idempotency_key(key).wait().unwrap()
    };
    let first = publish("t", "key", "one");
    assert_eq!(publish("t", "key", "another"), first);
    assert_ne!(publish("t", "other", "two"), first);
    assert_eq!(publish("t", "key", "one"), first);
    publish("u", "key", "in another topic");
    assert_eq!(all(&mut topics.subscribe("t", From::Last(9)).unwrap()), "joined one two");
    assert_eq!(all(&mut topics.subscribe("u", From::Last(9)).unwrap()), "joined in another topic");
    assert_eq!(topics.counters()[0].repeated, 2);
    // The window is bounded: what is pushed out of it is published again.
    for n in 0..1024 {
        publish("t", &format!("key {n}"), "more");
    }
    assert_ne!(publish("t", "key", "one"), first);
}

#[test]
fn keys_that_are_none() {
    let topics = Topics::new(TopicsConfig::default());
    for key in ["", &"x".repeat(256)] {
        let publish = || topics.publish("t", "text");
        assert_eq!(publish().key(key).wait(), Err(PublishError::BadKey));
        assert_eq!(publish().idempotency_key(key).wait(), Err(PublishError::BadKey));
    }
    topics.publish("t", "text").key(&"x".repeat(255)).idempotency_key(&"x".repeat(255)).wait().unwrap();
    assert_eq!(topics.counters()[0].published, 1);
}
