//! HTTP around the application: who may ask, how long a request may take, and hyper below it all.

mod connection;
mod guard;
mod host;
mod linger;
mod origin;
#[cfg(feature = "tls")]
mod secure;

pub use guard::{BadHost, BadOrigin};

pub(crate) use connection::{Phase, Serving, Settings, draining};
pub(crate) use guard::{Guard, ListenerKind};
