//! All topics of a process, as they are used.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rikki_limits::Budget;
use rikki_ws::Message;
use tokio::time::timeout;

use crate::broker::{Broker, Inlet, Memory};
use crate::config::{TopicConfig, TopicsConfig};
use crate::counters::TopicCounters;
use crate::cursor::Cursor;
use crate::error::{NoTopic, SubscribeError};
use crate::fan_out::Post;
use crate::hub::{Hub, TopicSize};
use crate::name::judge;
use crate::options::SubscribeOptions;
use crate::position::From;
use crate::presence::{Present, next_client};
use crate::publish::Publish;
use crate::reconfigured::Reconfigured;
use crate::shared::{Rules, Shared};
use crate::status::BrokerStatus;
use crate::subscription::Subscription;
use crate::topic::{Joined, Topic};

/// How long a reader waits for a broker to say what there is.
const READING: Duration = Duration::from_secs(5);

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

impl Topics {
    /// Topics in the memory of this process.
    #[must_use]
    pub fn new(config: TopicsConfig) -> Self {
        Self::with_broker(config, Memory::new())
    }

    /// Topics whose messages `broker` orders.
    #[must_use]
    pub fn with_broker(config: TopicsConfig, broker: impl Broker) -> Self {
        Self(Arc::new(Hub::new(config, Arc::new(broker))))
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
        self.activate(&topic, options.from, joined);
        cursor.watch_presence(options.watches);
        cursor.has_envelope = options.has_envelope;
        cursor.enter(options.client.unwrap_or_else(next_client), options.identity);
        Ok((cursor, joined))
    }

    /// What a topic is like that has this name, or would be: that of the pattern which fits best; `None` where there
    /// cannot be one.
    #[must_use]
    pub fn config(&self, topic: &str) -> Option<TopicConfig> {
        judge(topic).ok()?;
        self.rules(topic).map(|rules| rules.config.clone())
    }

