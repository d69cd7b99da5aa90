//! Sockets that listen at a path of the file system.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, SockRef, Socket, Type};

/// What the system may spend on what the client has not taken yet, in bytes: Linux doubles it, fills it with one piece
/// and takes the next when all of that has gone, so that progress of writing shows in steps of 8 KiB, as it does on
/// TCP. By default steps are of 200 KiB, in which the slowest client of a body would be taken for one that takes
/// nothing.
const SEND_BUFFER: usize = 4 * 1024;

/// The send buffer of a WebSocket, in bytes: the kernel doubles it, to what Linux gives by default.
const WEBSOCKET_SEND_BUFFER: usize = 104 * 1024;

/// How many names are tried for a socket that does not listen yet. Those that are taken were left by a process with our
/// number that was killed at that moment.
const NAMES: u32 = 16;

/// The name of a socket in its folder, removed when dropped if it is still that of our socket.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        // The folder of the process may be another one when it ends.
        Ok(Self { path: std::path::absolute(path)?, device: found.dev(), inode: found.ino() })
    }

    fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_ours() {
            // It is found to be stale by whoever listens there next.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens at a path, where a socket that nobody listens on any more is replaced. Whoever finds the socket there can
/// connect, and has the permissions of `mode` to do so, or what the process's umask leaves of all: it has another name
/// until then.
pub(super) fn listen(path: &Path, mode: Option<u32>, backlog: i32) -> io::Result<(SocketFile, UnixListener)> {
    let is_free = look(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let (mut file, name) = bind(&socket, path)?;
    if let Some(mode) = mode {
        fs::set_permissions(&name, Permissions::from_mode(mode))?;
    }
    socket.listen(backlog)?;
    if is_free {
        // Unlike renaming it fails where somebody has come in between.
        fs::hard_link(&name, path).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => ErrorKind::AddrInUse.into(),
            _ => error,
        })?;
        fs::remove_file(&name)?;
    } else {
        fs::rename(&name, path)?;
    }
    file.path = std::path::absolute(path)?;
    Ok((file, socket.into()))
}

/// Whether a path is free; if not, it has a socket that nobody listens on.
fn look(path: &Path) -> io::Result<bool> {
    // At first, since it fails where the path is too long to connect to.
    let address = SockAddr::unix(path)?;
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => return Err(io::Error::new(ErrorKind::AlreadyExists, "there is something else, which is no socket")),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    }
    let client = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // One whose queue is full would be waited for.
    client.set_nonblocking(true)?;
    match client.connect(&address) {
        Ok(()) => Err(ErrorKind::AddrInUse.into()),
        Err(error) => match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => Ok(false),
            ErrorKind::WouldBlock => Err(ErrorKind::AddrInUse.into()),
            _ => Err(error),
        },
    }
}

/// Binds a socket to a name in the folder of `path`.
fn bind(socket: &Socket, path: &Path) -> io::Result<(SocketFile, PathBuf)> {
    let mut taken = io::Error::from(ErrorKind::AddrInUse);
    for number in 0..NAMES {
        // Short, since the names of sockets may be little longer than a hundred bytes, their folder included.
        let name = path.with_file_name(format!(".{:x}-{number:x}", std::process::id()));
        match socket.bind(&SockAddr::unix(&name)?) {
            Ok(()) => return Ok((SocketFile::of(&name)?, name)),
            Err(error) if error.kind() == ErrorKind::AddrInUse => taken = error,
            Err(error) => return Err(error),
        }
    }
    Err(taken)
}

/// To be done for each connection: it inherits nothing.
pub(super) fn prepare(stream: &impl AsFd) -> io::Result<()> {
    SockRef::from(stream).set_send_buffer_size(SEND_BUFFER)
}

/// For one that is a WebSocket from now on, whose progress is seen by its own means: as much as the system gives by
/// default.
pub(crate) fn widen(stream: &impl AsFd) {
    // A small one does as well, at more system calls.
    let _ = SockRef::from(stream).set_send_buffer_size(WEBSOCKET_SEND_BUFFER);
}
