//! The folder that is served, as it was opened.

use std::io;
use std::path::PathBuf;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::now;

/// A folder that is open, and how links may name it.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) dir: Dir,
    /// As it was named, absolute.
    pub(super) given: PathBuf,
    /// Without links.
    pub(super) real: PathBuf,
    /// Whether opening may have to wait though the name is in memory.
    pub(super) is_remote: bool,
}

impl Folder {
    /// Opens the folder. Blocks.
    pub(super) fn open(given: PathBuf) -> io::Result<Self> {
        let real = given.canonicalize()?;
        let dir = Dir::open_ambient_dir(&real, ambient_authority())?;
        Ok(Self { is_remote: now::is_remote(&dir), dir, given, real })
    }
}
