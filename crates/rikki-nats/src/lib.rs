#![doc = include_str!("../README.md")]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod broker;
mod catch_up;
mod chain;
mod come;
mod config;
mod counters;
#[cfg(test)]
mod fake;
mod follow;
mod generation;
mod kept;
mod lane;
mod link;
mod own;
mod passing_on;
mod presence;
mod publishing;
mod requests;
mod stream;
mod subject;
mod supervise;
mod wire;

pub use broker::{Nats, NotStarted};
pub use config::{BadConfig, NatsConfig};
pub use own::StreamConfig;
