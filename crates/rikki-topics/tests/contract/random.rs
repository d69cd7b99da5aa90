//! Random work for topics: who publishes, reads, pauses and comes back, as a list that can be made shorter.

use proptest::collection::vec;
use proptest::prelude::*;
use rikki_topics::{
    From, Policy, Position, PublishError, SubscribeError, Subscription, TopicConfig, Topics, TopicsConfig,
};

use super::{Fault, Log, check};

/// The topics, one of each policy.
const TOPICS: [&str; 3] = ["gap", "latest", "close"];

/// How many subscribers each has at most.
const SUBSCRIBERS: usize = 4;

/// One step.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Publishes messages of so many bytes each.
    Publish { topic: usize, count: usize, length: usize },
    /// A newcomer, in place of whoever was there.
    Join { topic: usize, seat: usize, last: Option<usize> },
    /// Reads so much at most.
    Read { topic: usize, seat: usize, count: usize },
    /// Goes away, and comes back.
    Resume { topic: usize, seat: usize },
}

/// What is tried.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Work {
    All,
    /// What may be tried where memory is scarce: publishing and subscribing may be refused.
    Scarce,
}

/// Topics whose rings hold a few messages, so that who pauses is left behind.
pub(crate) fn config() -> TopicsConfig {
    let topic = || TopicConfig::default().bytes(4096).history(8);
    let with = |config: TopicsConfig, name: &str, policy| config.topic(name, topic().policy(policy)).expect("a name");
    let config = with(TopicsConfig::default(), "gap", Policy::Gap);
    with(with(config, "latest", Policy::Latest), "close", Policy::Close)
}

/// Lists of steps.
pub(crate) fn ops() -> impl Strategy<Value = Vec<Op>> {
    let place = || (0..TOPICS.len(), 0..SUBSCRIBERS);
    let op = prop_oneof![
        4 => (0..TOPICS.len(), 1..12_usize, 0..900_usize)
            .prop_map(|(topic, count, length)| Op::Publish { topic, count, length }),
        1 => (place(), proptest::option::of(0..10_usize))
            .prop_map(|((topic, seat), last)| Op::Join { topic, seat, last }),
        4 => (place(), 1..20_usize).prop_map(|((topic, seat), count)| Op::Read { topic, seat, count }),
        1 => place().prop_map(|(topic, seat)| Op::Resume { topic, seat }),
    ];
    vec(op, 1..60)
}

/// Who reads one topic, and what it has seen since it came first.
#[derive(Default)]
struct Seat {
    subscription: Option<Subscription>,
    log: Log,
    position: Option<Position>,
}

impl Seat {
    /// Reads at most so many updates; whether there was nothing more.
    fn read(&mut self, count: usize) -> bool {
        for _ in 0..count {
            let Some(subscription) = &mut self.subscription else { return true };
            let Some(update) = subscription.try_next() else {
                if subscription.has_ended() {
                    self.log.closed();
                    self.subscription = None;
                }
                return true;
            };
            self.log.note(update);
            self.position = subscription.position();
        }
        false
    }
}

/// Does all of it, reads everything to the end, and checks each log.
pub(crate) fn run(topics: &Topics, ops: &[Op], work: Work) -> Result<(), Fault> {
    let mut published: [Vec<(Position, u64)>; TOPICS.len()] = Default::default();
    let mut seats: [[Seat; SUBSCRIBERS]; TOPICS.len()] = Default::default();
    let mut number = 0;
    for op in ops {
        match *op {
            Op::Publish { topic, count, length } => {
                for _ in 0..count {
                    let text = format!("{number} {}", "x".repeat(length));
                    let key = number.to_string();
                    let publish = || topics.publish(TOPICS[topic], text.clone()).idempotency_key(&key).wait();
                    match publish() {
                        Ok(position) => published[topic].push((position, number)),
                        Err(PublishError::NoMemory) if work == Work::Scarce => {}
                        Err(error) => panic!("{error}"),
                    }
                    // What is sent again is there already; where memory is scarce nobody knows its key.
                    let is_repeated = number.is_multiple_of(7) && work == Work::All;
                    if is_repeated && publish().ok() != published[topic].last().map(|(position, _)| *position) {
                        return Err(Fault::Doubled(number));
                    }
                    number += 1;
                }
            }
            Op::Join { topic, seat, last } => {
                let from = last.map_or(From::Now, From::Last);
                let subscription = match topics.subscribe(TOPICS[topic], from) {
                    Ok(subscription) => subscription,
                    Err(SubscribeError::NoMemory) if work == Work::Scarce => continue,
                    Err(error) => panic!("{error}"),
                };
                // Its log begins anew; whoever was there has to have had everything until now.
                let left = std::mem::replace(
                    &mut seats[topic][seat],
                    Seat { subscription: Some(subscription), ..Seat::default() },
                );
                finish(topics, TOPICS[topic], left, &published[topic])?;
            }
            Op::Read { topic, seat, count } => {
                seats[topic][seat].read(count);
            }
            Op::Resume { topic, seat } => resume(topics, TOPICS[topic], &mut seats[topic][seat]),
        }
    }
    for ((topic, seats), published) in TOPICS.into_iter().zip(seats).zip(&published) {
        for seat in seats {
            finish(topics, topic, seat, published)?;
        }
    }
    Ok(())
}

/// Comes back to where it was, if it was there.
fn resume(topics: &Topics, topic: &str, seat: &mut Seat) {
    if let Some(position) = seat.position {
        seat.subscription = Some(topics.subscribe(topic, From::After(position)).expect("it is subscribed"));
    }
}

/// Reads to the end, comes back if it was closed, and checks what it has seen.
fn finish(topics: &Topics, topic: &str, mut seat: Seat, published: &[(Position, u64)]) -> Result<(), Fault> {
    for _ in 0..10 {
        while !seat.read(100) {}
        if seat.subscription.is_some() {
            break;
        }
        resume(topics, topic, &mut seat);
    }
    check(published, &seat.log)
}
