//! What is read of a topic's messages, and where some of them may be missing.

use std::collections::{HashMap, VecDeque};

use rikki_topics::InletBounds;

use crate::wire::Stored;

/// Messages that a topic has room for: of more the oldest give way.
#[derive(Debug)]
pub(crate) struct Kept {
    bounds: InletBounds,
    messages: VecDeque<Stored>,
    bytes: usize,
    /// Where the latest of each key is.
    keys: HashMap<String, u64>,
    /// The latest that has given way.
    gone: Option<u64>,
    /// The first that there was.
    pub(crate) first_read: Option<u64>,
}

impl Kept {
    pub(crate) fn new(bounds: InletBounds) -> Self {
        let (messages, keys) = (VecDeque::new(), HashMap::new());
        Self { bounds, messages, bytes: 0, keys, gone: None, first_read: None }
    }

    pub(crate) fn add(&mut self, stored: Stored) {
        if self.last().is_some_and(|last| last >= stored.sequence) {
            return;
        }
        self.first_read.get_or_insert(stored.sequence);
        if self.bounds.is_by_key
            && let Some(key) = stored.message.key()
            && let Some(before) = self.keys.insert(key.to_owned(), stored.sequence)
        {
            // What is kept no longer is missing for nobody.
            let index = self.messages.partition_point(|kept| kept.sequence < before);
            if self.messages.get(index).is_some_and(|kept| kept.sequence == before) {
                self.messages.remove(index).into_iter().for_each(|kept| self.bytes -= length(&kept));
            }
        }
        self.bytes += length(&stored);
        self.messages.push_back(stored);
        while self.messages.len() > 1 && (self.bytes > self.bounds.bytes || self.messages.len() > self.bounds.messages)
        {
            let Some(oldest) = self.messages.pop_front() else { break };
            self.bytes -= length(&oldest);
            self.gone = Some(oldest.sequence);
            if let Some(key) = oldest.message.key() {
                self.keys.remove(key);
            }
        }
    }

    pub(crate) fn last(&self) -> Option<u64> {
        self.messages.back().map(|last| last.sequence)
    }

    /// Up to where some may be missing between what was known and these, if all up to `gone` may have gone before it was
    /// read. Messages go in order: where one is missing, none before it is of any use.
    pub(crate) fn lost(&self, from: u64, gone: u64) -> u64 {
        let (mut lost, mut before) = (from, from);
        for stored in &self.messages {
            if gone.min(stored.sequence - 1) > before {
                lost = stored.sequence - 1;
            }
            before = stored.sequence;
        }
        lost
    }

    /// Up to where nothing is here, if that was so up to `behind` before any of them had to give way.
    pub(crate) fn behind(&self, behind: u64) -> u64 {
        self.gone.map_or(behind, |gone| gone.max(behind))
    }
}

impl From<Kept> for Vec<Stored> {
    fn from(kept: Kept) -> Self {
        kept.messages.into()
    }
}

fn length(stored: &Stored) -> usize {
    stored.message.message().as_bytes().len() + stored.message.key().map_or(0, str::len)
}

#[cfg(test)]
mod tests {
    use rikki_topics::Published;

    use super::*;
    use crate::fake::bounds;

    /// Also between two that were read, of which the second alone is left then.
    #[test]
    fn what_goes_while_it_is_read() {
        let message = Published::new("m");
        let check = |sequences: &[u64], gone, expected| {
            let mut kept = Kept::new(bounds());
            for sequence in sequences {
                kept.add(Stored { sequence: *sequence, message: message.clone(), time: 0 });
            }
            assert_eq!(kept.lost(40, gone), expected, "{sequences:?} {gone}");
        };
        check(&[45, 55], 0, 40);
        check(&[45, 55], 40, 40);
        check(&[45, 55], 41, 44);
        check(&[45, 55], 45, 44);
        check(&[45, 55], 46, 54);
        check(&[45, 55], 100, 54);
        check(&[41, 42, 55], 42, 40);
        check(&[41, 42, 55], 43, 54);
    }
}
