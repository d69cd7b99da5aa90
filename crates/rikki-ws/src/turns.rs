//! Turns of those who have more to do than others: while they wait for theirs, the rest of the thread is served.
//!
//! A task that wakes itself runs again after all others that are ready: with a hundred floods each of them would wait
//! for a hundred slices of work. Here one flood at a time has a slice, and between two of them the runtime looks at its
//! sockets.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::runtime::Handle;
use tokio::task::yield_now;

/// A place in the order of turns: twice its number and one, which is never 0.
pub(super) type Ticket = NonZeroU32;

/// The turns of one thread.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// In the order of their tickets, the first of which is `served`.
    waiting: VecDeque<Waker>,
    served: u32,
    is_calling: bool,
}

impl Turns {
    /// Wakes the task behind `waker` when its turn has come. Outside of a tokio runtime, where nobody could call it,
    /// that is at once.
    pub(super) fn take(self: &Arc<Self>, waker: &Waker) -> Option<Ticket> {
        let Ok(runtime) = Handle::try_current() else {
            waker.wake_by_ref();
            return None;
        };
        let (ticket, calls) = {
            let mut state = self.state();
            state.waiting.push_back(waker.clone());
            let number = state.served.wrapping_add(state.waiting.len() as u32);
            let ticket = NonZeroU32::MIN | (number << 1);
            (ticket, !std::mem::replace(&mut state.is_calling, true))
        };
        if calls {
            runtime.spawn(call(Calling(self.clone())));
        }
        Some(ticket)
    }

    /// Whether the turn of a ticket has come, which it does once.
    pub(super) fn has_come(&self, ticket: Ticket) -> bool {
        // Far fewer wait than half of all numbers, of which the ticket has 31 bits.
        let behind = (self.state().served << 1).wrapping_sub(ticket.get() - 1);
        behind < u32::MAX / 2
    }

    fn call_next(&self) -> bool {
        let next = {
            let mut state = self.state();
            let next = state.waiting.pop_front();
            match next {
                Some(_) => state.served = state.served.wrapping_add(1),
                None => state.is_calling = false,
            }
            next
        };
        let called = next.is_some();
        next.into_iter().for_each(Waker::wake);
        called
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls one after the other until nobody waits.
async fn call(calling: Calling) {
    loop {
        // When all others have had their turn and the runtime has looked at its sockets and timers.
        yield_now().await;
        if !calling.0.call_next() {
            break;
        }
    }
}

/// The task that calls. A runtime that ends drops it: whoever waits then has its turn.
struct Calling(Arc<Turns>);

impl Drop for Calling {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.0.state();
            let waiting = std::mem::take(&mut state.waiting);
            state.served = state.served.wrapping_add(waiting.len() as u32);
            state.is_calling &= waiting.is_empty();
            waiting
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[tokio::test]
    async fn one_at_a_time_in_their_order() {
        let (turns, wakes) = (Arc::<Turns>::default(), Arc::<Wakes>::default());
        turns.0.lock().unwrap().served = u32::MAX - 1;
        let waker = Waker::from(wakes.clone());
        let tickets = [(); 4].map(|()| turns.take(&waker).unwrap());
        for called in 0..=tickets.len() {
            assert_eq!(wakes.0.load(Relaxed), called);
            assert_eq!(tickets.map(|ticket| turns.has_come(ticket)), std::array::from_fn(|index| index < called));
            while wakes.0.load(Relaxed) < (called + 1).min(tickets.len()) {
                yield_now().await;
            }
        }
        // Nobody is called any more, and the next to come is.
        while turns.state().is_calling {
            yield_now().await;
        }
        let ticket = turns.take(&waker).unwrap();
        while !turns.has_come(ticket) {
            yield_now().await;
        }
    }
}
