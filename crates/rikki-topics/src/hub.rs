//! The topics themselves, by name: made when they are used, forgotten when nobody uses them, and changed while they are used.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use rikki_limits::{Budget, Limit};
use tokio::time::Instant;

use crate::broker::{Broker, Inlet};
use crate::config::TopicsConfig;
use crate::counters::TopicCounters;
use crate::due::Due;
use crate::error::NoTopic;
use crate::name::judge;
use crate::reconfigured::Reconfigured;
use crate::ring::Millis;
use crate::shared::{Held, Rules, Shared};
use crate::table::Table;
use crate::topic::{Topic, UNPUBLISHED};

/// What a topic takes beside its name and its messages, in bytes, with some of what its subscribers do.
const TOPIC: usize = 400;

/// How many topics are looked at by the way, whether they are still used.
const SWEPT_AT_ONCE: usize = 16;

/// What clones of [`Topics`](crate::Topics) have together.
#[derive(Debug)]
pub(crate) struct Hub {
    /// The broker is this process.
    pub(crate) is_in_process: bool,
    pub(crate) shared: Arc<Shared>,
    known: RwLock<Known>,
}

/// The topics that there are, and what they are like: under one lock, so that no name is between two configurations.
#[derive(Debug)]
struct Known {
    topics: HashSet<Named>,
    /// Those that no pattern fits any more, for whoever is subscribed.
    retired: HashSet<Named>,
    table: Table,
    /// Their memory is no part of a server's.
    has_own_memory: bool,
}

/// A topic as it is found by its name.
#[derive(Debug)]
struct Named(Arc<Topic>);

/// What one topic has.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "of this project alone")]
pub struct TopicSize {
    /// What it is called.
    pub name: String,
    /// How many are subscribed.
    pub subscribers: u64,
    /// How many messages are kept.
    pub messages: u64,
    /// What these hold, in bytes.
    pub bytes: u64,
}

impl Hub {
    pub(crate) fn new(config: TopicsConfig, broker: Arc<dyn Broker>) -> Self {
        let (config, is_in_process) = (config.within_limits(), broker.is_in_process());
        let shared = Shared {
            broker,
            memory: Arc::new(Budget::new("topic-memory", config.memory.unwrap_or(DEFAULT_MEMORY))),
            topics: Arc::new(Budget::new("max-topics", config.max_topics)),
            subscriptions: Arc::new(Budget::new("max-subscriptions", config.max_subscriptions)),
            publishing: Arc::new(Budget::new("max-publishing", config.max_publishing)),
            per_connection: AtomicUsize::new(config.max_subscriptions_per_connection),
            due: Due::default(),
            made: Instant::now(),
        };
        let known = Known {
            topics: HashSet::new(),
            retired: HashSet::new(),
            table: Table::default().renewed(&config),
            has_own_memory: config.memory.is_some(),
        };
        Self { is_in_process, shared: Arc::new(shared), known: RwLock::new(known) }
    }

    /// What a topic is like that has or would have this name.
    pub(crate) fn rules(&self, name: &str) -> Option<Arc<Rules>> {
        self.read().table.fit(name).cloned()
    }

    /// A topic that there is.
    pub(crate) fn known(&self, name: &str) -> Option<Arc<Topic>> {
        self.read().topics.get(name).map(|Named(topic)| topic.clone())
    }

    /// A topic that there is from now on.
    pub(crate) fn topic(&self, name: &str) -> Result<Arc<Topic>, NoTopic> {
        self.sweep();
        loop {
            if let Some(topic) = self.known(name) {
                return Ok(topic);
            }
            if let Some(topic) = self.make(name)? {
                return Ok(topic);
            }
        }
    }

