//! The folder that a path names: at any time another one may take its place.
//!
//! A build removes and makes it again, a release renames it or switches a link. So the path is looked at again now and
//! then, when a request comes; in between the handle counts, and a request has one handle from beginning to end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use cap_std::fs::Metadata;
use http::StatusCode;

use super::denied::{Identity, identity};
use super::failure::Failure;
use super::folder::Folder;
use super::now;
use crate::wait::{Unmet, Wait};

/// How old the last look at the path may be.
const PERIOD: Duration = Duration::from_millis(50);

/// How fresh a handle has to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Look {
    /// Within [`PERIOD`]: enough for what is found.
    Lately,
    /// For what is not found, and for a listing: the folder may just be gone.
    Now,
}

#[derive(Debug)]
pub(super) struct Current {
    /// Absolute.
    path: PathBuf,
    /// `None` while there is none that can be opened.
    folder: RwLock<Option<Arc<Folder>>>,
    start: Instant,
    /// When the path was looked at last, in milliseconds from the start.
    looked: AtomicU64,
}

impl Current {
    /// Opens the folder at `path`, which is absolute. Blocks.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let folder = Arc::new(Folder::open(path.clone())?);
        if let Err(error) = folder.dir.entries() {
            tracing::warn!(folder = %path.display(), %error, "the folder cannot be listed");
        }
        Ok(Self { path, folder: RwLock::new(Some(folder)), start: Instant::now(), looked: AtomicU64::new(0) })
    }

    /// The folder that is there, as of a [`Look`] at its path.
    ///
    /// # Errors
    ///
    /// [`Failure::WouldBlock`] if looking or opening takes a disk that may not be waited for; 503 if there is none.
    pub(super) fn folder(&self, wait: Wait, look: Look) -> Result<Arc<Folder>, Failure> {
        let known = self.known();
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let is_due = now.saturating_sub(self.looked.load(Relaxed)) >= PERIOD.as_millis() as u64;
        if let Some(known) = known.as_ref().filter(|_| !is_due && look == Look::Lately) {
            return Ok(Arc::clone(known));
        }
        let found = match wait {
            Wait::No if known.as_ref().is_none_or(|known| known.is_remote) => {
                return Err(Failure::WouldBlock);
            }
            Wait::No => now::locate(&self.path).and_then(|file| Ok(file.metadata()?)),
            Wait::Yes => fs::metadata(&self.path).map_err(Unmet::from),
        };
        let found = found.map(|metadata| identity(&Metadata::from_just_metadata(metadata)));
        let known = match (known, found) {
            (Some(known), Ok(found)) if is_same(&known, found) => known,
            _ if wait == Wait::No => return Err(Failure::WouldBlock),
            _ => self.open_again().ok_or(StatusCode::SERVICE_UNAVAILABLE)?,
        };
        self.looked.fetch_max(now, Relaxed);
        Ok(known)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn known(&self) -> Option<Arc<Folder>> {
        self.folder.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `None` if there is none that can be opened.
    fn open_again(&self) -> Option<Arc<Folder>> {
        let opened = Folder::open(self.path.clone()).map(Arc::new);
        let mut folder = self.folder.write().unwrap_or_else(PoisonError::into_inner);
        // Of several that have seen it, one says so.
        if let (Some(known), Ok(opened)) = (&*folder, &opened)
            && known.identity == opened.identity
        {
            return Some(Arc::clone(known));
        }
        let before = std::mem::replace(&mut *folder, opened.as_ref().ok().map(Arc::clone));
        drop(folder);
        let path = self.path.display();
        match (opened, before) {
            (Ok(opened), _) => {
                tracing::info!(folder = %path, "another folder has taken the place of the one that was served");
                Some(opened)
            }
            (Err(error), Some(_)) => {
                tracing::warn!(folder = %path, %error, "the folder cannot be opened: the answer is 503 until it can");
                None
            }
            (Err(_), None) => None,
        }
    }
}

/// Where folders have no identity, the one that is open counts as long as there is one.
fn is_same(known: &Folder, found: Option<Identity>) -> bool {
    known.identity == found
}
