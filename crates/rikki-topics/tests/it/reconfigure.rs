//! What topics are like, changed while they are used.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rikki_topics::{
    Broker, Epoch, From, Inlet, Policy, PresenceMode, PublishError, Published, Publishing, SubscribeError, TopicConfig,
    TopicCounters, Topics, TopicsConfig,
};

use crate::all;

fn config() -> TopicConfig {
    TopicConfig::default()
}

/// So many messages of 700 bytes.
fn room_for(messages: usize) -> TopicConfig {
    config().bytes(messages * 950)
}

fn others(config: TopicConfig) -> TopicsConfig {
    TopicsConfig::default().others(config)
}

/// Patterns alone.
fn patterns<const N: usize>(patterns: [(&str, TopicConfig); N]) -> TopicsConfig {
    let all = TopicsConfig::default().others(None);
    patterns.into_iter().fold(all, |all, (pattern, config)| all.topic(pattern, config).unwrap())
}

fn publish(topics: &Topics, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        topics.publish("t", format!("{number:<700}")).wait().unwrap();
    }
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Changes all of it, and nothing is kept.
fn change(topics: &Topics, config: TopicsConfig) {
    assert_eq!(topics.reconfigure(config).kept, [""; 0]);
}

fn counted<T>(topics: &Topics, what: impl Fn(&TopicCounters) -> T) -> Vec<(String, T)> {
    topics.counters().iter().map(|counters| (counters.pattern.clone(), what(counters))).collect()
}

fn list<T: Copy, const N: usize>(list: [(&str, T); N]) -> Vec<(String, T)> {
    list.map(|(pattern, value)| (pattern.to_owned(), value)).into()
}

/// Rings that are longer than they may be now are cut with the next message, and who has not had that is told by the
/// policy of now.
#[test]
fn a_shorter_ring() {
    let check = |before, after, expected: &str, missed: [u64; 3]| {
        let topics = Topics::new(others(room_for(6).policy(before)));
        let mut subscription = topics.subscribe("t", From::Now).unwrap();
        publish(&topics, 1..=6);
        change(&topics, others(room_for(3).policy(after)));
        assert_eq!(topics.counters()[0].ring_bytes, 6 * 950, "what is held stays");
        publish(&topics, 7..=7);
        assert_eq!(topics.counters()[0].ring_bytes, 3 * 950, "and is given back with the next message");
        assert_eq!(words(&all(&mut subscription)), expected, "{before:?} {after:?}");
        let TopicCounters { missed: gap, skipped, closed, .. } = topics.counters()[0].clone();
        assert_eq!([gap, skipped, closed], missed, "{before:?} {after:?}");
    };
    for before in [Policy::Gap, Policy::Latest, Policy::Close] {
        check(before, Policy::Gap, "joined gap(4) 5 6 7", [4, 0, 0]);
        check(before, Policy::Latest, "joined gap(6) 7", [0, 6, 0]);
        check(before, Policy::Close, "joined end", [0, 0, 1]);
    }
}

#[test]
fn a_longer_ring() {
    let topics = Topics::new(others(room_for(2)));
    let mut subscription = topics.subscribe("t", From::Now).unwrap();
    publish(&topics, 1..=3);
    change(&topics, others(room_for(5)));
    publish(&topics, 4..=6);
    assert_eq!(words(&all(&mut subscription)), "joined gap(1) 2 3 4 5 6");
    let too_long = "x".repeat(2000);
    change(&topics, others(room_for(2)));
    let refused = topics.publish("t", too_long).wait();
    assert_eq!(refused, Err(PublishError::TooLong { length: 2000, limit: 1900 }));
}