    /// Makes a topic; `None` where its pattern has changed meanwhile.
    fn make(&self, name: &str) -> Result<Option<Arc<Topic>>, NoTopic> {
        judge(name).map_err(NoTopic::Name)?;
        let rules = self.rules(name).ok_or(NoTopic::Unknown)?;
        let held = Held::take(&self.shared, TOPIC + name.len());
        let topic = match held.and_then(|held| Topic::new(name.into(), rules.clone(), held)) {
            Ok(topic) => Arc::new(topic),
            // Somebody else may have taken the last place for the same topic.
            Err(error) => return self.known(name).map(Some).ok_or(error),
        };
        // Nobody finds it before its broker knows it: what is published by then has its place in a history.
        self.shared.broker.attach(&Inlet(topic.clone()));
        let other = {
            let mut known = self.write();
            let other = known.topics.get(name).map(|Named(topic)| topic.clone());
            let is_current = known.table.fit(name).is_some_and(|now| Arc::ptr_eq(now, &rules));
            if other.is_none() && is_current {
                known.topics.insert(Named(topic.clone()));
                self.shared.due.add(self.first_look(&rules), Arc::downgrade(&topic));
                return Ok(Some(topic));
            }
            other
        };
        self.shared.broker.detach(&Inlet(topic));
        Ok(other)
    }

    /// When to look whether a topic is used that may be forgotten as early as can be.
    fn first_look(&self, rules: &Rules) -> Millis {
        self.shared.now().saturating_add(rules.bounds.age().min(UNPUBLISHED))
    }

    /// Forgets topics that nobody uses any more, a few at a time.
    pub(crate) fn sweep(&self) {
        let now = self.shared.now();
        if !self.shared.due.is_any(now) {
            return;
        }
        for _ in 0..SWEPT_AT_ONCE {
            let Some((topic, round)) = self.shared.due.take(now) else { return };
            if let Some(topic) = self.forget(topic, round, now) {
                self.shared.broker.detach(&Inlet(topic));
            }
        }
    }

    /// Forgets a topic if nobody uses it, and asks again later otherwise.
    fn forget(&self, topic: Weak<Topic>, round: u64, now: Millis) -> Option<Arc<Topic>> {
        let mut known = self.write();
        let found = topic.upgrade()?;
        // Whoever has found it and not used it yet has an `Arc` of it: nobody else finds it meanwhile.
        let is_held = Arc::strong_count(&found) > 2;
        let at = match found.is_unused(now) {
            Ok(()) if !is_held => return known.take(&found.name),
            Ok(()) => now,
            Err(Some(at)) => at,
            // It says itself when it is to be looked at.
            Err(None) => return None,
        };
        self.shared.due.add_again(at.max(now.saturating_add(1000)), topic, round);
        None
    }

    /// Looks at each topic without the lock: whoever looks for one by its name waits for no more than a copy of all.
    pub(crate) fn largest(&self, most: usize) -> Vec<TopicSize> {
        if most == 0 {
            return Vec::new();
        }
        let topics: Vec<_> = self.read().topics.iter().map(|Named(topic)| topic.clone()).collect();
        let sizes = topics.iter().map(|topic| (topic.subscribers(), topic)).filter(|(subscribers, _)| *subscribers > 0);
        let mut sizes: Vec<_> = sizes.collect();
        sizes.sort_by(|(one, a), (other, b)| other.cmp(one).then_with(|| a.name.cmp(&b.name)));
        sizes.truncate(most);
        sizes.into_iter().map(|(subscribers, topic)| topic.size(subscribers)).collect()
    }

    pub(crate) fn counters(&self) -> Vec<TopicCounters> {
        self.sweep();
        self.read().table.all().map(|rules| rules.counts.read(&rules.pattern)).collect()
    }

    /// Gives the topics so much memory, unless they have been told how much they may have.
    pub(crate) fn share_memory(&self, bytes: usize) {
        let known = self.read();
        if !known.has_own_memory {
            self.shared.memory.set_most(bytes);
        }
    }

