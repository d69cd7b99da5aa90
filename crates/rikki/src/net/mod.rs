//! What a connection is made of, whatever kind of socket it came by.

mod peer;

pub use peer::Peer;
