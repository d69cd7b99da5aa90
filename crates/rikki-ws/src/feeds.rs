//! What a connection takes messages from by itself, as fast as its peer takes them: topics, whose messages wait in one
//! place for all who are subscribed.

use std::any::Any;
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rikki_proto::{CloseCode, Connection, Output, PreparedMessage, SendError};
use tracing::Span;

use super::compression;
use super::driver::WORK_PER_POLL;
use super::meters::Tally;
use super::rate::Rate;
use super::watched::Watched;

/// How much of the feeds is framed before it is written, in bytes: what a peer that does not read holds up of them.
const FED_AT_ONCE: usize = 16 * 1024;

/// What few connections have: behind one word, which is all that the others have room for.
#[derive(Default)]
pub(super) struct Extras {
    rare: Option<Box<Rare>>,
    pub(super) feeds: Option<Box<dyn Feeds>>,
}

/// What even those have seldom that are fed.
struct Rare {
    /// How much the peer sends in a second, if that has a limit.
    rate: Option<Rate>,
    /// What logs know of the connection: disabled where nobody logs that.
    span: Span,
    /// What is logged of its messages and its end, if that is asked for.
    watched: Option<Arc<Watched>>,
}

impl Extras {
    /// Those with a rate, if it has a limit, and with a span and what is logged, if there is any.
    pub(super) fn with(rate: Option<Rate>, span: Span, watched: Option<Arc<Watched>>) -> Option<Box<Self>> {
        let is_needed = rate.is_some() || !span.is_disabled() || watched.is_some();
        is_needed.then(|| Box::new(Self { rare: Some(Box::new(Rare { rate, span, watched })), feeds: None }))
    }

    pub(super) fn rate(extras: &mut Option<Box<Self>>) -> Option<&mut Rate> {
        extras.as_deref_mut()?.rare.as_deref_mut()?.rate.as_mut()
    }

    pub(super) fn watched(extras: &Option<Box<Self>>) -> Option<&Watched> {
        extras.as_deref()?.rare.as_deref()?.watched.as_deref()
    }

    pub(super) fn span(extras: &Option<Box<Self>>) -> Option<&Span> {
        Some(&extras.as_deref()?.rare.as_deref()?.span)
    }
}

/// The feeds of one connection, as one.
///
/// Whoever implements it holds no lock while it sends, and sends nothing twice: what an [`Outlet`] has taken is as
/// good as sent, though the connection may break before it is written.
pub trait Feeds: Any + Send {
    /// Sends what there is, until there is nothing left or the outlet is full.
    ///
    /// [`Fed::Waiting`] is answered only when the task of `cx` will be woken for what comes next.
    fn poll_feed(&mut self, cx: &mut Context<'_>, outlet: &mut Outlet<'_>) -> Fed;

    /// From now on the connection gets what there is already, and nothing that comes later: it is to close. Whether it
    /// has got all of that.
    fn seal(&mut self) -> bool;

    /// Whether nothing more is to be read of the peer now, since what it has said is still to be answered. It is asked
    /// again when they have been polled: what changes it wakes the task of that poll.
    fn holds_back(&self) -> bool {
        false
    }

    /// The code by which a peer that sends faster or slower than it may knows that it is not to come back.
    fn refusal(&self) -> CloseCode {
        CloseCode::POLICY_VIOLATION
    }
}

/// How far [`Feeds::poll_feed`] has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "nothing else can be")]
pub enum Fed {
    /// To the end: the task is woken when there is more, or it was sealed and nothing more comes.
    Waiting,
    /// Not to the end, since the outlet is full.
    Full,
}

/// Where feeds send, as long as the peer takes what is sent and others are not held up.
pub struct Outlet<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) output: &'a mut Output,
    /// How many messages may still be sent in this poll.
    pub(super) left: &'a mut usize,
    /// The close that the feeds have asked for.
    pub(super) close: Option<(CloseCode, &'static str)>,
    pub(super) tally: Option<&'a Tally<'a>>,
    /// The time in milliseconds of Unix time, and the age of the connection, read once for all that is sent in a poll.
    pub(super) now: Option<(u64, Duration)>,
}

impl Outlet<'_> {
    /// Whether nothing more is taken now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.output.is_blocked()
            || *self.left == 0
            || self.output.len() >= FED_AT_ONCE
            || self.close.is_some()
            || compression::worked() >= WORK_PER_POLL
    }

    /// Whether one of the feeds has asked for a close.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.close.is_some()
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if the connection is closing.
    #[inline]
    pub fn send(&mut self, message: &PreparedMessage) -> Result<(), SendError> {
        *self.left = self.left.saturating_sub(1);
        self.connection.send_prepared(message, self.output)?;
        if let Some(tally) = self.tally {
            tally.sent(message.len());
        }
        Ok(())
    }

    /// Notes how long the message that was just sent has waited since it was published, in milliseconds of Unix time,
    /// where somebody looks at that. What is older than the connection has waited for no one.
    pub fn note_published(&mut self, at: u64) {
        if let Some(Tally { shard, seen }) = self.tally {
            let (now, age) = *self.now.get_or_insert_with(|| (unix_ms(), seen.age()));
            let lag = Duration::from_millis(now.saturating_sub(at));
            // Both times are cut to milliseconds.
            if lag <= age + Duration::from_millis(1) {
                shard.waited(1, lag);
            }
        }
    }

    /// Closes the connection behind what has been accepted for it.
    pub fn close(&mut self, code: CloseCode, reason: &'static str) {
        self.close = Some((code, reason));
    }
}

fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

impl std::fmt::Debug for Outlet<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outlet").field("left", &self.left).finish_non_exhaustive()
    }
}
