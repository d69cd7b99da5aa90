//! Deadlines: what a connection does when nothing happens.

use std::task::Poll;

use rikki_proto::CloseCode;
use tokio::io::{AsyncRead, AsyncWrite};

use super::ending::Ending;
use super::timers::{Timer, Timers};
use super::turn::Turn;
use super::{Consumer, Driver, UNJUDGED};
use crate::clock::{NEVER, Tick};
use crate::error::{Deadline, Error};

/// How long a peer may let us wait that much is held for.
const HELD_FOR: Tick = 2;

impl<I: AsyncRead + AsyncWrite + Unpin + 'static> Driver<I> {
    /// Before waiting: acts on deadlines that have come, sets the alarm for the next one, and registers with the
    /// mailbox. False if there is something to do after all.
    pub(super) fn prepare_to_wait<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>) -> bool {
        if !self.is_alarm_set(turn) {
            if self.give_way(turn) {
                return false;
            }
            let Some(due) = self.handle_deadlines(turn) else { return false };
            self.set_alarm(due, turn);
            // Looked at again: who closes wakes those alone that have set an alarm.
            if self.closing(turn.tally.as_ref()).is_some() {
                return false;
            }
        }
        match &self.mailbox {
            // Registered first and looked at again after that, under one lock: no command is missed.
            Some(mailbox) => !mailbox.register(turn.cx.waker(), turn.output.len()) || turn.output.is_blocked(),
            None => true,
        }
    }

    /// Ends the connection if its unfinished message has to give way to those of others; if not, that will wake its
    /// task.
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
    fn is_alarm_set<C>(&self, turn: &Turn<'_, '_, C>) -> bool {
        self.ending.is_open()
            && !turn.output.is_blocked()
            && self.message_since == NEVER
            && self.pinged_at == NEVER
            && self.line.alarm.is_set_for(self.read_at.saturating_add(self.terms.ping_interval), turn.cx.waker())
    }

    /// The next deadline, or `None` if one has come and was acted on.
    pub(super) fn handle_deadlines<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>) -> Option<Tick> {
        if self.ending.is_ended() {
            return None;
        }
        let now = self.now();
        let timers = self.timers(now, turn);
        let Some(expired) = timers.expired(now) else { return Some(timers.next_timeout()) };
        match expired {
            Timer::Life => self.close_in_turn(CloseCode::GOING_AWAY, "", turn.output),
            Timer::Message => self.refuse(turn, "message too slow", Error::TimedOut(Deadline::Message)),
            // What it has to answer may be behind what is held for it.
            Timer::Pong if self.line.has_moved() => self.pinged_at = now,
            Timer::Pong => self.lose(turn, Error::TimedOut(Deadline::Pong)),
            Timer::Ping => {
                self.pinged_at = now;
                let _ = self.connection.ping(b"", turn.output);
            }
            Timer::Held => self.line.ahead.lower(&self.line.io),
            Timer::Write | Timer::Close if self.line.has_moved() => {}
            Timer::Write => self.lose(turn, Error::TimedOut(Deadline::Write)),
            Timer::Close => self.lose(turn, Error::TimedOut(Deadline::Close)),
            Timer::Broken => {
                let error = self.ending.take_cause();
                self.lose(turn, error.into());
            }
            // It has been told.
            Timer::Linger => _ = self.ending.handle_loss(),
        }
        None
    }

    /// The timers that run now: it depends on how far the connection has come, and on who waits for whom.
    fn timers<C: Consumer>(&mut self, now: Tick, turn: &Turn<'_, '_, C>) -> Timers {
        let mut timers = Timers::default();
        // All may be with the kernel when a Close is not answered: what is held is noted by then, to be compared with.
        let is_awaited = turn.output.is_blocked() || matches!(self.ending, Ending::Closing { .. });
        if is_awaited && self.line.ahead.is_raised() {
            timers.start(Timer::Held, self.line.written_at, HELD_FOR);
        }
        match self.ending {
            Ending::Open { until } => {
                if until > now || self.may_close() {
                    timers.set(Timer::Life, until);
                }
                // While the peer does not read, its pongs may be stuck behind what it does not read: judge by writing.
                if turn.output.is_blocked() {
                    timers.start(Timer::Write, self.line.written_at, self.terms.write_timeout);
                }
                if turn.output.is_blocked() || self.holds_back(turn) {
                    // Its signs of life may wait to be read, and its message for us.
                    self.message_since = self.message_since.max(UNJUDGED);
                } else {
                    timers.set(Timer::Message, self.judge_message(now));
                    match self.pinged_at {
                        NEVER => timers.start(Timer::Ping, self.read_at, self.terms.ping_interval),
                        pinged_at => timers.start(Timer::Pong, pinged_at, self.terms.pong_timeout),
                    }
                }
            }
            // What was sent before the Close may still be on its way: counted from the last progress of writing.
            Ending::Closing { since, .. } => {
                timers.start(Timer::Close, since.max(self.line.written_at), self.terms.close_timeout);
            }
            // It is told soon.
            Ending::Broken { since, .. } => timers.start(Timer::Broken, since, self.terms.linger_timeout),
            Ending::Lingering { since } => timers.start(Timer::Linger, since, self.terms.linger_timeout),
            Ending::Ended => {}
        }
        timers
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
