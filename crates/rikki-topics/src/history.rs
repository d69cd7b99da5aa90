//! What a topic has, read without subscribing to it: by a place in its ring, as a subscriber does.

use std::sync::Arc;

use crate::cursor::Taken;
use crate::position::{From, Position};
use crate::subscription::{Delivered, delivered};
use crate::topic::Topic;
use crate::topics::Topics;

/// How many messages are taken under one lock.
const AT_ONCE: usize = 32;

/// What a topic has: see [`Topics::history`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct History {
    /// Behind the latest message: who subscribes from here misses nothing, and has nothing twice.
    pub position: Position,
    /// Whether everything behind the position that was asked for is still there; `None` where none was.
    pub recovered: Option<bool>,
    /// The messages, the oldest first.
    pub messages: Vec<Delivered>,
}

impl Topics {
    /// What a topic has now, the oldest message first; `None` if there is no such topic, which this does not change, or
    /// its broker has not said yet which history it is.
    ///
    /// Memory: the messages are shared with the topic, and those that it gives up meanwhile are kept by what this
    /// returns: at most its [`bytes`](crate::TopicConfig::bytes).
    ///
    /// ```
    /// use rikki_topics::{From, Topics, TopicsConfig};
    ///
    /// let topics = Topics::new(TopicsConfig::default());
    /// assert_eq!(topics.history("news", From::Last(10)), None);
    /// let position = topics.publish("news", "first").wait()?;
    /// let history = topics.history("news", From::Last(10)).unwrap();
    /// assert_eq!((history.position, history.messages.len()), (position, 1));
    /// # Ok::<(), rikki_topics::PublishError>(())
    /// ```
    #[must_use]
    pub fn history(&self, topic: &str, from: From) -> Option<History> {
        let (mut reading, recovered) = Reading::of(&self.known(topic)?, from)?;
        let (mut messages, mut batch) = (Vec::new(), Vec::new());
        while reading.next(&mut batch) {
            messages.extend(batch.drain(..).map(|taken| delivered(&taken)));
        }
        Some(History { position: reading.latest, recovered, messages })
    }
}

/// A place in a topic that goes on to the message that was the latest when it began.
#[derive(Debug)]
pub(crate) struct Reading {
    topic: Arc<Topic>,
    place: u64,
    until: u64,
    pub(crate) latest: Position,
    /// Messages have gone meanwhile that were to be read.
    pub(crate) is_overtaken: bool,
}

impl Reading {
    /// Begins where a subscriber would begin, and whether a resume found everything; `None` until the broker has said
    /// which history it is.
    pub(crate) fn of(topic: &Arc<Topic>, from: From) -> Option<(Self, Option<bool>)> {
        let mut state = topic.state();
        topic.expire(&mut state);
        let (place, joined) = state.begin(from, &topic.rules, topic.shared.now())?;
        let latest = Position { epoch: joined.position.epoch, offset: state.ring.last_offset() };
        let until = state.ring.appended();
        drop(state);
        Some((Self { topic: topic.clone(), place, until, latest, is_overtaken: false }, joined.recovered))
    }

    /// Adds the next few messages to `batch`, which is empty; whether there were any.
    pub(crate) fn next(&mut self, batch: &mut Vec<Taken>) -> bool {
        let state = self.topic.state();
        if state.epoch != Some(self.latest.epoch) {
            (self.is_overtaken, self.place) = (self.is_overtaken || self.place < self.until, self.until);
            return false;
        }
        if state.ring.is_behind(self.place) && self.place < self.until {
            (self.is_overtaken, self.place) = (true, state.ring.gone());
        }
        let (until, epoch) = (self.until, self.latest.epoch);
        let mine = state.ring.after(self.place).take_while(|(ordinal, _)| *ordinal <= until).take(AT_ONCE);
        batch.extend(mine.filter_map(|(ordinal, entry)| {
            let position = Position { epoch, offset: entry.offset };
            Some(Taken { ordinal, position, item: entry.item.clone()? })
        }));
        drop(state);
        self.place = batch.last().map_or(until, |taken| taken.ordinal);
        !batch.is_empty()
    }
}
