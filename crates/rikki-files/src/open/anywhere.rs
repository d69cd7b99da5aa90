//! Opening through symbolic links wherever they lead: from the root on, and from there on as any program does.
//!
//! All of this blocks.

use std::fs::File;
use std::io;
use std::path::Path;

use cap_std::fs::Dir;

/// Opens what `relative` leads to.
#[cfg(unix)]
pub(super) fn open(root: &Dir, relative: &Path) -> io::Result<File> {
    use rustix::fs::OFlags;
    unix::open(root, relative, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)
}

/// A handle to what `relative` leads to: for its metadata, not for its content.
#[cfg(target_os = "linux")]
pub(super) fn locate(root: &Dir, relative: &Path) -> io::Result<File> {
    unix::open(root, relative, rustix::fs::OFlags::PATH)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn locate(root: &Dir, relative: &Path) -> io::Result<File> {
    open(root, relative)
}

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    use cap_std::fs::Dir;
    use rustix::fs::{Mode, OFlags, openat};

    pub(super) fn open(root: &Dir, relative: &Path, flags: OFlags) -> io::Result<File> {
        Ok(openat(root, relative, flags | OFlags::CLOEXEC, Mode::empty())?.into())
    }
}

/// There is no handle of a folder to start from: links are followed below the root alone.
#[cfg(not(unix))]
pub(super) fn open(root: &Dir, relative: &Path) -> io::Result<File> {
    Ok(root.open(relative)?.into_std())
}
