//! One check of a file for all requests that had arrived before it.
//!
//! A worker reads what has come on its connections one after the other. So a request that has been read lets those that
//! are there already be read too, and the first that goes on looks at the file for all of them: what it sees then is as
//! good as what each would see for itself. A request that is read after a check is not answered by it, since the file may
//! have changed before it was sent. No clock tells that, but the order of what one thread does; between threads nothing
//! is shared.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use super::facts::Facts;

/// How many files are remembered, each for the moment in which requests are there that may have use for it.
const REMEMBERED: usize = 32;

/// How many requests do not wait for others after one that has waited and was alone.
const ALONE: u32 = 15;

thread_local! {
    static HERE: RefCell<Option<Checks>> = const { RefCell::new(None) };
}

/// Shares what is seen on this thread from now on. It has to be one that polls one task after the other, in the order in
/// which they are woken.
pub fn share_checks() {
    static THREADS: AtomicU64 = AtomicU64::new(0);
    let checks =
        Checks { thread: THREADS.fetch_add(1, Relaxed), begun: 0, waiting: 0, alone: 0, seen: VecDeque::new() };
    HERE.set(Some(checks));
}

#[derive(Debug)]
struct Checks {
    thread: u64,
    /// How many have begun on this thread.
    begun: u64,
    /// How many requests let others be read.
    waiting: usize,
    /// How many requests go on at once.
    alone: u32,
    /// The latest last.
    seen: VecDeque<Seen>,
}

/// What a check has shown.
#[derive(Debug)]
struct Seen {
    check: Check,
    of: Place,
    path: PathBuf,
    facts: Facts,
}

/// Below what a path is: the addresses of a root and a folder. Who asks has held that root since before the check.
pub(super) type Place = (usize, usize);

/// A check that begins, by its number among those of this thread; the first has 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Check(u64);

/// When a request was read: after so many checks had begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    thread: u64,
    checks: u64,
}

impl Arrived {
    /// To be called when the request is there; `None` where nothing is shared.
    pub(super) fn now() -> Option<Self> {
        on_this_thread(|here| Self { thread: here.thread, checks: here.begun })
    }

    /// Lets requests be read that are there already, if there have been such.
    pub(super) async fn let_others_come(self) {
        let mut waiting = None;
        poll_fn(|cx| match waiting.take() {
            None if here(self.thread, Checks::goes_on) != Some(false) => Poll::Ready(()),
            None => {
                waiting = Some(Waiting(self));
                wake(cx)
            }
            Some(waited) => {
                drop(waited);
                Poll::Ready(())
            }
        })
        .await;
    }

    /// What a check has shown that began after this.
    pub(super) fn seen(self, of: Place, path: &Path) -> Option<Facts> {
        let find = |here: &mut Checks| {
            let mut since = here.seen.iter().rev().take_while(|seen| seen.check.0 > self.checks);
            since.find(|seen| seen.of == of && seen.path == path).map(|seen| seen.facts)
        };
        here(self.thread, find).flatten()
    }
}

