//! Writing: all that is unsent, and at the end our half of the stream.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rikki_proto::{Connection, Output};
use tokio::io::{AsyncRead, AsyncWrite};

use super::turn::Turn;
use super::{Consumer, Driver, Panicked, WRITE_AT};
use crate::ahead::{Ahead, LEAST};
use crate::clock::{Alarm, Tick};
use crate::id::ConnectionId;
use crate::socket::Wire;
use crate::{Error, Overflow};

/// How many pieces one vectored write holds at most.
const PIECES: usize = 16;

/// The stream below, the deadlines of what happens on it, and what waits on it: flags lie where nothing else fits.
pub(super) struct Line<I> {
    pub(super) io: I,
    pub(super) alarm: Alarm,
    pub(super) id: ConnectionId,
    /// When writing last made progress.
    pub(super) written_at: Tick,
    /// How much the kernel may hold.
    pub(super) ahead: Ahead,
    /// Bytes may wait inside the stream, as they do in TLS.
    pub(super) unflushed: bool,
    /// Reading waits until the backlog is below half of its mark.
    pub(super) paused: bool,
    /// Something was refused or the mark reached, and whoever sends has not been told yet that there is room again.
    pub(super) crowded: bool,
}

impl<I> Line<I> {
    pub(super) fn new(io: I, alarm: Alarm, now: Tick, id: ConnectionId) -> Self {
        let ahead = Ahead::default();
        Self { io, alarm, id, written_at: now, ahead, unflushed: false, paused: false, crowded: false }
    }
}

impl<I: 'static> Line<I> {
    /// The peer has taken so many bytes, which had to wait since then.
    pub(super) fn note_taken(&mut self, bytes: usize, since: Tick) {
        if bytes >= LEAST as usize && self.alarm.clock().now() <= since.saturating_add(1) {
            self.ahead.raise(&self.io, bytes);
        }
    }

    /// Whether the peer has taken something that does not show by what is written: if so, now is when it has.
    pub(super) fn has_moved(&mut self) -> bool {
        let has_moved = self.ahead.has_moved(&self.io);
        if has_moved {
            self.written_at = self.alarm.clock().now();
        }
        has_moved
    }
}

impl<I: AsyncWrite + Unpin> Wire for Line<I> {
    fn write(&mut self, cx: &mut Context<'_>, connection: &mut Connection, output: &mut Output) -> io::Result<()> {
        self.write_all(cx, connection, output)
    }

