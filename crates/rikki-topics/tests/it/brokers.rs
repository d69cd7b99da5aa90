//! Brokers: the one in memory, one whose offsets have holes, and those that do wrong.

use std::collections::HashMap;
use std::sync::Mutex;

use rikki_topics::{Broker, Epoch, Inlet, Position, Published, Publishing, Topics};

use crate::contract::{self, Fault, Log, check};

#[test]
fn in_memory() {
    contract::holds(Topics::new);
}

#[test]
fn offsets_with_holes() {
    contract::holds(|config| Topics::with_broker(config, Elsewhere::new(Wrong::Nothing)));
}

/// What a broker does wrong now and then.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    Nothing,
    Drops,
    Doubles,
    Reorders,
    ChangesEpoch,
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
}

impl Elsewhere {
    fn new(wrong: Wrong) -> Self {
        Self { wrong, topics: Mutex::default() }
    }
}

impl Broker for Elsewhere {
    fn attach(&self, topic: &Inlet) {
        topic.begin(Epoch(1));
    }

    fn publish(&self, topic: &Inlet, message: Published) -> Publishing {
        let mut topics = self.topics.lock().unwrap();
        let state = topics.entry(topic.name().to_owned());
        let state = state.or_insert(State { epoch: 1, offset: 0, count: 0, held: None });
        state.count += 1;
        state.offset += 3;
        let is_time = state.count.is_multiple_of(5);
        let offset = state.offset;
        let append = |offset, message| assert!(topic.append(offset, message, 0).unwrap());
        match self.wrong {
            Wrong::Drops if is_time => {}
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
        Publishing::Done(Ok(Position { epoch: Epoch(state.epoch), offset }))
    }
}

/// A checker that finds nothing proves nothing.
#[test]
fn those_that_do_wrong_are_caught() {
    let check = |wrong, expected: fn(&Fault) -> bool| {
        let topics = Topics::with_broker(contract::config(), Elsewhere::new(wrong));
        let mut subscription = topics.subscribe("gap", rikki_topics::From::Now).unwrap();
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
