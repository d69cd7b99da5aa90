//! What a failure to open or read a file means to the client.

use std::io;
use std::path::Path;

use http::StatusCode;

use rikki_limits::Seldom;

use crate::wait::Unmet;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It takes waiting for the disk.
    WouldBlock,
    Status(StatusCode),
}

impl Failure {
    pub(crate) fn status(self) -> StatusCode {
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

pub(crate) fn failure(unmet: Unmet, relative: &Path) -> Failure {
    match unmet {
        Unmet::WouldWait | Unmet::MayWait => Failure::WouldBlock,
        Unmet::Failed(error) => Failure::Status(status_of(&error, relative)),
    }
}

/// What the client is told about an error, and nobody but the log about its cause.
pub(crate) fn status_of(error: &io::Error, relative: &Path) -> StatusCode {
    static LINES: Seldom<StatusCode> = Seldom::new();
    let status = classify(error);
    // Whoever wants to can ask for as many of these as for anything.
    if status.is_server_error()
        && let Some(left_out) = LINES.turn(status)
    {
        let when = if status == StatusCode::SERVICE_UNAVAILABLE { " now" } else { "" };
        tracing::warn!(path = ?relative, %error, status = status.as_u16(), left_out, "a file could not be served{when}");
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
        Kind::UnexpectedEof
        | Kind::OutOfMemory
        | Kind::ResourceBusy
        | Kind::WouldBlock
        | Kind::Interrupted
        | Kind::TimedOut => StatusCode::SERVICE_UNAVAILABLE,
        _ => classify_number(error),
    }
}

/// The errors that the standard library has no name for.
#[cfg(unix)]
fn classify_number(error: &io::Error) -> StatusCode {
    use rustix::io::Errno;
    match Errno::from_io_error(error) {
        // No loop of links, no socket, no name that this file system cannot have and nothing outside the root is a
        // file.
        Some(Errno::LOOP | Errno::NXIO | Errno::NODEV | Errno::ILSEQ | Errno::INVAL | Errno::XDEV) => {
            StatusCode::NOT_FOUND
        }
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
        check(Errno::XDEV, 404);
        check(Errno::NAMETOOLONG, 404);
        check(Errno::NXIO, 404);
        check(Errno::ILSEQ, 404);
        check(Errno::ACCESS, 403);
        check(Errno::PERM, 403);
        check(Errno::MFILE, 503);
        check(Errno::NFILE, 503);
        check(Errno::NOMEM, 503);
        check(Errno::AGAIN, 503);
        check(Errno::TIMEDOUT, 503);
        check(Errno::BUSY, 503);
        check(Errno::IO, 500);
        check(Errno::STALE, 500);
    }
}
