//! What is bounded: names, messages, memory, topics, subscriptions, and time.

use std::time::{Duration, Instant};

use rikki_topics::{BadName, From, PublishError, SubscribeError, TopicConfig, TopicCounters, Topics, TopicsConfig};

use crate::all;

fn counters(topics: &Topics) -> TopicCounters {
    topics.counters().pop().unwrap()
}

#[test]
fn names() {
    let topics = Topics::new(TopicsConfig::default().topic("known", TopicConfig::default()).unwrap().others(None));
    let check = |name: &str, expected: Result<(), PublishError>| {
        assert_eq!(topics.publish(name, "text").wait().map(|_| ()), expected, "{name:?}");
        let subscribed = topics.subscribe(name, From::Now).map(|_| ());
        assert_eq!(subscribed.is_ok(), expected.is_ok(), "{name:?}");
    };
    check("known", Ok(()));
    check("other", Err(PublishError::Unknown));
    check("", Err(PublishError::Name(BadName::Empty)));
    check("a\u{7}", Err(PublishError::Name(BadName::Control)));
    check(&"x".repeat(256), Err(PublishError::Name(BadName::TooLong { length: 256 })));
    assert_eq!(topics.subscribe("other", From::Now).unwrap_err(), SubscribeError::Unknown);
}

#[test]
fn patterns_have_counters_of_their_own() {
    let config = TopicsConfig::default()
        .topic("chat/*", TopicConfig::default())
        .and_then(|config| config.topic("chat/lobby", TopicConfig::default().history(0)))
        .unwrap();
    let topics = Topics::new(config);
    for name in ["chat/lobby", "chat/a", "chat/b", "chat/a", "chat", "other"] {
        topics.publish(name, "text").wait().unwrap();
    }
    let counted: Vec<_> = topics.counters().into_iter().map(|c| (c.pattern, c.topics, c.published)).collect();
    let expected = [("chat/*", 2, 3), ("chat/lobby", 1, 1), ("*", 2, 2)];
    assert_eq!(counted, expected.map(|(pattern, topics, published)| (pattern.to_owned(), topics, published)));
    assert_eq!(all(&mut topics.subscribe("chat/lobby", From::Last(1)).unwrap()), "joined");
}

#[test]
fn a_message_longer_than_its_topic_may_hold() {
    let topics = Topics::new(TopicsConfig::default().others(TopicConfig::default().bytes(100)));
    topics.publish("t", "kept").wait().unwrap();
    let refused = topics.publish("t", "x".repeat(101)).wait();
    assert_eq!(refused, Err(PublishError::TooLong { length: 101, limit: 100 }));
    assert_eq!(all(&mut topics.subscribe("t", From::Last(9)).unwrap()), "joined kept", "nothing is lost by that");
    topics.publish("t", "x".repeat(100)).wait().unwrap();
    assert_eq!((counters(&topics).published, counters(&topics).refused), (2, 1));
}

#[test]
fn memory_over_all_topics() {
    let topics = Topics::new(TopicsConfig::default().memory(20_000));
    let used = || topics.budgets()[0].used();
    let fill = |topic: &str, expected| {
        let result = topics.publish(topic, "x".repeat(5000)).wait();
        assert_eq!(result.map(|position| position.offset), expected, "{topic}");
        assert!(used() <= 20_000);
    };
    fill("a", Ok(1));
    fill("a", Ok(2));
    fill("b", Ok(1));
    // A topic gives up its own oldest messages, and no other's.
    fill("b", Ok(2));
    fill("b", Ok(3));
    assert_eq!(all(&mut topics.subscribe("b", From::Last(9)).unwrap()).split(' ').count(), 2);
    fill("c", Err(PublishError::NoMemory));
    assert_eq!(counters(&topics).refused, 1);
    topics.publish("c", "short").wait().unwrap();
    drop(topics);
}

