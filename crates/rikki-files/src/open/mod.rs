//! Opening files below the root.
//!
//! Everything starts at the handle of the root, one for the whole of a request. What is served is decided on the opened
//! handle, never on a path that was looked at before: a path can be swapped in between.

mod anywhere;
mod current;
mod denied;
mod failure;
mod folder;
mod inside;
mod links;
mod now;

use std::io;
use std::path::Path;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use cap_std::fs::{Dir, Metadata};
use http::StatusCode;
use rikki_limits::{Budget, Limit};
use tokio::sync::Semaphore;

use self::current::Current;
pub(super) use self::current::Look;
use self::denied::{Denials, Denied};
pub(super) use self::failure::{Failure, failure, status_of};
pub(super) use self::folder::Folder;
use super::blocks::Blocks;
use super::cache::Cache;
use super::checks::{Arrived, Check};
use super::limits::Limits;
use super::listing::ListingMemory;
use super::source::Source;
use super::stores::Stores;
use super::wait::{Unmet, Wait};
use super::waits::Waits;

/// How much of the descriptors that a process may have is for files that stay open while they are sent.
const SHARE_OF_DESCRIPTORS: u64 = 4;

/// How often a file is opened anew when what is denied was renewed meanwhile.
pub(super) const RENEWALS: usize = 8;

/// The folder that is served, and the files in it that are not.
#[derive(Clone, Debug)]
pub(super) struct Root {
    current: Arc<Current>,
    denied: Vec<Denied>,
    stores: Stores,
    listing_memory: Arc<ListingMemory>,
    /// Whether symbolic links may lead out.
    anywhere: bool,
    /// Whether names may begin with a dot.
    hidden: bool,
}

/// What a path led to. Anything else (a FIFO, a socket, a device) counts as not found.
pub(super) enum Opened {
    File(Source),
    Folder(Dir),
}

