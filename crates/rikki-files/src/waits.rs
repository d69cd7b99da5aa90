//! Work that may have to wait for a disk: done on the blocking pool, for so many at a time, and for so long.
//!
//! What waits for its turn waits here, where it costs a request and no thread, and goes when its client does: the queue
//! of the pool has no end. A disk that hangs keeps the threads that it has, and none of those of other folders.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// How many pieces of work are done at a time: as many threads does a folder take at most.
const AT_WORK: usize = 16;

/// How many of them are listings, each of which takes as long as a folder is large: the others are for files.
const LISTINGS: usize = 4;

/// The bounds of one [`Files`](super::Files).
#[derive(Debug)]
pub(super) struct Waits {
    longest: Duration,
    most: usize,
    places: Arc<Semaphore>,
    at_work: Arc<Semaphore>,
    listings: Arc<Semaphore>,
}

/// The place of a request that waits, given back when dropped.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Waits {
    /// For `most` requests at a time, for at most so long each.
    pub(super) fn new(most: usize, longest: Duration) -> Self {
        let places = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        let (at_work, listings) = (Arc::new(Semaphore::new(AT_WORK)), Arc::new(Semaphore::new(LISTINGS)));
        Self { longest, most, places, at_work, listings }
    }

    /// The same in the place of another, whose work may still go on.
    pub(super) fn in_place_of(before: &Self, most: usize, longest: Duration) -> Self {
        let mut waits = Self::new(most, longest);
        waits.at_work = Arc::clone(&before.at_work);
        waits.listings = Arc::clone(&before.listings);
        if most == before.most {
            waits.places = Arc::clone(&before.places);
        }
        waits
    }

    /// A place, if there is one.
    pub(super) fn place(&self) -> Option<Place> {
        Arc::clone(&self.places).try_acquire_owned().ok().map(|permit| Place { _permit: permit })
    }

    /// Does `work` on the blocking pool, when it is its turn. Dropping the future gives it up: it is not begun, or is
    /// told so when it asks.
    ///
    /// # Errors
    ///
    /// Those of the work.
    pub(super) fn work<T, F>(&self, work: F) -> impl Future<Output = io::Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Wanted) -> io::Result<T> + Send + 'static,
    {
        when_at_work(Arc::clone(&self.at_work), work)
    }

    /// Has a listing made like other [work](Waits::work), but fewer of them at a time.
    pub(super) fn list<T, F>(&self, work: F) -> impl Future<Output = io::Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Wanted) -> io::Result<T> + Send + 'static,
    {
        let (listings, at_work) = (Arc::clone(&self.listings), Arc::clone(&self.at_work));
        async move {
            let listing = listings.acquire_owned().await.map_err(io::Error::other)?;
            let work = move |wanted: &Wanted| {
                let _listing = listing;
                work(wanted)
            };
            when_at_work(at_work, work).await
        }
    }

    /// Has all listings wait until this is dropped.
    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn hold_listings(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.listings).try_acquire_many_owned(LISTINGS as u32).unwrap()
    }

    /// Bounds the wait for something.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`]. Work that is under way takes a thread until it ends.
    pub(super) fn in_time<T, F>(&self, wait: F) -> impl Future<Output = io::Result<T>> + use<T, F>
    where
        F: Future<Output = io::Result<T>>,
    {
        let longest = self.longest;
        async move {
            let done = timeout(longest, wait).await;
            done.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the disk takes too long")))
        }
    }
}

async fn when_at_work<T, F>(at_work: Arc<Semaphore>, work: F) -> io::Result<T>
where
    T: Send + 'static,
    F: FnOnce(&Wanted) -> io::Result<T> + Send + 'static,
{
    let permit = at_work.acquire_owned().await.map_err(io::Error::other)?;
    let wanted = Wanted(Arc::new(AtomicBool::new(true)));
    let _waiting = Waiting(Arc::clone(&wanted.0));
    let working = spawn_blocking(move || {
        // Held as long as the thread is, whoever waits.
        let _permit = permit;
        wanted.check()?;
        work(&wanted)
    });
    working.await.unwrap_or_else(|error| Err(error.into()))
}

/// Whether anybody waits for the work still.
pub(super) struct Wanted(Arc<AtomicBool>);

impl Wanted {
    /// To be asked again and again by work that takes long.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::ConnectionAborted`] when nobody will hear of what comes of it.
    pub(super) fn check(&self) -> io::Result<()> {
        if self.0.load(Relaxed) { Ok(()) } else { Err(io::ErrorKind::ConnectionAborted.into()) }
    }

    #[cfg(test)]
    pub(super) fn new(wanted: bool) -> Self {
        Self(Arc::new(AtomicBool::new(wanted)))
    }
}

/// Whoever waits for it; the work is not wanted any more when this is dropped.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(false, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::oneshot;

    use super::*;

    /// A mount that does not answer takes threads until it does, and nobody waits for them for ever.
    #[tokio::test]
    async fn work_that_hangs_takes_so_many_threads() {
        let waits = Waits::new(100, Duration::from_millis(300));
        let hang = || {
            let (end, ended) = mpsc::channel::<()>();
            (end, waits.in_time(waits.work(move |_| Ok(ended.recv()))))
        };
        let (ends, hanging): (Vec<_>, Vec<_>) = (0..AT_WORK).map(|_| hang()).unzip();
        // At once, so that each has its thread well before its time is up.
        for waiting in futures_util::future::join_all(hanging).await {
            assert_eq!(waiting.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        let other = || waits.in_time(waits.work(|_| Ok(1)));
        assert_eq!(other().await.unwrap_err().kind(), io::ErrorKind::TimedOut, "there is no thread for others");
        drop(ends);
        assert_eq!(waits.work(|_| Ok(1)).await.unwrap(), 1, "there is one again");
        assert_eq!(other().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn listings_leave_threads_to_files() {
        let waits = Waits::new(100, Duration::from_millis(50));
        let hang = || {
            let (end, ended) = mpsc::channel::<()>();
            (end, waits.in_time(waits.list(move |_| Ok(ended.recv()))))
        };
        let (ends, hanging): (Vec<_>, Vec<_>) = (0..AT_WORK).map(|_| hang()).unzip();
        for waiting in hanging {
            assert_eq!(waiting.await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        assert_eq!(waits.in_time(waits.work(|_| Ok(1))).await.map_err(|error| error.kind()), Ok(1));
        drop(ends);
        assert_eq!(waits.list(|_| Ok(1)).await.unwrap(), 1, "there is a thread for listings again");
    }

    #[tokio::test]
    async fn work_is_told_that_nobody_waits() {
        let waits = Waits::new(1, Duration::from_secs(60));
        let (begun, has_begun) = oneshot::channel();
        let (told, was_told) = oneshot::channel();
        let mut work = Box::pin(waits.work(move |wanted| {
            wanted.check()?;
            begun.send(()).unwrap();
            while wanted.check().is_ok() {
                std::thread::yield_now();
            }
            told.send(()).unwrap();
            wanted.check()
        }));
        tokio::select! {
            _ = &mut work => panic!("it goes on"),
            begun = has_begun => begun.unwrap(),
        }
        drop(work);
        was_told.await.unwrap();
    }
}
