//! Opening below the folder alone, where it may wait.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, Metadata, OpenOptions};

use super::folder::Folder;
use super::{links, now};

/// Opens what `relative` leads to, through no name that is not served. By `openat2` where there is one, and elsewhere
/// step by step.
pub(super) fn open(folder: &Folder, relative: &Path, hidden: bool) -> io::Result<File> {
    if let Some(opened) = now::open_waiting(&folder.dir, relative)
        && !opened.as_ref().is_err_and(is_link)
    {
        return opened;
    }
    let path = resolve(folder, relative, hidden)?;
    let opened = now::open_waiting(&folder.dir, &path).unwrap_or_else(|| open_by_steps(&folder.dir, &path));
    // A link that has come meanwhile: worth another try.
    opened.map_err(|error| if is_link(&error) { io::ErrorKind::Interrupted.into() } else { error })
}

/// The metadata of what `relative` leads to.
pub(super) fn metadata(folder: &Folder, relative: &Path, hidden: bool) -> io::Result<Metadata> {
    folder.dir.symlink_metadata(resolve(folder, relative, hidden)?)
}

fn resolve(folder: &Folder, relative: &Path, hidden: bool) -> io::Result<PathBuf> {
    links::resolve(folder, relative, hidden, |path| match folder.dir.symlink_metadata(path)?.is_symlink() {
        true => folder.dir.read_link_contents(path).map(Some),
        false => Ok(None),
    })
}

/// Where there is no `openat2`: without following a link at the end, and within `dir` all the same.
pub(super) fn open_by_steps(dir: &Dir, path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    // Opening a FIFO would otherwise wait for somebody to write to it.
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
        cap_std::fs::OpenOptionsExt::custom_flags(&mut options, flags.bits().cast_signed());
    }
    Ok(dir.open_with(path, &options)?.into_std())
}

#[cfg(unix)]
pub(super) fn is_link(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP)
}

#[cfg(not(unix))]
pub(super) fn is_link(_: &io::Error) -> bool {
    false
}
