//! Files that are not served under any name.

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use cap_std::fs::Metadata;

use super::now;

/// A file that is not served under any name.
#[derive(Clone, Debug)]
pub(super) struct Denied {
    /// Absolute. A key that is renewed is usually a new file under the old name: both stay denied.
    path: Arc<Path>,
    identity: Identity,
    /// Kept open, so that the identity is not given to another file.
    _file: Arc<fs::File>,
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
        let identity = identity(&Metadata::from_file(&file)?)
            .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "files have no identity on this platform"))?;
        Ok(Some(Self { path: std::path::absolute(path)?.into(), identity, _file: Arc::new(file) }))
    }

    /// What is under the name now. Blocks.
    fn current(&self) -> Option<Identity> {
        identity(&Metadata::from_just_metadata(fs::metadata(&self.path).ok()?))
    }

    /// As [`Denied::current`], without blocking.
    fn current_now(&self) -> io::Result<Option<Identity>> {
        match now::locate(&self.path).and_then(|file| file.metadata()) {
            Ok(metadata) => Ok(identity(&Metadata::from_just_metadata(metadata))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            // If it is for want of a descriptor, say, the other way needs none.
            Err(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// The identities that are denied at one moment.
pub(in crate::files) struct Denials(Vec<Identity>);

impl Denials {
    /// Blocks.
    pub(super) fn new(denied: &[Denied]) -> Self {
        Self(denied.iter().flat_map(|denied| [Some(denied.identity), denied.current()]).flatten().collect())
    }

    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] if finding out takes a disk.
    pub(super) fn now(denied: &[Denied]) -> io::Result<Self> {
        let mut identities = Vec::new();
        for denied in denied {
            identities.push(denied.identity);
            identities.extend(denied.current_now()?);
        }
        Ok(Self(identities))
    }

    pub(in crate::files) fn covers(&self, metadata: &Metadata) -> bool {
        !self.0.is_empty() && identity(metadata).is_none_or(|identity| self.0.contains(&identity))
    }
}

/// Device and inode: the same for every name and link of a file.
pub(super) type Identity = (u64, u64);

#[cfg(unix)]
pub(super) fn identity(metadata: &Metadata) -> Option<Identity> {
    use cap_std::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
pub(super) fn identity(_: &Metadata) -> Option<Identity> {
    None
}
