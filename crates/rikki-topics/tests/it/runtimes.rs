//! Who is subscribed is woken: in runtimes of one thread and of several, and on plain threads.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use futures_util::StreamExt as _;
use rikki_topics::{From, Position, Subscription, TopicConfig, Topics, TopicsConfig, Update};
use tokio::runtime::{Builder, Runtime};

use crate::contract::{Log, check};

const PUBLISHERS: u64 = 3;
const MESSAGES: u64 = 2000;

fn topics() -> Topics {
    Topics::new(TopicsConfig::default().others(TopicConfig::default().history(100_000).bytes(64 << 20)))
}

/// Reads until everything has come, or for half a minute.
async fn read(mut subscription: Subscription) -> Log {
    let mut log = Log::default();
    let mut messages = 0;
    let reading = async {
        while messages < PUBLISHERS * MESSAGES {
            let update = subscription.next().await.expect("it does not end");
            messages += u64::from(matches!(update, Update::Message(_)));
            log.note(update);
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reading).await.expect("everything comes");
    log
}

/// Publishes from several threads, with pauses in which all subscribers wait.
fn publish(topics: &Topics) -> Vec<(Position, u64)> {
    let published = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let published = &published;
            scope.spawn(move || {
                for n in 0..MESSAGES {
                    let number = publisher * MESSAGES + n;
                    let position = topics.publish("t", number.to_string()).wait().unwrap();
                    published.lock().unwrap().push((position, number));
                    if n % 64 == 0 {
                        thread::yield_now();
                    }
                }
            });
        }
    });
    let mut published = published.into_inner().unwrap();
    published.sort_by_key(|(position, _)| position.offset);
    published
}

fn in_runtime(runtime: Runtime) {
    let topics = topics();
    let logs = Arc::new(Mutex::new(Vec::new()));
    let readers: Vec<_> = runtime.block_on(async {
        let read = |_| {
            let (logs, subscription) = (logs.clone(), topics.subscribe("t", From::Now).unwrap());
            tokio::spawn(async move {
                let log = read(subscription).await;
                logs.lock().unwrap().push(log);
            })
        };
        (0..20).map(read).collect()
    });
    let publisher = topics.clone();
    let publisher = thread::spawn(move || publish(&publisher));
    runtime.block_on(async {
        for reader in readers {
            reader.await.unwrap();
        }
    });
    let published = publisher.join().unwrap();
    assert_eq!(published.len() as u64, PUBLISHERS * MESSAGES);
    for log in logs.lock().unwrap().iter() {
        assert_eq!(check(&published, log), Ok(()));
    }
    assert_eq!(topics.counters()[0].subscribers, 0);
}

#[test]
fn one_thread() {
    in_runtime(Builder::new_current_thread().enable_time().build().unwrap());
}

#[test]
fn work_stealing() {
    in_runtime(Builder::new_multi_thread().worker_threads(3).enable_time().build().unwrap());
}

#[test]
fn plain_threads() {
    let topics = topics();
    let read = |mut subscription: Subscription| {
        move || {
            (0..PUBLISHERS * MESSAGES).map(|_| subscription.blocking_message().unwrap().position).collect::<Vec<_>>()
        }
    };
    let readers: Vec<_> = (0..3).map(|_| thread::spawn(read(topics.subscribe("t", From::Now).unwrap()))).collect();
    let published: Vec<_> = publish(&topics).into_iter().map(|(position, _)| position).collect();
    for reader in readers {
        assert!(reader.join().unwrap() == published);
    }
}

/// A subscription that is dropped while it waits wakes nobody, and nobody is left behind in a runtime that has ended.
#[test]
fn a_runtime_that_ends() {
    let topics = topics();
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let mut left = runtime.block_on(async {
        let mut gone = topics.subscribe("t", From::Now).unwrap();
        let left = topics.subscribe("t", From::Now).unwrap();
        topics.publish("t", "first").await.unwrap();
        assert!(matches!(gone.next().await, Some(Update::Joined(_))));
        assert!(matches!(gone.next().await, Some(Update::Message(_))));
        assert!(futures_util::poll!(gone.next()).is_pending());
        drop(gone);
        left
    });
    drop(runtime);
    topics.publish("t", "second").wait().unwrap();
    assert_eq!(crate::all(&mut left), "joined first second");
    assert_eq!(topics.counters()[0].subscribers, 1);
}
