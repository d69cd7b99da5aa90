//! The messages of one topic, of which the oldest give way: time is an argument, and nobody waits here.
//!
//! ```text
//!   ordinals    gone                        appended
//!               v                           v
//!   ... 4 5 6 7 | 8 | 9 | 10 | (11) | 12 | 13 |
//!                                ^ kept no longer: there is a later one of its key
//! ```
//!
//! Messages are counted by ordinals of the ring's own, without holes, in which a subscriber has its place. Offsets are
//! what others see: they rise, and may leave out numbers where a broker elsewhere gives them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rikki_limits::{Budget, Share};

use crate::config::TopicConfig;
use crate::item::Item;

/// How many messages a ring holds at least for those who are subscribed, within its bytes and its age.
const DELIVERY: usize = 1024;

/// What a message costs beside its payload and its key, in bytes: the entry, and what is shared.
pub(crate) const OVERHEAD: usize = 250;

/// What a ring takes where the latest of each key is kept: room for those that are not.
const KEYED: usize = 1024;

/// A point in time, in milliseconds since the topics were made.
pub(crate) type Millis = u64;

/// What bounds a ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    messages: usize,
    pub(crate) history: usize,
    bytes: usize,
    age: Millis,
}

impl Bounds {
    pub(crate) fn new(config: &TopicConfig) -> Self {
        let config = config.clone().within_limits();
        Self {
            messages: config.history.max(DELIVERY),
            history: config.history,
            bytes: config.bytes.max(1),
            age: millis(config.age),
        }
    }

    pub(crate) fn age(&self) -> Millis {
        self.age
    }

    pub(crate) fn messages(&self) -> usize {
        self.messages
    }

    /// The longest payload that there is room for.
    pub(crate) fn longest(&self) -> usize {
        self.bytes
    }
}

pub(crate) fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// One message in its place.
#[derive(Debug)]
pub(crate) struct Entry {
    ordinal: u64,
    pub(crate) offset: u64,
    at: Millis,
    /// `None` when a later message has its key.
    pub(crate) item: Option<Arc<Item>>,
}

/// No memory is left for a message, though all older ones have given way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoMemory;

/// The ring of one topic.
#[derive(Debug)]
pub(crate) struct Ring {
    entries: VecDeque<Entry>,
    /// How many of `entries` are still kept.
    kept: usize,
    /// What those hold.
    memory: Share,
    /// The ordinal of the latest message.
    appended: u64,
    /// The ordinal of the latest message that has given way, and its offset.
    gone: u64,
    gone_offset: u64,
    /// Up to here there is no other message.
    last_offset: u64,
    /// Up to which ordinal it is not known how many messages are missing.
    unknown: u64,
    /// Where the latest message of each key is, if only that is kept.
    by_key: Option<Box<ByKey>>,
}

#[derive(Debug)]
struct ByKey {
    ordinals: HashMap<Arc<str>, u64>,
    _memory: Share,
}

impl Ring {
    pub(crate) fn new(budget: &Arc<Budget>) -> Self {
        Self {
            entries: VecDeque::new(),
            kept: 0,
            memory: budget.share(),
            appended: 0,
            gone: 0,
            gone_offset: 0,
            last_offset: 0,
            unknown: 0,
            by_key: None,
        }
    }

    /// Keeps the latest message of each key alone, or all of them; whether it does, for which there may be no memory.
    ///
    /// How many are missing that were there before is not known behind that.
    pub(crate) fn keep_by_key(&mut self, enabled: bool) -> bool {
        if enabled == self.is_by_key() {
            return true;
        }
        if !enabled {
            (self.by_key, self.unknown) = (None, self.appended);
            return true;
        }
        let Some(memory) = self.memory.budget().take(KEYED) else { return false };
        self.by_key = Some(Box::new(ByKey { ordinals: HashMap::new(), _memory: memory }));
        // Some may have had keys when it was so before.
        let keyed = self.entries.iter().filter_map(|entry| Some((entry.item.as_ref()?.key()?.clone(), entry.ordinal)));
        for (key, ordinal) in keyed.collect::<Vec<_>>() {
            self.supersede(Some(&key), ordinal);
        }
        true
    }

