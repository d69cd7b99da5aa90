//! One listing for all who ask for it at the same time.
//!
//! Whoever asks before it is begun gets the same; who asks later may know of a file that it misses, and gets the next
//! one, which waits for this one. So a folder is read by one thread at most, for each order and page, however many ask.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use http::StatusCode;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

use super::Listing;
use super::sort::View;
use crate::Shared;
use crate::open::{Failure, Folder, Opened, status_of};
use crate::wait::Wait;

/// What is listed, below the root at which address, and what of it. What is being made holds its root.
type Key = (usize, PathBuf, View);

type Made = Result<Arc<Listing>, StatusCode>;

/// The listings that are being made.
#[derive(Default)]
pub(crate) struct Listings(Mutex<HashMap<Key, Weak<Queue>>>);

/// The listings of one folder, in one view of it, that are made or will be.
struct Queue {
    /// Held by the one thread that makes a listing.
    turn: Arc<Semaphore>,
    /// The one that is not begun.
    next: Mutex<Weak<Making>>,
}

/// A listing that is made, held by all who ask for it.
struct Making {
    made: watch::Receiver<Option<Made>>,
    task: AbortHandle,
}

impl Drop for Making {
    fn drop(&mut self) {
        // Nobody asks any more.
        self.task.abort();
    }
}

impl Listings {
    /// Lists the folder that `relative` leads to, or waits for somebody's listing of it.
    ///
    /// # Errors
    ///
    /// The status to answer with.
    pub(super) async fn get(shared: &Arc<Shared>, root: Arc<Folder>, relative: &Path, view: &View) -> Made {
        let making = shared.listings.join(shared, root, relative, view);
        let mut made = making.made.clone();
        let waiting = async {
            let made = made.wait_for(Option::is_some).await.map_err(io::Error::other)?;
            Ok(made.clone())
        };
        match shared.root.waits().in_time(waiting).await {
            Ok(made) => made.unwrap_or(Err(StatusCode::INTERNAL_SERVER_ERROR)),
            Err(error) => Err(status_of(&error, relative)),
        }
    }

    fn join(&self, shared: &Arc<Shared>, root: Arc<Folder>, relative: &Path, view: &View) -> Arc<Making> {
        let key = (Arc::as_ptr(&root).addr(), relative.to_owned(), view.clone());
        let mut by_key = lock(&self.0);
        let queue = by_key.get(&key).and_then(Weak::upgrade).unwrap_or_else(|| {
            by_key.retain(|_, queue| queue.strong_count() > 0);
            let queue = Arc::new(Queue { turn: Arc::new(Semaphore::new(1)), next: Mutex::default() });
            by_key.insert(key, Arc::downgrade(&queue));
            queue
        });
        drop(by_key);
        let mut next = lock(&queue.next);
        if let Some(making) = next.upgrade() {
            return making;
        }
        let (sender, made) = watch::channel(None);
        let task = make(Arc::clone(&queue), Arc::clone(shared), root, relative.to_owned(), view.clone(), sender);
        let making = Arc::new(Making { made, task: tokio::spawn(task).abort_handle() });
        *next = Arc::downgrade(&making);
        making
    }
}

/// Makes a listing when the one before it is made.
async fn make(
    queue: Arc<Queue>,
    shared: Arc<Shared>,
    root: Arc<Folder>,
    relative: PathBuf,
    view: View,
    sender: watch::Sender<Option<Made>>,
) {
    let Ok(turn) = Arc::clone(&queue.turn).acquire_owned().await else { return };
    let worker = Arc::clone(&shared);
    let path = relative.clone();
    let made = shared.root.waits().list(move |wanted| {
        // Until the thread has ended, whoever waits.
        let _turn = turn;
        *lock(&queue.next) = Weak::new();
        let folder = match worker.root.open(&root, &path, Wait::Yes) {
            Ok(Opened::Folder(folder)) => folder,
            Ok(Opened::File(_)) => return Ok(Err(Failure::from(StatusCode::NOT_FOUND))),
            Err(failure) => return Ok(Err(failure)),
        };
        let listing = Listing::read(&worker, &root, &folder, &path, &view, wanted)?;
        // One that was removed meanwhile looks like an empty one.
        let is_current = worker.root.is_current(&root, Wait::Yes);
        Ok(is_current.map(|is_current| is_current.then(|| Arc::new(listing))))
    });
    let made = match made.await {
        Ok(Ok(listing)) => listing.ok_or(StatusCode::NOT_FOUND),
        Ok(Err(failure)) => Err(failure.status()),
        Err(error) => Err(status_of(&error, &relative)),
    };
    sender.send_replace(Some(made));
}

/// A clone may be about other files.
impl Clone for Listings {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Listings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listings").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::time::Duration;

    use http::Request;
    use tokio::task::yield_now;
    use tokio::time::timeout;

    use super::*;
    use crate::Files;

    #[tokio::test]
    async fn what_waits_for_its_turn_holds_no_descriptor() {
        const ASKING: usize = 20;
        let root = std::env::temp_dir().canonicalize().unwrap();
        let root = root.join(format!("rikki-making-{}", std::process::id()));
        let folder = root.join("sub");
        fs::create_dir_all(&folder).unwrap();
        let files = Files::new(&root).unwrap().listing(true);
        let held = files.shared.root.waits().hold_listings();
        let ask = |filter: usize| {
            let request = Request::get(format!("/sub/?filter={filter}")).body(()).unwrap();
            tokio::spawn(files.clone().respond(request))
        };
        let asking: Vec<_> = (0..ASKING).map(ask).collect();
        let all_wait = async {
            while lock(&files.shared.listings.0).len() < ASKING {
                yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), all_wait).await.unwrap();
        let descriptors = fs::read_dir("/proc/self/fd").unwrap().map(|entry| fs::read_link(entry.unwrap().path()));
        assert_eq!(descriptors.filter(|to| to.as_ref().is_ok_and(|to| *to == folder)).count(), 0);
        drop(held);
        for answer in asking {
            assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
        }
        fs::remove_dir_all(root).unwrap();
    }
}
