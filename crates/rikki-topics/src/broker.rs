//! Where messages get their order: in this process, or elsewhere for several of them.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use rikki_ws::Message;

use crate::error::PublishError;
use crate::position::{Epoch, Position};
use crate::topic::{Publication, Topic};

/// Orders the messages of topics, and gives them to the rings from which subscribers get them.
///
/// [`Memory`] is the one that there is without any other. One that is elsewhere acknowledges a message when it has it,
/// says by [`Inlet::begin`] what there is already, and brings what follows to each process by [`Inlet::append`], in the
/// order of offsets. Above it everything is the same code. History is what the ring of the process holds, and presence
/// that of its own subscribers.
pub trait Broker: fmt::Debug + Send + Sync + 'static {
    /// A topic is used in this process from now on: [`Inlet::begin`] is to be called, now or later, and until then its
    /// subscribers wait. What is kept of it is its [`WeakInlet`]: the inlet itself would keep the topic from being
    /// forgotten. No lock is held.
    fn attach(&self, topic: &Inlet);

    /// Publishes a message. No lock is held, and it must not block.
    fn publish(&self, topic: &Inlet, message: Published) -> Publishing;

    /// Nobody uses the topic in this process any more. Another one of its name may have been attached before this, and is
    /// not [equal](PartialEq) to it.
    fn detach(&self, topic: &Inlet) {
        let _ = topic;
    }
}

/// A message on its way to a broker.
#[derive(Clone, Debug)]
pub struct Published(pub(crate) Publication);

impl Published {
    /// A message without any key.
    #[must_use]
    pub fn new(message: impl Into<Message<'static>>) -> Self {
        let message = message.into().into_owned();
        Self(Publication { message, key: None, idempotency_key: None })
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &Message<'static> {
        &self.0.message
    }

    /// What it is the latest of: see [`TopicConfig::latest_by_key`](crate::TopicConfig::latest_by_key).
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// What it is told by that it was published before.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&str> {
        self.0.idempotency_key.as_deref()
    }
}

/// What comes of publishing: at once, or later.
#[allow(clippy::exhaustive_enums, reason = "there is nothing between now and later")]
pub enum Publishing {
    /// It is done, or has failed.
    Done(Result<Position, PublishError>),
    /// The broker will say.
    Later(Pin<Box<dyn Future<Output = Result<Position, PublishError>> + Send>>),
}

impl fmt::Debug for Publishing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(result) => f.debug_tuple("Done").field(result).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

/// A topic as its broker sees it: where its messages go. Clones are the same topic, and equal.
#[derive(Clone, Debug)]
pub struct Inlet(pub(crate) Arc<Topic>);

impl PartialEq for Inlet {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Inlet {}

/// An [`Inlet`] that does not keep its topic: for brokers, which are told when nobody uses it any more.
#[derive(Clone, Debug)]
pub struct WeakInlet(Weak<Topic>);

impl WeakInlet {
    /// The inlet, while the topic is there.
    #[must_use]
    pub fn upgrade(&self) -> Option<Inlet> {
        self.0.upgrade().map(Inlet)
    }
}

impl Inlet {
    /// The name of the topic.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What a broker may keep of it.
    #[must_use]
    pub fn downgrade(&self) -> WeakInlet {
        WeakInlet(Arc::downgrade(&self.0))
    }

    /// Says which history this is: that of `epoch`, of which nothing up to the offset `behind` is here, and these messages
    /// are, as [`append`](Self::append) takes them. What is said in one call is seen at once.
    ///
    /// Another epoch than before means that some of it was lost: the ring is emptied, idempotency keys are forgotten, and
    /// subscribers are told of a gap. With the same one as before the messages alone are added, as far as they are new.
    pub fn begin(&self, epoch: Epoch, behind: u64, messages: impl IntoIterator<Item = (u64, Published, u64)>) {
        let messages = messages.into_iter().map(|(offset, message, time)| (offset, message.0, time));
        self.0.begin(epoch, behind, messages);
    }

    /// Adds a message behind the last one, with the next offset: for a broker that is in this process. A message whose
    /// idempotency key has been seen within five minutes, among the last 1,024 of the topic, is not added again.
    ///
    /// # Errors
    ///
    /// [`PublishError::TooLong`], [`PublishError::NoMemory`].
    pub fn publish(&self, message: Published) -> Result<Position, PublishError> {
        self.0.publish(message.0)
    }

    /// Adds a message that was published at `time`, in milliseconds of Unix time, and has got an offset elsewhere.
    /// `false`, and nothing is added, where the offset is not behind the last one: it is there already.
    ///
    /// # Errors
    ///
    /// [`PublishError::TooLong`], [`PublishError::NoMemory`]: subscribers do not get it, and are told of a gap. What was
    /// before it is given up too.
    pub fn append(&self, offset: u64, message: Published, time: u64) -> Result<bool, PublishError> {
        self.0.append(offset, message.0, time)
    }
}

/// The broker in this process: a topic lives as long as it is used, and what is published is there at once.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Memory;

impl Memory {
    /// One that has nothing of its own.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Broker for Memory {
    fn attach(&self, topic: &Inlet) {
        topic.begin(Epoch::random(), 0, []);
    }

    fn publish(&self, topic: &Inlet, message: Published) -> Publishing {
        Publishing::Done(topic.publish(message))
    }
}
