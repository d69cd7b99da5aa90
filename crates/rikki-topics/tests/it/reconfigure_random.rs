//! Random changes of what topics are like, while others publish, subscribe, read and come back.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use rikki_topics::{
    From, Identity, Policy, Position, PresenceChange, PresenceMode, PublishError, SubscribeError, SubscribeOptions,
    Subscription, TopicConfig, Topics, TopicsConfig, Update,
};

use crate::contract::{Log, check};

const TOPICS: [&str; 3] = ["t/a", "t/b", "t/c"];

/// How often it is changed.
const CHANGES: usize = 200;

/// What one topic is like. Presence cannot change, and keys would make it unknown how many are missing.
fn topic() -> impl Strategy<Value = TopicConfig> {
    let policy = prop_oneof![Just(Policy::Gap), Just(Policy::Latest), Just(Policy::Close)];
    let presence = prop_oneof![Just(PresenceMode::Off), Just(PresenceMode::Counts), Just(PresenceMode::Members)];
    (600..6000_usize, 0..2000_usize, policy, presence, any::<bool>()).prop_map(
        |(bytes, history, policy, presence, last)| {
            TopicConfig::default().bytes(bytes).history(history).policy(policy).presence(presence).last(last)
        },
    )
}

/// What all are like: where `is_whole`, with the same patterns each time; without that some are missing.
fn topics(is_whole: bool) -> impl Strategy<Value = TopicsConfig> {
    let pattern =
        move || (topic(), any::<bool>()).prop_map(move |(topic, is_there)| (is_there || is_whole).then_some(topic));
    (pattern(), pattern(), pattern()).prop_map(|(exact, prefix, others)| {
        let config = TopicsConfig::default().others(others);
        let config = exact.into_iter().fold(config, |config, topic| config.topic("t/a", topic).unwrap());
        prefix.into_iter().fold(config, |config, topic| config.topic("t/*", topic).unwrap())
    })
}

/// What is to come, and how many have come.
#[derive(Default)]
struct Shared {
    published: [Mutex<Vec<(Position, u64)>>; TOPICS.len()],
    messages: AtomicU64,
    missed: AtomicU64,
    has_published: AtomicBool,
}

/// Publishes to each topic in turn, until the changes are over.
fn publish(topics: &Topics, shared: &Shared, publisher: u64, is_over: &AtomicBool) {
    for n in 0.. {
        let index = n as usize % TOPICS.len();
        let number = 2 * n + publisher;
        match topics.publish(TOPICS[index], format!("{number:<100}")).wait() {
            Ok(position) => shared.published[index].lock().unwrap().push((position, number)),
            Err(PublishError::Unknown) => {}
            Err(error) => panic!("{error}"),
        }
        shared.has_published.store(true, Relaxed);
        if is_over.load(Relaxed) && n >= 300 {
            return;
        }
    }
}

/// Subscribes, for which there may be no pattern now.
fn subscribe(topics: &Topics, topic: &str, options: impl Fn() -> SubscribeOptions) -> Subscription {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < deadline, "{topic} is unknown");
        match topics.subscribe(topic, options()) {
            Ok(subscription) => return subscription,
            Err(SubscribeError::Unknown) => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Reads until nothing comes any more, and comes back where it was too slow.
fn read(topics: &Topics, topic: &str, shared: &Shared, mut subscription: Subscription, is_over: &AtomicBool) -> Log {
    let mut log = Log::default();
    loop {
        let was_over = is_over.load(Relaxed);
        while let Some(update) = subscription.try_next() {
            match &update {
                Update::Message(_) => drop(shared.messages.fetch_add(1, Relaxed)),
                Update::Gap(Some(missed)) => drop(shared.missed.fetch_add(*missed, Relaxed)),
                Update::Gap(None) => panic!("it is known how many are missing"),
                _ => {}
            }
            log.note(update);
        }
        if subscription.has_ended() {
            log.closed();
            let position = subscription.position().unwrap();
            subscription = subscribe(topics, topic, || From::After(position).into());
        } else if was_over {
            return log;
        }
        thread::yield_now();
    }
}

/// Ends whoever waits for these, also where something has failed.
struct Ends<'a>([&'a AtomicBool; 2]);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|is_over| is_over.store(true, Relaxed));
    }
}

/// Who is there, as it is told.
#[derive(Default)]
struct Room(BTreeSet<u64>, usize);

impl Room {
    fn change(&mut self, change: &PresenceChange) {
        if change.is_complete {
            self.0.clear();
        }
        for member in &change.joined {
            assert!(self.0.insert(member.client), "{member:?} was there");
        }
        for member in &change.left {
            assert!(self.0.remove(&member.client), "{member:?} was not there");
        }
        self.1 = change.count;
        assert_eq!(self.0.len(), change.count);
    }
}

