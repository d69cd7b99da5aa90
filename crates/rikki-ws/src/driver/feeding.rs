//! Feeds: what the connection takes by itself from where many take it.

use tokio::io::{AsyncRead, AsyncWrite};

use super::turn::Turn;
use super::{Consumer, Driver, WORK_PER_POLL};
use crate::compression;
use crate::feeds::{Extras, Fed, Feeds, Outlet};

impl<I: AsyncRead + AsyncWrite + Unpin + 'static> Driver<I> {
    /// Writes what the feeds have, as far as the peer takes it. True if more may be there.
    #[inline]
    pub(super) fn send_fed<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>) -> bool {
        self.extras.is_some() && self.feed(turn)
    }

    #[inline(never)]
    fn feed<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>) -> bool {
        let Some(Extras { feeds: Some(feeds), .. }) = self.extras.as_deref_mut() else { return false };
        if !self.connection.is_open() {
            // A Close has been sent: they are let go of next.
            return false;
        }
        let tally = turn.tally.as_ref();
        let (connection, output, left) = (&mut self.connection, &mut *turn.output, &mut turn.budget.fed);
        let mut outlet = Outlet { connection, output, left, close: None, tally, now: None };
        let fed = feeds.poll_feed(turn.cx, &mut outlet);
        if let Some((code, reason)) = outlet.close {
            self.close_in_turn(code, reason, turn.output);
            self.drop_feeds();
            return true;
        }
        self.write(turn);
        fed == Fed::Full && !turn.output.is_blocked() && turn.budget.fed > 0 && compression::worked() < WORK_PER_POLL
    }

    /// Whether the feeds have given what they had when this was first asked: the connection may close.
    pub(super) fn is_fed(&mut self) -> bool {
        let Some(Extras { feeds: Some(feeds), .. }) = self.extras.as_deref_mut() else { return true };
        feeds.seal()
    }

    /// Whether what the peer says waits: for whoever reads it, or for feeds that are to answer what it has said.
    #[inline]
    pub(super) fn holds_back<C: Consumer>(&self, turn: &Turn<'_, '_, C>) -> bool {
        let feeds = self.extras.as_deref().and_then(|extras| extras.feeds.as_deref());
        !turn.consumer.is_ready() || feeds.is_some_and(Feeds::holds_back)
    }
}

impl<I> Driver<I> {
    /// Takes nothing more of them.
    pub(super) fn drop_feeds(&mut self) {
        if let Some(extras) = &mut self.extras {
            extras.feeds = None;
        }
    }
}
