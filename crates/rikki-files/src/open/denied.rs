//! Files that are not served under any name.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use cap_std::fs::Metadata;

use super::now;
use crate::wait::Unmet;

/// How many files that have been under a name stay denied. Each is kept open for that, so that its identity is given to
/// no other file, whatever name it has now.
const REMEMBERED: usize = 16;

/// How many names there are at most with those that were denied before a reload.
const KEPT: usize = 64;

/// A name whose files are not served under any name.
#[derive(Clone, Debug)]
pub(super) struct Denied {
    /// Absolute. A key that is renewed is usually a new file under the old name: all of them stay denied.
    path: Arc<Path>,
    seen: Arc<Mutex<Seen>>,
}

/// What was seen under it.
#[derive(Debug)]
struct Seen {
    last: Option<State>,
    /// The latest last.
    files: VecDeque<Pinned>,
}

#[derive(Debug)]
struct Pinned {
    identity: Identity,
    _file: fs::File,
}

impl Denied {
    /// `None` for what is no regular file: it is never served anyway, and opening a pipe would take from it.
    pub(super) fn new(path: &Path) -> io::Result<Option<Self>> {
        let metadata = fs::metadata(path)?;
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder, only files can be denied"));
        }
        if !metadata.is_file() {
            return Ok(None);
        }
        let file = fs::File::open(path)?;
        let last = state(&Metadata::from_file(&file)?)
            .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "files have no identity on this platform"))?;
        let files = VecDeque::from([Pinned { identity: last.0, _file: file }]);
        let seen = Arc::new(Mutex::new(Seen { last: Some(last), files }));
        Ok(Some(Self { path: std::path::absolute(path)?.into(), seen }))
    }

    /// What `before` has denied and seen stays denied, up to so many names of it that are denied no more by themselves.
    pub(super) fn keep(now: &mut Vec<Self>, before: &[Self]) {
        for before in before {
            if let Some(denied) = now.iter_mut().find(|denied| denied.path == before.path) {
                *denied = before.clone();
            } else if now.len() < KEPT {
                now.push(before.clone());
            }
        }
    }

    /// What is under the name now, which stays denied. Blocks.
    fn look(&self) -> Option<State> {
        self.remember(now::locate_waiting(&self.path).ok())
    }

    /// Looks at the file like [`Denied::look`], without blocking.
    fn look_now(&self) -> Result<Option<State>, Unmet> {
        match now::locate(&self.path) {
            Ok(file) => Ok(self.remember(Some(file))),
            Err(Unmet::Failed(error))
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                Ok(self.remember(None))
            }
            // If it is for want of a descriptor, say, the other way may have one.
            Err(_) => Err(Unmet::WouldWait),
        }
    }

    fn remember(&self, file: Option<fs::File>) -> Option<State> {
        let now = file.and_then(|file| Some((state(&Metadata::from_file(&file).ok()?)?, file)));
        let mut seen = self.seen();
        seen.last = now.as_ref().map(|(state, _)| *state);
        let ((identity, _), file) = now?;
        if !seen.covers(identity) {
            if seen.files.len() >= REMEMBERED {
                seen.files.pop_front();
            }
            seen.files.push_back(Pinned { identity, _file: file });
        }
        seen.last
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn covers(&self, identity: Identity) -> bool {
        self.files.iter().any(|held| held.identity == identity)
    }
}

/// What is under the names that are denied, at one moment.
#[derive(PartialEq)]
pub(crate) struct Denials(Vec<Option<State>>);

impl Denials {
    /// What was there when somebody looked last.
    pub(super) fn known(denied: &[Denied]) -> Self {
        Self(denied.iter().map(|denied| denied.seen().last).collect())
    }

    /// Blocks.
    pub(super) fn new(denied: &[Denied]) -> Self {
        Self(denied.iter().map(Denied::look).collect())
    }

    /// # Errors
    ///
    /// [`Unmet::WouldWait`] if finding out takes a disk.
    pub(super) fn now(denied: &[Denied]) -> Result<Self, Unmet> {
        denied.iter().map(Denied::look_now).collect::<Result<_, _>>().map(Self)
    }
}

/// Whether a file is one of those that are denied, or were.
pub(super) fn covers(denied: &[Denied], metadata: &Metadata) -> bool {
    !denied.is_empty()
        && state(metadata).is_none_or(|(identity, _)| denied.iter().any(|denied| denied.seen().covers(identity)))
}

/// Device and inode: the same for every name and link of a file.
pub(super) type Identity = (u64, u64);

/// With the time of its last change, to the nanosecond: what has been renamed away and back is not the same.
type State = (Identity, (i64, i64));

#[cfg(unix)]
fn state(metadata: &Metadata) -> Option<State> {
    use cap_std::fs::MetadataExt;
    Some(((metadata.dev(), metadata.ino()), (metadata.ctime(), metadata.ctime_nsec())))
}

#[cfg(not(unix))]
fn state(_: &Metadata) -> Option<State> {
    None
}

/// What tells a file or folder from others.
pub(super) fn identity(metadata: &Metadata) -> Option<Identity> {
    state(metadata).map(|(identity, _)| identity)
}
