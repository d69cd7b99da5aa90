//! Messages into DEFLATE, <https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1>.

use std::fmt;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Status};

use super::TAIL;
use super::compression::Compression;

/// The least and the most room given to zlib at a time, in bytes: a small message fits at once, a large one does not
/// claim much more memory than its compressed form needs.
const ROOM: std::ops::RangeInclusive<usize> = 64..=16 * 1024;

/// Compresses one message after the other.
///
/// Each message may refer back to those before it, as far as the window reaches; [`reset`](Self::reset) makes it forget
/// them. Memory: [`Compression::memory`], allocated at once.
pub struct Compressor {
    deflate: Deflate,
    compression: Compression,
}

impl Compressor {
    /// A compressor that has seen nothing.
    #[must_use]
    pub fn new(compression: Compression) -> Self {
        let config = DeflateConfig {
            // Below zero it is DEFLATE alone, without the header and checksum of zlib.
            window_bits: -i32::from(compression.window_bits),
            mem_level: i32::from(compression.memory_level),
            level: i32::from(compression.level),
            ..DeflateConfig::default()
        };
        // Panics at values outside their ranges, which a `Compression` does not hold.
        Self { deflate: Deflate::new_with_config(config), compression }
    }

    /// What it was made with.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Forgets the messages so far: what follows can be decompressed without them.
    ///
    /// To be called before each message if this end agreed on no context takeover, and after a compressed message that
    /// was not sent. It clears 128 KiB.
    pub fn reset(&mut self) {
        self.deflate.reset();
    }

    /// Appends a whole message, compressed, to `out`.
    ///
    /// What cannot be compressed grows, by up to an eighth and 6 bytes at level 1. The next message relies on this one:
    /// it must be sent, or else [`reset`](Self::reset) be called.
    pub fn compress(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        if payload.is_empty() {
            // https://www.rfc-editor.org/rfc/rfc7692#section-7.2.3.6: an empty stored block without its tail.
            out.push(0x00);
            return;
        }
        let room = payload.len().clamp(*ROOM.start(), *ROOM.end());
        let mut rest = payload;
        loop {
            let start = out.len();
            out.resize(start + room, 0);
            let (taken_before, written_before) = (self.deflate.total_in(), self.deflate.total_out());
            let space = out.get_mut(start..).unwrap_or_default();
            let status = self.deflate.compress(rest, space, DeflateFlush::SyncFlush);
            let taken = (self.deflate.total_in() - taken_before) as usize; // at most rest.len()
            let written = (self.deflate.total_out() - written_before) as usize; // at most room
            // Room that is left means that everything has been flushed. zlib-rs fails only after a stream was finished,
            // which never happens here.
            let is_flushed = written < room || !matches!(status, Ok(Status::Ok));
            rest = rest.get(taken..).unwrap_or_default();
            out.truncate(start + written);
            if is_flushed {
                break;
            }
        }
        debug_assert!(rest.is_empty() && out.ends_with(&TAIL), "a flush ends with the tail");
        out.truncate(out.len().saturating_sub(TAIL.len()));
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("compression", &self.compression).finish_non_exhaustive()
    }
}
