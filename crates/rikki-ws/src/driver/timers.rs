//! What a connection does by the clock, as a table: a row for each deadline.

use crate::clock::{NEVER, Tick};

/// What may be due; of several, the first comes first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Timer {
    /// The longest life of a connection is over: it is closed.
    Life,
    /// A message comes too slowly.
    Message,
    /// A ping has not been answered.
    Pong,
    /// Nothing has come for a while: it is pinged.
    Ping,
    /// The peer lets us wait, though much is held for it.
    Held,
    /// The peer does not read.
    Write,
    /// The Close has not been answered.
    Close,
    /// The peer of a stream that broke has nothing more to say.
    Broken,
    /// The peer does not shut its half of TCP.
    Linger,
}

impl Timer {
    const ALL: [Self; 9] = [
        Self::Life,
        Self::Message,
        Self::Pong,
        Self::Ping,
        Self::Held,
        Self::Write,
        Self::Close,
        Self::Broken,
        Self::Linger,
    ];
}

/// When each timer ends, [`NEVER`] of one that does not run.
#[derive(Debug)]
pub(super) struct Timers([Tick; Timer::ALL.len()]);

impl Default for Timers {
    fn default() -> Self {
        Self([NEVER; Timer::ALL.len()])
    }
}

impl Timers {
    /// Sets a timer that ends `span` after `since`.
    pub(super) fn start(&mut self, timer: Timer, since: Tick, span: Tick) {
        self.set(timer, since.saturating_add(span));
    }

    pub(super) fn set(&mut self, timer: Timer, due: Tick) {
        if let Some(row) = self.0.get_mut(timer as usize) {
            *row = due;
        }
    }

    /// When the next timer ends.
    pub(super) fn next_timeout(&self) -> Tick {
        self.0.into_iter().min().unwrap_or(NEVER)
    }

    /// The first timer that has ended.
    pub(super) fn expired(&self, now: Tick) -> Option<Timer> {
        let mut rows = Timer::ALL.into_iter().zip(self.0);
        rows.find_map(|(timer, due)| (due <= now).then_some(timer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_those_that_are_due_comes_first() {
        let mut timers = Timers::default();
        assert_eq!((timers.next_timeout(), timers.expired(NEVER - 1)), (NEVER, None));
        for (index, timer) in Timer::ALL.into_iter().enumerate() {
            assert_eq!(timer as usize, index, "{timer:?} has a row of its own");
        }
        timers.start(Timer::Ping, 10, 20);
        timers.start(Timer::Message, 10, 25);
        timers.start(Timer::Write, 10, NEVER);
        assert_eq!(timers.next_timeout(), 30);
        for (now, expired) in [(29, None), (30, Some(Timer::Ping)), (35, Some(Timer::Message))] {
            assert_eq!(timers.expired(now), expired, "at {now}");
        }
    }
}
