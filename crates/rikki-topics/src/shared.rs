//! What topics have together: what bounds all of them, and what those of one pattern are like.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use rikki_limits::{Budget, Share};
use tokio::time::Instant;

use crate::broker::Broker;
use crate::config::TopicConfig;
use crate::counters::Counts;
use crate::due::Due;
use crate::error::{NoTopic, PublishError};
use crate::ring::{Bounds, Millis, millis};

/// What all topics share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) memory: Arc<Budget>,
    pub(crate) topics: Arc<Budget>,
    pub(crate) subscriptions: Arc<Budget>,
    /// Messages on their way to a broker that is elsewhere.
    pub(crate) publishing: Arc<Budget>,
    pub(crate) per_connection: AtomicUsize,
    pub(crate) due: Due,
    pub(crate) made: Instant,
}

impl Shared {
    pub(crate) fn now(&self) -> Millis {
        BEFORE + millis(self.made.elapsed())
    }
}

/// What there is of time before the topics were made, in milliseconds, for what was published then: 34 years.
const BEFORE: Millis = 1 << 40;

/// The place of a message that is on its way to a broker, and its memory.
#[derive(Debug)]
pub(crate) struct Place {
    shared: Arc<Shared>,
    _memory: Share,
}

impl Place {
    /// A place for a message of so many bytes, if there is one.
    pub(crate) fn take(shared: &Arc<Shared>, bytes: usize) -> Result<Self, PublishError> {
        let memory = shared.memory.take(bytes).ok_or(PublishError::NoMemory)?;
        let place = shared.publishing.take_one().then(|| Self { shared: shared.clone(), _memory: memory });
        place.ok_or(PublishError::TooManyUnderWay)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.publishing.give_back_one();
    }
}

/// What the topics of one pattern share. It never changes: topics get others when they are reconfigured.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) pattern: String,
    pub(crate) config: TopicConfig,
    pub(crate) bounds: Bounds,
    /// Those of whatever the pattern has been like.
    pub(crate) counts: Arc<Counts>,
}

impl Rules {
    pub(crate) fn new(pattern: &str, config: &TopicConfig, counts: Arc<Counts>) -> Arc<Self> {
        let (config, bounds) = (config.clone(), Bounds::new(config));
        Arc::new(Self { pattern: pattern.to_owned(), config, bounds, counts })
    }
}

/// What a topic holds of what all of them share: its place among them, and the memory that its name takes.
#[derive(Debug)]
pub(crate) struct Held {
    shared: Arc<Shared>,
    _memory: Share,
}

impl Held {
    /// A place, and so much memory, if both are there.
    pub(crate) fn take(shared: &Arc<Shared>, bytes: usize) -> Result<Self, NoTopic> {
        let memory = shared.memory.take(bytes).ok_or(NoTopic::NoMemory)?;
        let held = shared.topics.take_one().then(|| Self { shared: shared.clone(), _memory: memory });
        held.ok_or(NoTopic::TooMany)
    }
}

impl Deref for Held {
    type Target = Arc<Shared>;

    fn deref(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.topics.give_back_one();
    }
}
