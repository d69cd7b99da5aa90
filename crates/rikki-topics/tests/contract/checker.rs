//! Holds a subscriber's log against what was acknowledged.

use std::collections::HashMap;

use rikki_topics::{Joined, Position, Update};

/// What a subscriber has seen, in order; it may have come back in between.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Vec<Seen>);

#[derive(Clone, Copy, Debug)]
enum Seen {
    /// It has begun here, and whatever was before that does not matter to it.
    Began(Position),
    /// It has come back, and was told whether it has missed something.
    Resumed {
        at: Position,
        recovered: bool,
    },
    Message(Position, u64),
    Gap(Option<u64>),
    /// It went on with the latest message, as the policy has it.
    Closed,
}

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A message that was acknowledged did not come, and nobody has said so.
    Lost(u64),
    /// A message came again.
    Doubled(u64),
    /// A message came after a later one.
    Reordered(u64),
    /// A message came with a position that it was not acknowledged with, or was never acknowledged.
    Misplaced(u64),
    /// Another history began without a word.
    Silent,
    /// So many messages were said to be missing, and so many were.
    Miscounted { said: u64, missing: u64 },
    /// It was told to have recovered, or not to have, which is not so.
    Recovered(bool),
}

impl Log {
    /// Notes an update, whose messages are numbers.
    pub(crate) fn note(&mut self, update: Update) {
        match update {
            Update::Joined(Joined { position, recovered: None, .. }) => self.0.push(Seen::Began(position)),
            Update::Joined(Joined { position, recovered: Some(recovered), .. }) => {
                self.0.push(Seen::Resumed { at: position, recovered });
            }
            Update::Message(message) => {
                let text = message.message.as_text().expect("only texts are published");
                let number = text.split(' ').next().and_then(|number| number.parse().ok()).expect("a number");
                self.0.push(Seen::Message(message.position, number));
            }
            Update::Gap(missed) => self.0.push(Seen::Gap(missed)),
            _ => {}
        }
    }

    /// It was closed for being too slow, and has to come back.
    pub(crate) fn closed(&mut self) {
        self.0.push(Seen::Closed);
    }
}

/// Whether a log has everything that was acknowledged from where it begins to its end, in order, once, but for what it
/// was told to be missing. `published` is in the order in which it was acknowledged, and the log has been read to the
/// end.
pub(crate) fn check(published: &[(Position, u64)], log: &Log) -> Result<(), Fault> {
    let places: HashMap<Position, usize> =
        published.iter().enumerate().map(|(at, (position, _))| (*position, at)).collect();
    let numbers: HashMap<u64, usize> = published.iter().enumerate().map(|(at, (_, number))| (*number, at)).collect();
    // How many of `published` are behind a position: those that it is behind.
    let behind = |position: Position| match places.get(&position) {
        Some(at) => at + 1,
        None => published
            .iter()
            .take_while(|(known, _)| known.epoch != position.epoch || known.offset <= position.offset)
            .count(),
    };
    let mut next: Option<usize> = None;
    // What was said to be missing before the next message: `Some(None)` if nobody knows how much.
    let mut said: Option<Option<u64>> = None;
    let mut epoch = None;
    for seen in &log.0 {
        match *seen {
            Seen::Began(position) => {
                (next, said, epoch) = (Some(behind(position)), None, Some(position.epoch));
            }
            Seen::Resumed { at, recovered } => {
                if recovered && epoch.is_some_and(|epoch| epoch != at.epoch) {
                    return Err(Fault::Recovered(true));
                }
                if !recovered {
                    said = Some(None);
                }
                epoch = Some(at.epoch);
            }
            Seen::Gap(missed) => {
                said = match (said, missed) {
                    (None, missed) => Some(missed),
                    (Some(Some(before)), Some(more)) => Some(Some(before + more)),
                    _ => Some(None),
                };
            }
            Seen::Closed => {}
            Seen::Message(position, number) => {
                let &at = numbers.get(&number).ok_or(Fault::Misplaced(number))?;
                let expected = next.unwrap_or(at);
                if at < expected {
                    let is_doubled =
                        log.0.iter().filter(|seen| matches!(seen, Seen::Message(_, n) if *n == number)).count() > 1;
                    return Err(if is_doubled { Fault::Doubled(number) } else { Fault::Reordered(number) });
                }
                if published.get(at).is_none_or(|(known, _)| *known != position) {
                    let is_other_epoch = epoch.is_some_and(|epoch| epoch != position.epoch);
                    return Err(if is_other_epoch && said.is_none() {
                        Fault::Silent
                    } else {
                        Fault::Misplaced(number)
                    });
                }
                match said.take() {
                    None if epoch.is_some_and(|epoch| epoch != position.epoch) => return Err(Fault::Silent),
                    None if at > expected => return Err(Fault::Lost(published[expected].1)),
                    Some(Some(said)) if said != (at - expected) as u64 => {
                        return Err(Fault::Miscounted { said, missing: (at - expected) as u64 });
                    }
                    _ => {}
                }
                epoch = Some(position.epoch);
                next = Some(at + 1);
            }
        }
    }
    match (next, said) {
        (Some(next), None) if next < published.len() => Err(Fault::Lost(published[next].1)),
        _ => Ok(()),
    }
}