impl Root {
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        // The folder of this name now and later, wherever this process is then.
        let current = Current::open(std::path::absolute(path)?).map_err(|error| name_path(path, &error))?;
        let cache = Arc::new(Cache::new(const { Limit::default_of(Limits::LIMITS, "file-cache") }));
        let blocks = Arc::new(Blocks::new(const { Limit::default_of(Limits::LIMITS, "read-memory") }));
        let limits = Limits::default();
        let waits = Arc::new(Waits::new(limits.max_waiting, limits.disk_timeout));
        let places = Arc::new(Semaphore::new(0));
        let listing_memory = Arc::new(ListingMemory::new(&blocks));
        let (denied, stores) = (Vec::new(), Stores { cache, blocks, waits, places });
        let current = Arc::new(current);
        let mut root = Self { current, denied, stores, listing_memory, anywhere: false, hidden: false };
        root.set_places(default_places());
        Ok(root)
    }

    pub(super) fn deny(&mut self, path: &Path) -> io::Result<()> {
        self.denied.extend(Denied::new(path).map_err(|error| name_path(path, &error))?);
        Ok(())
    }

    /// Bounds what is kept of small files, in bytes.
    pub(super) fn set_cache(&mut self, bytes: usize) {
        self.stores.cache = Arc::new(Cache::new(bytes));
    }

    pub(super) fn cache(&self) -> &Arc<Cache> {
        &self.stores.cache
    }

    /// What reading may hold, and what the cache may.
    pub(super) fn budgets(&self) -> [&Arc<Budget>; 2] {
        [self.stores.blocks.budget(), self.stores.cache.budget()]
    }

    pub(super) fn listing_memory(&self) -> &Arc<ListingMemory> {
        &self.listing_memory
    }

    /// Bounds what is read and not sent yet, in bytes.
    pub(super) fn set_read_memory(&mut self, bytes: usize) {
        self.stores.blocks = Arc::new(Blocks::new(bytes));
        self.listing_memory = Arc::new(ListingMemory::new(&self.stores.blocks));
    }

    /// Denies what another folder does, and the files that were seen there.
    pub(super) fn keep_denied(&mut self, before: &Self) {
        Denied::keep(&mut self.denied, &before.denied);
    }

    /// Counts what the folder that was here before is still sending.
    pub(super) fn succeed(&mut self, before: &Self, limits: &Limits) {
        let [reading, cache] = self.budgets().map(|budget| budget.most());
        self.stores.blocks = Arc::clone(&before.stores.blocks);
        self.stores.blocks.set_most(reading);
        self.listing_memory = Arc::clone(&before.listing_memory);
        self.listing_memory.fit(&self.stores.blocks);
        self.stores.cache = Arc::new(Cache::in_place_of(&before.stores.cache, cache));
        let waits = Waits::in_place_of(&before.stores.waits, limits.max_waiting, limits.disk_timeout);
        self.stores.waits = Arc::new(waits);
    }

    /// The same for the files that stay open.
    pub(super) fn keep_places(&mut self, before: &Self) {
        self.stores.places = Arc::clone(&before.stores.places);
    }

    pub(super) fn waits(&self) -> &Arc<Waits> {
        &self.stores.waits
    }

    /// Bounds what waits for the disk.
    pub(super) fn set_waits(&mut self, most: usize, longest: Duration) {
        self.stores.waits = Arc::new(Waits::new(most, longest));
    }

    /// Bounds how many files stay open while they are sent.
    pub(super) fn set_places(&mut self, files: usize) {
        self.stores.places = Arc::new(Semaphore::new(files.min(Semaphore::MAX_PERMITS)));
    }

    /// Lets symbolic links lead out of the root.
    pub(super) fn follow_symlinks(&mut self, enabled: bool) {
        self.anywhere = enabled;
    }

    /// Serves names that begin with a dot.
    pub(super) fn set_hidden(&mut self, enabled: bool) {
        self.hidden = enabled;
    }

    pub(super) fn hidden(&self) -> bool {
        self.hidden
    }

    pub(super) fn path(&self) -> &Path {
        self.current.path()
    }

    /// The folder that is at the path of the root.
    pub(super) fn folder(&self, wait: Wait, look: Look) -> Result<Arc<Folder>, Failure> {
        self.current.folder(wait, look)
    }

    /// Whether `folder` is still the one at the path of the root.
    pub(super) fn is_current(&self, folder: &Arc<Folder>, wait: Wait) -> Result<bool, Failure> {
        Ok(Arc::ptr_eq(folder, &self.folder(wait, Look::Now)?))
    }

    /// Opens what `relative` leads to, through symbolic links as long as they stay below the root and lead to names
    /// that are served, or through any.
    pub(super) fn open(&self, folder: &Folder, relative: &Path, wait: Wait) -> Result<Opened, Failure> {
        let opened = self.try_open(folder, relative, wait).map_err(|unmet| failure(unmet, relative))?;
        opened.ok_or(StatusCode::NOT_FOUND.into())
    }

    /// The same without waiting, for a request that has arrived before: a file whose content is kept may have been
    /// checked since for another one.
    pub(super) fn open_arrived(&self, folder: &Folder, relative: &Path, arrived: Arrived) -> Result<Opened, Failure> {
        let of = (ptr::from_ref(self).addr(), ptr::from_ref(folder).addr());
        let kept = arrived.seen(of, relative).and_then(|facts| Source::kept(&facts, relative, &self.stores));
        if let Some(source) = kept {
            return Ok(Opened::File(source));
        }
        let check = Check::begin();
        let opened = self.open(folder, relative, Wait::No)?;
        if let (Some(check), Opened::File(source)) = (check, &opened)
            && source.is_kept()
        {
            check.shows(of, relative, source.facts());
        }
        Ok(opened)
    }

    /// A file that is denied may take the place of another one at any moment, and the next one its place: nothing is
    /// told of what was opened unless the same is denied before and after.
    fn try_open(&self, folder: &Folder, relative: &Path, wait: Wait) -> Result<Option<Opened>, Unmet> {
        for _ in 0..RENEWALS {
            let known = Denials::known(&self.denied);
            let file = match wait {
                Wait::No if folder.is_remote => return Err(Unmet::WouldWait),
                Wait::No if self.anywhere => now::open_anywhere(&folder.dir, relative)?,
                Wait::No => now::open(folder, relative, self.hidden)?,
                Wait::Yes if self.anywhere => anywhere::open(&folder.dir, relative)?,
                Wait::Yes => inside::open(folder, relative, self.hidden)?,
            };
            let metadata = Metadata::from_file(&file)?;
            if metadata.is_dir() {
                if self.denies(&metadata) {
                    return Ok(None);
                }
                return Ok(Some(Opened::Folder(Dir::from_std_file(file))));
            }
            if !metadata.is_file() {
                return Ok(None);
            }
            if self.denials_at(wait)? == known {
                let is_denied = self.denies(&metadata);
                let source = || Opened::File(Source::new(file, &metadata, relative, wait, &self.stores));
                return Ok((!is_denied).then(source));
            }
        }
        Err(Unmet::Failed(io::ErrorKind::Interrupted.into()))
    }

    /// The metadata of what `relative` leads to, through the symbolic links that [`Root::open`] follows. Blocks.
    pub(super) fn metadata(&self, folder: &Folder, relative: &Path) -> io::Result<Metadata> {
        if self.anywhere {
            return Metadata::from_file(&anywhere::locate(&folder.dir, relative)?);
        }
        inside::metadata(folder, relative, self.hidden)
    }

    /// Whether a file is denied, as far as was seen.
    pub(super) fn denies(&self, metadata: &Metadata) -> bool {
        denied::covers(&self.denied, metadata)
    }

    /// Looks at the files that are denied at this moment. Blocks.
    pub(super) fn denials(&self) -> Denials {
        Denials::new(&self.denied)
    }

    fn denials_at(&self, wait: Wait) -> Result<Denials, Unmet> {
        match wait {
            Wait::No => Denials::now(&self.denied),
            Wait::Yes => Ok(self.denials()),
        }
    }
}

/// A part of the descriptors that the process may have: the rest is for connections.
fn default_places() -> usize {
    #[cfg(unix)]
    if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        return usize::try_from(limit / SHARE_OF_DESCRIPTORS).unwrap_or(usize::MAX);
    }
    usize::MAX
}

/// For the operator, at start: an error that names the path.
fn name_path(path: &Path, error: &io::Error) -> io::Error {
    let reason = match error.kind() {
        io::ErrorKind::NotADirectory => "not a directory".to_owned(),
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), format!("{}: {reason}", path.display()))
}

// Elsewhere there is only one way to open, and cap-std has tests of its own.
#[cfg(all(test, target_os = "linux"))]
mod tests;
