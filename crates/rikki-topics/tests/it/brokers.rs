//! Brokers: the one in memory, one whose offsets have holes, and those that do wrong.

use std::collections::HashMap;
use std::sync::{Barrier, Mutex};
use std::thread;

use rikki_topics::{
    Broker, Epoch, From, Inlet, Position, PublishError, Published, Publishing, TopicConfig, Topics, TopicsConfig,
    WeakInlet,
};

use crate::contract::{self, Fault, Log, Work, check};

#[test]
fn in_memory() {
    contract::holds(Topics::new);
}

#[test]
fn offsets_with_holes() {
    contract::holds(|config| Topics::with_broker(config, Elsewhere::new(Wrong::Nothing)));
}

/// What this process cannot keep, and what has become of the broker, is told.
#[test]
fn what_goes_wrong_elsewhere_is_told() {
    for trouble in [Wrong::CannotKeep, Wrong::Restarts] {
        contract::holds(|config| Topics::with_broker(config, Elsewhere::new(trouble)));
    }
}

#[test]
fn with_little_memory() {
    contract::holds_with(|config| Topics::new(config.memory(9000)), Work::Scarce);
}

/// What a broker does wrong now and then; the last two are no faults of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    Nothing,
    Drops,
    Doubles,
    Reorders,
    ChangesEpoch,
    CannotKeep,
    Restarts,
}

/// A broker that gives its own offsets, every third number, as one on another machine would.
#[derive(Debug)]
struct Elsewhere {
    wrong: Wrong,
    topics: Mutex<HashMap<String, State>>,
}

#[derive(Debug)]
struct State {
    epoch: u64,
    offset: u64,
    count: u64,
    held: Option<(u64, Published)>,
    /// The positions of idempotency keys.
    known: HashMap<String, Position>,
}

impl Elsewhere {
    fn new(wrong: Wrong) -> Self {
        Self { wrong, topics: Mutex::default() }
    }
}

impl Broker for Elsewhere {
    fn attach(&self, topic: &Inlet) {
        topic.begin(Epoch(1), 0, []);
    }

    fn publish(&self, topic: &Inlet, message: Published) -> Publishing {
        let mut topics = self.topics.lock().unwrap();
        let state = topics.entry(topic.name().to_owned());
        let state = state.or_insert(State { epoch: 1, offset: 0, count: 0, held: None, known: HashMap::new() });
        let key = message.idempotency_key().map(str::to_owned);
        if let Some(known) = key.as_ref().and_then(|key| state.known.get(key)) {
            return Publishing::Done(Ok(*known));
        }
        state.count += 1;
        if self.wrong == Wrong::Restarts && state.count.is_multiple_of(17) {
            (state.epoch, state.offset) = (state.epoch + 1, 0);
            topic.begin(Epoch(state.epoch), 0, []);
        }
        state.offset += 3;
        let is_time = state.count.is_multiple_of(5);
        let offset = state.offset;
        let append = |offset, message| assert!(topic.append(offset, message, 0).unwrap());
        match self.wrong {
            Wrong::Drops if is_time => {}
            Wrong::CannotKeep if is_time => {
                let too_long = Published::new("x".repeat(10_000));
                assert!(topic.append(offset, too_long, 0).is_err());
            }
            Wrong::Doubles if is_time => {
                append(offset, message.clone());
                append(offset + 1, message);
            }
            Wrong::Reorders if is_time => state.held = Some((offset, message)),
            Wrong::Reorders => {
                let held = state.held.take();
                let first = held.as_ref().map_or(offset, |(first, _)| *first);
                append(first, message);
                if let Some((_, held)) = held {
                    append(offset, held);
                }
            }
            Wrong::ChangesEpoch if is_time => {
                state.epoch += 1;
                append(offset, message);
            }
            _ => append(offset, message),
        }
        let position = Position { epoch: Epoch(state.epoch), offset };
        state.known.extend(key.map(|key| (key, position)));
        Publishing::Done(Ok(position))
    }
}

