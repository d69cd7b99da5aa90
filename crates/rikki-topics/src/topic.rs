//! One topic: its ring, and who is told of what is new in it.

mod state;

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rikki_ws::Message;

use crate::config::PresenceMode;
use crate::error::{NoTopic, PublishError};
use crate::fan_out::{Group, Post, lock, notify};
use crate::hub::TopicSize;
use crate::item::Item;
use crate::position::{Epoch, Position};
use crate::presence::Presence;
use crate::ring::{Bounds, Millis, Ring, millis};
use crate::shared::{Held, Place, Rules};

pub use state::Joined;
use state::Rare;
pub(crate) use state::State;

/// How long a topic is known that nobody uses and nobody has ever published to.
pub(crate) const UNPUBLISHED: Millis = 10_000;

/// One topic.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: Box<str>,
    pub(crate) shared: Held,
    state: Mutex<State>,
    /// The ordinal of the latest message, to be looked at without the lock.
    appended: AtomicU64,
    /// How often it was said where a topic is in which nothing comes, to be looked at without the lock.
    said: AtomicU16,
    /// The broker knows that somebody wants to have its messages.
    is_active: AtomicBool,
}

/// A message that is to be published.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    pub(crate) message: Message<'static>,
    pub(crate) key: Option<Arc<str>>,
    pub(crate) idempotency_key: Option<Arc<str>>,
    /// Of those that are on their way to a broker.
    pub(crate) _place: Option<Arc<Place>>,
}

impl Topic {
    pub(crate) fn new(name: Box<str>, rules: Arc<Rules>, shared: Held) -> Result<Self, NoTopic> {
        let mut ring = Ring::new(&shared.memory);
        if !ring.keep_by_key(rules.config.latest_by_key) {
            return Err(NoTopic::NoMemory);
        }
        let presence = Presence::new(rules.config.presence, &shared.memory);
        let rare = presence.map(|presence| Box::new(Rare { presence: Some(presence), ..Rare::default() }));
        rules.counts.topics.up();
        let used_at = shared.now();
        let state = State { ring, rules, epoch: None, begun: (0, 0), groups: None, rare, used_at, is_retired: false };
        let (appended, said, is_active) = (AtomicU64::new(0), AtomicU16::new(0), AtomicBool::new(false));
        Ok(Self { name, shared, state: Mutex::new(state), appended, said, is_active })
    }

    /// The ordinal of the latest message.
    pub(crate) fn appended(&self) -> u64 {
        self.appended.load(Relaxed)
    }

