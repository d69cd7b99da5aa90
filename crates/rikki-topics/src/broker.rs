//! Where messages get their order: in this process, or elsewhere for several of them.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rikki_ws::Message;

use crate::config::PresenceMode;
use crate::error::PublishError;
use crate::position::{Epoch, Position};
use crate::presence::{Elsewhere, Present};
use crate::status::BrokerStatus;
use crate::topic::{Publication, Topic};

/// Orders the messages of topics, and gives them to the rings from which subscribers get them.
///
/// [`Memory`] is the one that there is without any other. One that is elsewhere acknowledges a message when it has it,
/// says by [`Inlet::begin`] what there is already, and brings what follows to each process by [`Inlet::append`], in the
/// order of offsets. Above it everything is the same code: who subscribes or reads gets what the ring of the process
/// holds, and so what the broker has put there.
///
/// What each method is called for happens without a lock, and none may block.
pub trait Broker: fmt::Debug + Send + Sync + 'static {
    /// A topic is used in this process from now on, by whoever publishes at least. [`Inlet::begin`] is to be called, now
    /// or when it is [activated](Self::activate), and until then its subscribers wait. What is kept of it is its
    /// [`WeakInlet`]: the inlet itself would keep the topic from being forgotten.
    fn attach(&self, topic: &Inlet);

    /// Somebody subscribes to the topic or reads it, for the first time since it was attached: from now on its messages
    /// are wanted, and so is what there is already, as far as its [bounds](Inlet::bounds) go. It is called again when
    /// somebody comes with a position that this process has not reached, who waits for a [look](Inlet::look) where the
    /// broker [keeps a history](Self::keeps_history).
    fn activate(&self, topic: &Inlet) {
        let _ = topic;
    }

    /// Publishes a message. Whoever answers [later](Publishing::Later) keeps it until it is known what has become of it:
    /// so long it has its place among [`max_publishing`](crate::TopicsConfig::max_publishing).
    fn publish(&self, topic: &Inlet, message: Published) -> Publishing;

    /// Who is there of this process has changed, and was put together: see [`Inlet::present_here`].
    fn presence(&self, topic: &Inlet) {
        let _ = topic;
    }

    /// Whether there may be topics with a history that this process knows nothing of: then reading one uses it.
    fn keeps_history(&self) -> bool {
        false
    }

    /// Whether it is known to be away for the topic of this name: what would have to wait for it fails at once.
    fn is_away(&self, topic: &str) -> bool {
        let _ = topic;
        false
    }

    /// How it is now, for those who operate it: one for each stream that it has, if they are apart, each with a name of the
    /// operator's. A server of `rikki` tells it at `/status` and in its metrics.
    fn statuses(&self) -> Vec<BrokerStatus> {
        Vec::new()
    }

    /// Whether it always answers at once, so that nothing is ever on its way.
    fn is_in_process(&self) -> bool {
        false
    }

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
        Self(Publication { message, key: None, idempotency_key: None, _place: None })
    }

    /// With what it is the latest of.
    #[must_use]
    pub fn with_key(mut self, key: &str) -> Self {
        self.0.key = Some(key.into());
        self
    }

    /// With what it is known by that is published again.
    #[must_use]
    pub fn with_idempotency_key(mut self, key: &str) -> Self {
        self.0.idempotency_key = Some(key.into());
        self
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
    /// subscribers are told of a gap. With the same one as before the messages alone are added, as far as they are new;
    /// where `behind` is behind the last one, what was between is lost, and told.
    ///
    /// Messages are as old as their time says, by the clock of this machine.
    pub fn begin(&self, epoch: Epoch, behind: u64, messages: impl IntoIterator<Item = (u64, Published, u64)>) {
        let messages = messages.into_iter().map(|(offset, message, time)| (offset, message.0, time));
        self.0.begin(epoch, behind, messages);
    }

    /// What of it is kept at most, and how long.
    #[must_use]
    pub fn bounds(&self) -> InletBounds {
        let rules = self.0.state().rules.clone();
        let config = rules.config.clone().within_limits();
        InletBounds {
            messages: rules.bounds.messages(),
            bytes: config.bytes,
            age: config.age,
            is_by_key: config.latest_by_key,
            presence: config.presence,
        }
    }

    /// Begins to look how far the topic goes: before anybody is asked.
    #[must_use]
    pub fn look(&self) -> Look {
        Look(self.0.look())
    }

    /// Says that there is no message up to this offset but those that there are: who is at the end is at this offset from
    /// now on, so that a position does not grow old where nothing comes; who gets messages in an envelope is told, when
    /// nothing has come for 15 seconds and since it was last told. It ends a look, if it is sure of what it says:
    /// then who came before this look, with a position that is not reached even so, learns that it is of no history.
    pub fn reach(&self, look: impl Into<Option<Look>>, offset: u64) {
        self.0.reach(look.into().map(|Look(look)| look), offset);
    }

    /// The farthest offset that somebody has come with who waits for a look; 0 if nobody does.
    #[must_use]
    pub fn wanted(&self) -> u64 {
        self.0.wanted()
    }

    /// The offset up to which everything is here.
    #[must_use]
    pub fn reached(&self) -> u64 {
        self.0.reached()
    }

    /// Says that messages are missing behind the last one, which will not come: subscribers are told of a gap.
    pub fn lose(&self) {
        self.0.lose();
    }

    /// Counts a message that was not published again.
    pub fn count_repeated(&self) {
        self.0.count_repeated();
    }

    /// Who of this process is there.
    #[must_use]
    pub fn present_here(&self) -> Present {
        self.0.present_here()
    }

    /// Says who is there of another process, by a number that stands for it: all of them, or nobody any more.
    pub fn set_present(&self, process: u64, present: Elsewhere) {
        self.0.set_present(process, present);
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

/// A look at how far a topic goes: see [`Inlet::look`].
#[derive(Debug)]
pub struct Look(u64);

/// What a topic keeps, as far as a broker has to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InletBounds {
    /// How many messages.
    pub messages: usize,
    /// How many bytes of them.
    pub bytes: usize,
    /// How long.
    pub age: Duration,
    /// Of each [key](Published::key) the latest alone.
    pub is_by_key: bool,
    /// What is known of who is there.
    pub presence: PresenceMode,
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

    fn is_in_process(&self) -> bool {
        true
    }
}