/// A checker that finds nothing proves nothing.
#[test]
fn those_that_do_wrong_are_caught() {
    let check = |wrong, expected: fn(&Fault) -> bool| {
        let topics = Topics::with_broker(contract::config(), Elsewhere::new(wrong));
        let mut subscription = topics.subscribe("gap", From::Now).unwrap();
        let (mut published, mut log) = (Vec::new(), Log::default());
        for number in 0..21 {
            published.push((topics.publish("gap", number.to_string()).wait().unwrap(), number));
            while let Some(update) = subscription.try_next() {
                log.note(update);
            }
        }
        match check(&published, &log) {
            Ok(()) => assert_eq!(wrong, Wrong::Nothing),
            Err(fault) => assert!(expected(&fault), "{wrong:?}: {fault:?}"),
        }
        if wrong != Wrong::Nothing {
            let random = std::panic::catch_unwind(|| {
                contract::holds(|config| Topics::with_broker(config, Elsewhere::new(wrong)));
            });
            assert!(random.is_err(), "{wrong:?} is not found by random work");
        }
    };
    check(Wrong::Nothing, |_| false);
    check(Wrong::Drops, |fault| *fault == Fault::Lost(4));
    check(Wrong::Doubles, |fault| *fault == Fault::Doubled(4));
    check(Wrong::Reorders, |fault| matches!(fault, Fault::Misplaced(_) | Fault::Lost(_) | Fault::Reordered(_)));
    check(Wrong::ChangesEpoch, |fault| matches!(fault, Fault::Misplaced(4) | Fault::Silent));
}

/// An inlet that two find at once belongs to one history: what was acknowledged is there.
#[test]
fn first_used_by_two_at_once() {
    let topics = Topics::new(TopicsConfig::default());
    let barrier = Barrier::new(2);
    let names: Vec<_> = (0..3000).map(|n| format!("topic {n}")).collect();
    let publish = || {
        let published = names.iter().map(|name| {
            barrier.wait();
            topics.publish(name, "text").wait().unwrap()
        });
        published.collect::<Vec<_>>()
    };
    let (one, other) = thread::scope(|scope| {
        let other = scope.spawn(publish);
        (publish(), other.join().unwrap())
    });
    for ((name, one), other) in names.iter().zip(one).zip(other) {
        assert_eq!(one.epoch, other.epoch, "{name}");
        let history = topics.history(name, From::Last(10)).unwrap();
        assert_eq!(history.messages.len(), 2, "{name}");
    }
}

/// A message that a ring has no room for is a gap, whoever is subscribed and whoever resumes.
#[test]
fn a_message_that_cannot_be_kept() {
    let config = TopicsConfig::default().others(TopicConfig::default().bytes(100));
    let topics = Topics::with_broker(config, Keeping);
    let mut subscription = topics.subscribe("t", From::Now).unwrap();
    let inlet = KEPT.lock().unwrap().last().unwrap().upgrade().unwrap();
    inlet.begin(Epoch(1), 0, []);
    let append = |offset, length| inlet.append(offset, Published::new("x".repeat(length)), 0);
    assert_eq!(append(1, 1), Ok(true));
    assert_eq!(append(2, 101), Err(PublishError::TooLong { length: 101, limit: 100 }));
    assert_eq!(append(3, 3), Ok(true));
    assert_eq!(crate::all(&mut subscription), "joined gap(2) xxx");
    let resumed = |offset| crate::all(&mut topics.subscribe("t", after(offset)).unwrap());
    assert_eq!(resumed(1), "recovered=false xxx");
    assert_eq!(resumed(2), "recovered=true xxx");
    // Keys of another history say nothing of this one.
    let keyed = || topics.publish("t", "once").idempotency_key("key").wait().unwrap();
    let first = keyed();
    assert_eq!(keyed(), first);
    inlet.begin(Epoch(2), 0, []);
    let anew = keyed();
    assert_eq!((anew, crate::all(&mut subscription)), (Position { epoch: Epoch(2), offset: 1 }, "gap once".to_owned()));
}