    /// How often it was said where it is.
    pub(crate) fn said(&self) -> u16 {
        self.said.load(Relaxed)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// How many messages have gone in all, and how many there are.
    pub(crate) fn turnover(&self) -> (u64, u64) {
        let state = self.state();
        (state.ring.gone(), state.ring.appended().saturating_sub(state.ring.gone()))
    }

    /// Somebody wants to have its messages; whether the broker is still to be told.
    pub(crate) fn is_to_be_activated(&self) -> bool {
        !self.is_active.load(Relaxed) && !self.is_active.swap(true, Relaxed)
    }

    /// The broker says which history this is; what has another has nothing to do with it.
    pub(crate) fn begin(&self, epoch: Epoch, behind: u64, messages: impl IntoIterator<Item = (u64, Publication, u64)>) {
        let now = self.shared.now();
        let wall = unix_now();
        let groups = {
            let mut state = self.state();
            match state.epoch {
                // What is between is missing.
                Some(known) if known == epoch && behind > state.ring.last_offset() => {
                    self.change_ring(&mut state, |ring, _| ring.restart(behind));
                }
                Some(known) if known == epoch => {}
                Some(_) => {
                    self.change_ring(&mut state, |ring, _| ring.restart(behind));
                    state.forget_keys();
                }
                None => state.ring.begin(behind),
            }
            let is_first = state.epoch.replace(epoch).is_none();
            for (offset, publication, time) in messages {
                let at = now.saturating_sub(wall.saturating_sub(time));
                // What there is no room for is a gap, of which subscribers are told.
                let _ = self.append_to(&mut state, offset, publication, time, (at, now));
            }
            if is_first {
                state.begun = (state.ring.appended(), state.ring.last_offset());
            }
            state.groups.clone()
        };
        notify(groups);
    }

    /// Publishes a message behind the last one, unless its idempotency key has been seen.
    pub(crate) fn publish(&self, publication: Publication) -> Result<Position, PublishError> {
        let now = self.shared.now();
        let (result, groups) = {
            let mut state = self.state();
            let epoch = *state.epoch.get_or_insert_with(Epoch::random);
            let Publication { message, key, idempotency_key, .. } = publication;
            if let Some(known) = idempotency_key.as_deref().and_then(|key| state.position_of(key, now)) {
                state.rules.counts.repeated.up();
                return Ok(known);
            }
            let position = Position { epoch, offset: state.ring.last_offset() + 1 };
            let result = self.add(&mut state, position.offset, message, key, unix_now(), (now, now));
            if let (Ok(()), Some(key)) = (&result, idempotency_key) {
                state.remember(key, position, now, &self.shared.memory);
            }
            (result.map(|()| position), state.groups.clone())
        };
        if result.is_ok() {
            notify(groups);
        }
        result
    }

    /// Adds a message that a broker has given its offset; one that is not behind the last is there already.
    pub(crate) fn append(&self, offset: u64, publication: Publication, time: u64) -> Result<bool, PublishError> {
        let now = self.shared.now();
        let (added, groups) = {
            let mut state = self.state();
            (self.append_to(&mut state, offset, publication, time, (now, now)), state.groups.clone())
        };
        notify(groups);
        added
    }

    /// The broker begins to look how far it goes; the number of this look.
    pub(crate) fn look(&self) -> u64 {
        self.state().rare.get_or_insert_default().looking.begin()
    }

    /// There is no message up to this offset but those that there are, and a look is over, if it is. Who has come with a
    /// position of its own may wait for that.
    pub(crate) fn reach(&self, look: Option<u64>, offset: u64) {
        let now = self.shared.now();
        let groups = {
            let mut state = self.state();
            let State { ring, rare, epoch, groups, .. } = &mut *state;
            let looking = &mut rare.get_or_insert_default().looking;
            let mut is_news = look.is_some_and(|look| looking.end(look));
            if epoch.is_some() {
                is_news |= ring.reach(offset);
                is_news |= looking.said.say(ring, now);
                self.said.store(looking.said.times, Relaxed);
            }
            groups.clone().filter(|_| is_news)
        };
        notify(groups);
    }

    /// Somebody waits who has come with this position.
    pub(crate) fn want(&self, position: Position) {
        let mut state = self.state();
        if state.epoch.is_none_or(|epoch| epoch == position.epoch) {
            state.rare.get_or_insert_default().looking.want(position.offset);
        }
    }

    /// The farthest offset that somebody waits for; 0 for nobody.
    pub(crate) fn wanted(&self) -> u64 {
        self.state().rare.as_ref().map_or(0, |rare| rare.looking.wanted())
    }

    /// The offset up to which everything is known.
    pub(crate) fn reached(&self) -> u64 {
        self.state().ring.last_offset()
    }

    /// Messages are missing behind the latest one, nobody knows how many.
    pub(crate) fn lose(&self) {
        let groups = {
            let mut state = self.state();
            let last = state.ring.last_offset();
            self.change_ring(&mut state, |ring, _| ring.restart(last));
            state.groups.clone()
        };
        notify(groups);
    }

    /// A message was published that had been published before.
    pub(crate) fn count_repeated(&self) {
        self.state().rules.counts.repeated.up();
    }

    fn append_to(
        &self,
        state: &mut State,
        offset: u64,
        publication: Publication,
        time: u64,
        at: (Millis, Millis),
    ) -> Result<bool, PublishError> {
        if offset <= state.ring.last_offset() {
            return Ok(false);
        }
        let added = self.add(state, offset, publication.message, publication.key, time, at);
        if added.is_err() {
            self.change_ring(state, |ring, _| ring.lose(offset));
        }
        added.map(|()| true)
    }

    fn add(
        &self,
        state: &mut State,
        offset: u64,
        message: Message<'static>,
        key: Option<Arc<str>>,
        time: u64,
        at: (Millis, Millis),
    ) -> Result<(), PublishError> {
        let (length, limit) = (message.as_bytes().len(), state.rules.bounds.longest());
        // Where messages are kept whatever their key, nothing is the latest of one.
        let key = key.filter(|_| state.ring.is_by_key());
        let item = Arc::new(Item::new(message, key, time, &self.shared.memory));
        let added = match length <= limit {
            true => self
                .change_ring(state, |ring, bounds| ring.append(offset, item, bounds, at))
                .map_err(|_| PublishError::NoMemory),
            false => Err(PublishError::TooLong { length, limit }),
        };
        let counts = &state.rules.counts;
        if added.is_ok() {
            counts.published.up()
        } else {
            counts.refused.up()
        }
        added
    }

    /// Changes the ring, and counts what it holds.
    fn change_ring<R>(&self, state: &mut State, change: impl FnOnce(&mut Ring, &Bounds) -> R) -> R {
        let State { ring, rules, .. } = state;
        let before = ring.held();
        let result = change(ring, &rules.bounds);
        self.appended.store(ring.appended(), Relaxed);
        rules.counts.ring_bytes.change(before, ring.held());
        result
    }

    /// The state without what is too old.
    pub(crate) fn state_now(&self) -> MutexGuard<'_, State> {
        let now = self.shared.now(); // read without the lock
        self.state_at(now)
    }

