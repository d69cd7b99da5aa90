//! What all files of a folder share that are being sent.

use std::sync::Arc;
use std::{fmt, io};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::blocks::Blocks;
use super::cache::Cache;
use super::waits::Waits;

/// The place of a file that stays open, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
}

/// Where contents are in memory, and what bounds the waiting for them.
#[derive(Clone)]
pub(super) struct Stores {
    pub(super) cache: Arc<Cache>,
    pub(super) blocks: Arc<Blocks>,
    pub(super) waits: Arc<Waits>,
    /// Places of files that stay open while they are sent.
    pub(super) places: Arc<Semaphore>,
}

impl Stores {
    /// # Errors
    ///
    /// [`io::ErrorKind::ResourceBusy`] if as many are open as may be.
    pub(super) fn place(&self) -> io::Result<Arc<Place>> {
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(permit) => Ok(Arc::new(Place { _permit: permit })),
            Err(_) => Err(io::Error::new(io::ErrorKind::ResourceBusy, "too many files are open")),
        }
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores").finish_non_exhaustive()
    }
}
