//! All topics of a process: found by name, made when they are used, and forgotten when nobody uses them.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Instant;

use rikki_limits::{Budget, Limit};
use rikki_ws::Message;

use crate::broker::{Broker, Inlet, Memory};
use crate::config::{TopicConfig, TopicsConfig};
use crate::counters::TopicCounters;
use crate::cursor::Cursor;
use crate::due::Due;
use crate::error::{NoTopic, SubscribeError};
use crate::fan_out::Post;
use crate::name::{Pattern, judge};
use crate::options::SubscribeOptions;
use crate::presence::Present;
use crate::publish::Publish;
use crate::ring::Millis;
use crate::shared::{Held, Rules, Shared};
use crate::subscription::Subscription;
use crate::topic::{Joined, Topic, UNPUBLISHED};

/// What a topic takes beside its name and its messages, in bytes, with some of what its subscribers do.
const TOPIC: usize = 400;

/// What one takes beside that where the latest of each key is kept: room for those that are not.
const KEYED: usize = 1024;

/// How many topics are looked at by the way, whether they are still used.
const SWEPT_AT_ONCE: usize = 16;

/// Topics: rooms, live values and feeds, by name, with history and resume.
///
/// A topic comes to be when it is first used. Whoever publishes waits for no subscriber, and no subscriber for another:
/// each has a place in the topic's ring of messages and takes them as fast as it reads. A clone is the same topics, on
/// any thread, with or without a runtime.
///
/// Memory: about 300 bytes a topic, at most 100 a subscription, and the messages, within
/// [`memory`](TopicsConfig::memory).
///
/// ```
/// use rikki_topics::{From, Topics, TopicsConfig};
///
/// let topics = Topics::new(TopicsConfig::default());
/// let position = topics.publish("news", "first").wait()?;
/// topics.publish("news", "second").wait()?;
/// let mut subscription = topics.subscribe("news", From::After(position))?;
/// assert_eq!(subscription.joined().unwrap().recovered, Some(true));
/// assert_eq!(subscription.blocking_message().unwrap().message, "second".into());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Topics(Arc<Hub>);

struct Hub {
    broker: Box<dyn Broker>,
    shared: Arc<Shared>,
    rules: Vec<(Pattern, Arc<Rules>)>,
    others: Option<Arc<Rules>>,
    topics: RwLock<HashSet<Named>>,
}

/// A topic as it is found by its name.
#[derive(Debug)]
struct Named(Arc<Topic>);

impl Topics {
    /// Topics in the memory of this process.
    #[must_use]
    pub fn new(config: TopicsConfig) -> Self {
        Self::with_broker(config, Memory::new())
    }

    /// Topics whose messages `broker` orders.
    #[must_use]
    pub fn with_broker(config: TopicsConfig, broker: impl Broker) -> Self {
        let config = config.within_limits();
        let memory = config.memory.unwrap_or(const { Limit::default_of(TopicsConfig::LIMITS, "topic-memory") });
        let shared = Shared {
            memory: Arc::new(Budget::new("topic-memory", memory)),
            topics: Arc::new(Budget::new("max-topics", config.max_topics)),
            subscriptions: Arc::new(Budget::new("max-subscriptions", config.max_subscriptions)),
            per_connection: config.max_subscriptions_per_connection,
            has_own_memory: config.memory.is_some(),
            due: Due::default(),
            made: Instant::now(),
        };
        let rules = |(pattern, topic): &(Pattern, _)| (pattern.clone(), Rules::new(pattern.as_str(), topic));
        Self(Arc::new(Hub {
            broker: Box::new(broker),
            shared: Arc::new(shared),
            rules: config.topics.iter().map(rules).collect(),
            others: config.others.as_ref().map(|topic| Rules::new("*", topic)),
            topics: RwLock::default(),
        }))
    }

