//! Opening without waiting for a disk: what the kernel has in its cache of names, and nothing else.

use std::fs::File;
use std::io;
use std::path::Path;

use cap_std::fs::Dir;

/// Opens what `relative` leads to, without leaving `root` unless it may lead `anywhere`.
///
/// # Errors
///
/// [`io::ErrorKind::WouldBlock`] if it takes a disk, or if it cannot be told.
#[cfg(target_os = "linux")]
pub(super) fn open(root: &Dir, relative: &Path, anywhere: bool) -> io::Result<File> {
    use rustix::fs::{OFlags, ResolveFlags};
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    linux::open(root, relative, flags, if anywhere { ResolveFlags::empty() } else { inside })
}

/// A handle to what `path` leads to, wherever that is: for its metadata, not for its content.
///
/// # Errors
///
/// As those of [`open`].
#[cfg(target_os = "linux")]
pub(super) fn locate(path: &Path) -> io::Result<File> {
    use rustix::fs::{CWD, OFlags, ResolveFlags};
    linux::open(CWD, path, OFlags::PATH | OFlags::CLOEXEC, ResolveFlags::empty())
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use rustix::fd::AsFd;
    use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
    use rustix::io::Errno;

    /// Whether the kernel has no `openat2`.
    static MISSING: AtomicBool = AtomicBool::new(false);

    pub(super) fn open(folder: impl AsFd, path: &Path, flags: OFlags, resolve: ResolveFlags) -> io::Result<File> {
        if MISSING.load(Relaxed) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let opened = openat2(folder, path, flags, Mode::empty(), resolve | ResolveFlags::CACHED);
        opened.map(File::from).map_err(|errno| match errno {
            Errno::NOSYS => {
                MISSING.store(true, Relaxed);
                io::ErrorKind::WouldBlock.into()
            }
            // Kernels before 5.12 do not know CACHED, and say that something is invalid. Sandboxes do not permit what they
            // do not know; but so may a file system that is a program, which says nothing of other files.
            Errno::AGAIN | Errno::INVAL | Errno::INTR | Errno::PERM => io::ErrorKind::WouldBlock.into(),
            errno => errno.into(),
        })
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn open(_: &Dir, _: &Path, _: bool) -> io::Result<File> {
    Err(io::ErrorKind::WouldBlock.into())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn locate(_: &Path) -> io::Result<File> {
    Err(io::ErrorKind::WouldBlock.into())
}
