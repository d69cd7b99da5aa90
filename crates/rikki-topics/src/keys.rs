//! The idempotency keys of one topic: what was published before is known again, for a while.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rikki_limits::{Budget, Share};

use crate::position::Position;
use crate::ring::{Millis, millis};

/// How long an idempotency key is known.
const KEYS_KNOWN: Duration = Duration::from_secs(5 * 60);

/// How many of them are, of one topic.
const MOST_KEYS: usize = 1024;

/// What a key costs beside its text, in bytes.
const KEY: usize = 150;

/// The idempotency keys that have been seen lately.
#[derive(Debug)]
pub(crate) struct Keys {
    positions: HashMap<Arc<str>, Position>,
    order: VecDeque<(Millis, Arc<str>)>,
    memory: Share,
}

impl Keys {
    pub(crate) fn new(budget: &Arc<Budget>) -> Self {
        Self { positions: HashMap::new(), order: VecDeque::new(), memory: budget.share() }
    }

    /// Where the message is that was published with this key.
    pub(crate) fn position_of(&mut self, key: &str, now: Millis) -> Option<Position> {
        self.expire(now);
        self.positions.get(key).copied()
    }

    pub(crate) fn remember(&mut self, key: Arc<str>, position: Position, now: Millis) {
        self.expire(now);
        while self.order.len() >= MOST_KEYS || !self.memory.grow(key.len() + KEY) {
            // Without any memory the message is not known again, which is better than refusing it.
            if !self.drop_oldest() {
                return;
            }
        }
        self.order.push_back((now, key.clone()));
        self.positions.insert(key, position);
    }

    /// Until when the latest of them is known.
    pub(crate) fn known_until(&self) -> Option<Millis> {
        let (at, _) = self.order.back()?;
        Some(at.saturating_add(millis(KEYS_KNOWN)))
    }

    fn expire(&mut self, now: Millis) {
        while self.order.front().is_some_and(|(at, _)| at.saturating_add(millis(KEYS_KNOWN)) <= now) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some((_, key)) = self.order.pop_front() else { return false };
        self.positions.remove(&key);
        self.memory.shrink_to(self.memory.held().saturating_sub(key.len() + KEY));
        true
    }
}