    /// Changes what topics are like while they are used: all of it at once, and whoever is subscribed stays.
    ///
    /// Whoever publishes or subscribes by a name does so before all of it, or after.
    ///
    /// - Bounds over all topics hold for what comes next; what is held above a lower one stays until it is given back.
    ///   Memory that is not set stays what the server of `rikki` has given, and is the default where it was set before.
    /// - A topic follows the pattern that fits it best now, in everything but its presence. What its ring holds above
    ///   lower bounds goes with the next message; who has not had it is told, or closed, as the [`Policy`](crate::Policy)
    ///   has it then.
    /// - A topic that no pattern fits any more is unknown to whoever publishes, reads or subscribes. Who is subscribed
    ///   stays, and gets what was published before; it is forgotten when the last one goes. If a pattern fits it before
    ///   that, it goes on with the same history.
    /// - Counters go on where a pattern has the same text. A topic that goes over to another pattern is counted there
    ///   from then on, with its subscribers and bytes. A pattern that is gone has [counters](Self::counters) as long as
    ///   topics are counted there; a change that finds none logs what they were, and forgets them.
    /// - What a URL has let in stays let in: a WebSocket that may publish may do so until it is closed, whatever
    ///   [`TopicConfig::publish`] has become.
    ///
    /// It takes time in proportion to the topics there are, and the patterns for each: about 50 ms for 100,000 topics
    /// and ten patterns. For that long whoever looks for a topic by its name waits, and whoever is subscribed gets what
    /// there is.
    ///
    /// ```
    /// use rikki_topics::{From, TopicConfig, Topics, TopicsConfig};
    ///
    /// let topics = Topics::new(TopicsConfig::default());
    /// let mut news = topics.subscribe("news", From::Now)?;
    /// topics.publish("news", "first").wait()?;
    /// let config = TopicsConfig::default().others(None).topic("news", TopicConfig::default().history(10))?;
    /// assert!(topics.reconfigure(config).kept.is_empty());
    /// topics.publish("news", "second").wait()?;
    /// assert!(topics.publish("weather", "rain").wait().is_err());
    /// assert_eq!(news.blocking_message().unwrap().message, "first".into());
    /// assert_eq!(news.blocking_message().unwrap().message, "second".into());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reconfigure(&self, config: TopicsConfig) -> Reconfigured {
        self.0.reconfigure(config)
    }

    /// Who is subscribed to a topic, as far as its [presence](crate::TopicConfig::presence) is known.
    #[must_use]
    pub fn present(&self, topic: &str) -> Present {
        self.known(topic).map(|topic| topic.present()).unwrap_or_default()
    }

    /// What has been counted so far, for each pattern, with the topics that no pattern fits behind them, and at the end
    /// patterns that are [gone](Self::reconfigure) and still have topics.
    #[must_use]
    pub fn counters(&self) -> Vec<TopicCounters> {
        self.0.counters()
    }

    /// How the broker is, and each stream that it has: see [`Broker::statuses`]. In memory there is none.
    #[must_use]
    pub fn broker_statuses(&self) -> Vec<BrokerStatus> {
        self.broker().statuses()
    }

    /// The topics with most subscribers, the most first, as many as that at most.
    #[doc(hidden)]
    #[must_use]
    pub fn largest(&self, most: usize) -> Vec<TopicSize> {
        self.0.largest(most)
    }

    pub(crate) fn per_connection(&self) -> usize {
        self.0.shared.per_connection.load(Relaxed)
    }

    pub(crate) fn is_of(&self, topic: &Topic) -> bool {
        Arc::ptr_eq(&self.0.shared, &topic.shared)
    }

    pub(crate) fn broker(&self) -> &dyn Broker {
        &*self.0.shared.broker
    }

    pub(crate) fn is_in_process(&self) -> bool {
        self.0.is_in_process
    }

    /// Somebody wants to have the messages of this topic from here on, and has begun if that is there.
    fn activate(&self, topic: &Arc<Topic>, from: From, joined: Option<Joined>) {
        let is_ahead = || joined.is_none() && matches!(from, From::After(_));
        if !self.is_in_process() && (topic.is_to_be_activated() || is_ahead()) {
            self.broker().activate(&Inlet(topic.clone()));
        }
    }

    /// Whether what there is of it is known without asking anybody.
    #[cfg(feature = "axum")]
    pub(crate) fn is_ready_to_read(&self, name: &str) -> bool {
        let is_begun = |topic: Arc<Topic>| topic.state().epoch.is_some();
        !self.broker().keeps_history() || self.known(name).is_some_and(is_begun)
    }

    /// A topic to be read: one that nobody has used here may have a history elsewhere, which is waited for.
    ///
    /// # Errors
    ///
    /// It is not known in time, or there is no room for it: [`SubscribeError`] says which.
    pub(crate) async fn to_read(&self, name: &str, from: From) -> Result<Option<Arc<Topic>>, SubscribeError> {
        let keeps_history = self.broker().keeps_history();
        let topic = match self.known(name) {
            Some(topic) => topic,
            None if keeps_history => self.topic(name)?,
            None => return Ok(None),
        };
        if !keeps_history {
            return Ok(Some(topic));
        }
        // It is nobody's subscription, and counts as one as long as it is waited for.
        if !self.0.shared.subscriptions.take_one() {
            return Err(SubscribeError::TooMany);
        }
        let (cursor, joined) = Cursor::new(&topic, from, Post::current().as_ref());
        self.activate(&topic, from, joined);
        if joined.is_none() {
            if self.broker().is_away(name) {
                return Err(SubscribeError::Unavailable);
            }
            let mut begun = Subscription::new(cursor, None);
            let begun = std::future::poll_fn(|cx| begun.poll_step(cx));
            let _ = timeout(READING, begun).await.map_err(|_| SubscribeError::Unavailable)?;
        }
        Ok(Some(topic))
    }

    /// What a topic is like that has or would have this name.
    pub(crate) fn rules(&self, name: &str) -> Option<Arc<Rules>> {
        self.0.rules(name)
    }

    /// What messages are counted in.
    #[cfg(feature = "axum")]
    pub(crate) fn memory(&self) -> &Arc<Budget> {
        &self.0.shared.memory
    }

    /// A topic that there is.
    pub(crate) fn known(&self, name: &str) -> Option<Arc<Topic>> {
        self.0.known(name)
    }

    /// A topic that there is from now on.
    pub(crate) fn topic(&self, name: &str) -> Result<Arc<Topic>, NoTopic> {
        self.0.topic(name)
    }

    /// The budgets that bound these topics.
    #[doc(hidden)]
    #[must_use]
    pub fn budgets(&self) -> [&Arc<Budget>; 3] {
        let Shared { memory, topics, subscriptions, .. } = &*self.0.shared;
        [memory, topics, subscriptions]
    }

    /// Gives the topics a part of a server's memory, unless they have been told how much they may have. That may change
    /// with [`reconfigure`](Self::reconfigure), after which a server says it again.
    #[doc(hidden)]
    pub fn share_memory(&self, bytes: usize) {
        self.0.share_memory(bytes);
    }
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topics").field("broker", &self.broker()).finish_non_exhaustive()
    }
}