#[test]
fn what_newcomers_may_have() {
    let topics = Topics::new(others(config().history(2)));
    for text in ["one", "two", "three"] {
        topics.publish("t", text).wait().unwrap();
    }
    let newcomer = |from| all(&mut topics.subscribe("t", from).unwrap());
    assert_eq!((newcomer(From::Last(9)), newcomer(From::Now)), ("joined two three".into(), "joined".into()));
    change(&topics, others(config().history(3).last(true)));
    assert_eq!((newcomer(From::Last(9)), newcomer(From::Now)), ("joined one two three".into(), "joined three".into()));
    change(&topics, others(config().history(1)));
    assert_eq!((newcomer(From::Last(9)), newcomer(From::Now)), ("joined three".into(), "joined".into()));
    assert_eq!(topics.config("t"), Some(config().history(1)));
    // There cannot be one.
    assert_eq!((topics.config("t\n"), topics.config("")), (None, None));
}

/// Also of topics that were to be looked at much later.
#[test]
fn a_shorter_age() {
    let topics = Topics::new(others(config().age(Duration::from_secs(100_000))));
    topics.publish("t", "text").wait().unwrap();
    change(&topics, others(config().age(Duration::from_millis(10))));
    let deadline = Instant::now() + Duration::from_secs(20);
    while topics.budgets()[1].used() > 0 {
        assert!(Instant::now() < deadline, "{:?}", topics.counters());
        drop(topics.counters());
        std::thread::yield_now();
    }
}

/// Counters go on with the text of a pattern, and a topic goes where it fits best.
#[test]
fn counters_go_on() {
    let topics = Topics::new(patterns([("chat/*", config()), ("same", config())]));
    let mut subscription = topics.subscribe("chat/lobby", From::Now).unwrap();
    let others = ["chat/other", "same"].map(|name| topics.subscribe(name, From::Now).unwrap());
    for name in ["chat/lobby", "chat/other", "same"] {
        topics.publish(name, "text").wait().unwrap();
    }
    let state = |counters: &TopicCounters| (counters.topics, counters.subscribers, counters.published);
    assert_eq!(counted(&topics, state), list([("chat/*", (2, 2, 2)), ("same", (1, 1, 1))]));
    let bytes = topics.counters()[1].ring_bytes;
    assert_eq!(all(&mut subscription), "joined text");
    // A more exact one takes its topic over, the others have changed or not.
    let lobby = || ("chat/lobby", config().policy(Policy::Latest));
    change(&topics, patterns([lobby(), ("same", config()), ("chat/*", config().history(7))]));
    let expected = [("chat/lobby", (1, 1, 0)), ("same", (1, 1, 1)), ("chat/*", (1, 1, 2))];
    assert_eq!(counted(&topics, state), list(expected));
    assert_eq!(counted(&topics, |c| c.ring_bytes), list(expected.map(|(pattern, _)| (pattern, bytes))));
    topics.publish("chat/lobby", "text").wait().unwrap();
    assert_eq!(all(&mut subscription), "text");
    assert_eq!(counted(&topics, |c| c.delivered), list([("chat/lobby", 1), ("same", 0), ("chat/*", 1)]));
    // And back, where there is one more.
    change(&topics, patterns([("chat/*", config()), ("new", config())]));
    let expected = [("chat/*", (2, 2, 2)), ("new", (0, 0, 0)), ("same", (1, 1, 1))];
    assert_eq!(counted(&topics, state), list(expected), "what is gone is there while it has topics");
    drop((subscription, others));
    let expected = [("chat/*", (2, 0, 2)), ("new", (0, 0, 0))];
    assert_eq!(counted(&topics, state), list(expected), "it is forgotten with its last subscriber");
}

