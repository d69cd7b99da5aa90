#![doc = include_str!("../README.md")]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod broker;
#[cfg(feature = "axum")]
mod browser;
#[cfg(feature = "axum")]
mod centrifugo;
mod config;
mod counters;
mod cursor;
mod due;
mod envelope;
mod error;
mod fan_out;
mod history;
mod hub;
mod item;
mod keys;
mod looking;
mod name;
mod options;
mod position;
mod presence;
mod publish;
mod reconfigured;
mod ring;
mod shared;
mod socket;
mod status;
mod subscription;
mod table;
mod topic;
mod topics;
#[cfg(feature = "axum")]
mod url;
mod wait;

pub use broker::{Broker, Inlet, InletBounds, Look, Memory, Published, Publishing, WeakInlet};
#[cfg(feature = "axum")]
pub use browser::{browser_module, browser_types};
#[cfg(feature = "axum")]
pub use centrifugo::{Admitted, Call, CallError, Centrifugo, Shown};
pub use config::{Policy, PresenceMode, TopicConfig, TopicsConfig};
pub use counters::TopicCounters;
pub use error::{PublishError, SubscribeError};
pub use history::History;
pub use name::{BadName, Pattern};
pub use options::SubscribeOptions;
pub use position::{BadPosition, Epoch, From, Position};
pub use presence::{Elsewhere, Identity, Member, PresenceChange, Present};
pub use publish::{Publish, PublishFuture};
pub use reconfigured::Reconfigured;
pub use socket::Subscribe;
pub use status::BrokerStatus;
pub use subscription::{Delivered, Subscription, Update};
pub use topic::Joined;
pub use topics::Topics;
#[cfg(feature = "axum")]
pub use url::{Action, Denied, TopicUrl};

/// What the fuzzer and the server of `rikki` need: no part of the interface, and it changes without notice.
#[doc(hidden)]
pub mod internal {
    #[cfg(feature = "axum")]
    pub use crate::centrifugo::internal::{is_command, value};
    pub use crate::hub::TopicSize;
}
