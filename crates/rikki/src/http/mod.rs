//! HTTP around the application: who may ask, how long a request may take, and hyper below it all.

mod access;
mod added;
mod answering;
mod caller;
mod config;
mod connection;
mod draining;
mod forwarded;
mod framing;
mod frequency;
mod guard;
#[cfg(feature = "tls")]
mod heads;
#[cfg(feature = "tls")]
mod http2;
mod idle;
mod linger;
#[cfg(feature = "tls")]
mod outgoing;
mod pace;
mod persistence;
mod refusal;
#[cfg(feature = "tls")]
mod secure;
#[cfg(all(feature = "files", target_os = "linux"))]
mod sending;
#[cfg(not(all(feature = "files", target_os = "linux")))]
#[path = "unsent.rs"]
mod sending;
mod serving;
mod site;
#[cfg(feature = "tls")]
mod stream;
mod turn;
mod unreadable;
mod upgraded;
mod watch;

pub use guard::BadHost;

pub(crate) use added::Readers;
pub(crate) use config::{Config, Limits, Shared, Wording};
pub(crate) use connection::Connection;
pub(crate) use draining::{Begin, Draining, draining};
pub(crate) use forwarded::Forwarding;
pub(crate) use guard::Guard;
pub(crate) use refusal::later;
#[cfg(feature = "tls")]
pub(crate) use secure::Handshakes;
pub(crate) use serving::{Serving, Terms};
pub(crate) use site::{Current, Site};