    fn state_at(&self, now: Millis) -> MutexGuard<'_, State> {
        let mut state = self.state();
        self.change_ring(&mut state, |ring, bounds| ring.expire(bounds, now));
        state
    }

    pub(crate) fn subscribers(&self) -> u64 {
        self.state().groups().map(|group| group.count() as u64).sum()
    }

    pub(crate) fn size(&self, subscribers: u64) -> TopicSize {
        let state = self.state();
        let messages = state.ring.appended().saturating_sub(state.ring.gone());
        TopicSize { name: self.name.to_string(), subscribers, messages, bytes: state.ring.held() as u64 }
    }

    /// One more subscriber in the runtime of `post`.
    pub(crate) fn join(self: &Arc<Self>, post: Option<&Arc<Post>>) -> (Arc<Group>, usize) {
        let mut state = self.state();
        let known = state.groups().find(|group| group.is_of(post)).cloned();
        let group = known.unwrap_or_else(|| {
            let group = Arc::new(Group::new(self.clone(), post.cloned(), state.rules.config.policy));
            let groups = state.groups().cloned().chain([group.clone()]).collect();
            state.groups = Some(groups);
            group
        });
        let key = group.join();
        state.rules.counts.subscribers.change(0, 1);
        (group, key)
    }

    /// A subscriber leaves.
    pub(crate) fn leave(self: &Arc<Self>, group: &Arc<Group>, key: usize) {
        let mut state = self.state();
        state.rules.counts.subscribers.change(1, 0);
        state.used_at = self.shared.now();
        if group.leave(key) {
            let others = state.groups().filter(|other| !Arc::ptr_eq(other, group));
            let others: Arc<[_]> = others.cloned().collect();
            let old = std::mem::replace(&mut state.groups, Some(others).filter(|others| !others.is_empty()));
            let is_over = state.is_retired && state.groups.is_none();
            let now = state.used_at;
            drop(state);
            drop(old); // without the lock
            if is_over {
                self.shared.due.add(now, Arc::downgrade(self));
            }
        }
    }

    /// Whether nobody uses it, and nothing of it is kept; otherwise, when to ask again: never, where it says itself that
    /// it is to be looked at.
    pub(crate) fn is_unused(&self, now: Millis) -> Result<(), Option<Millis>> {
        let state = self.state_at(now);
        if state.is_retired {
            return if state.groups.is_some() { Err(None) } else { Ok(()) };
        }
        let age = state.rules.bounds.age();
        if state.groups.is_some() {
            return Err(Some(now.saturating_add(age)));
        }
        // One to which nothing was ever published has nothing to come back for.
        let idle = if state.ring.appended() == 0 { age.min(UNPUBLISHED) } else { age };
        let last_used = state.ring.latest_at().max(Some(state.used_at)).unwrap_or_default();
        let until = last_used.saturating_add(idle).max(state.keys_until().unwrap_or_default());
        if until > now { Err(Some(until)) } else { Ok(()) }
    }

    /// Follows these rules from now on, with whoever is subscribed; whether it follows all of them, or keeps what cannot
    /// change while it lives.
    pub(crate) fn follow(&self, rules: &Arc<Rules>) -> bool {
        let mut state = self.state();
        state.is_retired = false;
        let old = std::mem::replace(&mut state.rules, rules.clone());
        if !Arc::ptr_eq(&old.counts, &rules.counts) {
            let subscribers = state.groups().map(|group| group.count()).sum();
            rules.counts.take_over(&old.counts, subscribers, state.ring.held());
        }
        let policy = rules.config.policy;
        state.groups().for_each(|group| group.follow(policy));
        let is_by_key = self.change_ring(&mut state, |ring, _| ring.keep_by_key(rules.config.latest_by_key));
        is_by_key && state.presence().map_or(PresenceMode::Off, Presence::mode) == rules.config.presence
    }

    /// No pattern fits any more: it is over when nobody is subscribed, and as it was until then; whether somebody is.
    pub(crate) fn retire(&self) -> bool {
        let mut state = self.state();
        state.is_retired = true;
        state.groups.is_some()
    }
}

/// Now, in milliseconds of Unix time.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

impl Drop for Topic {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.rules.counts.ring_bytes.change(state.ring.held(), 0);
        state.rules.counts.topics.down();
    }
}