    /// Publishes a message: nothing is done until this is awaited, [waited for](Publish::wait) or
    /// [let go](Publish::detach).
    ///
    /// ```
    /// # use rikki_topics::{Topics, TopicsConfig};
    /// # async fn example(topics: Topics) -> Result<(), rikki_topics::PublishError> {
    /// let position = topics.publish("price/EUR", "1.17").key("EUR").idempotency_key("tick-4711").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn publish<'a>(&'a self, topic: &'a str, message: impl Into<Message<'static>>) -> Publish<'a> {
        Publish::new(self, topic, message.into().into_owned())
    }

    /// Subscribes: a `Stream` of what is published, beginning [where it is asked to](crate::From).
    ///
    /// # Errors
    ///
    /// [`SubscribeError`] says which name or bound stands in the way.
    pub fn subscribe(&self, topic: &str, options: impl Into<SubscribeOptions>) -> Result<Subscription, SubscribeError> {
        let (cursor, joined) = self.cursor(topic, options.into())?;
        Ok(Subscription::new(cursor, joined))
    }

    /// A place in a topic, for a task in this runtime.
    pub(crate) fn cursor(
        &self,
        topic: &str,
        options: SubscribeOptions,
    ) -> Result<(Cursor, Option<Joined>), SubscribeError> {
        if !self.0.shared.subscriptions.take_one() {
            return Err(SubscribeError::TooMany);
        }
        // From here on the cursor gives it back.
        let topic = self.topic(topic).inspect_err(|_| self.0.shared.subscriptions.give_back_one())?;
        let (mut cursor, joined) = Cursor::new(&topic, options.from, Post::current().as_ref());
        if options.watches_presence {
            cursor.watch_presence();
        }
        cursor.has_envelope = options.has_envelope;
        cursor.enter(options.identity);
        Ok((cursor, joined))
    }

    /// What a topic is like that has this name, or would be: that of the pattern which fits best; `None` where there
    /// cannot be one.
    #[must_use]
    pub fn config(&self, topic: &str) -> Option<&TopicConfig> {
        self.rules(topic).map(|rules| &rules.config)
    }

    /// Who is subscribed to a topic, as far as its [presence](crate::TopicConfig::presence) is known.
    #[must_use]
    pub fn present(&self, topic: &str) -> Present {
        self.known(topic).map(|topic| topic.present()).unwrap_or_default()
    }

    /// What has been counted so far, for each pattern, with the topics that no pattern fits at the end.
    #[must_use]
    pub fn counters(&self) -> Vec<TopicCounters> {
        self.sweep();
        let rules = self.0.rules.iter().map(|(_, rules)| rules).chain(&self.0.others);
        rules.map(|rules| rules.counts.read(&rules.pattern)).collect()
    }

    pub(crate) fn per_connection(&self) -> usize {
        self.0.shared.per_connection
    }

    pub(crate) fn is_of(&self, topic: &Topic) -> bool {
        Arc::ptr_eq(&self.0.shared, &topic.shared)
    }

    pub(crate) fn broker(&self) -> &dyn Broker {
        &*self.0.broker
    }

    /// What a topic is like that has or would have this name.
    pub(crate) fn rules(&self, name: &str) -> Option<&Arc<Rules>> {
        let fits = self.0.rules.iter().filter_map(|(pattern, rules)| Some((pattern.fit(name)?, rules)));
        fits.max_by_key(|(fit, _)| *fit).map(|(_, rules)| rules).or(self.0.others.as_ref())
    }

    /// What messages are counted in.
    #[cfg(feature = "axum")]
    pub(crate) fn memory(&self) -> &Arc<Budget> {
        &self.0.shared.memory
    }

    /// A topic that there is.
    pub(crate) fn known(&self, name: &str) -> Option<Arc<Topic>> {
        self.0.topics.read().unwrap_or_else(PoisonError::into_inner).get(name).map(|Named(topic)| topic.clone())
    }

    /// A topic that there is from now on.
    pub(crate) fn topic(&self, name: &str) -> Result<Arc<Topic>, NoTopic> {
        self.sweep();
        if let Some(topic) = self.known(name) {
            return Ok(topic);
        }
        judge(name).map_err(NoTopic::Name)?;
        let rules = self.rules(name).ok_or(NoTopic::Unknown)?;
        // Somebody else may have taken the last place for the same topic.
        let (shared, bytes) = (&self.0.shared, TOPIC + name.len() + if rules.config.latest_by_key { KEYED } else { 0 });
        let held = match Held::take(shared, bytes) {
            Ok(held) => held,
            Err(error) => return self.known(name).ok_or(error),
        };
        let topic = Arc::new(Topic::new(name.into(), rules.clone(), held));
        // Nobody finds it before its broker knows it: what is published by then has its place in a history.
        self.0.broker.attach(&Inlet(topic.clone()));
        let other = {
            let mut topics = self.0.topics.write().unwrap_or_else(PoisonError::into_inner);
            let other = topics.get(name).map(|Named(topic)| topic.clone());
            if other.is_none() {
                topics.insert(Named(topic.clone()));
            }
            other
        };
        if let Some(other) = other {
            self.0.broker.detach(&Inlet(topic));
            return Ok(other);
        }
        let due = shared.now().saturating_add(rules.bounds.age().min(UNPUBLISHED));
        shared.due.add(due, Arc::downgrade(&topic));
        Ok(topic)
    }

    /// Forgets topics that nobody uses any more, a few at a time.
    fn sweep(&self) {
        let hub = &*self.0;
        let now = hub.shared.now();
        if !hub.shared.due.is_any(now) {
            return;
        }
        for _ in 0..SWEPT_AT_ONCE {
            let Some((topic, round)) = hub.shared.due.take(now) else { return };
            if let Some(topic) = hub.forget(topic, round, now) {
                hub.broker.detach(&Inlet(topic));
            }
        }
    }

    /// The budgets that bound these topics.
    #[doc(hidden)]
    #[must_use]
    pub fn budgets(&self) -> [&Arc<Budget>; 3] {
        let Shared { memory, topics, subscriptions, .. } = &*self.0.shared;
        [memory, topics, subscriptions]
    }

    /// Gives the topics a part of a server's memory, unless they have been told how much they may have.
    #[doc(hidden)]
    pub fn share_memory(&self, bytes: usize) {
        if !self.0.shared.has_own_memory {
            self.0.shared.memory.set_most(bytes);
        }
    }
}

impl Hub {
    /// Forgets a topic if nobody uses it, and asks again later otherwise.
    fn forget(&self, topic: Weak<Topic>, round: u64, now: Millis) -> Option<Arc<Topic>> {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let found = topic.upgrade()?;
        // Whoever has found it and not used it yet has an `Arc` of it: nobody else finds it meanwhile.
        let is_held = Arc::strong_count(&found) > 2;
        match found.is_unused(now) {
            Ok(()) if !is_held => topics.take(&*found.name).map(|Named(topic)| topic),
            unused => {
                let at = unused.err().unwrap_or(now).max(now.saturating_add(1000));
                self.shared.due.add_again(at, topic, round);
                None
            }
        }
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

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topics").field("broker", &self.0.broker).finish_non_exhaustive()
    }
}
