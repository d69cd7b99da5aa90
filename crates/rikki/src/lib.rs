#![doc = include_str!("../README.md")]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod client;
mod counters;
mod files;
mod http;
mod live;
mod memory;
mod server;
#[cfg(feature = "tls")]
mod tls;
pub mod ws;

pub use counters::Counters;
pub use files::Files;
pub use http::BadHost;
pub use live::{BudgetUse, Monitor};
pub use memory::Memory;
pub use rikki_limits::{BadLimit, BadNumber, Limit, Unit};
pub use server::{Bound, Handle, ListenUrl, Server, StartError};
#[cfg(feature = "tls")]
pub use tls::{ClientCertificate, Tls, TlsError};
pub use ws::BadOrigin;
