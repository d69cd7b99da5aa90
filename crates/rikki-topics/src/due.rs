//! When to look whether topics are still used: each that may be forgotten is here once.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, Weak};

use crate::fan_out::lock;
use crate::ring::Millis;
use crate::topic::Topic;

/// The topics, by when to look at them.
#[derive(Debug)]
pub(crate) struct Due {
    looks: Mutex<Looks>,
    /// When the next one is due, to be looked at without the lock.
    next: AtomicU64,
}

#[derive(Debug, Default)]
struct Looks {
    heap: BinaryHeap<Look>,
    /// How often all of them have been added anew.
    round: u64,
}

/// When to look at one of them. The one that comes first is the greatest.
#[derive(Debug)]
struct Look {
    at: Millis,
    topic: Weak<Topic>,
}

impl Default for Due {
    fn default() -> Self {
        Self { looks: Mutex::default(), next: AtomicU64::new(Millis::MAX) }
    }
}

impl Due {
    /// Whether there is one to look at.
    pub(crate) fn is_any(&self, now: Millis) -> bool {
        self.next.load(Relaxed) <= now
    }

    /// The next one to look at, and the round that this is of.
    pub(crate) fn take(&self, now: Millis) -> Option<(Weak<Topic>, u64)> {
        let mut looks = lock(&self.looks);
        looks.heap.peek().filter(|first| first.at <= now)?;
        let first = looks.heap.pop();
        self.set_next(&looks);
        first.map(|first| (first.topic, looks.round))
    }

    /// One more.
    pub(crate) fn add(&self, at: Millis, topic: Weak<Topic>) {
        let mut looks = lock(&self.looks);
        looks.heap.push(Look { at, topic });
        self.set_next(&looks);
    }

    /// One that was taken in this round: if there has been another one since, it is there already.
    pub(crate) fn add_again(&self, at: Millis, topic: Weak<Topic>, round: u64) {
        let mut looks = lock(&self.looks);
        if looks.round == round {
            looks.heap.push(Look { at, topic });
            self.set_next(&looks);
        }
    }

    /// Begins another round: all of them are to be added again.
    pub(crate) fn begin_anew(&self) {
        let mut looks = lock(&self.looks);
        let old = std::mem::take(&mut looks.heap);
        looks.round += 1;
        self.set_next(&looks);
        drop(looks);
        drop(old); // without the lock
    }

    fn set_next(&self, looks: &Looks) {
        self.next.store(looks.heap.peek().map_or(Millis::MAX, |first| first.at), Relaxed);
    }
}

impl Ord for Look {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}

impl PartialOrd for Look {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Look {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Look {}
