//! What tells one state of a file from another.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, SystemTime};

use cap_std::fs::Metadata;

/// A file that changed within this time may change again without its times showing it: 2 seconds is how exact the times
/// of FAT are.
pub(super) const SETTLED: Duration = Duration::from_secs(2);

/// What tells one state of a file from another, read off the open file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// In bytes.
    pub(super) length: u64,
    pub(super) modified: Option<SystemTime>,
    /// When the content, the length, the owner or a name changed last. Unlike the time of modification, nobody sets it.
    pub(super) changed: Option<SystemTime>,
    /// 0 where there are none.
    pub(super) inode: u64,
    /// 0 where there are none.
    pub(super) device: u64,
}

impl Facts {
    pub(super) fn new(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok().map(cap_std::time::SystemTime::into_std);
        let facts = Self { length: metadata.len(), modified, ..Self::default() };
        facts.of_system(metadata)
    }

    #[cfg(unix)]
    fn of_system(self, metadata: &Metadata) -> Self {
        use cap_std::fs::MetadataExt;
        let seconds = u64::try_from(metadata.ctime()).ok().map(Duration::from_secs);
        let nanoseconds = u64::try_from(metadata.ctime_nsec()).ok().map(Duration::from_nanos);
        let since_epoch = seconds.zip(nanoseconds).and_then(|(s, ns)| s.checked_add(ns));
        let changed = since_epoch.and_then(|time| SystemTime::UNIX_EPOCH.checked_add(time));
        Self { changed, inode: metadata.ino(), device: metadata.dev(), ..self }
    }

    #[cfg(not(unix))]
    fn of_system(self, _: &Metadata) -> Self {
        Self { changed: self.modified, ..self }
    }

    /// Tells one state from another.
    pub(super) fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.inode, self.modified, self.changed).hash(&mut hasher);
        hasher.finish()
    }

    /// Whether another change would show in the facts.
    pub(super) fn are_settled(&self) -> bool {
        self.changed.is_some_and(|changed| changed.elapsed().is_ok_and(|age| age > SETTLED))
    }
}
