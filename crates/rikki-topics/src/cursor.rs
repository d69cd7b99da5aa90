//! The place of one subscriber in a topic: what comes next for it, and when it is woken.

use std::sync::Arc;
use std::task::Waker;

use rikki_limits::Seldom;

use crate::config::Policy;
use crate::counters::Counts;
use crate::fan_out::{Group, Post};
use crate::item::Item;
use crate::options::Watches;
use crate::position::{Epoch, From, Position};
use crate::presence::{Identity, Presence, PresenceChange};
use crate::topic::{Joined, State, Topic};

/// How often a policy that acts is logged: once a second for each.
static ACTED: Seldom<Policy> = Seldom::new();

/// A place in the ring of a topic, and a seat among those who are woken there.
#[derive(Debug)]
pub(crate) struct Cursor {
    group: Arc<Group>,
    /// The ordinal of the latest message that it has had.
    place: u64,
    rare: Option<Box<Rare>>,
    key: u32,
    /// It gets what is there now, and nothing that comes later.
    is_sealed: bool,
    /// In an envelope that tells positions and gaps.
    pub(crate) has_envelope: bool,
    /// How often it was said where the topic is when this one heard that last, or had come.
    told: u16,
}

/// What few cursors have.
#[derive(Debug, Default)]
struct Rare {
    /// Where it is to begin, until the broker has said which history this is, and the look before which it has come.
    begins: Option<(From, Option<u64>)>,
    /// The ordinal of the latest message that it is to get.
    until: Option<u64>,
    /// The number by which it is present.
    client: Option<u64>,
    /// How many changes of presence it has had, if it wants to have them.
    seen: Option<u64>,
}

impl Rare {
    /// The next change of presence, if it wants to have them and there is one.
    fn presence(&mut self, state: &State) -> Option<Arc<PresenceChange>> {
        let seen = self.seen.as_mut()?;
        let (now_seen, change) = state.presence()?.after(*seen)?;
        *seen = now_seen;
        Some(change)
    }
}

/// What comes next for a subscriber.
#[derive(Debug)]
pub(crate) enum Next {
    /// Nothing now.
    Nothing,
    /// Messages, which are in the batch; maybe there are more behind them.
    Messages { is_full: bool },
    /// It has begun.
    Joined(Joined),
    /// Messages are missing, so many if that is known.
    Missed(Option<u64>),
    /// Who has come and gone.
    Presence(Arc<PresenceChange>),
    /// It is here now, though nothing has come: for one with an envelope.
    Reached(Position),
    /// It is to be closed.
    TooSlow,
}

/// Messages that were taken at once: shared under one lock, and sent without it.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The first one last.
    taken: Vec<Taken>,
    /// Where they are counted when they are handed over. Kept, since the next ones are mostly counted there too.
    counts: Option<Arc<Counts>>,
}

/// One of them: shared with the ring.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) ordinal: u64,
    pub(crate) position: Position,
    pub(crate) item: Arc<Item>,
}

impl Batch {
    /// The next one.
    pub(crate) fn pop(&mut self) -> Option<Taken> {
        self.taken.pop()
    }

    /// Lets go of those that are left.
    pub(crate) fn clear(&mut self) {
        self.taken.clear();
    }

    /// Whether none of them is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// So many messages have been handed over.
    pub(crate) fn count_delivered(&self, messages: usize) {
        if let Some(counts) = self.counts.as_ref().filter(|_| messages > 0) {
            counts.delivered.add(messages);
        }
    }

    fn count_in(&mut self, counts: &Arc<Counts>) {
        if !self.counts.as_ref().is_some_and(|known| Arc::ptr_eq(known, counts)) {
            self.counts = Some(counts.clone());
        }
    }

    /// Holds the first of these, `most` at most, in place of what was left; how many there are.
    fn fill(&mut self, most: usize, taken: impl Iterator<Item = Taken>) -> usize {
        self.taken.clear();
        self.taken.extend(taken.take(most));
        self.taken.reverse();
        self.taken.len()
    }
}

