//! What a topic has, read without subscribing to it: by a place in its ring, as a subscriber does.

use std::sync::Arc;

use crate::cursor::Taken;
use crate::error::SubscribeError;
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

impl Topics {
    /// What a topic has, wherever its history is: as [`history`](Self::history), with what the broker has of a topic that
    /// this process has not used; that is waited for, 5 seconds at most. `None` if there is no such topic.
    ///
    /// # Errors
    ///
    /// [`SubscribeError::Unavailable`] if the broker is away, or has not said in time what there is; any other that says
    /// why there is no room for one more topic.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// ```
    /// # async fn example(topics: rikki_topics::Topics) -> Result<(), rikki_topics::SubscribeError> {
    /// use rikki_topics::From;
    ///
    /// let latest = topics.read("news", From::Last(10)).await?.map_or(Vec::new(), |history| history.messages);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn read(&self, topic: &str, from: From) -> Result<Option<History>, SubscribeError> {
        self.to_read(topic, from).await?;
        Ok(self.history(topic, from))
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
        let state = topic.state_now();
        let (place, joined) = state.begin(from, false, topic.shared.now(), None)?;
        let latest = Position { epoch: joined.position.epoch, offset: state.ring.last_offset() };
        let until = state.ring.appended();
        drop(state);
        Some((Self { topic: topic.clone(), place, until, latest, is_overtaken: false }, joined.recovered))
    }

    /// What is behind this message is not had yet.
    #[cfg(feature = "axum")]
    pub(crate) fn has_taken(&mut self, taken: &Taken) {
        self.place = taken.ordinal;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::config::{TopicConfig, TopicsConfig};
    use crate::position::Epoch;
    use crate::subscription::Update;

    fn from() -> impl Strategy<Value = (bool, From)> {
        prop_oneof![
            Just((true, From::Now)),
            (0..40_usize).prop_map(|count| (true, From::Last(count))),
            Just((true, From::Last(usize::MAX))),
            Just((true, From::Since(Duration::from_secs(60)))),
            (any::<bool>(), 0..50_u64)
                .prop_map(|(is_known, offset)| { (is_known, From::After(Position { epoch: Epoch(1), offset })) }),
        ]
    }

    proptest! {
        /// Who reads gets what a subscriber gets who asks for the same, and from there on a subscriber misses nothing.
        #[test]
        fn what_a_subscriber_would_get(
            messages in prop::collection::vec((0..6_u8, 0..300_usize), 1..60),
            (history, bytes, by_key, last) in (1..50_usize, 1..8_000_usize, any::<bool>(), any::<bool>()),
            (is_known, mut from) in from(),
        ) {
            let config = TopicConfig::default().history(history).bytes(bytes).latest_by_key(by_key).last(last);
            let topics = Topics::new(TopicsConfig::default().others(config));
            prop_assert_eq!(topics.history("topic", from), None);
            for (key, length) in messages {
                let key = key.to_string();
                let _ = topics.publish("topic", "x".repeat(length)).key(&key).wait();
            }
            let position = topics.history("topic", From::Now).unwrap().position;
            if let (true, From::After(after)) = (is_known, &mut from) {
                after.epoch = position.epoch;
            }
            let read = topics.history("topic", from).unwrap();
            prop_assert_eq!(read.position, position);
            let mut subscription = topics.subscribe("topic", from).unwrap();
            prop_assert_eq!(subscription.joined().unwrap().recovered, read.recovered);
            let mut got = Vec::new();
            while let Some(update) = subscription.try_next() {
                match update {
                    Update::Joined(_) => {}
                    Update::Message(message) => got.push(message),
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            prop_assert_eq!(got, read.messages);
            let behind = topics.subscribe("topic", From::After(position)).unwrap();
            prop_assert_eq!(behind.joined().unwrap().recovered, Some(true));
            prop_assert_eq!(behind.joined().unwrap().position, position);
        }
    }
}
