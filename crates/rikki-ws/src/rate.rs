//! How much a peer sends in a second, as it is read.

use super::clock::{Tick, second_of};
use super::terms::Terms;

/// How many seconds at most count together: what we did not read for a while comes all at once.
const MOST_SECONDS: u32 = 10;

/// What has come in the second under way; kept for connections with a limit alone.
#[derive(Debug)]
pub(super) struct Rate {
    second: Tick,
    /// How many seconds' worth may come in it: those since something was read before it.
    seconds: u32,
    messages: u32,
    bytes: u64,
}

impl Rate {
    pub(super) fn new(terms: &Terms, now: Tick) -> Option<Self> {
        let first = Self { second: second_of(now), seconds: 1, messages: 0, bytes: 0 };
        (terms.max_message_rate.is_some() || terms.max_byte_rate.is_some()).then_some(first)
    }

    /// Counts bytes that were read at `now`.
    pub(super) fn count_bytes(&mut self, bytes: usize, now: Tick) {
        let second = second_of(now);
        if self.second != second {
            let seconds = second.saturating_sub(self.second).clamp(1, MOST_SECONDS);
            *self = Self { second, seconds, messages: 0, bytes: 0 };
        }
        self.bytes += bytes as u64;
    }

    /// Counts a message or a control frame among what was read last.
    pub(super) fn count_message(&mut self) {
        self.messages = self.messages.saturating_add(1);
    }

    pub(super) fn is_exceeded(&self, terms: &Terms) -> bool {
        terms.max_message_rate.is_some_and(|most| self.messages > most.saturating_mul(self.seconds))
            || terms.max_byte_rate.is_some_and(|most| self.bytes > most.saturating_mul(self.seconds.into()))
    }
}