    pub(crate) fn is_by_key(&self) -> bool {
        self.by_key.is_some()
    }

    pub(crate) fn appended(&self) -> u64 {
        self.appended
    }

    pub(crate) fn gone(&self) -> u64 {
        self.gone
    }

    pub(crate) fn last_offset(&self) -> u64 {
        self.last_offset
    }

    /// The offset of the latest message, whether or not it is still here.
    pub(crate) fn latest_offset(&self) -> u64 {
        self.entries.back().map_or(self.gone_offset, |latest| latest.offset)
    }

    /// What the messages hold, in bytes.
    pub(crate) fn held(&self) -> usize {
        self.memory.held()
    }

    /// Adds a message with an offset behind the last one, which is as old as what was added at `at`.
    pub(crate) fn append(
        &mut self,
        offset: u64,
        item: Arc<Item>,
        bounds: &Bounds,
        (at, now): (Millis, Millis),
    ) -> Result<(), NoMemory> {
        self.expire(bounds, now);
        let cost = item.cost();
        // What would be refused all the same costs nobody anything.
        if !self.memory.budget().has_room_for(cost.saturating_sub(self.memory.held())) {
            return Err(NoMemory);
        }
        while !self.memory.grow(cost) {
            if self.kept == 0 {
                return Err(NoMemory);
            }
            self.drop_oldest();
        }
        self.appended += 1;
        self.last_offset = offset;
        self.supersede(item.key(), self.appended);
        let most = bounds.bytes.saturating_add(OVERHEAD);
        while self.kept > 0 && (self.kept >= bounds.messages || self.memory.held() > most) {
            self.drop_oldest();
        }
        // Two who add at once have read the clock in any order.
        let at = at.max(self.latest_at().unwrap_or_default());
        self.entries.push_back(Entry { ordinal: self.appended, offset, at, item: Some(item) });
        self.kept += 1;
        Ok(())
    }

    /// The message of this offset is not there, and never will be: whoever has not had what is before it is behind.
    pub(crate) fn lose(&mut self, offset: u64) {
        self.clear();
        self.appended += 1;
        (self.gone, self.gone_offset, self.last_offset) = (self.appended, offset, offset);
    }

    fn clear(&mut self) {
        while self.kept > 0 {
            self.drop_oldest();
        }
        self.entries.clear();
    }

    /// What follows is behind an offset, before which nothing is known, and has nothing to do with what was there: whoever
    /// was at the end is behind from now on.
    pub(crate) fn restart(&mut self, offset: u64) {
        self.lose(offset);
        self.unknown = self.appended;
    }

    /// There is no message up to this offset but those that there are; whether that was not known.
    pub(crate) fn reach(&mut self, offset: u64) -> bool {
        let is_news = offset > self.last_offset;
        self.last_offset = self.last_offset.max(offset);
        is_news
    }

    /// What follows is the first that there is, behind an offset before which nothing is known.
    pub(crate) fn begin(&mut self, offset: u64) {
        (self.gone_offset, self.last_offset) = (offset, offset);
    }

    /// Lets go of what is older than it may be.
    pub(crate) fn expire(&mut self, bounds: &Bounds, now: Millis) {
        while self.entries.front().is_some_and(|oldest| oldest.at.saturating_add(bounds.age) <= now) {
            self.drop_oldest();
        }
    }

    /// When the latest message was added.
    pub(crate) fn latest_at(&self) -> Option<Millis> {
        self.entries.back().map(|latest| latest.at)
    }

    /// Whether the place is one that messages have gone behind.
    pub(crate) fn is_behind(&self, ordinal: u64) -> bool {
        ordinal < self.gone
    }

    /// How many messages there were between two places, where that is known.
    pub(crate) fn between(&self, ordinal: u64, until: u64) -> Option<u64> {
        let is_known = self.by_key.is_none() && ordinal >= self.unknown;
        is_known.then(|| until.saturating_sub(ordinal))
    }

