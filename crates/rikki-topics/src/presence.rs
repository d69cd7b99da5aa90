//! Who is subscribed to a topic: joins and leaves, put together over a short time.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rikki_limits::{Budget, Share};
use tokio::runtime::Handle;

use crate::broker::Inlet;
use crate::config::PresenceMode;
use crate::fan_out::notify;
use crate::topic::Topic;

/// How long joins and leaves are put together, so that who reconnects at once has not been away.
const TOGETHER: Duration = Duration::from_millis(250);

/// How many members of a topic are known; the others are counted.
const MOST_MEMBERS: usize = 1000;

/// How many changes are kept for subscribers who read slowly.
const KEPT_CHANGES: usize = 16;

/// What a member costs beside what it says of itself, in bytes.
const MEMBER: usize = 200;

/// What a subscriber says of itself, for others to see: see [`PresenceMode`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// Who it is, such as the name of an account; nobody has judged that but the application.
    pub user: String,
    /// What else is to be known of it: any text.
    pub info: String,
}

impl Identity {
    /// A user of whom nothing else is to be known.
    #[must_use]
    pub fn user(user: impl Into<String>) -> Self {
        Self { user: user.into(), info: String::new() }
    }

    /// With what else is to be known of it.
    #[must_use]
    pub fn info(self, info: impl Into<String>) -> Self {
        Self { info: info.into(), ..self }
    }
}

/// One subscription that is there.
#[derive(Debug)]
#[non_exhaustive]
pub struct Member {
    /// Its number, which no other one of the process has had.
    pub client: u64,
    /// What it says of itself.
    pub identity: Identity,
    /// As long as anybody is told of it.
    _memory: Share,
}

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        self.client == other.client && self.identity == other.identity
    }
}

impl Eq for Member {}

/// Who is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Present {
    /// How many.
    pub count: usize,
    /// Who they are, in the order in which they came, as far as it is known.
    pub members: Vec<Arc<Member>>,
}

/// Who is there of another process: see [`Inlet::set_present`](crate::Inlet::set_present).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "brokers make it")]
pub struct Elsewhere {
    /// How many.
    pub count: usize,
    /// Who they are, as far as it is known, each with its number in that process.
    pub members: Vec<(u64, Identity)>,
}

/// Who has come and gone in a short time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresenceChange {
    /// How many are there now.
    pub count: usize,
    /// Who has come, and is still there.
    pub joined: Vec<Arc<Member>>,
    /// Who was there, and has gone.
    pub left: Vec<Arc<Member>>,
    /// It does not go on from a change before: those who have come are all there are. The first is.
    pub is_complete: bool,
}

/// What is known of another process.
#[derive(Debug, Default)]
struct Process {
    count: usize,
    /// By which number each of its members is known here.
    members: BTreeMap<u64, u64>,
}

/// The presence of one topic.
#[derive(Debug)]
pub(crate) struct Presence {
    names: bool,
    /// How many there are, and how many of them in this process.
    count: usize,
    here: usize,
    members: BTreeMap<u64, Arc<Member>>,
    memory: Arc<Budget>,
    /// Those of other processes.
    others: BTreeMap<u64, Process>,
    /// Who is here has changed since the broker was told.
    is_changed_here: bool,
    /// What has changed since the last change that was told.
    joined: BTreeMap<u64, Arc<Member>>,
    left: BTreeMap<u64, Arc<Member>>,
    told: usize,
    /// More have left than are named: who is there is told anew.
    is_incomplete: bool,
    /// Somebody puts it together soon.
    pub(crate) is_due: bool,
    /// How many changes there have been; the latest are kept.
    version: u64,
    changes: VecDeque<Arc<PresenceChange>>,
}

impl Presence {
    pub(crate) fn new(mode: PresenceMode, budget: &Arc<Budget>) -> Option<Self> {
        (mode != PresenceMode::Off).then(|| Self {
            names: mode == PresenceMode::Members,
            count: 0,
            here: 0,
            members: BTreeMap::new(),
            memory: budget.clone(),
            others: BTreeMap::new(),
            is_changed_here: false,
            joined: BTreeMap::new(),
            left: BTreeMap::new(),
            told: 0,
            is_incomplete: false,
            is_due: false,
            version: 0,
            changes: VecDeque::new(),
        })
    }

