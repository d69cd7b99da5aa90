//! Opening without waiting for a disk: what the kernel has in its cache of names, and nothing else.

use std::fs::File;
use std::io;
use std::path::Path;

use cap_std::fs::Dir;

use super::folder::Folder;
#[cfg(target_os = "linux")]
use super::links;
use crate::wait::Unmet;

/// Opens what `relative` leads to, without leaving `folder`, and through no name that is not served.
///
/// # Errors
///
/// [`Unmet::WouldWait`] if it takes a disk, or if it cannot be told.
#[cfg(target_os = "linux")]
pub(super) fn open(folder: &Folder, relative: &Path, hidden: bool) -> Result<File, Unmet> {
    use rustix::fs::{OFlags, ResolveFlags};
    // Another file system, mounted or linked to, may be one that has to be waited for.
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let open = |path: &Path| linux::open(&folder.dir, path, linux::READ, inside | ResolveFlags::NO_SYMLINKS);
    match open(relative) {
        Err(Unmet::Failed(error)) if linux::is_link(&error) => {}
        opened => return opened,
    }
    // If all of the way is in memory, then so are the links on it.
    linux::open(&folder.dir, relative, OFlags::PATH | OFlags::CLOEXEC, inside)?;
    let path = links::resolve(folder, relative, hidden, |link| linux::read_link(&folder.dir, link))?;
    // A link that has come meanwhile is for the other way to judge.
    open(&path).map_err(|unmet| match unmet {
        Unmet::Failed(error) if linux::is_link(&error) => Unmet::WouldWait,
        unmet => unmet,
    })
}

/// Opens without waiting like [`open`], through any link.
#[cfg(target_os = "linux")]
pub(super) fn open_anywhere(root: &Dir, relative: &Path) -> Result<File, Unmet> {
    linux::open(root, relative, linux::READ, rustix::fs::ResolveFlags::NO_XDEV)
}

/// Opens what `relative` leads to, which has no link in it, waiting as long as that takes. `None` where there is no
/// `openat2`.
///
/// # Errors
///
/// ELOOP if there is a link on the way.
#[cfg(target_os = "linux")]
pub(super) fn open_waiting(root: &Dir, relative: &Path) -> Option<io::Result<File>> {
    linux::open_waiting(root, relative)
}

/// A handle to what `path` leads to, wherever that is: for its metadata, not for its content.
///
/// # Errors
///
/// As those of [`open`].
#[cfg(target_os = "linux")]
pub(super) fn locate(path: &Path) -> Result<File, Unmet> {
    use rustix::fs::{CWD, OFlags, ResolveFlags};
    linux::open(CWD, path, OFlags::PATH | OFlags::CLOEXEC, ResolveFlags::empty())
}

/// Finds what is at a path where that may wait.
#[cfg(target_os = "linux")]
pub(super) fn locate_waiting(path: &Path) -> io::Result<File> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    Ok(openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?.into())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn locate_waiting(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Whether the file system of `root` asks another machine or process to open a file, even if it has the name in memory.
#[cfg(target_os = "linux")]
pub(super) fn is_remote(root: &Dir) -> bool {
    // From statfs(2): 9P, Ceph, CIFS, FUSE, NFS, SMB, SMB2.
    const REMOTE: [u32; 7] = [0x0102_1997, 0x00c3_6400, 0xff53_4d42, 0x6573_5546, 0x6969, 0x517b, 0xfe53_4d42];
    // One that cannot be asked is not trusted.
    rustix::fs::fstatfs(root).map_or(true, |system| REMOTE.contains(&(system.f_type as u32)))
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::OsString;
    use std::fs::File;
    use std::io;
    use std::os::unix::ffi::OsStringExt;
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use cap_std::fs::Dir;
    use rustix::fd::AsFd;
    use rustix::fs::{Mode, OFlags, ResolveFlags, openat2, readlinkat};
    use rustix::io::Errno;

    use crate::wait::Unmet;

    /// For reading, without waiting for the other end of a pipe.
    pub(super) const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

    /// Whether the kernel has no `openat2`.
    static MISSING: AtomicBool = AtomicBool::new(false);

    pub(super) fn open(folder: impl AsFd, path: &Path, flags: OFlags, resolve: ResolveFlags) -> Result<File, Unmet> {
        if MISSING.load(Relaxed) {
            return Err(Unmet::WouldWait);
        }
        let opened = openat2(folder, path, flags, Mode::empty(), resolve | ResolveFlags::CACHED);
        opened.map(File::from).map_err(|errno| match errno {
            Errno::NOSYS => {
                MISSING.store(true, Relaxed);
                Unmet::WouldWait
            }
            // Kernels before 5.12 do not know CACHED, and say that something is invalid. Sandboxes do not permit what
            // they do not know; but so may a file system that is a program, which says nothing of other files. What
            // leads to another file system, or out of the root, is for the other way to judge.
            Errno::AGAIN | Errno::INVAL | Errno::INTR | Errno::PERM | Errno::XDEV => Unmet::WouldWait,
            errno => Unmet::Failed(errno.into()),
        })
    }

    pub(super) fn open_waiting(root: &Dir, relative: &Path) -> Option<io::Result<File>> {
        if MISSING.load(Relaxed) {
            return None;
        }
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
        match openat2(root, relative, READ, Mode::empty(), inside) {
            // A sandbox may not know it.
            Err(Errno::NOSYS | Errno::PERM) => None,
            opened => Some(opened.map(File::from).map_err(Into::into)),
        }
    }

    /// Whether it failed because there is a link on the way.
    pub(super) fn is_link(error: &io::Error) -> bool {
        Errno::from_io_error(error) == Some(Errno::LOOP)
    }

    /// Where a link leads; `None` for what is none.
    pub(super) fn read_link(root: &Dir, path: &Path) -> io::Result<Option<PathBuf>> {
        match readlinkat(root, path, Vec::new()) {
            Ok(target) => Ok(Some(OsString::from_vec(target.into_bytes()).into())),
            Err(Errno::INVAL) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn open(_: &Folder, _: &Path, _: bool) -> Result<File, Unmet> {
    Err(Unmet::MayWait)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn open_anywhere(_: &Dir, _: &Path) -> Result<File, Unmet> {
    Err(Unmet::MayWait)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn open_waiting(_: &Dir, _: &Path) -> Option<io::Result<File>> {
    None
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_remote(_: &Dir) -> bool {
    true
}

#[cfg(not(target_os = "linux"))]
pub(super) fn locate(_: &Path) -> Result<File, Unmet> {
    Err(Unmet::MayWait)
}
