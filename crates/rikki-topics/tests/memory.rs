//! What topics hold, counted for the whole process: hence a test binary of its own.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rikki_topics::{From, TopicConfig, Topics, TopicsConfig};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// What a topic may take beside the 104 bytes of its ring and 11 of its name.
const TOPIC: usize = 200;

/// Nothing else runs meanwhile.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn topics(age: Duration) -> Topics {
    Topics::new(TopicsConfig::default().others(TopicConfig::default().age(age)))
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("room/{number:06}")).collect()
}

/// Since `before`, for each of them.
fn held(before: usize, count: usize) -> usize {
    (dhat::HeapStats::get().curr_bytes - before) / count
}

#[test]
fn what_topics_and_messages_hold() {
    const COUNT: usize = 10_000;
    let (_alone, _profiler) = (alone(), dhat::Profiler::builder().testing().build());
    let (topics, names) = (topics(Duration::from_secs(600)), names(COUNT));
    let before = dhat::HeapStats::get().curr_bytes;
    for name in &names {
        drop(topics.subscribe(name, From::Now).unwrap());
    }
    let empty = held(before, COUNT);
    assert!(empty <= TOPIC + 104 + 11, "{empty} bytes for a topic");
    for name in &names {
        topics.publish(name, "one").detach().unwrap();
    }
    let first = held(before, COUNT) - empty;
    assert!(first <= 300, "{first} bytes for its first message");
    let counted = topics.budgets()[0].used() / COUNT;
    assert!(counted >= empty + first, "{counted} bytes are counted, and {} held", empty + first);
    let subscriptions: Vec<_> = names.iter().map(|name| topics.subscribe(name, From::Now).unwrap()).collect();
    let subscriber = held(before, COUNT) - empty - first - size_of_val(&subscriptions[0]);
    assert!(subscriber <= 256, "{subscriber} bytes for its first subscriber");
}

/// One more than a power of two: what grows by doubling has just grown.
#[test]
fn what_a_stream_holds() {
    const COUNT: usize = 4097;
    let (_alone, _profiler) = (alone(), dhat::Profiler::builder().testing().build());
    let topics = topics(Duration::from_secs(600));
    let mut subscriptions = Vec::with_capacity(COUNT + 1);
    subscriptions.push(topics.subscribe("room", From::Now).unwrap());
    let before = dhat::HeapStats::get().curr_bytes;
    for _ in 0..COUNT {
        subscriptions.push(topics.subscribe("room", From::Now).unwrap());
    }
    let bytes = held(before, COUNT) + size_of_val(&subscriptions[0]);
    assert!(bytes <= 160, "{bytes} bytes");
}

#[test]
fn a_hundred_thousand_are_forgotten() {
    let _alone = alone();
    let (topics, names) = (topics(Duration::from_millis(50)), names(100_000));
    for name in &names {
        topics.publish(name, "one").detach().unwrap();
    }
    // Each look takes a few of them.
    let deadline = Instant::now() + Duration::from_secs(60);
    while topics.counters()[0].topics > 0 {
        assert!(Instant::now() < deadline, "{:?}", topics.counters());
    }
    assert_eq!(topics.counters()[0].published, 100_000);
    assert_eq!(topics.budgets().map(|budget| budget.used()), [0, 0, 0]);
}
