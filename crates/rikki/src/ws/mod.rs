//! WebSockets after the opening handshake, in two styles: callbacks and async streams.
//!
//! - [`Handler`]: callbacks with borrowed messages, for servers that count every microsecond. A closure is one.
//! - [`WebSocket`]: a `Stream` and `Sink`, for any axum application on any tokio runtime, by way of [`Upgrade`].
//! - [`Sender`]: sends to either from any thread or task at any time.
//!
//! The protocol is `rikki-proto`'s; here it gets a socket, a clock and a bounded queue.

mod buffers;
mod clock;
mod compression;
mod config;
mod context;
mod counts;
mod driver;
mod endpoint;
mod error;
mod handler;
mod host;
mod live;
mod origin;
mod origins;
mod rate;
mod refusal;
mod sender;
mod serving;
mod socket;
mod stream;
mod terms;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod turns;
mod upgrade;

pub use rikki_proto::deflate::OutOfRange;
pub use rikki_proto::handshake::{InvalidSubprotocol, Subprotocol};
pub use rikki_proto::{
    Binary, CloseCode, CloseFrame, LimitExceeded, Message, PreparedMessage, ProtocolError, SendError, Text,
};

pub use compression::Compression;
pub use config::{Config, Overflow};
pub use counts::Counters;
pub use endpoint::Endpoint;
pub use error::{Closed, Deadline, Error};
pub use handler::{Handler, Outcome};
pub(crate) use live::Budgets;
pub use live::Live;
pub use origins::BadOrigin;
pub use sender::Sender;
pub use serving::Termination;
pub use socket::Socket;
pub use stream::WebSocket;
pub use upgrade::{Opening, Upgrade};

pub(crate) use clock::Clock;
pub(crate) use context::{Context, Handover, Held, Tracker};
pub(crate) use host::{Field, Host, HostError, host_field, only, target_authority};
pub(crate) use origins::{ListenerKind, Origins};
pub(crate) use refusal::closing;
pub(crate) use stream::Io;
pub(crate) use terms::Terms;
#[cfg(feature = "tls")]
pub(crate) use transport::TlsStream;
pub(crate) use transport::{Transport, take};