    pub(crate) fn mode(&self) -> PresenceMode {
        if self.names { PresenceMode::Members } else { PresenceMode::Counts }
    }

    /// One has come.
    pub(crate) fn join(&mut self, client: u64, identity: Identity) {
        (self.count, self.here) = (self.count.saturating_add(1), self.here + 1);
        self.is_changed_here = true;
        self.add(client, identity);
    }

    /// One more is known by its name, if there is room; whether it is.
    fn add(&mut self, client: u64, identity: Identity) -> bool {
        if !self.names || self.members.len() >= MOST_MEMBERS {
            return false;
        }
        let Some(memory) = self.memory.take(cost(&identity)) else { return false };
        let member = Arc::new(Member { client, identity, _memory: memory });
        // A client that comes back at once has not been away.
        match self.left.remove(&client) {
            Some(known) if *known == *member => {}
            was_there => {
                self.left.extend(was_there.map(|known| (client, known)));
                self.joined.insert(client, member.clone());
            }
        }
        self.members.insert(client, member);
        true
    }

    /// One has gone.
    pub(crate) fn leave(&mut self, client: u64) {
        (self.count, self.here) = (self.count.saturating_sub(1), self.here.saturating_sub(1));
        self.is_changed_here = true;
        self.remove(client);
    }

    /// One is no longer known by its name.
    fn remove(&mut self, client: u64) {
        let Some(member) = self.members.remove(&client) else { return };
        // Who comes and goes in between has not been there for anybody.
        if self.joined.remove(&client).is_some() {
            return;
        }
        if self.left.len() < MOST_MEMBERS {
            self.left.insert(client, member);
        } else {
            self.is_incomplete = true;
        }
    }

    /// These are there of another process, and no others.
    fn set_process(&mut self, process: u64, present: Elsewhere) {
        let mut known = self.others.remove(&process).unwrap_or_default();
        let mut members = BTreeMap::new();
        for (number, identity) in present.members {
            // One number stands for one of them, whatever the other process says.
            if members.contains_key(&number) {
                continue;
            }
            let client = known.members.remove(&number);
            let is_same = |client: &u64| self.members.get(client).is_some_and(|member| member.identity == identity);
            match client.filter(is_same) {
                Some(client) => _ = members.insert(number, client),
                None => {
                    client.into_iter().for_each(|client| self.remove(client));
                    let client = next_client();
                    if self.add(client, identity) {
                        members.insert(number, client);
                    }
                }
            }
        }
        known.members.into_values().for_each(|client| self.remove(client));
        if present.count > 0 {
            self.others.insert(process, Process { count: present.count, members });
        }
        // It may say any number.
        let others = self.others.values().map(|process| process.count);
        self.count = others.fold(self.here, usize::saturating_add);
    }

    /// Who is there of this process.
    fn present_here(&self) -> Present {
        let others: HashSet<u64> = self.others.values().flat_map(|process| process.members.values().copied()).collect();
        let members = self.members.iter().filter(|(client, _)| !others.contains(client));
        Present { count: self.here, members: members.map(|(_, member)| member.clone()).collect() }
    }

    /// Puts together what has changed; whether there is anything to tell.
    pub(crate) fn put_together(&mut self) -> bool {
        self.is_due = false;
        if self.count == self.told && self.joined.is_empty() && self.left.is_empty() {
            return false;
        }
        self.told = self.count;
        self.version += 1;
        if self.changes.len() == KEPT_CHANGES {
            self.changes.pop_front();
        }
        let (joined, left) = (std::mem::take(&mut self.joined), std::mem::take(&mut self.left));
        let change = match std::mem::take(&mut self.is_incomplete) {
            true => self.complete(),
            false => PresenceChange {
                count: self.count,
                joined: joined.into_values().collect(),
                left: left.into_values().collect(),
                is_complete: false,
            },
        };
        self.changes.push_back(Arc::new(change));
        true
    }

