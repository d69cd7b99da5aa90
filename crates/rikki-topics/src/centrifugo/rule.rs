//! Who connects, and what they may do: what an application is asked, and what it answers.

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::request::Parts;

use super::code::{End, Refused};
use crate::presence::Identity;
use crate::url::{Action, Denied};

/// What a client shows to be let in: see [`Centrifugo::authorize`](super::Centrifugo::authorize).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Shown<'a> {
    /// Its token; empty where it has sent none.
    pub token: &'a str,
    /// The topic that the token is for; `None` where it is for the connection.
    pub topic: Option<&'a str>,
    /// What it says of itself when it connects: the name of the application, and its version.
    pub name: &'a str,
    /// See `name`.
    pub version: &'a str,
    /// What it sends along when it connects, as JSON.
    pub data: Option<&'a str>,
    /// The request that opened the WebSocket, when it connects; not kept for later tokens.
    pub request: Option<&'a Parts>,
    /// Who the connection is, where it has been let in: another token has to be of the same user, or one for a topic of
    /// nobody.
    pub identity: Option<&'a Identity>,
}

impl<'a> Shown<'a> {
    /// A token, and nothing else.
    pub(super) fn token(token: &'a str) -> Self {
        Self { token, topic: None, name: "", version: "", data: None, request: None, identity: None }
    }
}

pub(super) type May = dyn Fn(&str, Action) -> Result<(), Denied> + Send + Sync;

/// Whom a client is let in as, for how long, and what it may do.
#[derive(Clone, Default)]
#[must_use]
pub struct Admitted {
    pub(super) identity: Identity,
    pub(super) expires_at: Option<SystemTime>,
    pub(super) topics: Vec<String>,
    pub(super) data: Option<String>,
    pub(super) may: Option<Arc<May>>,
}

impl Admitted {
    /// Lets in for as long as the connection lasts, and to what all may do.
    pub fn new(identity: Identity) -> Self {
        Self { identity, ..Self::default() }
    }

    /// Until when: clients ask for another token then, and have 25 seconds to show it. Default without end.
    pub fn expires_at(self, time: SystemTime) -> Self {
        Self { expires_at: Some(time), ..self }
    }

    /// Topics to which the connection is subscribed from the beginning, without being asked; default none. Those that
    /// there cannot be, and more than a [connection](crate::TopicsConfig::max_subscriptions_per_connection) may have, are
    /// left out. Of no meaning for a token of a topic.
    pub fn subscribe_to(self, topics: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { topics: topics.into_iter().map(Into::into).collect(), ..self }
    }

    /// What the client is told when it connects: JSON, or any text, which becomes a string. Default nothing.
    pub fn data(self, data: impl Into<String>) -> Self {
        Self { data: Some(data.into()), ..self }
    }

    /// Sets what it may do, for as long as no other token is shown. It is asked for each command. Default what is open
    /// to all: everything but publishing, which [`TopicConfig::publish`](crate::TopicConfig::publish) allows.
    ///
    /// A token of a topic lets subscribe to that, and read it and who is there while it is subscribed to.
    pub fn may(self, may: impl Fn(&str, Action) -> Result<(), Denied> + Send + Sync + 'static) -> Self {
        Self { may: Some(Arc::new(may)), ..self }
    }

    /// It was for a time that has passed.
    pub(super) fn is_over(&self) -> bool {
        self.ttl().is_some_and(|ttl| ttl.is_zero())
    }

    /// For how long, from now on.
    pub(super) fn ttl(&self) -> Option<Duration> {
        let expires_at = self.expires_at?;
        Some(expires_at.duration_since(SystemTime::now()).unwrap_or_default())
    }
}

impl fmt::Debug for Admitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { identity, expires_at, topics, .. } = self;
        f.debug_struct("Admitted")
            .field("identity", identity)
            .field("expires_at", expires_at)
            .field("topics", topics)
            .finish_non_exhaustive()
    }
}

/// What a client asks the application for: see [`Centrifugo::rpc`](super::Centrifugo::rpc).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// The number of the client, by which others see it.
    pub client: u64,
    /// Who it is.
    pub identity: Identity,
    /// Of what it asks.
    pub method: String,
    /// With what, as JSON; `null` where it says nothing.
    pub data: String,
}

/// Why a [`Call`] has failed, for the client to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    pub(super) code: u32,
    pub(super) message: Cow<'static, str>,
}

impl CallError {
    /// Numbers from 400 on are for applications: those below have a meaning for clients, by which they may try again.
    #[must_use]
    pub fn new(code: u32, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: code.max(1), message: message.into() }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for CallError {}

/// Asks the application, whose panic is the end of this connection and of no other.
pub(super) fn ask<R>(rule: impl FnOnce() -> R) -> Result<R, Refused> {
    catch_unwind(AssertUnwindSafe(rule)).map_err(|_| End::SERVER_ERROR.into())
}
