//! Who waits for a connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// The tasks that wait for one connection. The halves of a split stream may be polled by two, while a socket and a
/// clock know one waker each: they get a common one, which wakes both.
pub(crate) struct Tasks {
    waiting: Arc<Waiting>,
    /// Wakes all of them.
    pub(crate) common: Waker,
}

#[derive(Default)]
struct Waiting(Mutex<Wakers>);

#[derive(Default)]
struct Wakers {
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Tasks {
    pub(crate) fn new() -> Self {
        let waiting = Arc::<Waiting>::default();
        Self { common: waiting.clone().into(), waiting }
    }

    pub(crate) fn set_reader(&self, waker: &Waker) {
        let old = self.waiting.wakers().reader.replace(waker.clone());
        drop(old); // without the lock: it may be the last to hold a task
    }

    /// There is something to read that another task has found.
    pub(super) fn wake_reader(&self) {
        let reader = self.waiting.wakers().reader.take();
        reader.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn set_writer(&self, waker: &Waker) {
        let old = self.waiting.wakers().writer.replace(waker.clone());
        drop(old); // without the lock: it may be the last to hold a task
    }
}

impl Waiting {
    fn wakers(&self) -> MutexGuard<'_, Wakers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let Wakers { reader, writer } = std::mem::take(&mut *self.wakers());
        [reader, writer].into_iter().flatten().for_each(Waker::wake);
    }
}