#[test]
fn bounds_over_all_topics() {
    let topics = Topics::new(TopicsConfig::default());
    let held: Vec<_> = ["a", "b", "c"].map(|name| topics.subscribe(name, From::Now).unwrap()).into();
    change(&topics, TopicsConfig::default().max_topics(2).max_subscriptions(2));
    assert_eq!(topics.budgets().map(|budget| budget.used())[1..], [3, 3], "what is held stays");
    assert_eq!(topics.subscribe("a", From::Now).unwrap_err(), SubscribeError::TooMany);
    assert_eq!(topics.publish("d", "text").wait(), Err(PublishError::TooManyTopics));
    topics.publish("a", "text").wait().unwrap();
    change(&topics, TopicsConfig::default().max_topics(4).max_subscriptions(4));
    drop(topics.subscribe("d", From::Now).unwrap());
    drop(held);
    let long = || topics.publish("a", "x".repeat(5000)).wait().map(drop);
    change(&topics, TopicsConfig::default().memory(4000));
    assert_eq!(long(), Err(PublishError::NoMemory));
    assert_eq!(topics.history("a", From::Last(9)).unwrap().messages.len(), 1, "nothing gives way to a lower bound");
    change(&topics, TopicsConfig::default().memory(40_000));
    assert_eq!(long(), Ok(()));
}

/// A server gives topics their memory at its start, and when it has changed what they are like.
#[test]
fn memory_of_a_server() {
    let topics = Topics::new(TopicsConfig::default());
    let most = || topics.budgets()[0].most();
    topics.share_memory(1000);
    assert_eq!(most(), 1000);
    change(&topics, TopicsConfig::default().max_topics(5));
    assert_eq!(most(), 1000, "at no moment anything else");
    topics.share_memory(2000);
    assert_eq!(most(), 2000);
    change(&topics, TopicsConfig::default().memory(3000));
    topics.share_memory(2000);
    assert_eq!(most(), 3000, "its own");
    change(&topics, TopicsConfig::default());
    assert_eq!(most(), 64 << 20);
    topics.share_memory(4000);
    assert_eq!(most(), 4000);
}

#[test]
fn the_latest_of_each_key_from_now_on() {
    let topics = Topics::new(others(config()));
    let publish = |key: &str, text: &str| topics.publish("t", text.to_owned()).key(key).detach().unwrap();
    let newcomer = || all(&mut topics.subscribe("t", From::Last(9)).unwrap());
    let memory = topics.budgets()[0].clone();
    let mut slow = topics.subscribe("t", From::Now).unwrap();
    publish("a", "a1");
    let used = memory.used();
    let by_key = || others(config().latest_by_key(true));
    change(&topics, by_key());
    assert_eq!(memory.used(), used + 1024, "room for what is kept no longer");
    for text in ["a2", "a3"] {
        publish("a", text);
    }
    publish("b", "b1");
    assert_eq!(newcomer(), "joined a1 a3 b1", "what was there had no key");
    change(&topics, others(config()));
    publish("b", "b2");
    assert_eq!(newcomer(), "joined a1 a3 b1 b2");
    assert_eq!(all(&mut slow), "joined a1 a3 b1 b2", "nothing is missing");
    change(&topics, by_key());
    publish("a", "a4");
    assert_eq!(newcomer(), "joined a1 b1 b2 a4");
    publish("a", "a5");
    assert_eq!(newcomer(), "joined a1 b1 b2 a5");
    change(&topics, others(config()));
    // There is no memory to know the keys by.
    memory.set_most(memory.used());
    assert_eq!(topics.reconfigure(by_key()).kept, ["*"]);
}

/// What was superseded is missing for nobody, and so it is not known how many are.
#[test]
fn a_gap_behind_what_was_kept_by_key() {
    let topics = Topics::new(others(config().latest_by_key(true)));
    let mut slow = topics.subscribe("t", From::Now).unwrap();
    for n in 0..10 {
        topics.publish("t", n.to_string()).key("key").wait().unwrap();
    }
    change(&topics, others(config().bytes(2)));
    topics.publish("t", "10").wait().unwrap();
    topics.publish("t", "11").wait().unwrap();
    assert_eq!(all(&mut slow), "joined gap 11");
    topics.publish("t", "12").wait().unwrap();
    topics.publish("t", "13").wait().unwrap();
    assert_eq!(all(&mut slow), "gap(1) 13", "from then on it is known");
}

