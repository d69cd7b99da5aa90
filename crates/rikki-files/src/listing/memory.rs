//! The memory of listings: a part of that for reading, counted entry by entry before it is there.
//!
//! Where there is none left, the listings that are being sent give way, first the one of which nothing was taken for
//! longest. Its memory is there at once; its client finds out when it takes more, or is given up as too slow for the rate
//! of bodies. So whoever takes nothing holds nothing that somebody else needs, and who takes steadily is cut last: others
//! would have to fill all of the memory anew between two of its pieces, and one that fills it alone has to leave it be.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Entry;
use crate::blocks::Blocks;

/// How much of a listing does not count, in bytes: one that takes no more than that is always made, and never gives way.
const UNCOUNTED: usize = 64 * 1024;

/// From which share of the memory on, as a divisor, a listing has only those give way that are [`IDLE`]: it would take the
/// place of too many.
const LARGE: usize = 2;

/// How long nothing was taken of a listing that gives way to any other.
const IDLE: Duration = Duration::from_secs(5);

/// The memory of all listings of a [`Files`](crate::Files).
pub(crate) struct ListingMemory {
    blocks: Arc<Blocks>,
    held: Mutex<Held>,
    started: Instant,
}

#[derive(Default)]
struct Held {
    /// What counts, of those that are being made too.
    bytes: usize,
    /// So far.
    sent: u64,
    sending: BTreeMap<u64, Arc<Kept>>,
}

/// The entries of a listing that is being sent, until it has to give way.
struct Kept {
    entries: Mutex<Option<Arc<Vec<Entry>>>>,
    counted: usize,
    /// When a piece of it was, as [`ListingMemory::now`] has it.
    taken: AtomicU64,
}

impl ListingMemory {
    pub(crate) fn new(blocks: &Arc<Blocks>) -> Self {
        Self { blocks: Arc::clone(blocks), held: Mutex::default(), started: Instant::now() }
    }

    /// In nanoseconds.
    fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// Takes so much more for one that holds `own`. Others give way, unless there would be no room all the same.
    fn take(&self, own: usize, more: usize) -> io::Result<()> {
        let mut held = self.lock();
        let (mut freed, mut leaving) = (0, Vec::new());
        let mut stalest = None;
        while held.bytes - freed + more > self.blocks.part() || !self.blocks.exchange(freed, more, self.blocks.limit())
        {
            let stalest = stalest.get_or_insert_with(|| held.in_turn(self.spared_from(own + more)).into_iter());
            if let Some((_, index, counted)) = stalest.next() {
                freed += counted;
                leaving.push(index);
            } else if held.bytes - freed > own {
                // Those that are being made, or that a large one has to leave.
                return Err(io::ErrorKind::OutOfMemory.into());
            } else {
                // One alone.
                self.blocks.exchange(freed, more, usize::MAX);
                break;
            }
        }
        held.bytes = held.bytes - freed + more;
        let leaving: Vec<_> = leaving.into_iter().filter_map(|index| held.sending.remove(&index)).collect();
        drop(held);
        // Before what was taken is used.
        leaving.iter().for_each(|kept| drop(kept.lock().take()));
        Ok(())
    }

    /// Since when something has to have been taken of a listing that does not give way to one of so many bytes.
    fn spared_from(&self, bytes: usize) -> u64 {
        let is_large = bytes > self.blocks.part() / LARGE;
        if is_large { self.now().saturating_sub(IDLE.as_nanos() as u64) } else { u64::MAX }
    }

    fn give_back(&self, held: &mut Held, bytes: usize) {
        held.bytes -= bytes;
        self.blocks.exchange(bytes, 0, usize::MAX);
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Those that are being sent and of which nothing was taken from `spared` on, each with what it counts, first the one of
    /// which nothing was taken for longest.
    fn in_turn(&self, spared: u64) -> Vec<(u64, u64, usize)> {
        let listed = self.sending.iter().map(|(index, kept)| (kept.taken.load(Relaxed), *index, kept.counted));
        let mut in_turn: Vec<_> = listed.filter(|(taken, ..)| *taken < spared).collect();
        in_turn.sort_unstable();
        in_turn
    }
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<Vec<Entry>>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ListingMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListingMemory").finish_non_exhaustive()
    }
}

/// What a listing takes while it is made: what exceeds [`UNCOUNTED`] counts, until this is dropped.
pub(super) struct Charge {
    memory: Arc<ListingMemory>,
    bytes: usize,
}

impl Charge {
    pub(super) fn new(memory: &Arc<ListingMemory>) -> Self {
        Self { memory: Arc::clone(memory), bytes: 0 }
    }

    /// Takes so many bytes more.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::OutOfMemory`] if others leave no room for them now: those that are being made, and for a large one
    /// those that are taken. One alone may be of any length.
    pub(super) fn grow(&mut self, bytes: usize) -> io::Result<()> {
        let (own, grown) = (self.counted(), self.bytes.saturating_add(bytes));
        let more = grown.saturating_sub(UNCOUNTED) - own;
        if more > 0 {
            self.memory.take(own, more)?;
        }
        self.bytes = grown;
        Ok(())
    }

