//! One coarse timer for all WebSockets of a thread: an idle connection owns a slot here instead of a `Sleep`.
//!
//! Time is counted in ticks that the timer has seen, not in wall time: a process that was stopped for a minute finds
//! that one tick has passed, and no healthy peer is dropped for a silence that was ours.

use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

use rikki_proto::CloseCode;
use slab::Slab;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::local::Local;
use super::turns::Turns;

/// The unit of all deadlines of a WebSocket: they end up to two ticks late, never early.
pub(super) const TICK: Duration = Duration::from_millis(250);
pub(super) const TICKS_PER_SECOND: Tick = 4;

/// How finely closing many is spread.
const DRAIN_STEP: Duration = Duration::from_millis(10);

/// A point in time, in ticks since the clock was made; four bytes last for 34 years.
pub type Tick = u32;

/// No deadline.
pub const NEVER: Tick = Tick::MAX;

/// The timer of one thread, and where its connections learn that they are to close.
#[derive(Debug, Default)]
pub struct Clock {
    now: AtomicU32,
    /// The code that connections are to close with, each in its turn, or 0, and by [`ONE`] how many are told to close
    /// beside that: in one number, since each turn of each connection looks at it.
    closing: AtomicU64,
    /// Set when the runtime has dropped the task that counts.
    stopped: AtomicBool,
    slots: Mutex<Slab<Slot>>,
    /// Rings when the first slot is taken: a clock without connections does not tick.
    used: Arc<Notify>,
    turns: Arc<Turns>,
}

/// One that is told to close, behind the code for all.
const ONE: u64 = 1 << u16::BITS;

#[derive(Debug)]
struct Slot {
    due: Tick,
    waker: Waker,
    /// The connection's turn to close has come.
    drains: bool,
}

impl Clock {
    /// The clock of this thread and its runtime; starts one if there is none.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, as `tokio::spawn` does.
    pub fn current() -> Arc<Self> {
        let runtime = Handle::current().id();
        let known = Local::with(|local| match &*local.clock.borrow() {
            Some((id, clock)) if *id == runtime && !clock.stopped.load(Relaxed) => Some(clock.clone()),
            _ => None,
        });
        known.flatten().unwrap_or_else(|| {
            let clock = Arc::new(Self::default());
            tokio::spawn(count(StopOnDrop(Arc::downgrade(&clock)), clock.used.clone()));
            let old = Local::with(|local| local.clock.replace(Some((runtime, clock.clone()))));
            drop(old); // without the borrow: it may be the last to hold a task
            clock
        })
    }

    /// The turns of those who have more to do than others.
    pub(super) fn turns(&self) -> &Arc<Turns> {
        &self.turns
    }

    /// How far it has come.
    pub fn now(&self) -> Tick {
        self.now.load(Relaxed)
    }

    /// Makes every connection of the clock close with `code`: those to come at once, the others in random order, evenly
    /// spread over `window`, so that they do not all come back at the same moment.
    pub async fn drain(&self, code: CloseCode, window: Duration) {
        let with_code = |closing: u64| Some((closing / ONE * ONE) | u64::from(code.0));
        let _ = self.closing.fetch_update(Relaxed, Relaxed, with_code);
        let random = RandomState::new();
        let mut order: Vec<usize> = self.slots().iter().map(|(key, _)| key).collect();
        order.sort_by_cached_key(|key| random.hash_one(key));
        let (size, pause) = spread(order.len(), window);
        for (index, keys) in order.chunks(size).enumerate() {
            if index > 0 {
                tokio::time::sleep(pause).await;
            }
            let tell = |slots: &mut Slab<Slot>, key: &usize| {
                let slot = slots.get_mut(*key)?;
                slot.drains = true;
                Some(slot.waker.clone())
            };
            let wakers: Vec<_> = {
                let mut slots = self.slots();
                keys.iter().filter_map(|key| tell(&mut slots, key)).collect()
            };
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    #[inline(always)]
    pub(super) fn any_is_to_close(&self) -> bool {
        self.closing.load(Relaxed) != 0
    }

    /// One of its connections is told to close: each looks whether it is that one, until it is gone.
    pub(super) fn one_closes(&self) {
        self.closing.fetch_add(ONE, Relaxed);
    }

    /// One that was told to close is gone.
    pub(super) fn one_is_gone(&self) {
        self.closing.fetch_sub(ONE, Relaxed);
    }

    fn draining(&self) -> Option<CloseCode> {
        match (self.closing.load(Relaxed) % ONE) as u16 {
            0 => None,
            code => Some(CloseCode(code)),
        }
    }

    fn slots(&self) -> MutexGuard<'_, Slab<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self, due: &mut Vec<Waker>) {
        let now = self.now.load(Relaxed).saturating_add(1);
        self.now.store(now, Relaxed);
        for (_, slot) in self.slots().iter_mut() {
            if slot.due <= now {
                slot.due = NEVER;
                due.push(slot.waker.clone());
            }
        }
        due.drain(..).for_each(Waker::wake);
    }
}

/// How many of `count` are closed at once, and the pause before the next, for all of them over `window`.
#[must_use]
pub fn spread(count: usize, window: Duration) -> (usize, Duration) {
    let steps = usize::try_from(window.as_millis() / DRAIN_STEP.as_millis()).unwrap_or(usize::MAX).max(1);
    let size = count.div_ceil(steps).max(1);
    (size, window / u32::try_from(count.div_ceil(size).max(1)).unwrap_or(u32::MAX))
}

/// The second that a tick belongs to.
pub(crate) fn second_of(tick: Tick) -> Tick {
    tick / TICKS_PER_SECOND
}

/// How many ticks it takes until at least `duration` has passed.
pub fn ticks(duration: Duration) -> Tick {
    let whole = duration.as_millis().div_ceil(TICK.as_millis());
    Tick::try_from(whole).unwrap_or(NEVER).saturating_add(1)
}

impl Drop for Clock {
    /// Ends the task that counts, which may be waiting for a connection.
    fn drop(&mut self) {
        self.used.notify_one();
    }
}

struct StopOnDrop(Weak<Clock>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(clock) = self.0.upgrade() {
            clock.stopped.store(true, Relaxed);
        }
    }
}