#[test]
fn presence_stays_while_a_topic_lives() {
    let mode = |mode| patterns([("here/*", config().presence(mode)), ("plain", config())]);
    let topics = Topics::new(mode(PresenceMode::Counts));
    let held = topics.subscribe("here/a", From::Now).unwrap();
    let plain = topics.subscribe("plain", From::Now).unwrap();
    for changed in [PresenceMode::Off, PresenceMode::Members] {
        assert_eq!(topics.reconfigure(mode(changed)).kept, ["here/*"]);
        let another = topics.subscribe("here/a", From::Now).unwrap();
        assert_eq!((topics.present("here/a").count, topics.present("here/a").members.len()), (2, 0), "as it was");
        drop(another);
        assert_eq!(topics.present("here/a").count, 1);
    }
    let new = topics.subscribe("here/new", From::Now).unwrap();
    assert_eq!(topics.present("here/new").members.len(), 1, "a new one has it");
    assert_eq!(topics.reconfigure(mode(PresenceMode::Members)).kept, ["here/*"], "one is as it was still");
    assert_eq!(topics.reconfigure(mode(PresenceMode::Counts)).kept, ["here/*"], "and now it is the other one");
    drop((held, plain, new));
}

/// A broker that says what it has been told.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<String>>);

impl Told {
    fn tell(&self, what: &str, topic: &Inlet) {
        self.0.lock().unwrap().push(format!("{what} {}", topic.name()));
    }
}

impl Broker for &'static Told {
    fn attach(&self, topic: &Inlet) {
        self.tell("attach", topic);
        topic.begin(Epoch(7), 0, []);
    }

    fn publish(&self, topic: &Inlet, message: Published) -> Publishing {
        Publishing::Done(topic.publish(message))
    }

    fn detach(&self, topic: &Inlet) {
        self.tell("detach", topic);
    }
}

#[test]
fn a_topic_that_no_pattern_fits_any_more() {
    static BROKER: Told = Told(Mutex::new(Vec::new()));
    let topics = Topics::with_broker(patterns([("t", config()), ("u", config())]), &BROKER);
    let mut subscription = topics.subscribe("t", From::Now).unwrap();
    let first = topics.publish("t", "first").wait().unwrap();
    topics.publish("u", "nobody is subscribed").wait().unwrap();
    change(&topics, patterns([]));
    assert_eq!(topics.publish("t", "refused").wait(), Err(PublishError::Unknown));
    assert_eq!(topics.subscribe("t", From::Now).unwrap_err(), SubscribeError::Unknown);
    assert_eq!((topics.history("t", From::Last(1)), topics.config("t")), (None, None));
    assert_eq!(topics.budgets().map(|budget| budget.used())[1..], [1, 1], "that nobody uses is forgotten at once");
    assert_eq!(counted(&topics, |c| (c.published, c.subscribers)), list([("t", (1, 1))]));
    // It is fitted again: with the same history, for who has stayed.
    change(&topics, patterns([("t", config())]));
    let second = topics.publish("t", "second").wait().unwrap();
    assert_eq!((second.epoch, second.offset), (first.epoch, 2));
    change(&topics, patterns([("other", config())]));
    assert_eq!(all(&mut subscription), "joined first second", "what was published before still comes");
    assert_eq!(topics.counters()[1].delivered, 2);
    drop(subscription);
    assert_eq!(counted(&topics, |c| c.published), list([("other", 0)]));
    assert_eq!(topics.budgets().map(|budget| budget.used()), [0, 0, 0]);
    assert_eq!(*BROKER.0.lock().unwrap(), ["attach t", "attach u", "detach u", "detach t"]);
}

/// Who was subscribed when there was no pattern for a while is no longer a reason to look at once.
#[test]
fn fitted_again_and_left() {
    let topics = Topics::new(patterns([("t", config())]));
    topics.publish("t", "text").wait().unwrap();
    let subscription = topics.subscribe("t", From::Now).unwrap();
    change(&topics, patterns([]));
    change(&topics, patterns([("t", config())]));
    drop(subscription);
    assert_eq!(topics.counters()[0].topics, 1);
    assert_eq!(all(&mut topics.subscribe("t", From::Last(9)).unwrap()), "joined text");
}
