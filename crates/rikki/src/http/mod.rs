//! HTTP around the application: who may ask, how long a request may take, and hyper below it all.

mod access;
mod added;
mod connection;
mod framing;
mod frequency;
mod guard;
#[cfg(feature = "tls")]
mod heads;
mod host;
#[cfg(feature = "tls")]
mod http2;
mod idle;
mod linger;
mod origin;
#[cfg(feature = "tls")]
mod outgoing;
mod pace;
mod refusal;
#[cfg(feature = "tls")]
mod secure;
#[cfg(feature = "tls")]
mod stream;
mod turn;
mod unreadable;
mod watch;

pub use guard::{BadHost, BadOrigin};

pub(crate) use connection::{Connection, Phase, Serving, Settings, draining};
pub(crate) use frequency::Frequency;
pub(crate) use guard::{Guard, ListenerKind};
#[cfg(feature = "tls")]
pub(crate) use outgoing::Http2Memory;
pub(crate) use pace::{MinRate, PacedIo};
pub(crate) use refusal::later;
pub(crate) use watch::Socket;