impl Cursor {
    /// Subscribes to `topic` in the runtime of `post`. Where the topic is ready it has begun, and this says where.
    pub(crate) fn new(topic: &Arc<Topic>, from: From, post: Option<&Arc<Post>>) -> (Self, Option<Joined>) {
        let (group, key) = topic.join(post);
        let key = u32::try_from(key).unwrap_or(u32::MAX);
        let mut cursor = Self { group, place: 0, rare: None, key, is_sealed: false, has_envelope: false, told: 0 };
        let waits = matches!(from, From::After(_)) && topic.shared.broker.keeps_history();
        let came_at = waits.then(|| topic.state().looks());
        let joined = cursor.begin(from, false, came_at);
        if joined.is_none() {
            cursor.rare.get_or_insert_default().begins = Some((from, came_at));
            if let (From::After(position), true) = (from, waits) {
                topic.want(position);
            }
        }
        (cursor, joined)
    }

    /// Is there for others to see, as the topic has it.
    pub(crate) fn enter(&mut self, client: u64, identity: Identity) {
        if self.group.topic.enter(client, identity) {
            self.rare.get_or_insert_default().client = Some(client);
        }
    }

    /// Gets presence too.
    pub(crate) fn watch_presence(&mut self, watches: Watches) {
        if watches == Watches::Nothing {
            return;
        }
        let version = self.topic().state().presence().map(Presence::version);
        if let Some(version) = version {
            let seen = if watches == Watches::All { Presence::NOTHING } else { version };
            self.rare.get_or_insert_default().seen = Some(seen);
        }
    }

    /// Begins anew with what comes next, as somebody who has just come: where that is.
    #[cfg(feature = "axum")]
    pub(crate) fn begin_with_next(&mut self) -> Option<Joined> {
        self.begin(From::Now, false, None)
    }

    pub(crate) fn topic(&self) -> &Arc<Topic> {
        &self.group.topic
    }

    fn begin(&mut self, from: From, has_waited: bool, came_at: Option<u64>) -> Option<Joined> {
        let topic = self.topic().clone();
        let state = topic.state_now();
        let (place, joined) = state.begin(from, has_waited, topic.shared.now(), came_at)?;
        match joined.recovered {
            Some(true) => state.rules.counts.resumed.up(),
            Some(false) => state.rules.counts.not_recovered.up(),
            None => {}
        }
        let told = state.said().times;
        drop(state);
        (self.place, self.told) = (place, told);
        Some(joined)
    }

    /// What comes next: `most` messages at most go to `batch`, and are had when they are [taken](Self::has_taken).
    pub(crate) fn next(&mut self, batch: &mut Batch, most: usize) -> Next {
        if let Some((from, came_at)) = self.rare.as_ref().and_then(|rare| rare.begins) {
            let Some(joined) = self.begin(from, true, came_at) else { return Next::Nothing };
            if let Some(rare) = &mut self.rare {
                rare.begins = None;
            }
            return Next::Joined(joined);
        }
        let topic = &self.group.topic;
        let state = topic.state();
        // Who is there comes before all messages, and who comes and goes behind those that there are.
        if let Some(rare) = &mut self.rare
            && rare.seen == Some(Presence::NOTHING)
            && let Some(change) = rare.presence(&state)
        {
            return Next::Presence(change);
        }
        if state.ring.is_behind(self.place) && self.place < self.until() {
            let policy = state.rules.config.policy;
            let next = match policy {
                Policy::Gap => state.ring.gone(),
                Policy::Latest => state.ring.before_last(1),
                Policy::Close => self.place,
            };
            let next = next.min(self.until());
            let missed = state.ring.between(self.place, next);
            count(&state.rules.counts, policy, missed);
            drop(state);
            self.place = next;
            return self.fall_behind(policy, missed);
        }
        let filled = self.fill(&state, batch, most);
        if filled > 0 {
            return Next::Messages { is_full: filled == most };
        }
        // What is kept no longer is missing for nobody.
        self.place = self.place.max(state.ring.appended().min(self.until()));
        if let Some(change) = self.rare.as_mut().and_then(|rare| rare.presence(&state)) {
            return Next::Presence(change);
        }
        let said = state.said();
        let is_new = std::mem::replace(&mut self.told, said.times) != said.times;
        let is_told = is_new && self.has_envelope && !self.is_sealed && said.is_latest(&state.ring);
        match state.epoch.filter(|_| is_told) {
            Some(epoch) => Next::Reached(Position { epoch, offset: state.ring.last_offset() }),
            None => Next::Nothing,
        }
    }

    /// The messages that come next, `most` at most; `false` where there are none, or something else is to be told first.
    #[cfg(feature = "axum")]
    pub(crate) fn next_messages(&self, batch: &mut Batch, most: usize) -> bool {
        let begins = self.rare.as_ref().is_some_and(|rare| rare.begins.is_some());
        let state = self.topic().state();
        !begins && !state.ring.is_behind(self.place) && self.fill(&state, batch, most) > 0
    }

