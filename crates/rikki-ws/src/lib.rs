//! WebSockets on tokio, in two styles: callbacks and async streams. This is the engine of the server `rikki`, which has
//! it as `rikki::ws`.
//!
//! - [`Handler`]: callbacks with borrowed messages, for servers that count every microsecond. A closure is one.
//! - [`WebSocket`]: a `Stream` and `Sink`, for any axum application on any tokio runtime, by way of `Upgrade` (feature
//!   `axum`, on by default), or as a client, by way of `client` (feature `client`).
//! - [`Sender`]: sends to either from any thread or task at any time. A [`Group`] sends to many of them, and closes them.
//!
//! The protocol is `rikki-proto`'s; here it gets a socket, a clock and a bounded queue. Who may open a WebSocket is
//! judged here too; HTTP around it is the server's.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]
// A client alone needs no callbacks, which are started by the extractor.
#![cfg_attr(not(feature = "axum"), allow(dead_code))]

mod ahead;
mod buffers;
#[cfg(feature = "client")]
pub mod client;
mod clock;
mod compression;
mod config;
mod context;
mod counts;
mod driver;
mod endpoint;
mod error;
mod feeds;
mod group;
mod handler;
mod host;
mod id;
#[cfg(feature = "json")]
mod json;
mod live;
mod local;
mod meters;
mod opening;
mod origin;
mod origins;
mod outcome;
mod rate;
mod refusal;
mod seen;
mod sender;
mod serving;
mod shown;
mod socket;
mod stream;
mod terms;
pub mod testing;
#[cfg(feature = "tls")]
#[doc(hidden)]
pub mod tls;
mod trace;
mod traceparent;
mod tracker;
mod turns;
#[cfg(feature = "axum")]
mod upgrade;
mod watched;
#[cfg(feature = "serde")]
mod written;

/// For libraries that were written for tungstenite 0.30 and tokio-tungstenite (feature `tungstenite-0_30`).
#[cfg(feature = "tungstenite-0_30")]
pub mod tungstenite_0_30 {
    pub use crate::stream::tungstenite_0_30::Compat;
}

pub use rikki_proto::deflate::OutOfRange;
pub use rikki_proto::handshake::{InvalidSubprotocol, Subprotocol};
pub use rikki_proto::{
    Binary, CloseCode, CloseFrame, LimitExceeded, Message, PreparedMessage, ProtocolError, SendError, Text,
};

pub use compression::Compression;
pub use config::{Config, Overflow};
pub use context::ContextHandler;
pub use counts::Counters;
pub use endpoint::Endpoint;
pub use error::{Closed, Deadline, Error};
pub use group::{Group, Member, Sent};
pub use handler::Handler;
pub use id::ConnectionId;
#[cfg(feature = "json")]
pub use json::{Json, JsonHandler, OnJson, on_json};
pub use live::Live;
pub use opening::Opening;
pub use origins::BadOrigin;
pub use outcome::{Callback, Outcome};
pub use sender::Sender;
pub use serving::Termination;
pub use socket::Socket;
#[cfg(feature = "json")]
pub use stream::Typed;
pub use stream::WebSocket;
#[cfg(feature = "tls")]
pub use tls::TlsError;
#[cfg(feature = "axum")]
pub use upgrade::{AcceptError, Upgrade};

/// What the server of `rikki` needs of this crate: no part of its interface, and it changes without notice.
#[doc(hidden)]
pub mod internal {
    pub use super::ahead::LEAST as LEAST_AHEAD;
    pub use crate::clock::{Alarm, Clock, NEVER, Tick, spread, ticks};
    pub use crate::feeds::{Fed, Feeds, Outlet};
    pub use crate::host::{Authority, Field, Host, HostError, host_field, only, target_authority};
    pub use crate::live::Budgets;
    pub use crate::meters::{Carrier, ClosedBy, Closings, LagCounts, MeterReading, Packed, SizeCounts};
    pub use crate::origins::{ListenerKind, Origins, Public};
    pub use crate::refusal::closing;
    pub use crate::seen::Details;
    pub use crate::stream::Io;
    pub use crate::terms::Terms;
    pub use crate::traceparent::TraceParent;
    pub use crate::tracker::{Tracked, Tracker};
    #[cfg(feature = "axum")]
    pub use crate::upgrade::foreign;
    #[cfg(feature = "axum")]
    pub use crate::upgrade::handover::{Agreed, Context};
    #[cfg(feature = "axum")]
    pub use crate::upgrade::transport::{Other, Transport, take};
    pub use crate::watched::Watching;
}
