//! Holds a subscriber's log against what was acknowledged.

use std::collections::{HashMap, HashSet};

use rikki_topics::{Epoch, Joined, Position, Update};

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
    /// It was too slow and has to come back, as the policy has it.
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
    let mut checker = Checker::new(published);
    for seen in &log.0 {
        match *seen {
            Seen::Began(position) => checker.begin(position),
            Seen::Resumed { at, recovered } => checker.resume(at, recovered)?,
            Seen::Gap(missed) => checker.gap(missed),
            Seen::Closed => {}
            Seen::Message(position, number) => checker.message(position, number)?,
        }
    }
    checker.end()
}

/// What a log should have next.
struct Checker<'a> {
    published: &'a [(Position, u64)],
    /// Where each number is in `published`.
    places: HashMap<u64, usize>,
    had: HashSet<u64>,
    next: Option<usize>,
    /// What was said to be missing before the next message: `Some(None)` if nobody knows how much.
    said: Option<Option<u64>>,
    epoch: Option<Epoch>,
}

impl<'a> Checker<'a> {
    fn new(published: &'a [(Position, u64)]) -> Self {
        let places = published.iter().enumerate().map(|(at, (_, number))| (*number, at)).collect();
        Self { published, places, had: HashSet::new(), next: None, said: None, epoch: None }
    }

    fn begin(&mut self, position: Position) {
        let is_of = |(known, _): &&(Position, u64)| known.epoch == position.epoch;
        let is_before = |(known, _): &&(Position, u64)| known.offset <= position.offset;
        // In a history that has no messages anything may be next.
        let first = self.published.iter().position(|published| is_of(&published));
        let before = self.published.iter().filter(is_of).take_while(is_before).count();
        (self.next, self.said, self.epoch) = (first.map(|first| first + before), None, Some(position.epoch));
    }

    fn resume(&mut self, at: Position, recovered: bool) -> Result<(), Fault> {
        if recovered && self.epoch.is_some_and(|epoch| epoch != at.epoch) {
            return Err(Fault::Recovered(true));
        }
        if !recovered {
            self.said = Some(None);
        }
        self.epoch = Some(at.epoch);
        Ok(())
    }

    fn gap(&mut self, missed: Option<u64>) {
        self.said = match (self.said, missed) {
            (None, missed) => Some(missed),
            (Some(Some(before)), Some(more)) => Some(Some(before + more)),
            _ => Some(None),
        };
    }

    fn message(&mut self, position: Position, number: u64) -> Result<(), Fault> {
        let &at = self.places.get(&number).ok_or(Fault::Misplaced(number))?;
        if !self.had.insert(number) {
            return Err(Fault::Doubled(number));
        }
        let expected = self.next.unwrap_or(at);
        if at < expected {
            return Err(Fault::Reordered(number));
        }
        let is_other_epoch = self.epoch.is_some_and(|epoch| epoch != position.epoch);
        if is_other_epoch && self.said.is_none() {
            return Err(Fault::Silent);
        }
        if self.published[at].0 != position {
            return Err(Fault::Misplaced(number));
        }
        let missing = (at - expected) as u64;
        match self.said.take() {
            None if missing > 0 => return Err(Fault::Lost(self.published[expected].1)),
            Some(Some(said)) if said != missing => return Err(Fault::Miscounted { said, missing }),
            _ => {}
        }
        (self.epoch, self.next) = (Some(position.epoch), Some(at + 1));
        Ok(())
    }

    fn end(self) -> Result<(), Fault> {
        match (self.next, self.said) {
            (Some(next), None) if next < self.published.len() => Err(Fault::Lost(self.published[next].1)),
            _ => Ok(()),
        }
    }
}
