//! Whether to wait for a disk.

/// Whether the disk may be waited for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wait {
    /// On the thread of a worker: no.
    No,
    /// On the blocking pool.
    Yes,
}
