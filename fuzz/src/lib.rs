//! What the fuzz targets share: ends that are fed in pieces, codecs, and a reader of frames that knows the RFC alone.
//!
//! Every target is a file of its own in `fuzz_targets`; none uses more of `rikki-proto` than its public face.

mod codecs;
mod ends;
mod inflate;
mod wire;

pub use codecs::Shelf;
pub use ends::{Outcome, Role, fill, pieces, receive, receive_some};
pub use inflate::decompress;
pub use wire::{CLOSE, Frame, PONG, read_frames};
