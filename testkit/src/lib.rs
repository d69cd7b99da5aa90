//! What tests of several crates need, and none of what they test: frames of a client, certificates, whom a client
//! trusts, what the documentation shows, a nats-server.
//!
//! Its functions panic on what cannot be: they are called by tests alone.

mod frame;
mod nats;
mod snippets;
#[cfg(feature = "tls")]
mod tls;

pub use frame::{frame, frame_with, header};
pub use nats::NatsServer;
pub use snippets::{Snippet, snippets};
#[cfg(feature = "tls")]
pub use tls::{Certificate, credulous, key, trusting};
