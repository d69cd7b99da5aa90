//! Any bytes into a decompressor, whole and cut anywhere: the same comes of them, and never more than the limit.
//!
//! Input: four bytes of settings, then DEFLATE.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rikki_fuzz::{decompress, pieces};
use rikki_proto::deflate::Decompressor;

fuzz_target!(|data: &[u8]| {
    let Some((&[halved, high, low, seed], stream)) = data.split_first_chunk() else { return };
    check(stream, halved & 1 != 0, usize::from(u16::from_be_bytes([high, low])), seed);
});

/// The stream as one message, or as two of which the second may refer to the first.
fn check(stream: &[u8], halved: bool, limit: usize, seed: u8) {
    let mut decompressor = Decompressor::new();
    let (first, second) = stream.split_at(if halved { stream.len() / 2 } else { 0 });
    let messages = if halved { &[first, second][..] } else { &[second] };
    let whole = decompress(&mut decompressor, messages.iter().map(|message| [*message]), limit);
    let cut = decompress(&mut decompressor, messages.iter().map(|message| pieces(message, seed)), limit);
    assert_eq!(cut, whole);
    // A larger limit changes nothing about what keeps to the smaller one.
    if let Ok(output) = whole {
        let larger = decompress(&mut decompressor, messages.iter().map(|message| [*message]), limit + 100);
        assert_eq!(larger, Ok(output));
    }
}
