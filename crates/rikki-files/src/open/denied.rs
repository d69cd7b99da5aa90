//! Files that are not served under any name.

use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};
use std::{fs, io};

use cap_std::fs::Metadata;

use super::now;
use crate::wait::Unmet;

/// How many files that have been under a name stay denied. Each is kept open for that, so that its identity is given to
/// no other file, whatever name it has now.
const REMEMBERED: usize = 16;

/// How many names there are at most with those that were denied before a reload.
const KEPT: usize = 64;

/// How long a folder has to be left alone before its time tells of every change: two that come within one tick of the
/// system's clock leave the same time.
const SETTLED: Duration = Duration::from_secs(1);

/// A name whose files are not served under any name: its own, or those that are in the folder of that name.
#[derive(Clone, Debug)]
pub(super) struct Denied {
    /// Absolute. A key that is renewed is usually a new file under the old name: all of them stay denied.
    path: Arc<Path>,
    is_folder: bool,
    seen: Arc<Mutex<Seen>>,
    /// Held while a folder is read, so that what was read first does not come last.
    reading: Arc<Mutex<()>>,
}

/// What was seen under it.
#[derive(Debug)]
struct Seen {
    last: Option<State>,
    /// The latest last.
    files: VecDeque<Pinned>,
    /// What is in a folder, and for a second also what was.
    inside: HashSet<Identity>,
    /// Whether the folder has been read since it changed last, as far as that can be told.
    is_settled: bool,
    /// Whether it could not be read: anything may be in there.
    is_unknown: bool,
}

#[derive(Debug)]
struct Pinned {
    identity: Identity,
    _file: fs::File,
}

impl Denied {
    /// `None` for what is neither a regular file nor a folder: it is never served anyway, and opening a pipe would take
    /// from it.
    pub(super) fn new(path: &Path) -> io::Result<Option<Self>> {
        let metadata = fs::metadata(path)?;
        let is_folder = metadata.is_dir();
        if !is_folder && !metadata.is_file() {
            return Ok(None);
        }
        let file = fs::File::open(path)?;
        let last = state(&Metadata::from_file(&file)?)
            .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "files have no identity on this platform"))?;
        let mut seen = Seen {
            last: Some(last),
            files: VecDeque::new(),
            inside: HashSet::new(),
            is_settled: false,
            is_unknown: false,
        };
        if !is_folder {
            seen.files.push_back(Pinned { identity: last.0, _file: file });
        }
        let path = std::path::absolute(path)?.into();
        let denied = Self { path, is_folder, seen: Arc::new(Mutex::new(seen)), reading: Arc::default() };
        if is_folder {
            denied.look_inside();
        }
        Ok(Some(denied))
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
        if self.is_folder {
            return self.look_inside();
        }
        self.remember(now::locate_waiting(&self.path).ok())
    }

    /// Reads the folder if it has changed since, or may have.
    fn look_inside(&self) -> Option<State> {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        // Before it is read: what comes later is a change.
        let now = now::locate_waiting(&self.path).ok().and_then(|folder| state(&Metadata::from_file(&folder).ok()?));
        if self.seen().is_settled_at(now) {
            return now;
        }
        let is_settled = now.is_some_and(|(_, (seconds, nanoseconds))| is_past(seconds, nanoseconds));
        let inside = inside(&self.path);
        let mut seen = self.seen();
        (seen.last, seen.is_settled, seen.is_unknown) = (now, is_settled && inside.is_ok(), inside.is_err());
        if is_settled {
            seen.inside.clear();
        }
        seen.inside.extend(inside.into_iter().flatten());
        now
    }

    /// Looks at the file like [`Denied::look`], without blocking. A folder that has to be read takes a disk.
    fn look_now(&self) -> Result<Option<State>, Unmet> {
        match now::locate(&self.path) {
            Ok(folder) if self.is_folder => {
                let now = Metadata::from_file(&folder).ok().and_then(|metadata| state(&metadata));
                if self.seen().is_settled_at(now) { Ok(now) } else { Err(Unmet::WouldWait) }
            }
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
        self.is_unknown || self.files.iter().any(|held| held.identity == identity) || self.inside.contains(&identity)
    }

    fn is_settled_at(&self, now: Option<State>) -> bool {
        self.is_settled && now.is_some() && self.last == now
    }
}

/// The files that are in a folder, and the folder itself, whose names are nobody's business either.
fn inside(path: &Path) -> io::Result<Vec<Identity>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let of = |metadata: io::Result<fs::Metadata>| match metadata {
        Ok(metadata) => Ok(identity(&Metadata::from_just_metadata(metadata))),
        // It went meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let mut all = Vec::from_iter(of(fs::metadata(path))?);
    for entry in entries {
        all.extend(of(entry?.metadata())?);
    }
    Ok(all)
}

fn is_past(seconds: i64, nanoseconds: i64) -> bool {
    let since = Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanoseconds).unwrap_or(0));
    UNIX_EPOCH.checked_add(since).and_then(|time| time.elapsed().ok()).is_some_and(|age| age > SETTLED)
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
