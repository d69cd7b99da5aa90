//! The folder that is served, as it was opened.

use std::io;
use std::path::PathBuf;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata};

use super::denied::{Identity, identity};
use super::now;

/// A folder that is open, and how links may name it.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(super) dir: Dir,
    /// The path as it was named, absolute.
    pub(super) given: PathBuf,
    /// Without links.
    pub(super) real: PathBuf,
    /// `None` where there are none.
    pub(super) identity: Option<Identity>,
    /// Whether opening may have to wait though the name is in memory.
    pub(super) is_remote: bool,
}

impl Folder {
    /// Opens the folder, if what is in it may be opened. Blocks.
    pub(super) fn open(given: PathBuf) -> io::Result<Self> {
        let real = given.canonicalize()?;
        let dir = Dir::open_ambient_dir(&real, ambient_authority())?;
        // Not `Dir::metadata`, which may know the answer without asking.
        #[cfg(unix)]
        rustix::fs::statat(&dir, ".", rustix::fs::AtFlags::empty())?;
        let identity = identity(&Metadata::from_just_metadata(dir.try_clone()?.into_std_file().metadata()?));
        Ok(Self { identity, is_remote: now::is_remote(&dir), dir, given, real })
    }
}