    /// How many messages are in the batch now, of those that come next.
    fn fill(&self, state: &State, batch: &mut Batch, most: usize) -> usize {
        let (epoch, until) = (state.epoch.unwrap_or(Epoch(0)), self.until());
        let mine = state.ring.after(self.place).take_while(|(ordinal, _)| *ordinal <= until);
        let mine = mine.filter_map(|(ordinal, entry)| {
            let position = Position { epoch, offset: entry.offset };
            Some(Taken { ordinal, position, item: entry.item.clone()? })
        });
        let filled = batch.fill(most, mine);
        if filled > 0 {
            batch.count_in(&state.rules.counts);
        }
        filled
    }

    /// What becomes of it when it is too slow.
    #[cfg(feature = "axum")]
    pub(crate) fn policy(&self) -> Policy {
        self.topic().state().rules.config.policy
    }

    /// A message of the batch has been had.
    pub(crate) fn has_taken(&mut self, taken: &Taken) {
        self.place = taken.ordinal;
    }

    /// Behind what it has had; `None` where it has not begun, or has something to be told first.
    #[cfg(feature = "axum")]
    pub(crate) fn position(&self) -> Option<Position> {
        let begins = self.rare.as_ref().is_some_and(|rare| rare.begins.is_some());
        let state = self.topic().state();
        let is_behind = begins || state.ring.is_behind(self.place);
        let epoch = state.epoch.filter(|_| !is_behind)?;
        Some(Position { epoch, offset: state.ring.offset_at(self.place) })
    }

    /// Registers the task for what comes next; `false` if something is there already.
    pub(crate) fn wait(&self, waker: &Waker) -> bool {
        self.group.wait(self.key as usize, waker);
        if self.is_sealed && self.place >= self.until() {
            return true;
        }
        // What was added before the waiting were woken is seen here: both have had the lock of the group since.
        let has_heard = !self.has_envelope || self.topic().said() == self.told;
        let Some(rare) = &self.rare else { return self.topic().appended() <= self.place && has_heard };
        let now = self.topic().shared.now();
        let state = self.topic().state();
        let (begins, seen) = (rare.begins, rare.seen);
        let is_told = seen.is_none_or(|seen| state.presence().is_none_or(|presence| presence.version() == seen));
        match begins {
            Some((from, came_at)) => state.begin(from, true, now, came_at).is_none(),
            None => state.ring.appended() <= self.place && is_told && has_heard,
        }
    }

    /// From now on it gets what is there already; whether it has had all of that.
    pub(crate) fn seal(&mut self) -> bool {
        if !self.is_sealed {
            let appended = self.topic().state().ring.appended();
            self.is_sealed = true;
            self.rare.get_or_insert_default().until = Some(appended);
        }
        self.place >= self.until()
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    /// Whether its policy is to close it and has to act: also while its peer takes nothing.
    pub(crate) fn is_to_be_closed(&self) -> bool {
        self.group.closes() && self.topic().state().ring.is_behind(self.place)
    }

    fn until(&self) -> u64 {
        self.rare.as_ref().and_then(|rare| rare.until).unwrap_or(u64::MAX)
    }

    fn fall_behind(&self, policy: Policy, missed: Option<u64>) -> Next {
        if let Some(left_out) = ACTED.turn(policy) {
            let topic = &*self.topic().name;
            tracing::info!(target: "rikki::topics", topic, ?policy, missed, left_out, "a subscriber is too slow");
        }
        if policy == Policy::Close { Next::TooSlow } else { Next::Missed(missed) }
    }
}

/// Somebody has fallen behind.
fn count(counts: &Counts, policy: Policy, missed: Option<u64>) {
    let missed = missed.and_then(|missed| usize::try_from(missed).ok()).unwrap_or(0);
    match policy {
        Policy::Gap => counts.missed.add(missed),
        Policy::Latest => counts.skipped.add(missed),
        Policy::Close => counts.closed.up(),
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        let topic = self.topic().clone();
        if let Some(client) = self.rare.as_ref().and_then(|rare| rare.client) {
            topic.exit(client);
        }
        topic.leave(&self.group, self.key as usize);
        topic.shared.subscriptions.give_back_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There is one for each subscriber.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn it_is_small() {
        assert_eq!(size_of::<Cursor>(), 32);
    }
}
