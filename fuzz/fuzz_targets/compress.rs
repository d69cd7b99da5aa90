//! Any messages through a compressor and back, with every window and effort.
//!
//! Input: five bytes of settings, then what messages are made of.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rikki_fuzz::{decompress, pieces};
use rikki_proto::deflate::{Compression, Compressor, Decompressor};

/// The most bytes in all messages: more than the largest window.
const LONG: usize = 40_000;

fn check(compression: Compression, context_takeover: bool, payload: &[u8], repeated: usize, seed: u8) {
    let (mut compressor, mut decompressor) = (Compressor::new(compression), Decompressor::new());
    let mut left = LONG;
    let messages: Vec<Vec<u8>> = pieces(payload, seed)
        .take(20)
        .map(|piece| {
            let mut message = piece.repeat(repeated);
            message.truncate(left);
            left -= message.len();
            message
        })
        .chain([Vec::new()])
        .collect();
    let compressed: Vec<Vec<u8>> = messages
        .iter()
        .map(|message| {
            if !context_takeover {
                compressor.reset();
            }
            let mut output = Vec::new();
            compressor.compress(message, &mut output);
            assert!(
                output.len() <= message.len() + message.len() / 8 + 6,
                "{} to {} bytes, {compression:?}",
                message.len(),
                output.len()
            );
            output
        })
        .collect();
    let each = || compressed.iter().map(|message| pieces(message, seed.rotate_left(4)));
    assert!(decompress(&mut decompressor, each(), LONG).as_ref() == Ok(&messages), "{compression:?}, {seed}");
    if !context_takeover {
        let alone = compressed.iter().map(|message| decompress(&mut decompressor, [[&message[..]]], LONG));
        assert!(alone.eq(messages.into_iter().map(|message| Ok(vec![message]))), "each can be read without the others");
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&[takeover, window, effort, repeated, seed], rest)) = data.split_first_chunk() else { return };
    let compression = Compression::default()
        .window_bits(9 + window % 7)
        .and_then(|compression| compression.memory_level(1 + effort % 9))
        .and_then(|compression| compression.level(1 + (effort / 9) % 9))
        .expect("in their ranges");
    check(compression, takeover & 1 != 0, rest, 1 + usize::from(repeated), seed);
});
