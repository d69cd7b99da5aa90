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

/// How much of what is no block does not count, in bytes.
const UNCOUNTED: usize = 64 * 1024;

/// How many blocks are kept for the next reader: without them each block would be zeroed first.
const SPARE: usize = 8;

/// The blocks that are being read into or being sent.
pub(super) struct Blocks {
    limit: usize,
    /// In bytes.
    held: AtomicUsize,
    /// Of [`BLOCK`] bytes each.
    spare: Mutex<Vec<Vec<u8>>>,
}

impl Blocks {
    /// With a bound in bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, held: AtomicUsize::new(0), spare: Mutex::default() }
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
        let reserved = |held: usize| held.checked_add(bytes).filter(|held| *held <= self.limit);
        self.held.fetch_update(Relaxed, Relaxed, reserved).is_ok()
    }

    fn lock_spare(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }
}

/// Memory of something else that grows: what exceeds [`UNCOUNTED`] counts, until this is dropped.
pub(super) struct Charge {
    blocks: Arc<Blocks>,
    bytes: usize,
}

impl Charge {
    pub(super) fn new(blocks: &Arc<Blocks>) -> Self {
        Self { blocks: Arc::clone(blocks), bytes: 0 }
    }

    /// Takes so many bytes more.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::OutOfMemory`] if there is no room for them now. One alone may be of any length.
    pub(super) fn grow(&mut self, bytes: usize) -> io::Result<()> {
        let (own, grown) = (self.counted(), self.bytes.saturating_add(bytes));
        let more = grown.saturating_sub(UNCOUNTED) - own;
        let reserved =
            |held: usize| held.checked_add(more).filter(|sum| *sum <= self.blocks.limit || more == 0 || held == own);
        if self.blocks.held.fetch_update(Relaxed, Relaxed, reserved).is_err() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.bytes = grown;
        Ok(())
    }

    /// Gives back what exceeds so many bytes.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        let before = self.counted();
        self.bytes = self.bytes.min(bytes);
        self.blocks.held.fetch_sub(before - self.counted(), Relaxed);
    }

    fn counted(&self) -> usize {
        self.bytes.saturating_sub(UNCOUNTED)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.blocks.held.fetch_sub(self.counted(), Relaxed);
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
        self.blocks.held.fetch_sub(self.counted, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_counts_before_it_is_there() {
        let blocks = Arc::new(Blocks::new(2 * BLOCK));
        let grown = |bytes: usize| {
            let mut charge = Charge::new(&blocks);
            charge.grow(bytes / 2).and_then(|()| charge.grow(bytes - bytes / 2)).map(|()| charge)
        };
        let alone = grown(3 * BLOCK).unwrap();
        assert_eq!(blocks.held(), 3 * BLOCK - UNCOUNTED);
        assert!(grown(UNCOUNTED).is_ok());
        assert_eq!(grown(UNCOUNTED + 1).err().map(|error| error.kind()), Some(io::ErrorKind::OutOfMemory));
        drop(alone);
        let mut shrunk = grown(2 * BLOCK).unwrap();
        shrunk.shrink_to(BLOCK);
        assert_eq!(blocks.held(), BLOCK - UNCOUNTED);
        drop(shrunk);
        let large = grown(2 * BLOCK).unwrap();
        assert!(grown(2 * BLOCK).is_err());
        assert_eq!(blocks.held(), 2 * BLOCK - UNCOUNTED, "what was refused is given back");
        drop(large);
        assert_eq!(blocks.held(), 0);
    }
}
