//! The WebSocket protocol ([RFC 6455]) as a state machine over bytes.
//!
//! This crate holds the protocol and nothing else: it opens no socket, reads no clock, draws no random numbers and
//! starts no thread. Bytes and time are arguments, bytes and events are results. Sockets, deadlines and handlers live
//! in the `rikki` crate, which drives a [`Connection`]; the same type plays the server and the client, so that two of
//! them can be joined in memory.
//!
//! One file per wire idea:
//!
//! | module | what it is about |
//! |---|---|
//! | [`handshake`] | the opening handshake, section 4 |
//! | [`deflate`] | compression, RFC 7692 |
//! | `frame`, `mask` | the frame header and the masking of section 5 |
//! | `message`, `prepared` | messages, borrowed or shared, and those for many receivers |
//! | `utf8`, `assembly` | fragments into messages, text checked as it arrives |
//! | `limits`, `memory` | what a peer may send, and what all messages under assembly may take together |
//! | `close` | close codes, and the one place where an error becomes a code |
//! | `decoder` | bytes into messages and control frames |
//! | `connection` | the state machine over all of these, for both roles |
//! | `output` | the bytes to be written, large payloads left where they are |
//!
//! ```
//! use rikki_proto::{Connection, Event, Limits, Message, Output};
//!
//! let mut server = Connection::server(Limits::default());
//! let mut output = Output::default();
//! let mut wire = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"; // "Hello", masked: RFC 6455 section 5.7
//!
//! let mut input = &mut wire[..];
//! while let Some(event) = server.next_event(&mut input, &mut output)? {
//!     if let Event::Message(message) = event {
//!         assert_eq!(message, Message::from("Hello"));
//!         server.send(message, &mut output)?;
//!     }
//! }
//! assert_eq!(output.to_vec(), b"\x81\x05Hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [RFC 6455]: https://www.rfc-editor.org/rfc/rfc6455
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod assembly;
mod close;
mod connection;
mod decoder;
pub mod deflate;
mod error;
mod frame;
pub mod handshake;
#[cfg(feature = "json")]
mod json;
mod limits;
mod mask;
mod memory;
mod message;
mod output;
mod prepared;
mod rare;
mod utf8;

pub use close::{CloseCode, CloseFrame};
pub use connection::{Connection, Event, MaskKeys};
pub use error::{Error, LimitExceeded, ProtocolError, SendError};
pub use limits::Limits;
pub use memory::MessageMemory;
pub use message::{Binary, Message, Text};
pub use output::{Checkpoint, Output};
pub use prepared::PreparedMessage;