/// Counts until nobody uses the clock any more: neither a thread nor a connection.
async fn count(clock: StopOnDrop, used: Arc<Notify>) {
    let mut due = Vec::new();
    while let Some(is_idle) = clock.0.upgrade().map(|clock| clock.slots().is_empty()) {
        if is_idle {
            used.notified().await;
        }
        tokio::time::sleep(TICK).await;
        if let Some(clock) = clock.0.upgrade() {
            clock.tick(&mut due);
        }
    }
}

/// A connection's slot in the clock: one deadline at a time.
#[derive(Debug)]
pub struct Alarm {
    clock: Arc<Clock>,
    /// One more than its key.
    slot: Option<NonZeroU32>,
    /// The deadline in the slot. Moving it later is put off until it rings.
    due: Tick,
}

impl Alarm {
    /// None that rings yet.
    #[must_use]
    pub fn new(clock: Arc<Clock>) -> Self {
        Self { clock, slot: None, due: NEVER }
    }

    /// The clock that it is of.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    fn key(&self) -> Option<usize> {
        self.slot.map(|slot| slot.get() as usize - 1)
    }

    /// Whether it rings in time for `due`, for the task behind `waker`, and nothing is to be done before that.
    pub(crate) fn is_set_for(&self, due: Tick, waker: &Waker) -> bool {
        debug_assert!(self.wakes(waker), "the alarm would wake another task");
        self.slot.is_some() && self.due <= due && self.due > self.clock.now() && self.clock.draining().is_none()
    }

    /// The code that the connection is to close with, if its turn has come.
    #[inline]
    #[must_use]
    pub fn draining(&self) -> Option<CloseCode> {
        self.clock.draining().and_then(|code| self.is_its_turn().then_some(code))
    }

    #[cold]
    fn is_its_turn(&self) -> bool {
        // Without a slot it has not been counted among those whose turn comes.
        self.key().is_none_or(|key| self.clock.slots().get(key).is_some_and(|slot| slot.drains))
    }

    /// Whether the waker that is kept still wakes the task behind `waker`, if one is kept yet.
    #[must_use]
    pub fn wakes(&self, waker: &Waker) -> bool {
        self.key().is_none_or(|key| self.clock.slots().get(key).is_some_and(|slot| slot.waker.will_wake(waker)))
    }

    /// Makes sure that the task behind `waker` is polled when `due` has come.
    ///
    /// The waker of the first call is kept: a connection is driven with one and the same all its life.
    pub fn set(&mut self, due: Tick, waker: &Waker) {
        debug_assert!(self.wakes(waker), "the alarm would wake another task");
        let rang = self.due <= self.clock.now();
        if due >= self.due && !rang && self.slot.is_some() {
            return;
        }
        self.due = due;
        let mut slots = self.clock.slots();
        match self.key() {
            Some(key) => {
                if let Some(slot) = slots.get_mut(key) {
                    slot.due = due;
                }
            }
            None => {
                if slots.is_empty() {
                    self.clock.used.notify_one();
                }
                let drains = self.clock.draining().is_some();
                let key = slots.insert(Slot { due, waker: waker.clone(), drains });
                self.slot = u32::try_from(key + 1).ok().and_then(NonZeroU32::new);
            }
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(key) = self.key() {
            let slot = self.clock.slots().try_remove(key);
            drop(slot); // without the lock: it may be the last to hold a task
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use super::*;

    struct Task;

    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }

    #[tokio::test]
    async fn a_drain_and_those_who_are_told_do_not_forget_each_other() {
        for drains_first in [true, false] {
            let clock = Clock::default();
            if drains_first {
                clock.drain(CloseCode::GOING_AWAY, Duration::ZERO).await;
            }
            clock.one_closes();
            assert!(clock.any_is_to_close());
            if !drains_first {
                assert_eq!(clock.draining(), None);
                clock.drain(CloseCode::GOING_AWAY, Duration::ZERO).await;
            }
            assert_eq!(clock.draining(), Some(CloseCode::GOING_AWAY));
            clock.one_is_gone();
            assert_eq!((clock.draining(), clock.closing.load(Relaxed)), (Some(CloseCode::GOING_AWAY), 1001));
        }
    }

    /// Whoever moves a connection to another task would wait for ever; nobody does, and builds for tests say so.
    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "another task")]
    fn an_alarm_is_of_one_task() {
        let (first, second) = (Waker::from(Arc::new(Task)), Waker::from(Arc::new(Task)));
        let mut alarm = Alarm::new(Arc::default());
        alarm.set(5, &first);
        alarm.set(6, &first);
        alarm.set(6, &second);
    }
}
