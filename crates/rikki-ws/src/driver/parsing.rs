//! What was read becomes messages, one after the other, and each is answered before the next is looked at.

use rikki_proto::{CloseCode, CloseFrame, Event, Message, Text};
use tokio::io::{AsyncRead, AsyncWrite};

use super::turn::Turn;
use super::{Consumer, Driver, Flow, Panicked, WORK_PER_POLL};
#[cfg(feature = "client")]
use crate::client::Control;
use crate::clock::NEVER;
use crate::compression;
use crate::error::{Closed, Error};
use crate::feeds::Extras;
use crate::meters::ClosedBy;

impl<I: AsyncRead + AsyncWrite + Unpin + 'static> Driver<I> {
    /// Hands over what is whole in `input`, and takes it out there: all of it, unless the consumer yields, the peer has
    /// to take something first, or others are to run.
    pub(super) fn parse<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>, input: &mut &mut [u8]) -> Flow {
        // Looked up once and whenever much has been sent: whoever is handed a message may answer it, though other
        // connections use up the memory.
        let is_clear = turn.output.is_empty() && !self.is_queueing();
        let mut mark = if is_clear { self.terms.mark() } else { self.hold_back(turn) };
        while !self.ending.is_ended() && !self.line.paused && !input.is_empty() {
            let event = self.connection.next_event(input, turn.output);
            if let Some(rate) = Extras::rate(&mut self.extras) {
                if matches!(event, Ok(Some(_))) {
                    rate.count_message();
                }
                if rate.is_exceeded(&self.terms) {
                    *input = &mut [];
                    self.refuse(turn, "too much in a second", Error::RateExceeded);
                    return Flow::Continue;
                }
            }
            let flow = match event {
                Ok(None) => break,
                Ok(Some(Event::Message(message))) => {
                    self.message_since = NEVER;
                    self.deliver(turn, message, mark, input.is_empty())
                }
                Ok(Some(other)) => {
                    self.handle_other(turn, other, mark);
                    Flow::Continue
                }
                Err(error) => {
                    self.fail(turn, error);
                    return Flow::Continue;
                }
            };
            mark = self.hold(turn, mark);
            if matches!(flow, Flow::Yield) {
                return Flow::Yield;
            }
            if compression::worked() >= WORK_PER_POLL {
                break;
            }
        }
        // What of a message has not been looked at yet is not judged.
        if !self.line.paused {
            let is_under_way = self.connection.is_mid_message();
            self.message_since = if is_under_way { self.message_since.min(self.now()) } else { NEVER };
        }
        Flow::Continue
    }

    fn deliver<C: Consumer>(
        &mut self,
        turn: &mut Turn<'_, '_, C>,
        message: Message<'_>,
        mark: usize,
        is_last: bool,
    ) -> Flow {
        if self.ending.is_told() {
            return Flow::Continue;
        }
        if let Some(tally) = &turn.tally {
            tally.received(message.as_bytes().len());
        }
        if let Some(watched) = Extras::watched(&self.extras) {
            watched.received(&message);
        }
        let mut socket = self.socket(turn.cx.waker(), turn.output, turn.tally.as_ref(), mark);
        socket.is_last = is_last;
        turn.consumer.message(&mut socket, message).unwrap_or_else(|Panicked| {
            self.handle_panic(turn);
            Flow::Continue
        })
    }

    /// What is no message: not on the way of messages.
    #[cold]
    #[inline(never)]
    fn handle_other<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>, event: Event<'_>, mark: usize) {
        match event {
            Event::Close(frame) => {
                let by = if self.ending.is_open() { ClosedBy::Peer } else { ClosedBy::Server };
                self.report(turn, by, closed_by_peer(frame));
            }
            Event::Ping(payload) if !self.ending.is_told() => {
                #[cfg(feature = "client")]
                if let Some(watcher) = &self.terms.watcher {
                    watcher.tell(Control::Ping(&payload));
                }
                turn.consumer.ping(&payload);
            }
            Event::Pong(payload) => {
                #[cfg(feature = "client")]
                if let Some(watcher) = self.terms.watcher.as_ref().filter(|_| !self.ending.is_told()) {
                    watcher.tell(Control::Pong(&payload));
                }
                if let Some(mailbox) = &self.mailbox {
                    mailbox.handle_pong(&payload);
                }
                if !self.ending.is_told() {
                    let mut socket = self.socket(turn.cx.waker(), turn.output, turn.tally.as_ref(), mark);
                    let called = turn.consumer.pong(&mut socket, &payload);
                    called.unwrap_or_else(|Panicked| self.handle_panic(turn));
                }
            }
            _ => {}
        }
    }

    /// A callback has panicked, and sends no more.
    #[cold]
    pub(super) fn handle_panic<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>) {
        let code = CloseCode::INTERNAL_ERROR;
        let closed = Closed { code, reason: Text::from(""), error: Some(Error::HandlerPanicked) };
        self.report(turn, ClosedBy::Server, closed);
    }
}

fn closed_by_peer(frame: Option<CloseFrame>) -> Closed {
    let frame = frame.unwrap_or(CloseFrame { code: CloseCode::NO_STATUS, reason: Text::from("") });
    Closed { code: frame.code, reason: frame.reason, error: None }
}