    /// Gives back what exceeds so many bytes.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        let before = self.counted();
        self.bytes = self.bytes.min(bytes);
        self.memory.give_back(&mut self.memory.lock(), before - self.counted());
    }

    /// Keeps what it was for until it is sent, or has to give way.
    pub(super) fn keep(mut self, entries: Vec<Entry>) -> Sending {
        let memory = Arc::clone(&self.memory);
        let counted = self.counted();
        self.bytes = 0;
        let taken = memory.now().into();
        let kept = Arc::new(Kept { entries: Mutex::new(Some(Arc::new(entries))), counted, taken });
        let mut held = memory.lock();
        held.sent += 1;
        let index = held.sent;
        if counted > 0 {
            held.sending.insert(index, Arc::clone(&kept));
        }
        drop(held);
        Sending { memory, index, kept }
    }

    fn counted(&self) -> usize {
        self.bytes.saturating_sub(UNCOUNTED)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

/// The entries of a listing that is being sent to all who have asked for it.
pub(super) struct Sending {
    memory: Arc<ListingMemory>,
    index: u64,
    kept: Arc<Kept>,
}

impl Sending {
    /// Them, for the next piece; `None` when they had to give way to another listing.
    pub(super) fn take(&self) -> Option<Arc<Vec<Entry>>> {
        self.kept.taken.store(self.memory.now(), Relaxed);
        self.kept.lock().clone()
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let mut held = self.memory.lock();
        // Or it has been given back.
        if let Some(kept) = held.sending.remove(&self.index) {
            self.memory.give_back(&mut held, kept.counted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::BLOCK;

    /// Of which listings may have 9 and files as many.
    fn memory() -> (Arc<Blocks>, Arc<ListingMemory>) {
        let blocks = Arc::new(Blocks::new(12 * BLOCK));
        (Arc::clone(&blocks), Arc::new(ListingMemory::new(&blocks)))
    }

    /// One that is being made and takes so many blocks that count, if there is room for it.
    fn made(memory: &Arc<ListingMemory>, counted: usize) -> Option<Charge> {
        let mut charge = Charge::new(memory);
        let half = counted * BLOCK / 2;
        charge.grow(half).and_then(|()| charge.grow(counted * BLOCK - half + UNCOUNTED)).ok().map(|()| charge)
    }

    fn sent(memory: &Arc<ListingMemory>, counted: usize) -> Option<Sending> {
        made(memory, counted).map(|charge| charge.keep(Vec::new()))
    }

    #[test]
    fn what_grows_counts_before_it_is_there() {
        let (blocks, memory) = memory();
        let alone = made(&memory, 20);
        assert_eq!((alone.is_some(), blocks.held()), (true, 20 * BLOCK));
        assert!(made(&memory, 0).is_some(), "what is small is always made");
        assert!(made(&memory, 1).is_none());
        drop(alone);
        let mut shrunk = made(&memory, 9).unwrap();
        shrunk.shrink_to(UNCOUNTED + BLOCK);
        assert_eq!(blocks.held(), BLOCK);
        let other = made(&memory, 8);
        assert_eq!((other.is_some(), blocks.held()), (true, 9 * BLOCK));
        assert!(made(&memory, 1).is_none());
        assert_eq!(blocks.held(), 9 * BLOCK, "what was refused is given back");
        drop((shrunk, other));
        assert_eq!(blocks.held(), 0);
    }

    #[test]
    fn the_one_of_which_nothing_was_taken_for_longest_gives_way() {
        let (blocks, memory) = memory();
        let sent: Vec<_> = (0..9).map(|_| sent(&memory, 1).unwrap()).collect();
        assert!(sent[0].take().is_some());
        let made = made(&memory, 2).unwrap();
        assert_eq!(blocks.held(), 9 * BLOCK);
        let gone: Vec<_> = (0..9).filter(|index| sent[*index].take().is_none()).collect();
        assert_eq!(gone, [1, 2]);
        drop(sent);
        assert_eq!(blocks.held(), 2 * BLOCK);
        drop(made);
        assert_eq!(blocks.held(), 0);
    }

    #[test]
    fn nothing_gives_way_to_what_has_no_room_all_the_same() {
        let (blocks, memory) = memory();
        let (sent, made) = (sent(&memory, 2).unwrap(), made(&memory, 6));
        assert!(made.is_some() && Charge::new(&memory).grow(4 * BLOCK + UNCOUNTED).is_err());
        assert!(sent.take().is_some());
        assert_eq!(blocks.held(), 8 * BLOCK);
    }

    #[test]
    fn to_a_large_one_only_what_is_idle_gives_way() {
        let blocks = Arc::new(Blocks::new(12 * BLOCK));
        let long_ago = Instant::now().checked_sub(2 * IDLE).unwrap();
        let memory = Arc::new(ListingMemory { started: long_ago, ..ListingMemory::new(&blocks) });
        let idle = sent(&memory, 5).unwrap();
        idle.kept.taken.store(0, Relaxed);
        let taken = sent(&memory, 2).unwrap();
        assert!(made(&memory, 8).is_none());
        let made = made(&memory, 7);
        assert!(made.is_some() && idle.take().is_none() && taken.take().is_some());
        assert_eq!(blocks.held(), 9 * BLOCK);
    }

    #[test]
    fn files_and_listings_leave_each_other_a_part() {
        let (blocks, memory) = memory();
        let read: Vec<_> = (0..20).map(|_| blocks.take(BLOCK as u64)).collect();
        assert_eq!(blocks.held(), 9 * BLOCK);
        let (first, second) = (sent(&memory, 2).unwrap(), sent(&memory, 2).unwrap());
        assert_eq!(blocks.held(), 11 * BLOCK);
        assert!(first.take().is_none() && second.take().is_some());
        drop((first, second));
        assert!(made(&memory, 10).is_some(), "one alone may be of any length");
        drop(read);
        let listed: Vec<_> = (0..20).map(|_| sent(&memory, 1)).collect();
        assert_eq!(blocks.held(), 9 * BLOCK);
        let read: Vec<_> = (0..20).map(|_| blocks.take(BLOCK as u64)).collect();
        assert_eq!(blocks.held(), 12 * BLOCK);
        drop((read, listed));
        assert_eq!(blocks.held(), 0);
    }
}
