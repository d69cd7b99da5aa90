//! One connection's loop: reads into the thread's buffer, hands over messages, writes the answers.
//!
//! One turn of the loop serves everything that is ready, within a budget: all frames of a read are answered with one
//! write, and nobody else on the thread starves. What is left over when the peer does not read (an unsent tail, the
//! rest of a read) is kept with the connection; an idle connection keeps nothing.

mod backlog;
mod consumer;
mod deadlines;
mod ending;
mod feeding;
mod parsing;
mod reading;
mod timers;
mod turn;
mod writing;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rikki_proto::{CloseCode, Connection, Output, Text};
use tokio::io::{AsyncRead, AsyncWrite};

use super::buffers::{Buffers, BuffersGuard};
use super::clock::{Alarm, Clock, NEVER, Tick};
use super::compression;
use super::config::Overflow;
use super::error::{Closed, Error};
use super::feeds::{Extras, Feeds};
use super::group::Coming;
use super::meters::{ClosedBy, Tally};
use super::rate::Rate;
use super::seen::{Enrolled, Seen};
use super::sender::{Command, Drained, Mailbox};
use super::socket::Socket;
use super::terms::Terms;
use super::trace::{self, Trace};
use super::turns::Ticket;
use backlog::{Backlog, Unparsed};
pub(crate) use consumer::{Consumer, Flow, Panicked};
use ending::{Ending, PeerSide};
use turn::Turn;
use writing::Line;

/// How much may be compressed, and come of decompressing, in bytes; a last message goes beyond it.
pub(super) const WORK_PER_POLL: usize = 1024 * 1024;

/// Answers beyond this many bytes are written before the next message of the same read is looked at.
const WRITE_AT: usize = 64 * 1024;

/// When a message under way is judged that has waited for us: not yet.
const UNJUDGED: Tick = NEVER - 1;

/// Why a poll returned.
pub(super) enum Stopped {
    /// The consumer wanted to.
    Yielded,
    /// The connection is over, TCP included.
    Ended,
}

/// A WebSocket on a byte stream.
pub(super) struct Driver<I> {
    line: Line<I>,
    connection: Connection,
    terms: Arc<Terms>,
    mailbox: Option<Arc<Mailbox>>,
    /// The rest of a read that could not be handed over yet.
    unparsed: Option<Box<Unparsed>>,
    /// What the peer has not taken yet.
    backlog: Option<Box<Backlog>>,
    extras: Option<Box<Extras>>,
    /// What is kept of it for those who look inside, if anybody may.
    seen: Option<Enrolled>,
    ending: Ending,
    /// When something was last read, and when the ping that follows silence was sent.
    read_at: Tick,
    pinged_at: Tick,
    /// Since when the message under way is judged: [`UNJUDGED`] if it is not yet, [`NEVER`] if there is none.
    message_since: Tick,
    /// The ticket for its next turn, if it has had one and waits for that.
    ticket: Option<Ticket>,
}