    fn write_at_once(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> usize {
        // Others would take the header alone.
        if !self.io.is_write_vectored() {
            return 0;
        }
        self.unflushed = true;
        match Pin::new(&mut self.io).poll_write_vectored(cx, pieces) {
            Poll::Ready(Ok(written)) if written > 0 => {
                self.written_at = self.alarm.clock().now();
                self.ahead.note_written();
                written
            }
            _ => 0,
        }
    }

    fn id(&self) -> ConnectionId {
        self.id
    }

    fn note_refused(&mut self) {
        self.crowded = true;
    }
}

impl<I: AsyncWrite + Unpin> Line<I> {
    // In the driver's own poll: a call costs as much as a tenth of it.
    #[inline(always)]
    fn write_all(&mut self, cx: &mut Context<'_>, connection: &mut Connection, output: &mut Output) -> io::Result<()> {
        let now = self.alarm.clock().now();
        while !output.is_empty() || self.unflushed {
            let progress = if output.is_empty() {
                Pin::new(&mut self.io).poll_flush(cx).map_ok(|()| self.unflushed = false)
            } else {
                self.unflushed = true;
                self.poll_write_some(cx, output)
            };
            match progress {
                Poll::Ready(Ok(())) => {
                    self.written_at = now;
                    self.ahead.note_written();
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    if !output.is_blocked() {
                        self.written_at = now;
                        output.set_blocked(true);
                    }
                    return Ok(());
                }
            }
            if output.is_empty() && !self.unflushed {
                output.set_blocked(false);
                connection.handle_unblocked(output);
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn poll_write_some(&mut self, cx: &mut Context<'_>, output: &mut Output) -> Poll<io::Result<()>> {
        let io = Pin::new(&mut self.io);
        let written = if let Some(bytes) = output.contiguous() {
            ready!(io.poll_write(cx, bytes))?
        } else {
            let mut pieces = [IoSlice::new(&[]); PIECES];
            let mut used = 0;
            for (piece, chunk) in pieces.iter_mut().zip(output.chunks()) {
                *piece = IoSlice::new(chunk);
                used += 1;
            }
            ready!(io.poll_write_vectored(cx, pieces.get(..used).unwrap_or_default()))?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        output.advance(written);
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin + 'static> Driver<I> {
    /// Writes all it can. A failure ends the connection when what the peer said before it has been read: a peer that
    /// refuses a message sends a Close and may be gone before it has read what we still write.
    #[inline]
    pub(super) fn write<C>(&mut self, turn: &mut Turn<'_, '_, C>) {
        // Most calls find nothing to do.
        if !turn.output.is_empty() || self.line.unflushed || self.line.paused {
            self.write_now(turn.cx, turn.output);
        }
    }

    fn write_now(&mut self, cx: &mut Context<'_>, output: &mut Output) {
        if let Err(error) = self.line.write_all(cx, &mut self.connection, output) {
            self.lose_unsent(output);
            (self.line.unflushed, self.line.paused) = (false, false);
            if self.ending.handle_broken(error, self.now()) {
                self.close_sending();
            }
            return;
        }
        if self.line.paused && output.len() < self.terms.mark() / 2 + 1 {
            self.line.paused = false;
        }
    }

    /// Writes much at once, and holds to the policy where the peer does not take it; gives how much the next message
    /// may frame without looking further, which was `before` until now.
    #[inline]
    pub(super) fn hold<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>, before: usize) -> usize {
        // Most messages leave little behind them, and most connections have no senders.
        if turn.output.len() >= before.min(WRITE_AT) || self.mailbox.is_some() {
            return self.hold_back(turn);
        }
        before
    }

    /// Whether what is sent may have to wait in a queue, where it can be dropped or is behind others.
    pub(super) fn is_queueing(&self) -> bool {
        self.mailbox.is_some() || self.terms.overflow == Overflow::DropOldest
    }

    #[cold]
    pub(super) fn hold_back<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>) -> usize {
        let mark = self.terms.mark();
        // What a callback has sent by way of a `Sender` goes before the answer to a Close behind its message.
        if let Some(mailbox) = &self.mailbox {
            mailbox.drain(&mut self.connection, turn.output, mailbox.len(), turn.tally.as_ref());
        }
        if turn.output.len() > WRITE_AT.min(mark.saturating_sub(1)) {
            self.write(turn);
        }
        if turn.output.len() >= mark {
            self.line.crowded = true;
            match self.terms.overflow {
                // Where only the memory of all is used up, a peer that reads is to be served on.
                Overflow::Close if turn.output.len() >= self.terms.write_queue => self.lose(turn, Error::Overflow),
                Overflow::Pause | Overflow::Close => self.line.paused = true,
                Overflow::DropNewest | Overflow::DropOldest => {}
            }
        }
        if self.is_queueing() { 0 } else { mark }
    }

    /// Tells the consumer that there is room again, until it has filled that. True if it may have sent something.
    #[inline]
    pub(super) fn offer<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>) -> bool {
        self.line.crowded && self.offer_room(turn)
    }

    /// Bytes that wait to be written, those that senders have queued included.
    fn waiting(&self, output: &Output) -> usize {
        output.len() + self.mailbox.as_ref().map_or(0, |mailbox| mailbox.queued())
    }

    #[cold]
    fn offer_room<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>) -> bool {
        let mark = self.terms.mark();
        if turn.budget.fed == 0 || !self.may_close() || self.waiting(turn.output) > mark / 2 {
            return false;
        }
        self.line.crowded = false;
        let mark = if self.is_queueing() { 0 } else { mark };
        let offered = turn.consumer.writable(&mut self.socket(turn.cx.waker(), turn.output, turn.tally.as_ref(), mark));
        offered.unwrap_or_else(|Panicked| self.handle_panic(turn));
        if self.line.crowded {
            // It has filled what there was. It is told again in another turn, which comes by itself: others have theirs.
            turn.budget.fed = 0;
        }
        self.hold_back(turn);
        true
    }

    /// Goes on with the closing handshake as far as it has come
    /// ([RFC 6455 section 7.1.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1)).
    #[inline]
    pub(super) fn advance_ending<C>(&mut self, turn: &mut Turn<'_, '_, C>) {
        if !self.ending.is_open() || !self.connection.is_open() {
            self.advance_closing(turn.cx, turn.output);
        }
    }

    fn advance_closing(&mut self, cx: &mut Context<'_>, output: &Output) {
        let now = self.now();
        if self.ending.handle_close(now) {
            self.close_sending();
        }
        if !self.ending.may_shut() || !output.is_empty() || self.line.unflushed {
            return;
        }
        // "when a client is instructed to do the same, it SHOULD wait for a TCP Close from the server".
        if !self.connection.is_server() {
            self.ending.handle_shutdown(now);
            return;
        }
        // "The underlying TCP connection, in most normal cases, SHOULD be closed first by the server": half of it, so
        // that the Close arrives.
        match Pin::new(&mut self.line.io).poll_shutdown(cx) {
            Poll::Ready(Ok(())) => self.ending.handle_shutdown(now),
            Poll::Ready(Err(_)) => {
                self.ending.handle_loss();
            }
            Poll::Pending => {}
        }
    }
}