#[test]
fn topics_and_subscriptions() {
    let topics = Topics::new(TopicsConfig::default().max_topics(2).max_subscriptions(3));
    topics.publish("a", "text").wait().unwrap();
    let held: Vec<_> = ["a", "b", "b"].map(|name| topics.subscribe(name, From::Now).unwrap()).into();
    assert_eq!(topics.publish("c", "text").wait(), Err(PublishError::TooManyTopics));
    assert_eq!(topics.subscribe("a", From::Now).unwrap_err(), SubscribeError::TooMany);
    drop(held);
    assert_eq!(topics.subscribe("c", From::Now).unwrap_err(), SubscribeError::TooManyTopics);
    assert_eq!(topics.budgets()[2].used(), 0, "what is refused holds nothing");
    drop(topics.subscribe("a", From::Now).unwrap());
}

/// Topics count as memory too.
#[test]
fn memory_for_no_more_topics() {
    let topics = Topics::new(TopicsConfig::default().memory(10_000));
    let mut last = Ok(());
    for n in 0..100 {
        last = topics.subscribe(&format!("topic {n}"), From::Now).map(drop);
    }
    assert_eq!(last, Err(SubscribeError::NoMemory));
    assert_eq!(topics.publish("another", "").wait(), Err(PublishError::NoMemory));
    assert_eq!(topics.budgets()[2].used(), 0, "what is refused holds nothing");
    assert!(topics.budgets()[0].used() <= 10_000);
}

/// What nobody uses is forgotten, and what somebody does is not.
#[test]
fn forgotten_after_their_age() {
    let config = TopicConfig::default().age(Duration::from_millis(30));
    let topics = Topics::new(TopicsConfig::default().others(config));
    let mut used = topics.subscribe("used", From::Now).unwrap();
    let before = topics.budgets()[0].used();
    for n in 0..1000 {
        topics.publish(&format!("topic {n}"), "text").wait().unwrap();
    }
    let old = topics.publish("used", "old").wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while counters(&topics).topics > 1 || counters(&topics).ring_bytes > 0 {
        assert!(Instant::now() < deadline, "{:?}", counters(&topics));
        std::thread::yield_now();
    }
    assert_eq!((topics.budgets()[1].used(), topics.budgets()[0].used()), (1, before));
    assert_eq!(all(&mut used), "joined gap(1)", "who has not read it in time is told so");
    // The topic that is used has its history still, those that were not have another.
    let next = topics.publish("used", "next").wait().unwrap();
    assert_eq!((next.epoch, next.offset), (old.epoch, old.offset + 1));
    assert_eq!(all(&mut used), "next");
}

/// What is refused is refused alone: nothing gives way to it.
#[test]
fn refusing_takes_nothing_away() {
    let topics = Topics::new(TopicsConfig::default().memory(20_000));
    topics.publish("t", "one").wait().unwrap();
    topics.publish("t", "two").wait().unwrap();
    let others = topics.budgets()[0].clone();
    let _taken = others.take(others.most() - others.used() - 1000).unwrap();
    assert_eq!(topics.publish("t", "x".repeat(3000)).wait(), Err(PublishError::NoMemory));
    assert_eq!(all(&mut topics.subscribe("t", From::Last(9)).unwrap()), "joined one two");
    // One that fits in the place of older ones takes it.
    topics.publish("t", "x".repeat(1200)).wait().unwrap();
    assert_eq!(topics.history("t", From::Last(9)).unwrap().messages.len(), 1);
}

#[test]
fn numbers_without_bounds() {
    let config = TopicConfig::default().bytes(usize::MAX).history(usize::MAX).age(Duration::MAX);
    let topics = Topics::new(TopicsConfig::default().memory(usize::MAX).others(config));
    for n in 0..3 {
        topics.publish("t", n.to_string()).wait().unwrap();
    }
    assert_eq!(all(&mut topics.subscribe("t", From::Since(Duration::MAX)).unwrap()), "joined 0 1 2");
}

/// A topic to which nothing was ever published does not hold its place for its age.
#[test]
fn never_published_to() {
    let topics = Topics::new(TopicsConfig::default().max_topics(1).others(TopicConfig::default()));
    drop(topics.subscribe("first", From::Now).unwrap());
    assert_eq!(topics.subscribe("second", From::Now).unwrap_err(), SubscribeError::TooManyTopics);
}
