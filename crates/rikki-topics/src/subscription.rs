//! The async face: a stream of what a topic brings.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use rikki_ws::{Message, PreparedMessage};

use crate::cursor::{Batch, Cursor, Next, Taken};
use crate::position::Position;
use crate::presence::PresenceChange;
use crate::topic::Joined;
use crate::wait::block_on;

/// How many messages are taken at once.
const BATCH: usize = 8;

/// A message of a topic, as a subscriber gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// Where it is: who has had it resumes behind this.
    pub position: Position,
    /// When it was published, in milliseconds of Unix time.
    pub time: u64,
    /// The message, shared with all who get it.
    pub message: Message<'static>,
}

/// What a [`Subscription`] brings.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Update {
    /// It has begun: where, and whether a resume found everything. The first of all, once.
    Joined(Joined),
    /// A message.
    Message(Delivered),
    /// Messages are missing here: how many, where that is known.
    Gap(Option<u64>),
    /// Who is there, and from then on who has come or gone, if that was [asked for](crate::SubscribeOptions::presence).
    Presence(Arc<PresenceChange>),
}

/// What a topic brings, as a `Stream`: see [`Topics::subscribe`](crate::Topics::subscribe).
///
/// It ends only where its policy is [`Policy::Close`](crate::Policy::Close) and it was too slow. It belongs to the
/// runtime that it was made in, which wakes it; outside of one whoever publishes does. Dropping it leaves the topic.
///
/// # Cancel safety
///
/// Polling can be given up at any point: nothing is lost.
///
/// Memory: about 150 bytes until it is polled; a few messages that it has taken and not handed over yet are kept by it
/// when the topic keeps them no longer.
///
/// ```
/// use futures_util::StreamExt;
/// use rikki_topics::{From, Topics, Update};
///
/// async fn show(topics: Topics) -> Result<(), rikki_topics::SubscribeError> {
///     let mut updates = topics.subscribe("news", From::Last(10))?;
///     while let Some(update) = updates.next().await {
///         match update {
///             Update::Message(news) => println!("{}: {:?}", news.position, news.message),
///             Update::Gap(missed) => println!("something is missing: {missed:?}"),
///             _ => {}
///         }
///     }
///     Ok(())
/// }
/// ```
#[must_use = "dropping a subscription ends it"]
pub struct Subscription {
    cursor: Option<Cursor>,
    batch: Batch,
    joined: Option<Joined>,
    is_told: bool,
    position: Option<Position>,
}

impl Subscription {
    pub(crate) fn new(cursor: Cursor, joined: Option<Joined>) -> Self {
        let position = joined.map(|joined| joined.position);
        Self { cursor: Some(cursor), batch: Batch::default(), joined, is_told: false, position }
    }

    /// Where it has begun, and whether a resume found everything; `None` where the broker has not said that yet.
    #[must_use]
    pub fn joined(&self) -> Option<Joined> {
        self.joined
    }

    /// What it has had so far: whoever resumes behind this misses nothing.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// The next message as it is sent to many, framed and compressed once: `Sender::send_prepared` takes it.
    ///
    /// What is no message is passed over, as in [`blocking_message`](Self::blocking_message). `None` at the end.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn prepared(&mut self) -> Option<PreparedMessage> {
        let taken = std::future::poll_fn(|cx| self.poll_message(cx)).await;
        taken.map(|taken| taken.item.message.clone())
    }

    /// Blocks this thread until there is a message: for plain threads. Gaps and who comes and goes are passed over; `None`
    /// at the end. On a thread of the runtime that it was made in, which is to wake it, that would be for ever.
    pub fn blocking_message(&mut self) -> Option<Delivered> {
        block_on(std::future::poll_fn(|cx| self.poll_message(cx))).as_ref().map(delivered)
    }

    /// What is there now, without waiting.
    pub fn try_next(&mut self) -> Option<Update> {
        self.step().map(Update::from)
    }

    /// Whether nothing comes any more: it was too slow, and its policy is [`Policy::Close`](crate::Policy::Close).
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.cursor.is_none()
    }

    /// Behind all that has come, messages that a later one has taken the place of included; `None` where something is to
    /// be told first.
    #[cfg(feature = "axum")]
    pub(crate) fn reached(&self) -> Option<Position> {
        self.cursor.as_ref()?.position()
    }

    /// Lets go of messages that it has taken and not handed over: they are taken again.
    #[cfg(feature = "axum")]
    pub(crate) fn let_go(&mut self) {
        self.batch.clear();
    }

    /// From now on nothing comes but what is there already: then it ends.
    #[cfg(feature = "axum")]
    pub(crate) fn seal(&mut self) {
        if let Some(cursor) = &mut self.cursor {
            cursor.seal();
        }
    }

    /// The next message; what else there is is passed over.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Taken>> {
        loop {
            match ready!(self.poll_step(cx)) {
                Some(Step::Message(taken)) => return Poll::Ready(Some(taken)),
                Some(Step::Other(_)) => {}
                None => return Poll::Ready(None),
            }
        }
    }

    pub(crate) fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        loop {
            if let Some(step) = self.step() {
                return Poll::Ready(Some(step));
            }
            let Some(cursor) = &mut self.cursor else { return Poll::Ready(None) };
            if cursor.is_sealed() && cursor.seal() {
                return Poll::Ready(None);
            }
            if cursor.wait(cx.waker()) {
                return Poll::Pending;
            }
        }
    }

    fn step(&mut self) -> Option<Step> {
        if let Some(joined) = self.joined.filter(|_| !self.is_told) {
            self.is_told = true;
            return Some(Step::Other(Update::Joined(joined)));
        }
        loop {
            let cursor = self.cursor.as_mut()?;
            if let Some(taken) = self.batch.pop() {
                cursor.has_taken(&taken);
                self.batch.count_delivered(1);
                self.position = Some(taken.position);
                return Some(Step::Message(taken));
            }
            match cursor.next(&mut self.batch, BATCH) {
                // A stream that says so by itself is where this is too.
                Next::Messages { .. } | Next::Reached(_) => {}
                Next::Nothing => return None,
                Next::Joined(joined) => {
                    (self.joined, self.is_told, self.position) = (Some(joined), true, Some(joined.position));
                    return Some(Step::Other(Update::Joined(joined)));
                }
                Next::Missed(missed) => return Some(Step::Other(Update::Gap(missed))),
                Next::Presence(change) => return Some(Step::Other(Update::Presence(change))),
                Next::TooSlow => self.cursor = None,
            }
        }
    }
}

/// One step on, with a message as it is shared.
#[derive(Debug)]
pub(crate) enum Step {
    Message(Taken),
    Other(Update),
}

impl From<Step> for Update {
    fn from(step: Step) -> Self {
        match step {
            Step::Message(taken) => Self::Message(delivered(&taken)),
            Step::Other(update) => update,
        }
    }
}

pub(crate) fn delivered(taken: &Taken) -> Delivered {
    let Taken { position, item, .. } = taken;
    Delivered { position: *position, time: item.time, message: item.message.message().clone() }
}

impl Stream for Subscription {
    type Item = Update;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Update>> {
        self.get_mut().poll_step(cx).map(|step| step.map(Update::from))
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("position", &self.position).finish_non_exhaustive()
    }
}
