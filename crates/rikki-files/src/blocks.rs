//! Memory for what is read: one bound for all responses of a [`Files`](super::Files).

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rikki_limits::{Budget, Share};

use super::read::read_at;
use super::wait::{Unmet, Wait};

/// How much is read at once, in bytes: few system calls for each megabyte, and it fits into the caches of a core.
pub(super) const BLOCK: usize = 128 * 1024;

/// How much is read at once when the bound has been reached, in bytes: a page. Blocks of this size are not counted, so
/// that every response goes on.
pub(super) const SMALL: usize = 4 * 1024;

/// How many blocks are kept for the next reader: without them each block would be zeroed first.
const SPARE: usize = 8;

/// The share of the bound that blocks and listings leave to each other, as a divisor: so neither finds nothing,
/// whatever the clients of the others do not take.
const LEFT: usize = 4;

/// The blocks that are being read into or being sent.
pub(super) struct Blocks {
    /// With what [listings](super::listing::ListingMemory) take, in bytes.
    budget: Arc<Budget>,
    /// Without.
    part: Arc<Budget>,
    /// Buffers of [`BLOCK`] bytes that nobody has now.
    spare: Mutex<Vec<Vec<u8>>>,
}

impl Blocks {
    /// With a bound in bytes.
    pub(super) fn new(limit: usize) -> Self {
        let budget = Arc::new(Budget::new("read-memory", limit));
        let part = Arc::new(part_of(&budget, "read-memory, of blocks"));
        Self { budget, part, spare: Mutex::default() }
    }

    pub(super) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Has another bound from now on.
    pub(super) fn set_most(&self, limit: usize) {
        self.budget.set_most(limit);
        self.part.set_most(most_of(&self.budget));
    }

    /// A block for the next of `remaining` bytes: a whole one, or a small one if there is no room for that.
    pub(super) fn take(self: &Arc<Self>, remaining: u64) -> Block {
        let wanted = usize::try_from(remaining).map_or(BLOCK, |remaining| remaining.min(BLOCK));
        let shares = if wanted > SMALL { self.reserve(wanted) } else { None };
        let length = if shares.is_some() { wanted } else { wanted.min(SMALL) };
        let spare = if length == BLOCK { self.lock_spare().pop() } else { None };
        let memory = spare.unwrap_or_else(|| vec![0; length]);
        Block { memory, filled: 0, _shares: shares, blocks: Arc::clone(self) }
    }

    fn reserve(&self, bytes: usize) -> Option<[Share; 2]> {
        Some([self.part.take(bytes)?, self.budget.take(bytes)?])
    }

    fn lock_spare(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.budget.used()
    }
}

/// What blocks may take of a budget, or listings.
pub(super) fn part_of(budget: &Budget, name: &'static str) -> Budget {
    Budget::new(name, most_of(budget))
}

/// The same of one whose bound has changed.
pub(super) fn most_of(budget: &Budget) -> usize {
    budget.most() - budget.most() / LEFT
}

/// Some bytes of a file. It counts until the last of them has been handed to the socket.
pub(super) struct Block {
    memory: Vec<u8>,
    filled: usize,
    /// Its shares of both budgets, if it counts.
    _shares: Option<[Share; 2]>,
    blocks: Arc<Blocks>,
}

impl Block {
    /// Reads what comes at `offset`: to the end of the block if it may wait, and at least something otherwise.
    ///
    /// Nothing there is an error: the file was longer.
    pub(super) fn fill(&mut self, file: &File, offset: u64, wait: Wait) -> Result<(), Unmet> {
        self.filled = read_at(file, &mut self.memory, offset, wait)?;
        let whole = self.filled == self.memory.len();
        // Without waiting, less than all may be at hand.
        if whole || (wait == Wait::No && self.filled > 0) {
            return Ok(());
        }
        Err(Unmet::Failed(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was truncated while it was sent")))
    }

    pub(super) fn len(&self) -> usize {
        self.filled
    }

    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        self.memory.get(..self.filled).unwrap_or_default()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        if memory.len() == BLOCK {
            let mut spare = self.blocks.lock_spare();
            if spare.len() < SPARE {
                spare.push(memory);
            }
        }
    }
}
