//! The memory of listings: a part of that for reading, counted entry by entry before it is there.
//!
//! Where there is none left, the listings that are being sent give way, first the one of which nothing was taken for
//! longest. Its memory is there at once; its client finds out when it takes more, or is given up as too slow for the
//! rate of bodies. So whoever takes nothing holds nothing that somebody else needs, and who takes steadily is cut last:
//! others would have to fill all of the memory anew between two of its pieces, and one that fills it alone has to leave
//! it be.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rikki_limits::{Budget, Share};

use super::Entry;
use crate::blocks::{Blocks, most_of, part_of};

/// How much of a listing does not count, in bytes: one that takes no more than that is always made, and never gives
/// way.
const UNCOUNTED: usize = 64 * 1024;

/// From which share of the memory on, as a divisor, a listing has only those give way that are [`IDLE`]: it would take
/// the place of too many.
const LARGE: usize = 2;

/// How long nothing was taken of a listing that gives way to any other.
const IDLE: Duration = Duration::from_secs(5);

/// The memory of all listings of a [`Files`](crate::Files).
pub(crate) struct ListingMemory {
    /// With what [blocks](Blocks) take, in bytes.
    budget: Arc<Budget>,
    /// Without. Nobody takes more of it but under the lock of `sending`.
    part: Arc<Budget>,
    sending: Mutex<Sendings>,
    started: Instant,
}

/// The listings that are being sent and count.
#[derive(Default)]
struct Sendings {
    /// How many there have been so far.
    sent: u64,
    by_index: BTreeMap<u64, (Arc<Evictable>, Shares)>,
}

/// What a listing holds of both budgets: the same.
struct Shares {
    of_part: Share,
    of_all: Share,
}

/// The entries of a listing that is being sent, until it has to give way.
struct Evictable {
    entries: Mutex<Option<Arc<Vec<Entry>>>>,
    /// When a piece of it was, as [`ListingMemory::now`] has it.
    taken: AtomicU64,
}

impl ListingMemory {
    pub(crate) fn new(blocks: &Arc<Blocks>) -> Self {
        let budget = Arc::clone(blocks.budget());
        let part = Arc::new(part_of(&budget, "read-memory, of listings"));
        Self { budget, part, sending: Mutex::default(), started: Instant::now() }
    }

    /// Follows a bound that has changed.
    pub(crate) fn fit(&self, blocks: &Blocks) {
        self.part.set_most(most_of(blocks.budget()));
    }

    /// In nanoseconds.
    fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// Takes so much more for one that has these shares. Others give way, unless there would be no room all the same.
    fn take(&self, own: &mut Shares, more: usize) -> io::Result<()> {
        let mut sending = self.lock();
        let (mut freed, mut leaving) = (0, Vec::new());
        let mut stalest = None;
        while self.part.used() - freed + more > self.part.most() || !own.exchange(more, &mut leaving) {
            let stalest =
                stalest.get_or_insert_with(|| sending.in_turn(self.spared_from(own.of_part.held() + more)).into_iter());
            if let Some(next) = stalest.next().and_then(|index| sending.by_index.remove_entry(&index)) {
                freed += next.1.1.of_part.held();
                leaving.push(next);
            } else if self.part.used() - freed > own.of_part.held() {
                // Those that are being made, or that a large one has to leave.
                sending.by_index.extend(leaving);
                return Err(io::ErrorKind::OutOfMemory.into());
            } else {
                // One alone.
                own.of_all.set(own.of_all.held() + more);
                break;
            }
        }
        own.of_part.set(own.of_part.held() + more);
        let leaving: Vec<_> = leaving.into_iter().map(|(_, (kept, _))| kept).collect();
        drop(sending);
        // Before what was taken is used.
        leaving.iter().for_each(|kept| drop(kept.lock().take()));
        Ok(())
    }

    /// Since when something has to have been taken of a listing that does not give way to one of so many bytes.
    fn spared_from(&self, bytes: usize) -> u64 {
        let is_large = bytes > self.part.most() / LARGE;
        if is_large { self.now().saturating_sub(IDLE.as_nanos() as u64) } else { u64::MAX }
    }

    fn lock(&self) -> MutexGuard<'_, Sendings> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sendings {
    /// The listings of which nothing was taken from `spared` on, first the one of which nothing was taken for longest.
    fn in_turn(&self, spared: u64) -> Vec<u64> {
        let listed = self.by_index.iter().map(|(index, (kept, _))| (kept.taken.load(Relaxed), *index));
        let mut in_turn: Vec<_> = listed.filter(|(taken, _)| *taken < spared).collect();
        in_turn.sort_unstable();
        in_turn.into_iter().map(|(_, index)| index).collect()
    }
}

impl Shares {
    /// Takes so much more of what all have, in the place of what those that leave hold.
    fn exchange(&mut self, more: usize, leaving: &mut [(u64, (Arc<Evictable>, Self))]) -> bool {
        self.of_all.exchange(more, leaving.iter_mut().map(|(_, (_, shares))| &mut shares.of_all))
    }

    fn shrink_to(&mut self, bytes: usize) {
        self.of_part.shrink_to(bytes);
        self.of_all.shrink_to(bytes);
    }
}

impl Evictable {
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
    shares: Shares,
}

impl Charge {
    pub(super) fn new(memory: &Arc<ListingMemory>) -> Self {
        let shares = Shares { of_part: memory.part.share(), of_all: memory.budget.share() };
        Self { memory: Arc::clone(memory), bytes: 0, shares }
    }

    /// Takes so many bytes more.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::OutOfMemory`] if others leave no room for them now: those that are being made, and for a large
    /// one those that are taken. One alone may be of any length.
    pub(super) fn grow(&mut self, bytes: usize) -> io::Result<()> {
        let grown = self.bytes.saturating_add(bytes);
        let more = grown.saturating_sub(UNCOUNTED) - self.shares.of_part.held();
        if more > 0 {
            self.memory.take(&mut self.shares, more)?;
        }
        self.bytes = grown;
        Ok(())
    }

    /// Gives back what exceeds so many bytes.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        self.bytes = self.bytes.min(bytes);
        self.shares.shrink_to(self.bytes.saturating_sub(UNCOUNTED));
    }

    /// Keeps what it was for until it is sent, or has to give way.
    pub(super) fn keep(self, entries: Vec<Entry>) -> Sending {
        let Self { memory, shares, .. } = self;
        let taken = memory.now().into();
        let kept = Arc::new(Evictable { entries: Mutex::new(Some(Arc::new(entries))), taken });
        let mut sending = memory.lock();
        sending.sent += 1;
        let index = sending.sent;
        if shares.of_part.held() > 0 {
            sending.by_index.insert(index, (Arc::clone(&kept), shares));
        }
        drop(sending);
        Sending { memory, index, kept }
    }
}

/// The entries of a listing that is being sent to all who have asked for it.
pub(super) struct Sending {
    memory: Arc<ListingMemory>,
    index: u64,
    kept: Arc<Evictable>,
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
        // Or it has been given back.
        let given_back = self.memory.lock().by_index.remove(&self.index);
        drop(given_back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::BLOCK;

    /// Memory of 12 blocks, of which listings may have 9 and files as many.
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
