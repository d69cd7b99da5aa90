//! Why something was not published, or nobody subscribed.

use std::fmt;

use crate::name::BadName;

/// Why a message was not published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// No topic can have this name.
    Name(BadName),
    /// No pattern fits, and [others](crate::TopicsConfig::others) are refused.
    Unknown,
    /// It is longer than the [bytes](crate::TopicConfig::bytes) of the topic.
    TooLong {
        /// Its payload, in bytes.
        length: usize,
        /// What may be.
        limit: usize,
    },
    /// Its idempotency key, or its key, is empty or has more than 255 bytes.
    BadKey,
    /// There are [`max_topics`](crate::TopicsConfig::max_topics) already.
    TooManyTopics,
    /// The [memory of all topics](crate::TopicsConfig::memory) has no room for it.
    NoMemory,
    /// There are [`max_publishing`](crate::TopicsConfig::max_publishing) messages on their way to the broker already.
    TooManyUnderWay,
    /// The broker cannot be reached: nothing was published.
    Unavailable,
    /// The broker has not answered: it was published, or it was not.
    Unknowable,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Unknown => f.write_str("there is no such topic"),
            Self::TooLong { length, limit } => write!(f, "message of {length} bytes, the topic takes {limit}"),
            Self::BadKey => f.write_str("a key has 1 to 255 bytes"),
            Self::TooManyTopics => f.write_str("there are as many topics as there may be"),
            Self::NoMemory => f.write_str("no memory is left for messages of topics"),
            Self::TooManyUnderWay => f.write_str("as many messages are on their way to the broker as there may be"),
            Self::Unavailable => f.write_str("the broker of the topics cannot be reached, and nothing was published"),
            Self::Unknowable => f.write_str("the broker of the topics has not answered: the message may be published"),
        }
    }
}

/// Why nobody was subscribed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeError {
    /// No topic can have this name.
    Name(BadName),
    /// No pattern fits, and [others](crate::TopicsConfig::others) are refused.
    Unknown,
    /// There are [`max_topics`](crate::TopicsConfig::max_topics) already.
    TooManyTopics,
    /// The [memory of all topics](crate::TopicsConfig::memory) has no room for one more topic.
    NoMemory,
    /// There are [`max_subscriptions`](crate::TopicsConfig::max_subscriptions) already.
    TooMany,
    /// The connection has
    /// [`max_subscriptions_per_connection`](crate::TopicsConfig::max_subscriptions_per_connection) already.
    TooManyOfConnection,
    /// The connection is subscribed to the topic already.
    Already,
    /// The connection is closed or closing.
    Closed,
    /// The broker cannot be reached, so that it is not known what there is.
    Unavailable,
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Unknown => f.write_str("there is no such topic"),
            Self::TooManyTopics => f.write_str("there are as many topics as there may be"),
            Self::NoMemory => f.write_str("no memory is left for topics"),
            Self::TooMany => f.write_str("there are as many subscriptions as there may be"),
            Self::TooManyOfConnection => f.write_str("the connection has as many subscriptions as it may have"),
            Self::Already => f.write_str("the connection is subscribed to the topic already"),
            Self::Closed => f.write_str("the connection is closed or closing"),
            Self::Unavailable => f.write_str("the broker of the topics cannot be reached"),
        }
    }
}

impl std::error::Error for PublishError {}
impl std::error::Error for SubscribeError {}

/// Why there is no topic to use.
pub(crate) enum NoTopic {
    Name(BadName),
    Unknown,
    TooMany,
    NoMemory,
}

impl From<NoTopic> for PublishError {
    fn from(error: NoTopic) -> Self {
        match error {
            NoTopic::Name(name) => Self::Name(name),
            NoTopic::Unknown => Self::Unknown,
            NoTopic::TooMany => Self::TooManyTopics,
            NoTopic::NoMemory => Self::NoMemory,
        }
    }
}

impl From<NoTopic> for SubscribeError {
    fn from(error: NoTopic) -> Self {
        match error {
            NoTopic::Name(name) => Self::Name(name),
            NoTopic::Unknown => Self::Unknown,
            NoTopic::TooMany => Self::TooManyTopics,
            NoTopic::NoMemory => Self::NoMemory,
        }
    }
}