    /// The messages behind a place, the oldest first.
    pub(crate) fn after(&self, ordinal: u64) -> impl DoubleEndedIterator<Item = (u64, &Entry)> {
        self.entries
            .range(self.index_after(ordinal)..)
            .map(|entry| (entry.ordinal, entry))
            .filter(|(_, e)| e.item.is_some())
    }

    /// The place that the last `count` messages are behind.
    pub(crate) fn before_last(&self, count: usize) -> u64 {
        let Some(skipped) = count.checked_sub(1) else { return self.appended };
        if count > self.kept {
            return self.gone;
        }
        // Where nothing has been taken out, the index says it.
        if self.kept == self.entries.len() {
            return self.entries.get(self.kept - count).map_or(self.gone, |entry| entry.ordinal - 1);
        }
        self.after(self.gone).rev().nth(skipped).map_or(self.gone, |(ordinal, _)| ordinal - 1)
    }

    /// The place that all messages since `at` are behind.
    pub(crate) fn before_time(&self, at: Millis) -> u64 {
        let index = self.entries.partition_point(|entry| entry.at < at);
        self.entries.get(index).map_or(self.appended, |entry| entry.ordinal - 1)
    }

    /// The place behind the message of an offset, if nothing that came after it has gone.
    pub(crate) fn place_of(&self, offset: u64) -> Option<u64> {
        if offset < self.gone_offset || offset > self.last_offset {
            return None;
        }
        let index = self.entries.partition_point(|entry| entry.offset <= offset);
        Some(self.entries.get(index).map_or(self.appended, |entry| entry.ordinal - 1))
    }

    /// The offset that a place is behind.
    pub(crate) fn offset_at(&self, ordinal: u64) -> u64 {
        if ordinal >= self.appended {
            return self.last_offset;
        }
        let before = self.index_after(ordinal).checked_sub(1);
        match before.and_then(|index| self.entries.get(index)) {
            Some(entry) => entry.offset,
            None => self.gone_offset,
        }
    }

    fn index_after(&self, ordinal: u64) -> usize {
        if ordinal >= self.appended {
            return self.entries.len();
        }
        // Where nothing has been taken out, the distance is the index.
        let first = self.entries.front().map_or(0, |entry| entry.ordinal);
        let guess = usize::try_from((ordinal + 1).saturating_sub(first)).unwrap_or(usize::MAX);
        match self.entries.get(guess) {
            Some(entry) if entry.ordinal == ordinal + 1 => guess,
            _ => self.entries.partition_point(|entry| entry.ordinal <= ordinal),
        }
    }

    fn drop_oldest(&mut self) {
        let Some(Entry { ordinal, offset, item, .. }) = self.entries.pop_front() else { return };
        // One that a later one has taken the place of is missing for nobody.
        if let Some(item) = item {
            (self.gone, self.gone_offset) = (ordinal, offset);
            self.let_go(&item);
            if let (Some(by_key), Some(key)) = (&mut self.by_key, item.key()) {
                by_key.ordinals.remove(key);
            }
        }
    }

    fn let_go(&mut self, item: &Item) {
        self.kept -= 1;
        self.memory.shrink_to(self.memory.held().saturating_sub(item.cost()));
    }

    /// Lets go of the message that the one of this ordinal takes the place of.
    fn supersede(&mut self, key: Option<&Arc<str>>, by: u64) {
        let (Some(by_key), Some(key)) = (&mut self.by_key, key) else { return };
        let Some(ordinal) = by_key.ordinals.insert(key.clone(), by) else { return };
        let index = self.entries.partition_point(|entry| entry.ordinal < ordinal);
        let superseded = self.entries.get_mut(index).filter(|entry| entry.ordinal == ordinal);
        if let Some(item) = superseded.and_then(|entry| entry.item.take()) {
            self.let_go(&item);
        }
        // What is kept no longer takes about as much room as what is, and that is counted.
        if self.entries.len() > 2 * self.kept + 16 {
            self.entries.retain(|entry| entry.item.is_some());
            self.entries.shrink_to(2 * self.kept);
        }
    }
}