/// A broker that keeps what is published until it is told to take it, and that has a history of topics that nobody uses.
#[derive(Clone, Debug, Default)]
struct Slow(std::sync::Arc<Mutex<Vec<OnItsWay>>>);

/// A message that is not taken yet, and whom to tell.
type OnItsWay = (Published, tokio::sync::oneshot::Sender<()>);

impl Broker for Slow {
    fn attach(&self, _: &Inlet) {}

    fn activate(&self, topic: &Inlet) {
        let look = topic.look();
        topic.begin(Epoch(1), 0, []);
        topic.append(5, Published::new("of before"), 0).unwrap_or_default();
        topic.reach(look, 7);
    }

    fn publish(&self, _: &Inlet, message: Published) -> Publishing {
        let (take, taken) = tokio::sync::oneshot::channel();
        self.0.lock().unwrap().push((message, take));
        Publishing::Later(Box::pin(async move {
            taken.await.map(|()| Position { epoch: Epoch(1), offset: 9 }).map_err(|_| PublishError::Unknowable)
        }))
    }

    fn keeps_history(&self) -> bool {
        true
    }
}

/// What is on its way to a broker has a bound, whoever waits for it or not, and memory as long as it is there.
#[tokio::test]
async fn no_more_under_way_than_there_may_be() {
    let slow = Slow::default();
    let config = TopicsConfig::default().max_publishing(2).others(TopicConfig::default().bytes(100));
    let topics = Topics::with_broker(config, slow.clone());
    let before = topics.publish("t", "x".repeat(101)).await;
    assert_eq!(before, Err(PublishError::TooLong { length: 101, limit: 100 }), "it would have no room");
    let held = topics.budgets()[0].used();
    topics.publish("t", "x".repeat(100)).detach().unwrap();
    let waiting = tokio::spawn({
        let topics = topics.clone();
        async move { topics.publish("t", "x".repeat(100)).await }
    });
    while slow.0.lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(topics.publish("t", "third").detach(), Err(PublishError::TooManyUnderWay));
    assert_eq!(topics.budgets()[0].used(), held + 200);
    // Who does not wait any more has published all the same: its place is given back when the broker has it.
    waiting.abort();
    assert_eq!(topics.publish("t", "third").detach(), Err(PublishError::TooManyUnderWay));
    slow.0.lock().unwrap().clear();
    assert_eq!(topics.budgets()[0].used(), held);
    topics.publish("t", "fourth").detach().unwrap();
    assert_eq!(topics.counters()[0].refused, 3);
}

/// A topic that this process has not used is asked for, and a position that is ahead of it is of no history.
#[tokio::test]
async fn what_is_elsewhere_is_read() {
    let topics = Topics::with_broker(TopicsConfig::default(), Slow::default());
    assert_eq!(topics.history("t", From::Last(1)), None);
    let read = topics.read("t", From::Last(1)).await.unwrap().unwrap();
    assert_eq!((read.messages.len(), read.position.offset), (1, 7));
    assert_eq!(crate::all(&mut topics.subscribe("t", after(7)).unwrap()), "recovered=true");
    assert_eq!(crate::all(&mut topics.subscribe("t", after(8)).unwrap()), "recovered=false");
}

fn after(offset: u64) -> From {
    From::After(Position { epoch: Epoch(1), offset })
}

/// What the broker of a test keeps, as one that is elsewhere has to.
static KEPT: Mutex<Vec<WeakInlet>> = Mutex::new(Vec::new());

#[derive(Debug)]
struct Keeping;

impl Broker for Keeping {
    fn attach(&self, topic: &Inlet) {
        KEPT.lock().unwrap().push(topic.downgrade());
    }

    fn publish(&self, topic: &Inlet, message: Published) -> Publishing {
        Publishing::Done(topic.publish(message))
    }

    fn detach(&self, topic: &Inlet) {
        let mut kept = KEPT.lock().unwrap();
        let before = kept.len();
        kept.retain(|inlet| inlet.upgrade().is_some_and(|inlet| inlet != *topic));
        assert!(kept.len() < before, "it was attached");
    }
}