impl<I: AsyncRead + AsyncWrite + Unpin + 'static> Driver<I> {
    /// Drives `connection` on `io`, of which `read_ahead` has been read already. A server's is one of those that are
    /// counted, and no longer when this is dropped.
    pub(super) fn new(io: I, read_ahead: &[u8], connection: Connection, terms: Arc<Terms>, trace: Trace) -> Self {
        let clock = Clock::current();
        let now = clock.now();
        let unparsed = (!read_ahead.is_empty()).then(|| Unparsed::new(read_ahead, &terms));
        let until = if connection.is_server() { terms.end_of_life(now) } else { NEVER };
        let seen = trace.seen.map(|seen| Enrolled::new(seen, &clock));
        // Its endpoint may have been closed since it was let in: whoever did so has not found it there.
        if let Some(seen) = seen.as_ref().filter(|_| terms.meters.is_closed()) {
            seen.close(CloseCode::GOING_AWAY);
        }
        let mut rate = Rate::new(&terms, now);
        if let Some(rate) = &mut rate {
            rate.count_bytes(read_ahead.len(), now);
        }
        Self {
            line: Line::new(io, Alarm::new(clock), now, trace.id),
            connection,
            extras: Extras::with(rate, trace.span, trace.watched),
            seen,
            terms,
            mailbox: None,
            unparsed,
            backlog: None,
            ending: Ending::new(until),
            read_at: now,
            pinged_at: NEVER,
            message_since: NEVER,
            ticket: None,
        }
    }

    /// Serves the connection until it has to wait, the consumer yields or the connection ends.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, consumer: &mut impl Consumer) -> Poll<Stopped> {
        if let Some(ticket) = self.ticket {
            // Woken by something else, such as more to read: a flood does not get past the others by that.
            if !self.line.alarm.clock().turns().has_come(ticket) {
                return Poll::Pending;
            }
            self.ticket = None;
        }
        self.with_buffers(|driver, read, output, tally| driver.turn(&mut Turn::new(cx, consumer, output, tally), read))
    }

    /// Lends the socket outside of a message: to open a connection or to send from its own task, which `waker` wakes.
    pub(super) fn with_socket<R>(&mut self, waker: &Waker, use_it: impl FnOnce(&mut Socket<'_>) -> R) -> R {
        self.with_buffers(|driver, _, output, tally| {
            let mark = if driver.is_queueing() { 0 } else { driver.terms.mark() };
            use_it(&mut driver.socket(waker, output, tally.as_ref(), mark))
        })
    }

    /// Lets it be a member of groups, before anything is done with it.
    pub(super) fn join(&mut self, groups: Vec<Coming>) {
        if !groups.is_empty() {
            let sender = self.with_socket(Waker::noop(), |socket| socket.sender());
            groups.into_iter().for_each(|group| group.admit(&sender));
        }
    }

    /// Whether nothing can be written any more.
    pub(super) fn is_broken(&self) -> bool {
        self.ending.is_broken()
    }

    /// Bytes that have not been written yet, those that senders have queued included.
    pub(super) fn unsent(&self) -> usize {
        let backlog = self.backlog.as_ref().map_or(0, |backlog| backlog.output.len());
        backlog + self.mailbox.as_ref().map_or(0, |mailbox| mailbox.queued())
    }

    /// Whether everything that was sent so far has been written.
    pub(super) fn has_written_all(&self) -> bool {
        self.backlog.is_none() && !self.line.unflushed && self.mailbox.as_ref().is_none_or(|mailbox| mailbox.len() == 0)
    }

    pub(super) fn is_open(&self) -> bool {
        self.connection.is_open() && self.ending.is_open()
    }

    /// The code to close with, if this connection is told to, or a server drains and it is one of its own: what a request
    /// or a handler has opened as a client lasts as long as they do. `None` if it is closing anyway.
    #[inline(always)]
    fn closing(&mut self, tally: Option<&Tally<'_>>) -> Option<CloseCode> {
        if self.line.alarm.clock().any_is_to_close() { self.look_for_close(tally) } else { None }
    }

    #[cold]
    #[inline(never)]
    fn look_for_close(&mut self, tally: Option<&Tally<'_>>) -> Option<CloseCode> {
        // Somebody who looks inside may have told this one.
        let told = tally.and_then(|tally| tally.seen.closing());
        let drain = if self.connection.is_server() { self.line.alarm.draining() } else { None };
        let code = told.or(drain)?;
        (self.may_close() && (told.is_some() || self.is_fed())).then_some(code)
    }

    /// Has the task woken when `due` has come, and when it is to close.
    fn set_alarm<C: Consumer>(&mut self, due: Tick, turn: &Turn<'_, '_, C>) {
        let waker = turn.cx.waker();
        turn.tally.as_ref().inspect(|tally| tally.seen.wakes(waker));
        self.line.alarm.set(due, waker);
    }

    /// Lets senders know what is unsent when others have their turn.
    fn tell_backlog(&self, output: &Output) {
        self.mailbox.iter().for_each(|mailbox| _ = mailbox.set_backlog(output.len()));
    }

    /// Whether no Close has been sent, and none is queued.
    fn may_close(&self) -> bool {
        self.connection.is_open() && !self.mailbox.as_ref().is_some_and(|mailbox| mailbox.is_closed())
    }

    /// Closes when everything that has been accepted until now is sent.
    fn close_in_turn(&mut self, code: CloseCode, reason: &str, output: &mut Output) {
        // It fails where a Close came first, which is as good.
        let _ = match &self.mailbox {
            Some(mailbox) => Command::close(code, reason).and_then(|close| mailbox.push(close)),
            None => self.connection.close(code, reason, output),
        };
    }

    fn socket<'a>(
        &'a mut self,
        waker: &'a Waker,
        output: &'a mut Output,
        tally: Option<&'a Tally<'a>>,
        mark: usize,
    ) -> Socket<'a> {
        Socket {
            connection: &mut self.connection,
            output,
            mailbox: &mut self.mailbox,
            extras: &mut self.extras,
            terms: &self.terms,
            tally,
            wire: &mut self.line,
            waker,
            mark,
            is_last: false,
            checkpoint: None,
        }
    }

    fn now(&self) -> Tick {
        self.line.alarm.clock().now()
    }

    /// Runs `work` on the thread's buffers, or on the connection's own backlog if it has one, and keeps what is unsent.
    fn with_buffers<R>(&mut self, work: impl FnOnce(&mut Self, &mut [u8], &mut Output, Option<Tally<'_>>) -> R) -> R {
        let mut guard = BuffersGuard::take();
        let Buffers { read, output, shards } = guard.get();
        // Lent, since the turn has all of the driver beside it.
        let seen = self.seen.take();
        let tally = seen.as_deref().map(|seen| Tally { shard: shards.of(seen.meters()), seen });
        let result = if let Some(mut backlog) = self.backlog.take() {
            let result = work(self, read, &mut backlog.output, tally);
            if !backlog.output.is_empty() || backlog.output.is_blocked() {
                self.keep(backlog, seen.as_deref());
            } else {
                seen.as_deref().inspect(|seen| seen.set_backlog(0));
                let (bytes, since) = backlog.began;
                self.line.note_taken(bytes, since);
            }
            result
        } else {
            let result = work(self, read, output, tally);
            if !output.is_empty() || output.is_blocked() {
                let mut backlog = Box::new(Backlog::new(std::mem::take(output), &self.terms, self.now()));
                backlog.output.shrink();
                self.keep(backlog, seen.as_deref());
            }
            result
        };
        self.seen = seen;
        result
    }

    /// So much waits for the peer from now on.
    fn keep(&mut self, mut backlog: Box<Backlog>, seen: Option<&Seen>) {
        backlog.compact();
        seen.inspect(|seen| seen.set_backlog(backlog.output.len()));
        self.backlog = Some(backlog);
    }

    fn turn<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>, read: &mut [u8]) -> Poll<Stopped> {
        loop {
            if let Some(code) = self.closing(turn.tally.as_ref()) {
                self.close_in_turn(code, "", turn.output);
            }
            self.write(turn);
            if self.send_queued(turn) || self.send_fed(turn) || self.offer(turn) {
                continue;
            }
            self.advance_ending(turn);
            // A peer that never stops sending doesn't put these deadlines off.
            if !self.ending.is_open() || turn.output.is_blocked() {
                self.handle_deadlines(turn);
            }
            if self.ending.is_ended() {
                return Poll::Ready(Stopped::Ended);
            }
            // What is queued goes before the answer to a Close.
            let waits = turn.budget.queued == 0
                || match self.read(turn, read) {
                    Poll::Ready(Flow::Yield) => {
                        // A pong does not wait for whoever reads the messages, nor does who waits for room.
                        self.write(turn);
                        self.tell_backlog(turn.output);
                        return Poll::Ready(Stopped::Yielded);
                    }
                    Poll::Ready(Flow::Continue) => false,
                    Poll::Pending => true,
                };
            if turn.budget.is_spent() || compression::worked() >= WORK_PER_POLL {
                self.write(turn);
                // A peer that never falls silent has to end its messages in time too.
                if let Some(due) = self.handle_deadlines(turn) {
                    self.set_alarm(due, turn);
                }
                self.give_way(turn);
                // Who waits for room is not to wait for silence too.
                self.tell_backlog(turn.output);
                self.ticket = self.line.alarm.clock().turns().take(turn.cx.waker());
                return Poll::Pending;
            }
            // A turn ends only when there is nothing to read, to write, to take from the mailbox or to do by the clock.
            if waits && self.prepare_to_wait(turn) {
                return Poll::Pending;
            }
        }
    }

    /// Writes what is in the mailbox, unless the peer has to take something first. True if more may be there: what
    /// comes from now on is found before the turn ends.
    fn send_queued<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>) -> bool {
        if turn.output.is_blocked() {
            if self.terms.overflow == Overflow::Close {
                let unsent = self.mailbox.as_ref().map_or(turn.output.len(), |mailbox| mailbox.held(turn.output.len()));
                if unsent >= self.terms.write_queue {
                    self.lose(turn, Error::Overflow);
                }
            }
            return false;
        }
        let Some(mailbox) = &self.mailbox else { return false };
        if turn.budget.queued == 0 {
            return false;
        }
        let tally = turn.tally.as_ref();
        let Drained { moved, emptied } = mailbox.drain(&mut self.connection, turn.output, turn.budget.queued, tally);
        turn.budget.queued -= moved;
        if moved == 0 {
            return false;
        }
        self.write(turn);
        // A peer that does not take it is judged anew.
        !emptied || turn.output.is_blocked()
    }

    /// The peer sends faster or slower than it may, and is told so: nothing more of it is handed over.
    #[cold]
    fn refuse<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>, reason: &'static str, error: Error) {
        let feeds = self.extras.as_deref().and_then(|extras| extras.feeds.as_deref());
        let code = feeds.map_or(CloseCode::POLICY_VIOLATION, Feeds::refusal);
        // Fails after a Close of ours, with which the peer knows that this is the end.
        let _ = self.connection.close(code, reason, turn.output);
        self.report(turn, ClosedBy::Server, Closed { code, reason: Text::from(reason), error: Some(error) });
    }

    fn handle_eof<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>) {
        if let Err(error) = self.ending.handle_eof() {
            self.lose(turn, error.into());
        }
    }

    /// The peer broke a rule or went past a limit, and is told so.
    fn fail<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>, error: rikki_proto::Error) {
        let code = CloseCode::for_error(&error);
        self.report(turn, ClosedBy::Server, Closed { code, reason: Text::from(""), error: Some(error.into()) });
    }

    /// The connection is gone: nothing more can be said.
    fn lose<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>, error: Error) {
        if self.ending.handle_loss() {
            let by = if matches!(error, Error::Io(_)) { ClosedBy::Network } else { ClosedBy::Server };
            self.tell(turn, by, Closed { code: CloseCode::ABNORMAL, reason: Text::from(""), error: Some(error) });
        }
    }

    fn report<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>, by: ClosedBy, closed: Closed) {
        let peer = if self.connection.is_closed() { PeerSide::Done } else { PeerSide::GivenUp };
        if self.ending.handle_told(peer, self.now()) {
            self.tell(turn, by, closed);
        }
    }

    fn tell<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>, by: ClosedBy, closed: Closed) {
        self.terms.meters.count_closed(closed.code, by);
        if let Some(error) = &closed.error {
            error.count(self.terms.counts());
        }
        self.close_sending();
        self.trace_end(closed.code, closed.error.as_ref());
        turn.consumer.closed(closed);
    }
}

