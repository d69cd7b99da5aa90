//! What a worker is told by the acceptor: mostly that a connection is for it. A worker that is stuck in a callback does
//! not come for those that were dealt to it: after a moment others get them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How many may wait for a worker.
const ROOM: usize = 256;

/// How long a worker may take to come for a connection, until it gets no more and others have what waits for it.
pub(super) const OVERDUE: Duration = Duration::from_millis(50);

/// What a worker is told to do.
#[derive(Debug, PartialEq)]
pub(super) enum Command<T> {
    /// To let this connection in.
    Connection(T),
    /// To drain: the sockets are closed, and nothing comes after it.
    Drain,
}

/// What waits for one worker, with the time from which it does.
#[derive(Debug)]
pub(super) struct Queue<T> {
    waiting: Mutex<VecDeque<(Instant, Command<T>)>>,
    filled: Notify,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let (waiting, filled) = Default::default();
        Self { waiting, filled }
    }
}

impl<T> Queue<T> {
    /// The next command. Until a worker comes for a connection, it may be given to another.
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken unless it is given.
    pub(super) async fn next(&self) -> Command<T> {
        loop {
            if let Some((_, next)) = self.waiting().pop_front() {
                return next;
            }
            self.filled.notified().await;
        }
    }

    fn put(&self, since: Instant, next: T) -> Result<(), T> {
        let mut waiting = self.waiting();
        if waiting.len() >= ROOM {
            return Err(next);
        }
        waiting.push_back((since, Command::Connection(next)));
        drop(waiting);
        self.filled.notify_one();
        Ok(())
    }

    /// Behind what waits already, room or not.
    fn end(&self) {
        self.waiting().push_back((Instant::now(), Command::Drain));
        self.filled.notify_one();
    }

    fn is_overdue(&self, now: Instant) -> bool {
        self.waiting().front().is_some_and(|(since, _)| now.saturating_duration_since(*since) >= OVERDUE)
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<(Instant, Command<T>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The acceptor's end of the queues of all workers, which drain when it is dropped.
#[derive(Debug)]
pub(super) struct Queues<T>(Vec<Arc<Queue<T>>>);

impl<T> Queues<T> {
    pub(super) fn new(queues: Vec<Arc<Queue<T>>>) -> Self {
        Self(queues)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Deals a connection to the worker whose turn it is, or to the next one after it that has room and comes for what
    /// waits; if none does, to one that has room. Given back if none has.
    pub(super) fn deal(&self, next: T, turn: usize) -> Result<(), T> {
        self.deal_at(Instant::now(), next, turn)
    }

    fn deal_at(&self, now: Instant, mut next: T, turn: usize) -> Result<(), T> {
        for may_be_stuck in [false, true] {
            let (before, after) = self.0.split_at(turn.min(self.0.len()));
            for queue in after.iter().chain(before) {
                if may_be_stuck || !queue.is_overdue(now) {
                    next = match queue.put(now, next) {
                        Ok(()) => return Ok(()),
                        Err(back) => back,
                    };
                }
            }
        }
        Err(next)
    }

    /// Whether any worker has not come yet for what waits.
    pub(super) fn is_any_waiting(&self) -> bool {
        self.0.iter().any(|queue| !queue.waiting().is_empty())
    }

    /// Deals what has waited for too long to others, if there are any that come.
    pub(super) fn deal_again(&self) {
        let now = Instant::now();
        let (stuck, others): (Vec<_>, Vec<_>) = self.0.iter().partition(|queue| queue.is_overdue(now));
        if others.is_empty() {
            return;
        }
        let mut others = others.into_iter().cycle();
        for queue in stuck {
            let overdue = std::mem::take(&mut *queue.waiting());
            for (since, command) in overdue {
                // Nobody is told to drain before this is dropped.
                let Command::Connection(next) = command else { continue };
                let back = match others.next() {
                    Some(other) => other.put(now, next),
                    None => Err(next),
                };
                // There was room for it here.
                if let Err(back) = back {
                    let _ = queue.put(since, back);
                }
            }
        }
    }
}

impl<T> Drop for Queues<T> {
    fn drop(&mut self) {
        for queue in &self.0 {
            queue.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn taken(queue: &Queue<usize>) -> Vec<usize> {
        let taken = || match queue.next().now_or_never()? {
            Command::Connection(number) => Some(number),
            Command::Drain => None,
        };
        std::iter::from_fn(taken).collect()
    }

    #[test]
    fn whoever_does_not_come_gets_no_more() {
        let workers: [Arc<Queue<usize>>; 3] = Default::default();
        let queues = Queues::new(workers.to_vec());
        let start = Instant::now();
        for number in 0..6 {
            queues.deal_at(start, number, number % 3).unwrap();
        }
        assert_eq!((taken(&workers[1]), taken(&workers[2])), (vec![1, 4], vec![2, 5]));
        for number in 6..12 {
            queues.deal_at(start + OVERDUE, number, number % 3).unwrap();
        }
        assert_eq!((taken(&workers[1]), taken(&workers[2])), (vec![6, 7, 9, 10], vec![8, 11]));
        assert_eq!(taken(&workers[0]), [0, 3]);
        // Where none comes, the one whose turn it is has them.
        for (number, at) in [(12, start), (13, start), (14, start), (15, start + OVERDUE)] {
            queues.deal_at(at, number, number % 3).unwrap();
        }
        assert_eq!(taken(&workers[0]), [12, 15]);
        let (first, last) = (workers[0].clone(), workers[2].clone());
        // Two of them have one each from before.
        for number in 0..3 * ROOM - 2 {
            queues.deal(number, number % 3).unwrap();
        }
        assert_eq!(queues.deal(0, 0), Err(0));
        drop(queues);
        // To drain comes behind all that had come, though there is no room.
        assert_eq!(taken(&first).len(), ROOM);
        assert_eq!(first.next().now_or_never(), None);
        let behind = std::iter::from_fn(|| last.next().now_or_never()).skip(ROOM);
        assert_eq!(behind.collect::<Vec<_>>(), [Command::Drain]);
    }
}
