//! HTTP around the application: who may ask, how long a request may take, and hyper below it all.

mod access;
mod added;
mod connection;
mod guard;
mod host;
mod linger;
mod origin;
mod pace;
#[cfg(feature = "tls")]
mod secure;
#[cfg(feature = "tls")]
mod stream;

pub use guard::{BadHost, BadOrigin};

pub(crate) use connection::{Connection, Phase, Serving, Settings, draining};
pub(crate) use guard::{Guard, ListenerKind};
pub(crate) use pace::{MinRate, PacedIo};
