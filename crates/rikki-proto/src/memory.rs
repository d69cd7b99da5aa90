//! The memory of messages under assembly, counted over many connections.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use rikki_limits::{Budget, Share};

use crate::error::LimitExceeded;

/// What a message may take without being counted, in bytes: whoever sends small ones is not refused for the large ones
/// of others.
const UNCOUNTED: usize = 16 * 1024;

/// The share of the bound that evicted messages may hold, as a divisor, for others to be evicted beside them.
const LEAVING: usize = 4;

/// The memory that the unfinished messages of many connections may take together.
///
/// A message that does not arrive whole in one read is counted when it takes more than 16 KiB, with what it takes then:
/// up to twice what has arrived, or where its length is known four times that and the 32 KiB that may be read next, and
/// no more than that length or [`Limits::max_message_size`](crate::Limits::max_message_size). One that would go beyond the bound takes the place of
/// those that began before it, the oldest first: their connections are closed with 1013, and
/// [told](crate::Connection::poll_evicted) so. The oldest one is refused itself, unless it is the only one. Until those
/// connections have been polled, what they hold is there beyond the bound: while that is a quarter of it or more,
/// nobody else gives way, and the newcomer is refused.
#[derive(Debug)]
pub struct MessageMemory {
    budget: Arc<Budget>,
    /// What evicted messages hold until they are dropped.
    leaving: AtomicUsize,
    holders: Mutex<Holders>,
}

#[derive(Debug)]
struct Holders {
    /// What those that are counted and have not been evicted hold together.
    held: Share,
    begun: u64,
    by_age: BTreeMap<u64, Arc<Holder>>,
}

/// A message that is counted. What it holds and whether it has been evicted change under the lock of all.
#[derive(Debug, Default)]
struct Holder {
    bytes: AtomicUsize,
    is_evicted: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl MessageMemory {
    /// Memory of so many bytes, for all [connections](crate::Connection::set_message_memory) that share it.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let budget = Arc::new(Budget::new("message-memory", bytes));
        let holders = Holders { held: budget.share(), begun: 0, by_age: BTreeMap::new() };
        Self { budget, leaving: AtomicUsize::new(0), holders: Mutex::new(holders) }
    }

    /// How much all take and may take together, in bytes.
    #[must_use]
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    fn begin(self: &Arc<Self>) -> MessageShare {
        let mut holders = self.holders();
        holders.begun += 1;
        let (age, holder) = (holders.begun, Arc::<Holder>::default());
        holders.by_age.insert(age, holder.clone());
        MessageShare { memory: self.clone(), age, holder }
    }

    /// Takes so much more for the message that began at `age`; those before it give way.
    fn take(&self, age: u64, own: &Holder, bytes: usize) -> Result<(), LimitExceeded> {
        let mut holders = self.holders();
        let held = own.bytes.load(Relaxed);
        let (used, most) = (holders.held.held(), self.budget.most());
        let missing = used.saturating_add(bytes).saturating_sub(most);
        let mut evicted = Vec::new();
        let mut freed = 0;
        let leaving = self.leaving.load(Relaxed);
        if missing > 0 && used > held && (leaving == 0 || leaving < most / LEAVING) {
            for (age, older) in holders.by_age.range(..age) {
                if freed >= missing {
                    break;
                }
                freed += older.bytes.load(Relaxed);
                evicted.push((*age, older.clone()));
            }
        }
        if own.is_evicted.load(Relaxed) || (missing > freed && used - freed > held) {
            return Err(LimitExceeded::NoMessageMemory);
        }
        for (age, older) in &evicted {
            older.is_evicted.store(true, Relaxed);
            holders.by_age.remove(age);
        }
        holders.held.set(used - freed + bytes);
        self.leaving.store(leaving + freed, Relaxed);
        own.bytes.store(held + bytes, Relaxed);
        drop(holders);
        evicted.iter().filter_map(|(_, older)| older.waker().take()).for_each(Waker::wake);
        Ok(())
    }

    fn holders(&self) -> MutexGuard<'_, Holders> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holder {
    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one message takes of it, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct MessageShare {
    memory: Arc<MessageMemory>,
    age: u64,
    holder: Arc<Holder>,
}

impl MessageShare {
    /// Takes what is missing until the message may hold so many bytes in all.
    pub(crate) fn grow(
        held: &mut Option<Self>,
        memory: Option<&Arc<MessageMemory>>,
        bytes: usize,
    ) -> Result<(), LimitExceeded> {
        let Some(memory) = memory.filter(|_| bytes > UNCOUNTED) else { return Ok(()) };
        let held = held.get_or_insert_with(|| memory.begin());
        match bytes.checked_sub(held.holder.bytes.load(Relaxed)) {
            None | Some(0) => Ok(()),
            Some(missing) => memory.take(held.age, &held.holder, missing),
        }
    }

    /// Ready when the message has to give way to others.
    pub(crate) fn poll_evicted(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waker = self.holder.waker();
        if self.holder.is_evicted.load(Relaxed) {
            return Poll::Ready(());
        }
        let known = waker.as_ref().is_some_and(|known| known.will_wake(cx.waker()));
        let old = if known { None } else { waker.replace(cx.waker().clone()) };
        drop(waker);
        drop(old); // without the lock: it may be the last to hold a task
        Poll::Pending
    }
}

impl Drop for MessageShare {
    fn drop(&mut self) {
        let mut holders = self.memory.holders();
        holders.by_age.remove(&self.age);
        let bytes = self.holder.bytes.load(Relaxed);
        if self.holder.is_evicted.load(Relaxed) {
            self.memory.leaving.fetch_sub(bytes, Relaxed);
        } else {
            let held = holders.held.held();
            holders.held.set(held - bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A worker that is busy gets to many connections at once, before it gets to those that were evicted.
    #[test]
    fn others_give_way_while_those_before_them_have_gone() {
        const MIB: usize = 1 << 20;
        let memory = Arc::new(MessageMemory::new(4 * MIB));
        let begin = || {
            let mut held = None;
            MessageShare::grow(&mut held, Some(&memory), MIB).map(|()| held)
        };
        let mut held: Vec<_> = (0..4).map(|_| begin().unwrap()).collect();
        held.push(begin().expect("the oldest gives way"));
        assert!(begin().is_err(), "5 MiB are held, of 4");
        held.remove(0);
        held.push(begin().expect("the oldest has gone, and the next gives way"));
        assert!(begin().is_err(), "5 MiB are held, of 4");
        held.clear();
        assert_eq!((memory.budget.used(), memory.leaving.load(Relaxed)), (0, 0));
    }
}
