//! What holds for the extension as a whole: the handshake, messages there and back, and what a hostile peer sends.

mod codec;
mod hostile;
mod negotiation;
mod reference;

use super::*;
use crate::error::Error;

/// More than any message here has.
const NO_LIMIT: usize = 1 << 30;

fn compression(window_bits: u8, level: u8) -> Compression {
    Compression::default().window_bits(window_bits).unwrap().level(level).unwrap()
}

/// Bytes without repetitions, the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(step).collect()
}

fn compress(compressor: &mut Compressor, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    compressor.compress(payload, &mut out);
    out
}

/// Decompresses a message that arrives in these pieces.
fn decompress<'p>(
    decompressor: &mut Decompressor,
    pieces: impl IntoIterator<Item = &'p [u8]>,
    limit: usize,
) -> Result<Vec<u8>, Error> {
    let mut scratch = [0xaa; 16 * 1024];
    let mut message = Vec::new();
    for piece in pieces {
        decompressor.push(piece, &mut scratch, limit, |output| {
            message.extend_from_slice(output);
            Ok(())
        })?;
    }
    decompressor.finish(&mut scratch)?;
    Ok(message)
}
