#![doc = include_str!("../README.md")]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

#[cfg(feature = "admin")]
pub mod admin;
mod counters;
mod http;
mod live;
mod net;
#[cfg(feature = "admin")]
mod pulse;
mod server;
#[cfg(feature = "tls")]
mod tls;

/// The axum that routes, extractors and responses are of, so that an application need not depend on it by itself.
#[doc(no_inline)]
pub use axum;
pub use counters::Counters;
pub use http::BadHost;
pub use live::{BudgetUse, Monitor, Stage};
pub use net::Peer;
#[cfg(feature = "files")]
pub use rikki_files::Files;
pub use rikki_limits::{BadLimit, BadNumber, Hint, Limit, Unit};
#[cfg(feature = "topics")]
#[doc(inline)]
pub use rikki_topics as topics;
#[doc(inline)]
pub use rikki_ws as ws;
#[cfg(feature = "tls")]
pub use rikki_ws::TlsError;
#[cfg(feature = "client")]
pub use rikki_ws::client;
pub use rikki_ws::{BadOrigin, testing};
pub use server::{Bound, Handle, Listen, ListenUrl, Memory, Reload, Server, StartError};
#[cfg(feature = "acme")]
pub use tls::Acme;
#[cfg(feature = "tls")]
pub use {
    server::Reloaded,
    tls::{ClientCertificate, ServerTls},
};
