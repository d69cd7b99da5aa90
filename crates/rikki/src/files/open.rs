//! Opening files below the root: what may be opened at all, and what a failure means to the client.
//!
//! Everything starts at the handle of the root, which was opened once. What is served is decided on the opened handle,
//! never on a path that was looked at before: a path can be swapped in between. All of this blocks.

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, OpenOptions};
use http::StatusCode;

use super::source::Source;

/// The folder that is served, and the files in it that are not.
#[derive(Clone, Debug)]
pub(super) struct Root {
    dir: Arc<Dir>,
    denied: Vec<Denied>,
}

/// What a path led to. Anything else (a FIFO, a socket, a device) counts as not found.
pub(super) enum Opened {
    File(Source),
    Folder(Dir),
}

/// Whether the disk may be waited for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wait {
    /// On the thread of a worker: no.
    No,
    /// On the blocking pool.
    Yes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// It takes waiting for the disk.
    WouldBlock,
    Status(StatusCode),
}

impl Failure {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::WouldBlock => StatusCode::SERVICE_UNAVAILABLE,
            Self::Status(status) => status,
        }
    }
}

impl From<StatusCode> for Failure {
    fn from(status: StatusCode) -> Self {
        Self::Status(status)
    }
}

impl Root {
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(|error| name_path(path, &error))?;
        Ok(Self { dir: Arc::new(dir), denied: Vec::new() })
    }

    pub(super) fn deny(&mut self, path: &Path) -> io::Result<()> {
        self.denied.extend(Denied::new(path).map_err(|error| name_path(path, &error))?);
        Ok(())
    }

    /// Opens what `relative` leads to, through symbolic links as long as they stay below the root.
    pub(super) fn open(&self, relative: &Path, wait: Wait) -> Result<Opened, Failure> {
        if wait == Wait::No {
            return Err(Failure::WouldBlock);
        }
        let opened = self.try_open(relative).map_err(|error| failure(&error, relative))?;
        opened.ok_or(StatusCode::NOT_FOUND.into())
    }

    fn try_open(&self, relative: &Path) -> io::Result<Option<Opened>> {
        let mut options = OpenOptions::new();
        options.read(true);
        // Opening a FIFO would otherwise wait for somebody to write to it.
        #[cfg(unix)]
        cap_std::fs::OpenOptionsExt::custom_flags(&mut options, rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        let file = self.dir.open_with(relative, &options)?;
        let metadata = file.metadata()?;
        let file = file.into_std();
        Ok(if metadata.is_dir() {
            Some(Opened::Folder(Dir::from_std_file(file)))
        } else if metadata.is_file() && !self.denials().covers(&metadata) {
            Some(Opened::File(Source::new(file, &metadata)))
        } else {
            None
        })
    }

    /// The metadata of what `relative` leads to, through symbolic links that stay below the root.
    pub(super) fn metadata(&self, relative: &Path) -> io::Result<Metadata> {
        self.dir.metadata(relative)
    }

    /// The files that are denied at this moment.
    pub(super) fn denials(&self) -> Denials {
        Denials(self.denied.iter().flat_map(|denied| [Some(denied.identity), denied.current()]).flatten().collect())
    }
}

/// A file that is not served under any name.
#[derive(Clone, Debug)]
struct Denied {
    /// Absolute. A key that is renewed is usually a new file under the old name: both stay denied.
    path: Arc<Path>,
    identity: Identity,
    /// Kept open, so that the identity is not given to another file.
    _file: Arc<fs::File>,
}

impl Denied {
    /// `None` for what is no regular file: it is never served anyway, and opening a pipe would take from it.
    fn new(path: &Path) -> io::Result<Option<Self>> {
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

    fn current(&self) -> Option<Identity> {
        identity(&Metadata::from_just_metadata(fs::metadata(&self.path).ok()?))
    }
}

/// The identities that are denied at one moment.
pub(super) struct Denials(Vec<Identity>);

impl Denials {
    pub(super) fn covers(&self, metadata: &Metadata) -> bool {
        !self.0.is_empty() && identity(metadata).is_none_or(|identity| self.0.contains(&identity))
    }
}

/// Device and inode: the same for every name and link of a file.
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<Identity> {
    use cap_std::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<Identity> {
    None
}

/// For the operator, at start: an error that names the path.
fn name_path(path: &Path, error: &io::Error) -> io::Error {
    let reason = match error.kind() {
        io::ErrorKind::NotADirectory => "not a directory".to_owned(),
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), format!("{}: {reason}", path.display()))
}

pub(super) fn failure(error: &io::Error, relative: &Path) -> Failure {
    Failure::Status(status_of(error, relative))
}

/// What the client is told about an error, and nobody but the log about its cause.
pub(super) fn status_of(error: &io::Error, relative: &Path) -> StatusCode {
    let status = classify(error);
    if status.is_server_error() {
        tracing::warn!(path = ?relative, %error, status = status.as_u16(), "a file could not be served");
    }
    status
}

fn classify(error: &io::Error) -> StatusCode {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound | Kind::NotADirectory | Kind::InvalidFilename => StatusCode::NOT_FOUND,
        // cap-std's own error, without a number: the path led out of the root.
        Kind::PermissionDenied if error.raw_os_error().is_none() => StatusCode::NOT_FOUND,
        Kind::PermissionDenied => StatusCode::FORBIDDEN,
        // The file shrank between its size and its content were read, or resources ran out: worth another try.
        Kind::UnexpectedEof | Kind::OutOfMemory | Kind::WouldBlock | Kind::Interrupted => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => classify_number(error),
    }
}

/// The errors that the standard library has no name for.
#[cfg(unix)]
fn classify_number(error: &io::Error) -> StatusCode {
    use rustix::io::Errno;
    match Errno::from_io_error(error) {
        // No loop of links, no socket, no name that this file system cannot have is a file.
        Some(Errno::LOOP | Errno::NXIO | Errno::NODEV | Errno::ILSEQ | Errno::INVAL) => StatusCode::NOT_FOUND,
        Some(Errno::MFILE | Errno::NFILE) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(not(unix))]
fn classify_number(_: &io::Error) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

#[cfg(all(test, unix))]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[track_caller]
    fn check(errno: Errno, expected: u16) {
        assert_eq!(classify(&errno.into()).as_u16(), expected, "{errno:?}");
    }

    #[test]
    fn what_an_error_means_to_the_client() {
        check(Errno::NOENT, 404);
        check(Errno::NOTDIR, 404);
        check(Errno::LOOP, 404);
        check(Errno::NAMETOOLONG, 404);
        check(Errno::NXIO, 404);
        check(Errno::ILSEQ, 404);
        check(Errno::ACCESS, 403);
        check(Errno::PERM, 403);
        check(Errno::MFILE, 503);
        check(Errno::NFILE, 503);
        check(Errno::NOMEM, 503);
        check(Errno::AGAIN, 503);
        check(Errno::IO, 500);
        check(Errno::STALE, 500);
    }

    #[test]
    fn the_root_must_be_a_folder() {
        let file = std::env::current_exe().unwrap();
        let error = Root::new(&file).unwrap_err();
        assert_eq!(error.to_string(), format!("{}: not a directory", file.display()));
        let error = Root::new(&file.join("missing")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
        let error = Root::new(Path::new("/no/such/folder")).unwrap_err();
        assert_eq!(error.to_string(), "/no/such/folder: no such file or directory");
    }
}