    /// Changes what topics are like: see [`Topics::reconfigure`](crate::Topics::reconfigure).
    pub(crate) fn reconfigure(&self, config: TopicsConfig) -> Reconfigured {
        let config = config.within_limits();
        let mut reconfigured = Reconfigured::default();
        {
            let mut known = self.write();
            self.set_bounds(&config, known.has_own_memory);
            known.has_own_memory = config.memory.is_some();
            known.table = known.table.renewed(&config);
            // Whoever forgets one meanwhile waits for the lock, and leaves it to this to look again.
            self.shared.due.begin_anew();
            let Known { topics, retired, table, .. } = &mut *known;
            let returned = retired.extract_if(|topic| table.fit(&topic.0.name).is_some()).collect::<Vec<_>>();
            let unfit = topics.extract_if(|topic| table.fit(&topic.0.name).is_none());
            retired.extend(unfit);
            topics.extend(returned);
            for Named(topic) in &*retired {
                if !topic.retire() {
                    self.shared.due.add(self.shared.now(), Arc::downgrade(topic));
                }
            }
            for Named(topic) in &*topics {
                let Some(rules) = table.fit(&topic.name) else { continue };
                if !topic.follow(rules) {
                    reconfigured.keep(&rules.pattern);
                }
                self.shared.due.add(self.first_look(rules), Arc::downgrade(topic));
            }
            known.table.forget_gone();
        }
        self.sweep();
        reconfigured
    }

    /// Sets what all topics may hold together.
    fn set_bounds(&self, config: &TopicsConfig, had_own_memory: bool) {
        let Shared { memory, topics, subscriptions, publishing, per_connection, .. } = &*self.shared;
        match config.memory {
            Some(bytes) => memory.set_most(bytes),
            None if had_own_memory => memory.set_most(DEFAULT_MEMORY),
            // What a server has given them stays until it says otherwise.
            None => {}
        }
        topics.set_most(config.max_topics);
        subscriptions.set_most(config.max_subscriptions);
        publishing.set_most(config.max_publishing);
        per_connection.store(config.max_subscriptions_per_connection, Relaxed);
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

const DEFAULT_MEMORY: usize = Limit::default_of(TopicsConfig::LIMITS, "topic-memory");

impl Known {
    fn take(&mut self, name: &str) -> Option<Arc<Topic>> {
        self.topics.take(name).or_else(|| self.retired.take(name)).map(|Named(topic)| topic)
    }
}

impl Borrow<str> for Named {
    fn borrow(&self) -> &str {
        &self.0.name
    }
}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Named {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Memory;
    use crate::config::TopicConfig;

    #[test]
    fn bounds_of_a_connection() {
        let hub = Hub::new(TopicsConfig::default(), Arc::new(Memory::new()));
        let most = || hub.shared.per_connection.load(Relaxed);
        assert_eq!(most(), 128);
        let _ = hub.reconfigure(TopicsConfig::default().max_subscriptions_per_connection(0));
        assert_eq!(most(), 1, "what is too small counts as the least that can be");
    }

    /// A broker that changes what topics are like while one is made.
    #[derive(Debug, Default)]
    struct Changes(std::sync::Mutex<Option<(Arc<Hub>, TopicsConfig)>>);

    impl Broker for Arc<Changes> {
        fn attach(&self, _: &Inlet) {
            let change = self.0.lock().unwrap().take();
            if let Some((hub, config)) = change {
                let _ = hub.reconfigure(config);
            }
        }

        fn publish(&self, topic: &Inlet, message: crate::Published) -> crate::Publishing {
            crate::Publishing::Done(topic.publish(message))
        }
    }

    /// None is made by rules that are no longer.
    #[test]
    fn changed_while_a_topic_is_made() {
        let changes = Arc::<Changes>::default();
        let hub = Arc::new(Hub::new(TopicsConfig::default(), Arc::new(changes.clone())));
        let change = |config| *changes.0.lock().unwrap() = Some((hub.clone(), config));
        change(TopicsConfig::default().others(TopicConfig::default().history(7)));
        let topic = hub.topic("t").ok().unwrap();
        assert_eq!(topic.state().rules.bounds.history, 7);
        change(TopicsConfig::default().others(None));
        assert!(matches!(hub.topic("u"), Err(NoTopic::Unknown)));
        assert_eq!(hub.shared.topics.used(), 1);
        drop(changes.0.lock().unwrap().take());
    }
}
