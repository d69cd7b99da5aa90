//! Which connection it is.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Which connection it is, among all that a process has had: for logs, and as a key of maps.
///
/// A WebSocket under rikki's own server has that of the connection on which it was asked for, which lines of the log
/// about its requests name too; under another server, and as a client, it has one of its own. They are counted from 1,
/// servers' and clients' together, and no two WebSockets have the same: at a million new ones in a second they last for
/// half a million years. It is no secret, and tells whoever sees it how many there have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(NonZeroU64);

impl ConnectionId {
    /// One that nobody has had.
    #[doc(hidden)]
    pub fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(NonZeroU64::MIN.saturating_add(LAST.fetch_add(1, Relaxed)))
    }

    /// The number alone.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<ConnectionId> for u64 {
    fn from(id: ConnectionId) -> Self {
        id.get()
    }
}
