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
    // Another file system, mounted or linked to, may be one that has to be waited for.
    linux::open(root, relative, flags, ResolveFlags::NO_XDEV | if anywhere { ResolveFlags::empty() } else { inside })
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
            // What leads to another file system, or out of the root, is for the other way to judge.
            Errno::AGAIN | Errno::INVAL | Errno::INTR | Errno::PERM | Errno::XDEV => io::ErrorKind::WouldBlock.into(),
            errno => errno.into(),
        })
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn open(_: &Dir, _: &Path, _: bool) -> io::Result<File> {
    Err(io::ErrorKind::WouldBlock.into())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_remote(_: &Dir) -> bool {
    true
}

#[cfg(not(target_os = "linux"))]
pub(super) fn locate(_: &Path) -> io::Result<File> {
    Err(io::ErrorKind::WouldBlock.into())
}