/// Comes and goes; what is told of that is as it is, however the topic changes.
fn come_and_go(topics: &Topics, watch: &mut Subscription, is_over: &AtomicBool) {
    let mut room = Room::default();
    let mut told = |watch: &mut Subscription| {
        while let Some(update) = watch.try_next() {
            if let Update::Presence(change) = update {
                room.change(&change);
            }
        }
        (room.1, room.0.clone())
    };
    while !is_over.load(Relaxed) {
        let options = || SubscribeOptions::from(From::Now).identity(Identity::user("guest"));
        let guests: Vec<_> = (0..3).filter_map(|_| topics.subscribe("here", options()).ok()).collect();
        assert_eq!(told(watch).0, 1 + guests.len());
        drop(guests);
        let (count, members) = told(watch);
        assert_eq!((count, members.len()), (1, 1));
    }
}

/// Two publish, three read each topic, one comes and goes, and one changes all of it.
fn run(runner: &mut TestRunner, is_whole: bool) {
    let mut random = || topics(is_whole).new_tree(runner).unwrap().current();
    let here =
        |config: TopicsConfig, presence| config.topic("here", TopicConfig::default().presence(presence)).unwrap();
    let topics = Topics::new(here(TopicsConfig::default(), PresenceMode::Members));
    let (shared, changes_over, publishing_over) = (Shared::default(), AtomicBool::new(false), AtomicBool::new(false));
    // It stays, so that no topic begins another history, and takes nothing.
    let anchors = TOPICS.map(|topic| topics.subscribe(topic, From::Now).unwrap());
    let mut watch = topics.subscribe("here", SubscribeOptions::from(From::Now).presence(true)).unwrap();
    let logs = thread::scope(|scope| {
        let (topics, shared, changes_over, publishing_over) = (&topics, &shared, &changes_over, &publishing_over);
        let _ends = Ends([changes_over, publishing_over]);
        let readers: Vec<_> = (0..3 * TOPICS.len())
            .map(|reader| {
                let index = reader % TOPICS.len();
                let subscription = topics.subscribe(TOPICS[index], From::Now).unwrap();
                (index, scope.spawn(move || read(topics, TOPICS[index], shared, subscription, publishing_over)))
            })
            .collect();
        let guests = scope.spawn(|| come_and_go(topics, &mut watch, changes_over));
        let publishers = [0, 1].map(|publisher| scope.spawn(move || publish(topics, shared, publisher, changes_over)));
        for _ in 0..CHANGES {
            let kept = topics.reconfigure(here(random(), PresenceMode::Counts)).kept;
            assert!(kept.iter().any(|kept| kept == "here"));
            while !shared.has_published.swap(false, Relaxed)
                && !publishers.iter().any(|publisher| publisher.is_finished())
            {
                thread::yield_now();
            }
        }
        // Who has to come back can.
        let open = TopicsConfig::default().topic("t/a", TopicConfig::default()).unwrap();
        let _ = topics.reconfigure(open.topic("t/*", TopicConfig::default()).unwrap());
        changes_over.store(true, Relaxed);
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        guests.join().unwrap();
        publishing_over.store(true, Relaxed);
        readers.into_iter().map(|(index, reader)| (index, reader.join().unwrap())).collect::<Vec<_>>()
    });
    for (index, log) in &logs {
        let mut published = shared.published[*index].lock().unwrap().clone();
        published.sort_by_key(|(position, _)| position.offset);
        assert!(published.iter().enumerate().all(|(place, (position, _))| position.offset == place as u64 + 1));
        check(&published, log).unwrap();
    }
    count(&topics, &shared, is_whole);
    drop((anchors, watch));
    assert_eq!(topics.counters().iter().map(|counters| counters.subscribers).sum::<u64>(), 0);
    assert_eq!(topics.budgets()[2].used(), 0);
}

/// What has been counted is what has come.
fn count(topics: &Topics, shared: &Shared, is_whole: bool) {
    let counters = topics.counters();
    let sum = |what: fn(&rikki_topics::TopicCounters) -> u64| counters.iter().map(what).sum::<u64>();
    assert_eq!((sum(|c| c.topics), sum(|c| c.subscribers)), (4, 4), "{counters:?}");
    let bytes = |topic: &&str| {
        let messages = topics.history(topic, From::Last(usize::MAX)).unwrap().messages;
        messages.iter().map(|message| message.message.as_bytes().len() as u64 + 250).sum::<u64>()
    };
    // Newcomers may have fewer than there are.
    assert!(sum(|c| c.ring_bytes) >= TOPICS.iter().map(bytes).sum());
    if is_whole {
        let published: usize = shared.published.iter().map(|published| published.lock().unwrap().len()).sum();
        assert_eq!(sum(|c| c.published), published as u64);
        assert_eq!(sum(|c| c.delivered), shared.messages.load(Relaxed));
        assert_eq!(sum(|c| c.missed + c.skipped), shared.missed.load(Relaxed));
    }
}

#[test]
fn changed_while_used() {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    for is_whole in [true, false] {
        run(&mut runner, is_whole);
    }
}
