//! What a subscriber asks for.

use crate::position::From;
use crate::presence::Identity;

/// What a subscriber asks for: where to begin, who it is, and what it wants to see beside the messages.
///
/// ```
/// use rikki_topics::{From, Identity, SubscribeOptions};
///
/// let options = SubscribeOptions::from(From::Last(10)).identity(Identity::user("ada")).presence(true);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct SubscribeOptions {
    pub(crate) from: From,
    pub(crate) identity: Identity,
    pub(crate) watches: Watches,
    pub(crate) has_envelope: bool,
    /// The number by which it is present, where that is known already.
    pub(crate) client: Option<u64>,
}

/// What a subscriber is told of who else is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watches {
    Nothing,
    /// Who is there, and then who comes and goes.
    All,
    /// Who comes and goes.
    #[cfg_attr(not(feature = "axum"), allow(dead_code, reason = "the protocol of Centrifugo has it"))]
    Changes,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        let (from, identity, watches) = (From::Now, Identity::default(), Watches::Nothing);
        Self { from, identity, watches, has_envelope: false, client: None }
    }
}

impl std::convert::From<From> for SubscribeOptions {
    fn from(from: From) -> Self {
        Self { from, ..Self::default() }
    }
}

impl SubscribeOptions {
    /// Sets who it is, for others to see where the topic's [presence](crate::TopicConfig::presence) is on; default
    /// nobody, who is counted.
    pub fn identity(self, identity: Identity) -> Self {
        Self { identity, ..self }
    }

    /// Whether messages come in an envelope of JSON that says where they are, and that tells of gaps, of who comes and
    /// goes, and of where a topic is that goes on without messages, at most each 15 seconds; default not. A `Stream` is
    /// told of gaps and of who comes and goes anyway.
    pub fn envelope(self, enabled: bool) -> Self {
        Self { has_envelope: enabled, ..self }
    }

    /// Whether it is told who is there, and then who comes and goes, where the topic's [presence](crate::TopicConfig::presence) is on; default
    /// not.
    pub fn presence(self, watches: bool) -> Self {
        Self { watches: if watches { Watches::All } else { Watches::Nothing }, ..self }
    }
}