/// Behind those that have been woken already.
fn wake(cx: &Context<'_>) -> Poll<()> {
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// A request that lets others come.
struct Waiting(Arrived);

impl Drop for Waiting {
    fn drop(&mut self) {
        here(self.0.thread, |here| {
            here.waiting = here.waiting.saturating_sub(1);
            if here.waiting == 0 && here.begun == self.0.checks {
                here.alone = ALONE;
            }
        });
    }
}

impl Check {
    /// To be called before anything is looked at.
    pub(super) fn begin() -> Option<Self> {
        on_this_thread(|here| {
            here.begun += 1;
            Self(here.begun)
        })
    }

    /// Keeps what it has shown, if there is any request that may have use for it.
    pub(super) fn shows(self, of: Place, path: &Path, facts: &Facts) {
        on_this_thread(|here| {
            if here.waiting == 0 {
                return;
            }
            if here.seen.len() >= REMEMBERED {
                here.seen.pop_front();
            }
            here.seen.push_back(Seen { check: self, of, path: path.to_owned(), facts: *facts });
        });
    }
}

impl Checks {
    /// Whether the next request goes on at once; otherwise it waits from now on.
    fn goes_on(&mut self) -> bool {
        if let Some(alone) = self.alone.checked_sub(1) {
            self.alone = alone;
            return true;
        }
        self.waiting += 1;
        false
    }
}

/// What is known on this thread, if it is that one.
fn here<T>(thread: u64, work: impl FnOnce(&mut Checks) -> T) -> Option<T> {
    on_this_thread(|here| (here.thread == thread).then(|| work(here))).flatten()
}

/// What is known on this thread, if anything is to be shared there.
fn on_this_thread<T>(work: impl FnOnce(&mut Checks) -> T) -> Option<T> {
    HERE.try_with(|here| here.borrow_mut().as_mut().map(work)).ok().flatten()
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Waker;

    use tokio::task::JoinSet;

    use super::*;

    const OF: Place = (1, 1);

    fn path() -> &'static Path {
        Path::new("file")
    }

    fn arrived() -> Arrived {
        Arrived::now().unwrap()
    }

    fn check() {
        Check::begin().unwrap().shows(OF, path(), &Facts::default());
    }

    fn sees(arrived: Arrived) -> bool {
        arrived.seen(OF, path()).is_some()
    }

    fn poll(waiting: Pin<&mut impl Future<Output = ()>>) -> bool {
        waiting.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test]
    async fn those_that_are_there_are_answered_by_one_check() {
        share_checks();
        let checks = Arc::new(AtomicUsize::new(0));
        let request = |checks: Arc<AtomicUsize>| async move {
            let arrived = arrived();
            arrived.let_others_come().await;
            if !sees(arrived) {
                check();
                checks.fetch_add(1, Relaxed);
            }
        };
        for round in 1..=3 {
            (0..20).map(|_| request(checks.clone())).collect::<JoinSet<_>>().join_all().await;
            assert_eq!(checks.load(Relaxed), round);
        }
    }

    #[test]
    fn a_check_answers_none_that_comes_after_it() {
        share_checks();
        let (first, other) = (arrived(), arrived());
        let mut waiting = pin!(other.let_others_come());
        assert!(!poll(waiting.as_mut()));
        check();
        let late = arrived();
        assert!(sees(first) && sees(other) && !sees(late));
        assert!(first.seen((1, 2), path()).is_none() && first.seen((2, 1), path()).is_none());
        assert!(first.seen(OF, Path::new("other")).is_none());
        let elsewhere = || {
            let nothing_is_shared = Arrived::now().is_none() && !sees(first);
            share_checks();
            check();
            nothing_is_shared && !sees(first)
        };
        assert!(std::thread::scope(|scope| scope.spawn(elsewhere).join().unwrap()), "on another thread");
        check();
        assert!(sees(late));
        assert!(poll(waiting));
    }

    #[test]
    fn who_is_alone_waits_seldom() {
        share_checks();
        let goes_on_at_once = || {
            let waits = arrived();
            let mut waiting = pin!(waits.let_others_come());
            let at_once = poll(waiting.as_mut());
            assert!(at_once || poll(waiting));
            check();
            at_once
        };
        let waited = (0..10 * (ALONE + 1)).filter(|_| !goes_on_at_once()).count();
        assert_eq!(waited, 10);
        // One that goes away meanwhile waits no more.
        HERE.with_borrow_mut(|here| here.as_mut().unwrap().alone = 0);
        let mut gone = Box::pin(arrived().let_others_come());
        assert!(!poll(gone.as_mut()));
        drop(gone);
        HERE.with_borrow(|here| assert_eq!(here.as_ref().unwrap().waiting, 0));
    }

    /// However many files are asked for, and however many wait.
    #[test]
    fn what_is_remembered_is_bounded() {
        share_checks();
        let first = arrived();
        let mut waiting = pin!(first.let_others_come());
        assert!(!poll(waiting.as_mut()));
        for index in 0..10 * REMEMBERED {
            let path = PathBuf::from(index.to_string());
            Check::begin().unwrap().shows(OF, &path, &Facts::default());
            assert!(first.seen(OF, &path).is_some());
        }
        HERE.with_borrow(|here| assert_eq!(here.as_ref().unwrap().seen.len(), REMEMBERED));
    }
}
