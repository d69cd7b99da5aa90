//! Memory for what is read: one bound for all responses of a [`Files`](super::Files).

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::open::Wait;
use super::read::read_at;

/// How much is read at once, in bytes: few system calls for each megabyte, and it fits into the caches of a core.
pub(super) const BLOCK: usize = 128 * 1024;

/// How much is read at once when the bound has been reached, in bytes: a page. Blocks of this size are not counted, so
/// that every response goes on.
pub(super) const SMALL: usize = 4 * 1024;

/// How many blocks are kept for the next reader: without them each block would be zeroed first.
const SPARE: usize = 8;

/// The share of the bound that blocks and listings leave to each other, as a divisor: so neither finds nothing, whatever
/// the clients of the others do not take.
const LEFT: usize = 4;

/// The blocks that are being read into or being sent.
pub(super) struct Blocks {
    limit: usize,
    /// With what [listings](super::listing::ListingMemory) take, in bytes.
    held: AtomicUsize,
    /// Without.
    in_blocks: AtomicUsize,
    /// Of [`BLOCK`] bytes each.
    spare: Mutex<Vec<Vec<u8>>>,
}

impl Blocks {
    /// With a bound in bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, held: AtomicUsize::new(0), in_blocks: AtomicUsize::new(0), spare: Mutex::default() }
    }

    /// A block for the next of `remaining` bytes: a whole one, or a small one if there is no room for that.
    pub(super) fn take(self: &Arc<Self>, remaining: u64) -> Block {
        let wanted = usize::try_from(remaining).map_or(BLOCK, |remaining| remaining.min(BLOCK));
        let (length, counted) = if wanted <= SMALL {
            (wanted, 0)
        } else if self.reserve(wanted) {
            (wanted, wanted)
        } else {
            (SMALL, 0)
        };
        let spare = if length == BLOCK { self.lock_spare().pop() } else { None };
        Block { memory: spare.unwrap_or_else(|| vec![0; length]), filled: 0, counted, blocks: Arc::clone(self) }
    }

    fn reserve(&self, bytes: usize) -> bool {
        let part = self.part();
        let reserved = |held: usize| held.checked_add(bytes).filter(|held| *held <= part);
        if self.in_blocks.fetch_update(Relaxed, Relaxed, reserved).is_err() {
            return false;
        }
        let is_free = self.exchange(0, bytes, self.limit);
        if !is_free {
            self.in_blocks.fetch_sub(bytes, Relaxed);
        }
        is_free
    }

    /// Counts so many bytes instead of others, if all together are at `most` so many then.
    pub(super) fn exchange(&self, gone: usize, come: usize, most: usize) -> bool {
        let exchanged = |held: usize| Some(held.saturating_sub(gone).saturating_add(come)).filter(|held| *held <= most);
        self.held.fetch_update(Relaxed, Relaxed, exchanged).is_ok()
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// How much blocks may take, or listings, in bytes.
    pub(super) fn part(&self) -> usize {
        self.limit - self.limit / LEFT
    }

    fn lock_spare(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }
}

/// Some bytes of a file. It counts until the last of them has been handed to the socket.
pub(super) struct Block {
    memory: Vec<u8>,
    filled: usize,
    counted: usize,
    blocks: Arc<Blocks>,
}

impl Block {
    /// Reads what comes at `offset`: to the end of the block if it may wait, and at least something otherwise.
    ///
    /// Nothing there is an error: the file was longer.
    pub(super) fn fill(&mut self, file: &File, offset: u64, wait: Wait) -> io::Result<()> {
        self.filled = read_at(file, &mut self.memory, offset, wait)?;
        let whole = self.filled == self.memory.len();
        // Without waiting, less than all may be at hand.
        if whole || (wait == Wait::No && self.filled > 0) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was truncated while it was sent"))
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
        if self.counted > 0 {
            self.blocks.in_blocks.fetch_sub(self.counted, Relaxed);
            self.blocks.exchange(self.counted, 0, usize::MAX);
        }
    }
}
