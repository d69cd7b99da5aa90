//! Whom a line of the log is about.

use crate::net::Peer;
use crate::ws::ConnectionId;

/// A request, and from whom it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    /// The connection it has come on.
    pub(super) id: ConnectionId,
    /// Which of the connection's requests it is, from 1.
    pub(super) request: u32,
    pub(super) peer: Peer,
}
