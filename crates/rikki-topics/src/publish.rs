//! Publishing: what is to be said of a message, and who waits for its position.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rikki_limits::Seldom;
use rikki_ws::Message;

use crate::broker::{Inlet, Published, Publishing};
use crate::error::PublishError;
use crate::position::Position;
use crate::shared::Place;
use crate::topic::{Publication, Topic};
use crate::topics::Topics;
use crate::wait::block_on;

/// The longest key, in bytes.
pub(crate) const LONGEST_KEY: usize = 255;

/// A message that is about to be published: see [`Topics::publish`].
///
/// `await` gives its [`Position`]. In a callback or a plain thread [`wait`](Self::wait) does, which never blocks where
/// the topics are in memory, and [`detach`](Self::detach) does not ask for it.
///
/// # Errors
///
/// [`PublishError`] says which name or bound stands in the way.
///
/// # Cancel safety
///
/// The message is handed over when this is first polled. From then on it is published, or not, whether or not anybody
/// waits for that.
#[must_use = "nothing is published until this is awaited, waited for or detached"]
#[derive(Debug)]
pub struct Publish<'a> {
    topics: &'a Topics,
    topic: &'a str,
    message: Message<'static>,
    key: Option<&'a str>,
    idempotency_key: Option<&'a str>,
}

impl<'a> Publish<'a> {
    pub(crate) fn new(topics: &'a Topics, topic: &'a str, message: Message<'static>) -> Self {
        Self { topics, topic, message, key: None, idempotency_key: None }
    }

    /// Says what it is the latest of: see [`TopicConfig::latest_by_key`](crate::TopicConfig::latest_by_key). At most
    /// 255 bytes.
    pub fn key(self, key: &'a str) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Publishes it once alone: what has a key that the topic has seen within five minutes, among its last 1,024, is
    /// not published again and gets the position of the first. At most 255 bytes.
    pub fn idempotency_key(self, key: &'a str) -> Self {
        Self { idempotency_key: Some(key), ..self }
    }

    /// Publishes it, and blocks this thread until its position is known: not at all where the topics are in memory.
    ///
    /// # Errors
    ///
    /// [`PublishError`] says which name or bound stands in the way.
    pub fn wait(self) -> Result<Position, PublishError> {
        match self.hand_over() {
            Publishing::Done(result) => result,
            Publishing::Later(outcome) => block_on(outcome),
        }
    }

    /// Publishes it, and does not wait: what fails later is logged, at most once a second. Outside of a runtime, where
    /// nobody else could wait, it does, as [`wait`](Self::wait): not at all where the topics are in memory.
    ///
    /// # Errors
    ///
    /// [`PublishError`], as far as it is known at once: all there is where the topics are in memory.
    pub fn detach(self) -> Result<(), PublishError> {
        static FAILED: Seldom = Seldom::new();
        match self.hand_over() {
            Publishing::Done(result) => result.map(|_| ()),
            Publishing::Later(outcome) => {
                let log = async move {
                    if let Err(error) = outcome.await
                        && let Some(left_out) = FAILED.turn(())
                    {
                        tracing::warn!(target: "rikki::topics", left_out, "not published: {error}");
                    }
                };
                match tokio::runtime::Handle::try_current() {
                    Ok(runtime) => drop(runtime.spawn(log)),
                    Err(_) => block_on(log),
                }
                Ok(())
            }
        }
    }

    pub(crate) fn hand_over(self) -> Publishing {
        match self.prepare() {
            Ok((topics, inlet, message)) if topics.is_in_process() => topics.broker().publish(&inlet, message),
            Ok((topics, inlet, message)) => match inlet.0.send_off(message) {
                Ok(message) => topics.broker().publish(&inlet, message),
                Err(error) => Publishing::Done(Err(error)),
            },
            Err(error) => Publishing::Done(Err(error)),
        }
    }

    fn prepare(self) -> Result<(&'a Topics, Inlet, Published), PublishError> {
        let Self { topics, topic, message, key, idempotency_key } = self;
        let (key, idempotency_key) = (judged(key)?, judged(idempotency_key)?);
        let inlet = Inlet(topics.topic(topic)?);
        Ok((topics, inlet, Published(Publication { message, key, idempotency_key, _place: None })))
    }
}

impl Topic {
    /// A message that is to go to a broker elsewhere, with a place among those that are on their way there: what would
    /// have no room when it comes back is refused now.
    fn send_off(&self, Published(publication): Published) -> Result<Published, PublishError> {
        let rules = self.state().rules.clone();
        let (length, limit) = (publication.message.as_bytes().len(), rules.bounds.longest());
        let place = match length <= limit {
            true => Place::take(&self.shared, length),
            false => Err(PublishError::TooLong { length, limit }),
        };
        let place = place.inspect_err(|_| rules.counts.refused.up())?;
        Ok(Published(Publication { _place: Some(Arc::new(place)), ..publication }))
    }
}

fn judged(key: Option<&str>) -> Result<Option<Arc<str>>, PublishError> {
    match key {
        Some(key) if key.is_empty() || key.len() > LONGEST_KEY => Err(PublishError::BadKey),
        key => Ok(key.map(Arc::from)),
    }
}

impl<'a> IntoFuture for Publish<'a> {
    type Output = Result<Position, PublishError>;
    type IntoFuture = PublishFuture<'a>;

    fn into_future(self) -> PublishFuture<'a> {
        PublishFuture(State::New(Box::new(self)))
    }
}

/// The position of a message, when it is published: what `await` makes of a [`Publish`].
pub struct PublishFuture<'a>(State<'a>);

enum State<'a> {
    New(Box<Publish<'a>>),
    UnderWay(Publishing),
    Over,
}

impl Future for PublishFuture<'_> {
    type Output = Result<Position, PublishError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self(state) = self.get_mut();
        if let State::New(_) = state
            && let State::New(publish) = std::mem::replace(state, State::Over)
        {
            *state = State::UnderWay(publish.hand_over());
        }
        match std::mem::replace(state, State::Over) {
            State::UnderWay(Publishing::Done(result)) => Poll::Ready(result),
            State::UnderWay(Publishing::Later(mut outcome)) => {
                let polled = outcome.as_mut().poll(cx);
                if polled.is_pending() {
                    *state = State::UnderWay(Publishing::Later(outcome));
                }
                polled
            }
            // It has been ready, or is polled within its own poll: neither is waited for.
            State::New(_) | State::Over => Poll::Pending,
        }
    }
}

impl fmt::Debug for PublishFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublishFuture")
    }
}
