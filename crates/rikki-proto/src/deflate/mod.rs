//! Compression of messages: the extension permessage-deflate, [RFC 7692].
//!
//! - [`negotiate`] is the server's side of the agreement, [`offer`] and [`confirm`] are the client's.
//! - [`Compressor`] turns one message into what its frames carry, [`Decompressor`] turns that back, piece by piece and
//!   never past a limit.
//!
//! Left to the connection: the bit RSV1 that marks a compressed message, frames, and UTF-8. Left to the endpoint: whose
//! compressor is used and for how long it is held. Without context takeover a [`Compressor`] and a [`Decompressor`]
//! belong to one message alone, so one of each serves any number of connections that agreed on the same window: reset
//! it before each message. Compressing a secret beside text that an attacker chooses shows the secret in the length
//! ([section 8]): leave such a message uncompressed.
//!
//! [RFC 7692]: https://www.rfc-editor.org/rfc/rfc7692
//! [section 8]: https://www.rfc-editor.org/rfc/rfc7692#section-8

mod codecs;
mod compress;
mod compression;
mod decompress;
mod extension;
mod offer;

pub use codecs::Codecs;
pub use compress::Compressor;
pub use compression::{Compression, OutOfRange};
pub use decompress::{Decompressor, SCRATCH_SIZE, Scratch};
pub use extension::ExtensionError;
pub use offer::{Agreed, ClientOptions, Negotiated, ServerOptions, confirm, negotiate, offer};

pub(crate) use codecs::Lent;

/// What an empty stored block ends with: taken off each message by its sender, put back by its receiver.
///
/// <https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1>
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

#[cfg(test)]
mod tests;