    /// How many changes have been seen by who has been told nothing.
    pub(crate) const NOTHING: u64 = u64::MAX;

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The change behind the first `seen`, and how many have been seen then.
    pub(crate) fn after(&self, seen: u64) -> Option<(u64, Arc<PresenceChange>)> {
        if seen == Self::NOTHING {
            return Some((self.version, Arc::new(self.complete())));
        }
        let behind = usize::try_from(self.version.checked_sub(seen)?).unwrap_or(usize::MAX);
        if behind == 0 {
            return None;
        }
        match self.changes.len().checked_sub(behind).and_then(|index| self.changes.get(index)) {
            Some(change) => Some((seen + 1, change.clone())),
            None => Some((self.version, Arc::new(self.complete()))),
        }
    }

    /// Who has been told to be there.
    fn complete(&self) -> PresenceChange {
        let told = self.members.iter().filter(|(client, _)| !self.joined.contains_key(client));
        let joined = told.map(|(_, member)| member.clone()).chain(self.left.values().cloned()).collect();
        PresenceChange { count: self.told, joined, left: Vec::new(), is_complete: true }
    }

    pub(crate) fn present(&self) -> Present {
        Present { count: self.count, members: self.members.values().cloned().collect() }
    }
}

/// A number that nobody else in the process has had.
pub(crate) fn next_client() -> u64 {
    static CLIENTS: AtomicU64 = AtomicU64::new(1);
    CLIENTS.fetch_add(1, Relaxed)
}

impl Topic {
    /// Somebody is there from now on, with a number that nobody else has here; whether that is known.
    pub(crate) fn enter(self: &Arc<Self>, client: u64, identity: Identity) -> bool {
        self.change_presence(|presence| presence.join(client, identity))
    }

    /// Somebody is no longer there.
    pub(crate) fn exit(self: &Arc<Self>, client: u64) {
        self.change_presence(|presence| presence.leave(client));
    }

    /// Changes who is there, and tells it soon; `false` where that is not known.
    fn change_presence(self: &Arc<Self>, change: impl FnOnce(&mut Presence)) -> bool {
        let is_first = {
            let mut state = self.state();
            let Some(presence) = state.presence_mut() else { return false };
            change(presence);
            !std::mem::replace(&mut presence.is_due, true)
        };
        if !is_first {
            return true;
        }
        match Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(tell_later(Told(Arc::downgrade(self))));
            }
            // Nobody can wait here.
            Err(_) => self.tell_presence(),
        }
        true
    }

    fn tell_presence(self: &Arc<Self>) {
        let (groups, is_changed_here) = {
            let mut state = self.state();
            let Some(presence) = state.presence_mut() else { return };
            let is_changed_here = std::mem::take(&mut presence.is_changed_here);
            let is_news = presence.put_together();
            (is_news.then(|| state.groups.clone()).flatten(), is_changed_here)
        };
        notify(groups);
        if is_changed_here {
            self.shared.broker.presence(&Inlet(self.clone()));
        }
    }

    /// These are there of another process, and no others.
    pub(crate) fn set_present(self: &Arc<Self>, process: u64, present: Elsewhere) {
        self.change_presence(|presence| presence.set_process(process, present));
    }

    pub(crate) fn present_here(&self) -> Present {
        self.state().presence().map(Presence::present_here).unwrap_or_default()
    }

    pub(crate) fn present(&self) -> Present {
        self.state().presence().map(Presence::present).unwrap_or_default()
    }
}

async fn tell_later(told: Told) {
    tokio::time::sleep(TOGETHER).await;
    drop(told);
}

/// Tells who has come and gone when it is dropped: also where its runtime ends before the time has come, or knows none.
struct Told(Weak<Topic>);

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(topic) = self.0.upgrade() {
            topic.tell_presence();
        }
    }
}

fn cost(identity: &Identity) -> usize {
    MEMBER + identity.user.len() + identity.info.len()
}
