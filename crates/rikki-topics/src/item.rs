//! One message as all subscribers share it, in each form that some of them want.

use std::sync::{Arc, OnceLock};

use rikki_limits::{Budget, Share};
use rikki_ws::{Message, PreparedMessage};

use crate::envelope;
use crate::position::Position;
use crate::ring::OVERHEAD;

/// What a key costs beside its text, in bytes.
const KEY: usize = 64;

/// A message, framed once for all, and what else it is turned into on first need.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) message: PreparedMessage,
    /// When it was published, in milliseconds of Unix time.
    pub(crate) time: u64,
    key: Option<Arc<str>>,
    budget: Arc<Budget>,
    /// In an envelope, with what that holds.
    enveloped: OnceLock<Box<(PreparedMessage, Share)>>,
}

impl Item {
    /// Its other forms, the compressed ones included, are counted in `budget`.
    pub(crate) fn new(message: Message<'static>, key: Option<Arc<str>>, time: u64, budget: &Arc<Budget>) -> Self {
        let (message, budget) = (PreparedMessage::counted(message, budget), budget.clone());
        Self { message, time, key, budget, enveloped: OnceLock::new() }
    }

    pub(crate) fn key(&self) -> Option<&Arc<str>> {
        self.key.as_ref()
    }

    /// What it holds while it is kept, in bytes.
    pub(crate) fn cost(&self) -> usize {
        self.message.message().as_bytes().len() + OVERHEAD + self.key.as_ref().map_or(0, |key| key.len() + KEY)
    }

    /// In an envelope that says where it is: made once for all who want it so.
    pub(crate) fn enveloped(&self, position: Position) -> &PreparedMessage {
        let (message, _) = &**self.enveloped.get_or_init(|| {
            let text = envelope::message(self, position);
            let mut share = self.budget.share();
            // There anyway: it is sent, and goes with its message.
            share.set(text.len() + OVERHEAD);
            Box::new((PreparedMessage::counted(text, &self.budget), share))
        });
        message
    }
}
