//! Whether to wait for a disk, and what comes of it if not.

use std::io;

/// Whether the disk may be waited for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wait {
    /// On the thread of a worker: no.
    No,
    /// On the blocking pool.
    Yes,
}

/// Why nothing came of looking at a file.
#[derive(Debug)]
pub(super) enum Unmet {
    /// It takes waiting for the disk, which was not to be: something for the blocking pool.
    WouldWait,
    /// Whether it takes that cannot be told.
    MayWait,
    /// It cannot be done.
    Failed(io::Error),
}

impl Unmet {
    /// What to say where waiting was allowed: then nothing but a failure stands in the way.
    pub(super) fn into_error(self) -> io::Error {
        match self {
            Self::Failed(error) => error,
            Self::WouldWait | Self::MayWait => io::ErrorKind::WouldBlock.into(),
        }
    }
}

impl From<io::Error> for Unmet {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}
