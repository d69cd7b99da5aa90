//! Who takes the messages of the async face: one that waits for whoever reads, more of them while a pong is waited for,
//! or nobody.

use std::collections::VecDeque;
use std::sync::Arc;

use rikki_limits::Share;
use rikki_proto::Message;

#[cfg(feature = "tungstenite-0_30")]
use super::tungstenite_0_30::Controls;
use crate::driver::{Consumer, Flow, Panicked};
use crate::error::Closed;
use crate::socket::Socket;
use crate::terms::Terms;

#[derive(Default)]
pub(super) struct Inbox {
    message: Option<Message<'static>>,
    /// What comes after it, if a pong behind it was waited for.
    ahead: Option<Box<Ahead>>,
    /// Pings and pongs, if somebody wants to see them.
    #[cfg(feature = "tungstenite-0_30")]
    pub(super) controls: Option<Box<Controls>>,
    pub(super) closed: Option<Closed>,
}

/// Messages that were read ahead, which count as unsent data does: as much of them is read.
struct Ahead {
    messages: VecDeque<Message<'static>>,
    counted: Share,
    terms: Arc<Terms>,
    /// Whether more may come.
    is_wanted: bool,
}

impl Ahead {
    fn has_room(&self) -> bool {
        self.is_wanted && self.counted.held() < self.terms.mark()
    }
}

fn size(message: &Message<'_>) -> usize {
    size_of::<Message<'_>>() + message.as_bytes().len()
}

impl Inbox {
    /// The next message that is there.
    pub(super) fn take(&mut self) -> Option<Message<'static>> {
        let taken = self.message.take();
        if let Some(ahead) = &mut self.ahead {
            self.message = ahead.messages.pop_front();
            if let Some(message) = &self.message {
                let left = ahead.counted.held() - size(message);
                ahead.counted.shrink_to(left);
            } else if !ahead.is_wanted {
                self.ahead = None;
            }
        }
        taken
    }

    /// Whether there is another one.
    pub(super) fn has_message(&self) -> bool {
        self.message.is_some()
    }

    /// Whether there are pings or pongs that somebody wants to see.
    pub(super) fn has_controls(&self) -> bool {
        #[cfg(feature = "tungstenite-0_30")]
        return self.controls.as_ref().is_some_and(|controls| !controls.is_empty());
        #[cfg(not(feature = "tungstenite-0_30"))]
        return false;
    }

    /// Reads further than a message from now on, as far as there is memory for it, or no longer.
    pub(super) fn read_ahead(&mut self, is_wanted: bool, terms: &Arc<Terms>) {
        match &mut self.ahead {
            Some(ahead) if is_wanted || !ahead.messages.is_empty() => ahead.is_wanted = is_wanted,
            Some(_) => self.ahead = None,
            None if is_wanted => {
                let (messages, counted) = (VecDeque::new(), terms.queues().share());
                self.ahead = Some(Box::new(Ahead { messages, counted, terms: terms.clone(), is_wanted }));
            }
            None => {}
        }
    }

    /// Drops what has not been read.
    pub(super) fn clear(&mut self) {
        (self.message, self.ahead) = (None, None);
    }
}

impl Consumer for Inbox {
    fn is_ready(&self) -> bool {
        self.message.is_none() || self.ahead.as_ref().is_some_and(|ahead| ahead.has_room())
    }

    fn message(&mut self, _: &mut Socket<'_>, message: Message<'_>) -> Result<Flow, Panicked> {
        let message = message.into_owned();
        let Some(ahead) = &mut self.ahead else {
            self.message = Some(message);
            return Ok(Flow::Yield);
        };
        if self.message.is_none() {
            self.message = Some(message);
        } else {
            ahead.counted.set(ahead.counted.held() + size(&message));
            ahead.messages.push_back(message);
        }
        Ok(if ahead.has_room() { Flow::Continue } else { Flow::Yield })
    }

    #[cfg(feature = "tungstenite-0_30")]
    fn ping(&mut self, payload: &[u8]) {
        if let Some(controls) = &mut self.controls {
            controls.push_ping(payload);
        }
    }

    #[cfg(feature = "tungstenite-0_30")]
    fn pong(&mut self, _: &mut Socket<'_>, payload: &[u8]) -> Result<(), Panicked> {
        if let Some(controls) = &mut self.controls {
            controls.push_pong(payload);
        }
        Ok(())
    }

    fn closed(&mut self, closed: Closed) {
        self.closed = Some(closed);
    }
}

/// Who gets messages that still arrive when nobody reads them, and keeps how it ends.
#[derive(Default)]
pub(super) struct Nobody {
    pub(super) closed: Option<Closed>,
}

impl Consumer for Nobody {
    fn message(&mut self, _: &mut Socket<'_>, _: Message<'_>) -> Result<Flow, Panicked> {
        Ok(Flow::Continue)
    }

    fn closed(&mut self, closed: Closed) {
        self.closed = Some(closed);
    }
}
