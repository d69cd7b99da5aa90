//! What comes while something is got.

use std::collections::VecDeque;

use async_nats::Subscriber;
use rikki_topics::InletBounds;

use crate::requests::next_of;
use crate::wire::{self, Stored};

/// What has come while something was got: as much as the topic keeps. Of more than that the last sequence is known.
pub(crate) struct Come {
    pub(crate) bounds: InletBounds,
    messages: VecDeque<(Stored, u64)>,
    bytes: usize,
    /// Up to here it is to be got.
    pub(crate) until: u64,
}

impl Come {
    pub(crate) fn new(bounds: InletBounds) -> Self {
        Self { bounds, messages: VecDeque::new(), bytes: 0, until: 0 }
    }

    pub(crate) fn add(&mut self, (stored, previous): (Stored, u64)) {
        self.bytes += stored.message.message().as_bytes().len();
        self.messages.push_back((stored, previous));
        if self.bytes > self.bounds.bytes || self.messages.len() > self.bounds.messages {
            self.forget();
        }
    }

    /// What waits is to be got instead.
    pub(crate) fn forget(&mut self) {
        let last = self.messages.back().map_or(0, |(stored, _)| stored.sequence);
        (self.until, self.bytes) = (self.until.max(last), 0);
        self.messages.clear();
    }

    pub(crate) fn pop(&mut self) -> Option<(Stored, u64)> {
        let first = self.messages.pop_front()?;
        self.bytes = self.bytes.saturating_sub(first.0.message.message().as_bytes().len());
        Some(first)
    }

    pub(crate) fn put_back(&mut self, first: (Stored, u64)) {
        self.bytes += first.0.message.message().as_bytes().len();
        self.messages.push_front(first);
    }

    /// Waits for this, while what comes is kept if `keeps`, and its sequence noted otherwise; `None` at the end.
    pub(crate) async fn during<F: Future>(
        &mut self,
        messages: &mut Subscriber,
        keeps: bool,
        work: F,
    ) -> Option<F::Output> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                message = next_of(messages) => {
                    let Some(come) = wire::republished(&message?) else { continue };
                    self.add(come);
                    if !keeps {
                        self.forget();
                    }
                }
            }
        }
    }
}
