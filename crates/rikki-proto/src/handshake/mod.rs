//! The opening handshake (RFC 6455 section 4), for both roles.
//!
//! It judges requests and responses that somebody else has parsed: hyper on a server, any HTTP/1.1 parser on a client.
//! What a server thinks of the `Origin`, and how many bytes a request head may have, is left to that server.
//!
//! - [`accept`]: the server role, from the parts of a request to the 101 response or to a [`Refusal`].
//! - [`ClientHandshake`]: the client role, from a nonce to a request and to a verified response.

mod client;
mod fields;
mod server;
mod subprotocol;

pub(crate) use fields::is_tchar;

pub use client::{ClientHandshake, Established, HandshakeError};
pub use server::{Accepted, Refusal, accept};
pub use subprotocol::{InvalidSubprotocol, Subprotocol};
