//! Deadlines: what a connection does when nothing happens.

use std::task::Poll;

use rikki_proto::{CloseCode, Output, Text};
use tokio::io::{AsyncRead, AsyncWrite};

use super::turn::Turn;
use super::{Consumer, Driver, Phase, UNJUDGED};
use crate::clock::{NEVER, Tick};
use crate::error::{Closed, Deadline, Error};

impl<I: AsyncRead + AsyncWrite + Unpin> Driver<I> {
    pub(super) fn is_phase_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    /// Before waiting: acts on deadlines that have come, sets the alarm for the next one, and registers with the
    /// mailbox. False if there is something to do after all.
    pub(super) fn settle<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>) -> bool {
        if !self.is_alarm_set(turn.output) {
            if self.give_way(turn) {
                return false;
            }
            let Some(due) = self.handle_deadlines(turn) else { return false };
            self.line.alarm.set(due, turn.cx.waker());
            // Looked at again: a drain wakes those alone that have set an alarm.
            if self.draining().is_some() {
                return false;
            }
        }
        match &self.mailbox {
            // Registered first and looked at again after that, under one lock: no command is missed.
            Some(mailbox) => !mailbox.register(turn.cx.waker(), turn.output.len()) || turn.output.is_blocked(),
            None => true,
        }
    }

    /// Ends the connection if its unfinished message has to give way to those of others; if not, that will wake its task.
    pub(super) fn give_way<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>) -> bool {
        if self.connection.is_mid_message()
            && let Poll::Ready(error) = self.connection.poll_evicted(turn.cx, turn.output)
        {
            self.fail(turn, error);
            return true;
        }
        false
    }

    /// Whether nothing but silence is waited for, with an alarm that rings before the silence is too long. It was set
    /// earlier, and what has been read since then has only moved the deadline.
    fn is_alarm_set(&self, output: &Output) -> bool {
        self.is_phase_open()
            && !output.is_blocked()
            && self.message_since == NEVER
            && self.pinged_at == NEVER
            && self.line.alarm.is_set_for(self.read_at.saturating_add(self.terms.ping_interval))
    }

    /// The next deadline, or `None` if one has come and was acted on.
    pub(super) fn handle_deadlines<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>) -> Option<Tick> {
        let now = self.now();
        if let Phase::Open { until } = self.phase
            && until <= now
            && self.may_close()
        {
            self.close_in_turn(CloseCode::GOING_AWAY, turn.output);
            return None;
        }
        let terms = &self.terms;
        let (due, missed) = match self.phase {
            Phase::Ended => return None,
            Phase::Lingering { since } => (since.saturating_add(terms.linger_timeout), None),
            // A connection that broke says so soon.
            Phase::Closing { since } if self.broken.is_some() => (since.saturating_add(terms.linger_timeout), None),
            // What was sent before the Close may still be on its way: counted from the last progress of writing.
            Phase::Closing { since } => {
                (since.max(self.line.written_at).saturating_add(terms.close_timeout), Some(Deadline::Close))
            }
            // While the peer does not read, its pongs may be stuck behind what it does not read: judge by writing.
            Phase::Open { .. } if turn.output.is_blocked() => {
                self.message_since = self.message_since.max(UNJUDGED);
                (self.line.written_at.saturating_add(terms.write_timeout), Some(Deadline::Write))
            }
            // Its signs of life may wait to be read.
            Phase::Open { until } if !turn.consumer.is_ready() => {
                self.message_since = self.message_since.max(UNJUDGED);
                return Some(until);
            }
            Phase::Open { until } => return self.handle_silence(now, turn).map(|due| due.min(until)),
        };
        if now < due {
            return Some(due);
        }
        match (self.broken.take(), missed) {
            (Some(error), _) => self.lose(turn, error.into()),
            (None, Some(deadline)) => self.lose(turn, Error::TimedOut(deadline)),
            (None, None) => self.phase = Phase::Ended,
        }
        None
    }

    /// The deadlines of a connection that only waits for its peer; called when there is nothing to read.
    fn handle_silence<C: Consumer>(&mut self, now: Tick, turn: &mut Turn<'_, '_, C>) -> Option<Tick> {
        let message_due = self.judge_message(now);
        let terms = &self.terms;
        let (ping_due, pong_due) = match self.pinged_at {
            NEVER => (self.read_at.saturating_add(terms.ping_interval), NEVER),
            pinged_at => (NEVER, pinged_at.saturating_add(terms.pong_timeout)),
        };
        if now >= message_due {
            let (code, reason) = (CloseCode::POLICY_VIOLATION, "message too slow");
            let _ = self.connection.close(code, reason, turn.output);
            let error = Some(Error::TimedOut(Deadline::Message));
            self.report(turn, Closed { code, reason: Text::from(reason), error });
        } else if now >= pong_due {
            self.lose(turn, Error::TimedOut(Deadline::Pong));
        } else if now >= ping_due {
            self.pinged_at = now;
            let _ = self.connection.ping(b"", turn.output);
        } else {
            return Some(message_due.min(pong_due).min(ping_due));
        }
        None
    }

    /// When the message under way has to have made progress; it begins a new window if it has.
    fn judge_message(&mut self, now: Tick) -> Tick {
        if !self.connection.is_mid_message() {
            return NEVER;
        }
        let (window, least) = (self.terms.payload_window, self.terms.least_payload());
        let is_new = self.message_since >= UNJUDGED;
        if !is_new && now < self.message_since.saturating_add(window) {
            return self.message_since.saturating_add(window);
        }
        if self.connection.take_received() >= least || is_new {
            self.message_since = now;
        }
        self.message_since.saturating_add(window)
    }
}
