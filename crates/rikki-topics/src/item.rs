//! One message as all subscribers share it, in each form that some of them want.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use rikki_limits::{Budget, Share};
use rikki_ws::{Message, PreparedMessage};

#[cfg(feature = "axum")]
use crate::centrifugo;
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
    forms: OnceLock<Box<Forms>>,
}

/// A message in other words, each with what it holds.
#[derive(Debug, Default)]
struct Forms {
    enveloped: Form,
    /// As clients of Centrifugo get it.
    #[cfg(feature = "axum")]
    pushed: Form,
}

type Form = OnceLock<(PreparedMessage, Share)>;

impl Item {
    /// Its other forms, the compressed ones included, are counted in `budget`.
    pub(crate) fn new(message: Message<'static>, key: Option<Arc<str>>, time: u64, budget: &Arc<Budget>) -> Self {
        let (message, budget) = (PreparedMessage::counted(message, budget), budget.clone());
        Self { message, time, key, budget, forms: OnceLock::new() }
    }

    pub(crate) fn key(&self) -> Option<&Arc<str>> {
        self.key.as_ref()
    }

    /// What it holds while it is kept, in bytes.
    pub(crate) fn cost(&self) -> usize {
        self.message.message().as_bytes().len() + OVERHEAD + self.key.as_ref().map_or(0, |key| key.len() + KEY)
    }

    /// In an envelope that says where it is: made once for all who want it so, as long as there is room to keep it.
    pub(crate) fn enveloped(&self, position: Position) -> Cow<'_, PreparedMessage> {
        self.formed(|forms| &forms.enveloped, || envelope::message(self, position))
    }

    /// As clients of Centrifugo get it from this channel, likewise.
    #[cfg(feature = "axum")]
    pub(crate) fn pushed(&self, channel: &str, position: Position) -> Cow<'_, PreparedMessage> {
        self.formed(|forms| &forms.pushed, || centrifugo::pushed(channel, self, position))
    }

    fn formed(&self, form: fn(&Forms) -> &Form, write: impl FnOnce() -> String) -> Cow<'_, PreparedMessage> {
        match self.forms.get().and_then(|forms| form(forms).get()) {
            Some((kept, _)) => Cow::Borrowed(kept),
            None => self.form(form, write()),
        }
    }

    #[cold]
    fn form(&self, form: fn(&Forms) -> &Form, text: String) -> Cow<'_, PreparedMessage> {
        match self.budget.take(text.len() + OVERHEAD) {
            Some(share) => {
                let (kept, _) = form(self.forms.get_or_init(Box::default))
                    .get_or_init(|| (PreparedMessage::counted(text, &self.budget), share));
                Cow::Borrowed(kept)
            }
            // For this one alone, and so not worth compressing.
            None => Cow::Owned(PreparedMessage::uncompressed(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Epoch;

    /// Made once where there is room for it, and for each who wants it so where there is none.
    #[test]
    fn envelopes_are_kept_within_the_budget() {
        let position = Position { epoch: Epoch(7), offset: 1 };
        let check = |room: usize, is_kept: bool| {
            let budget = Arc::new(Budget::new("memory", room));
            let item = Item::new("\u{1}".repeat(1000).into(), None, 0, &budget);
            let envelopes = [item.enveloped(position), item.enveloped(position)];
            let texts = envelopes.each_ref().map(|envelope| envelope.message().as_text().unwrap().as_ptr());
            assert_eq!((texts[0] == texts[1], budget.used() > 0), (is_kept, is_kept), "{room}");
            assert!(budget.used() <= room, "{} of {room}", budget.used());
            assert_eq!(envelopes[0].message().as_text().unwrap(), envelope::message(&item, position));
        };
        check(7000, true);
        check(6000, false);
        check(0, false);
    }
}
