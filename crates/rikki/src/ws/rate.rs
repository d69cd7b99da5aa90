//! How much a peer sends in a second.

use super::clock::{Tick, second_of};
use super::settings::Settings;

/// What has come in the second under way; kept for connections with a limit alone.
#[derive(Debug, Default)]
pub(super) struct Rate {
    second: Tick,
    messages: u32,
    bytes: u64,
}

impl Rate {
    pub(super) fn new(settings: &Settings) -> Option<Box<Self>> {
        (settings.max_message_rate.is_some() || settings.max_byte_rate.is_some()).then(Box::default)
    }

    /// Counts bytes that were read at `now`.
    pub(super) fn count_bytes(&mut self, bytes: usize, now: Tick) {
        if self.second != second_of(now) {
            *self = Self { second: second_of(now), ..Self::default() };
        }
        self.bytes += bytes as u64;
    }

    /// Counts a message or a control frame among what was read last.
    pub(super) fn count_message(&mut self) {
        self.messages = self.messages.saturating_add(1);
    }

    pub(super) fn is_exceeded(&self, settings: &Settings) -> bool {
        settings.max_message_rate.is_some_and(|most| self.messages > most)
            || settings.max_byte_rate.is_some_and(|most| self.bytes > most)
    }
}