impl<I> Driver<I> {
    /// From now on senders know that nothing can be sent any more, and nothing is taken from feeds.
    fn close_sending(&mut self) {
        self.drop_feeds();
        if let Some(mailbox) = &self.mailbox {
            mailbox.close();
        }
    }

    fn trace_end(&self, code: CloseCode, error: Option<&Error>) {
        let by = self.closed_by(code);
        trace::closed(self.line.id, Extras::span(&self.extras), code, by, error);
        if let Some(watched) = Extras::watched(&self.extras) {
            watched.log_end(code, by, error);
        }
    }

    /// Who has sent the first Close of a connection that ends with `code`, if anybody has.
    fn closed_by(&self, code: CloseCode) -> Option<&'static str> {
        // One that is refused with a code is told so next.
        if self.connection.is_open() && code == CloseCode::ABNORMAL {
            return None;
        }
        let is_by_server = self.connection.is_server() != self.connection.is_closed_by_peer();
        Some(if is_by_server { "server" } else { "client" })
    }

    /// Drops what cannot be written any more, and counts its messages.
    #[cold]
    #[inline(never)]
    fn lose_unsent(&self, output: &mut Output) {
        let lost = output.messages();
        *output = Output::default();
        self.terms.counts().lost_messages.add(lost);
        if let Some(mailbox) = &self.mailbox {
            mailbox.count_dropped(lost);
        }
    }
}

impl<I> Drop for Driver<I> {
    /// However a connection ends, its senders learn of it, and what they had been promised is counted.
    fn drop(&mut self) {
        if let Some(mut backlog) = self.backlog.take() {
            self.lose_unsent(&mut backlog.output);
        }
        self.close_sending();
        if let Some(mailbox) = &self.mailbox {
            mailbox.end();
        }
        if !self.ending.is_told() {
            // It is cut, as at the end of a drain.
            self.terms.meters.count_closed(CloseCode::ABNORMAL, ClosedBy::Server);
            self.trace_end(CloseCode::ABNORMAL, None);
        }
        // Whoever learns that it is gone does not find it any more.
        drop(self.seen.take());
        if self.connection.is_server() {
            self.terms.gone();
        }
    }
}

#[cfg(test)]
mod tests;
