//! What a peer may send against us: bombs, broken streams, windows it did not agree to, and work without output.

use super::*;
use crate::error::{LimitExceeded, ProtocolError};

const INVALID: Error = Error::Protocol(ProtocolError::InvalidDeflate);

fn too_long(limit: usize) -> Error {
    LimitExceeded::CompressedTooLong { limit }.into()
}

/// How much of `pieces` came out before they were refused, in bytes, and the largest step of it.
#[track_caller]
fn refused_after<'p>(pieces: impl IntoIterator<Item = &'p [u8]>, limit: usize) -> (usize, usize) {
    let (mut length, mut largest) = (0, 0);
    let (mut decompressor, mut scratch) = (Decompressor::new(), [0; 16 * 1024]);
    let refused = pieces.into_iter().try_for_each(|piece| {
        decompressor.push(piece, &mut scratch, limit, |output| {
            length += output.len();
            largest = output.len().max(largest);
            Ok(())
        })
    });
    assert_eq!(refused, Err(too_long(limit)));
    (length, largest)
}

fn bomb(length: usize) -> Vec<u8> {
    compress(&mut Compressor::new(compression(15, 9)), &vec![0; length])
}

#[test]
fn ends_a_bomb_at_the_limit() {
    const LIMIT: usize = 1 << 20;
    // 1 GiB, most of it the same 4 MiB again and again, which refer to what came before them.
    let mut compressor = Compressor::new(compression(15, 9));
    let zeros = vec![0; 4 << 20];
    let mut part = || [compress(&mut compressor, &zeros), TAIL.to_vec()].concat();
    let gigabyte = [part(), part().repeat(255)].concat();
    assert!((900_000..1_200_000).contains(&gigabyte.len()), "{}", gigabyte.len());
    let (length, largest) = refused_after([&gigabyte[..]], LIMIT);
    assert!(length <= LIMIT && largest <= 16 * 1024, "{length} bytes in steps of {largest}");
    // The same in fragments of one byte.
    let (length, _) = refused_after(gigabyte.chunks(1), LIMIT);
    assert!(length <= LIMIT, "{length}");
}

#[test]
fn takes_a_message_at_the_limit_and_none_above_it() {
    for length in [1, 5, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 100_000] {
        let message = bomb(length);
        let seen = decompress(&mut Decompressor::new(), [&message[..]], length).map(|message| message.len());
        assert_eq!(seen, Ok(length));
        let seen = decompress(&mut Decompressor::new(), message.chunks(1), length).map(|message| message.len());
        assert_eq!(seen, Ok(length), "in bytes");
        assert_eq!(decompress(&mut Decompressor::new(), [&message[..]], length - 1), Err(too_long(length - 1)));
        assert_eq!(decompress(&mut Decompressor::new(), message.chunks(1), length - 1), Err(too_long(length - 1)));
    }
    assert_eq!(decompress(&mut Decompressor::new(), [&b"\x00"[..]], 0), Ok(Vec::new()));
}

#[test]
fn counts_each_message_from_zero() {
    let (mut compressor, mut decompressor) = (Compressor::new(compression(15, 6)), Decompressor::new());
    let full = vec![b'a'; 32 * 1024];
    for _ in 0..3 {
        let message = compress(&mut compressor, &full);
        assert_eq!(decompress(&mut decompressor, [&message[..]], full.len()).as_ref(), Ok(&full));
    }
    // A few bytes that refer to the whole window behind them are held to the same limit.
    let second = compress(&mut compressor, &vec![b'a'; 64 * 1024]);
    assert_eq!(decompress(&mut decompressor, [&second[..]], full.len()), Err(too_long(full.len())));
}

#[test]
fn stops_when_the_taker_does() {
    let (mut decompressor, mut scratch) = (Decompressor::new(), [0; 16 * 1024]);
    let mut calls = 0;
    let refused = decompressor.push(&bomb(1 << 20), &mut scratch, NO_LIMIT, |_| {
        calls += 1;
        Err(ProtocolError::InvalidUtf8.into())
    });
    assert_eq!((refused, calls), (Err(ProtocolError::InvalidUtf8.into()), 1));
}

/// Whole and byte by byte, the message is refused.
#[track_caller]
fn check_invalid(message: &[u8]) {
    assert_eq!(decompress(&mut Decompressor::new(), [message], NO_LIMIT), Err(INVALID), "{message:02x?}");
    let bytewise = decompress(&mut Decompressor::new(), message.chunks(1), NO_LIMIT);
    assert_eq!(bytewise, Err(INVALID), "{message:02x?} in bytes");
}

#[test]
fn refuses_what_is_no_deflate() {
    check_invalid(b"\xff\xff\xff\xff"); // a reserved block type
    check_invalid(b"\x00\x05\x00\x00\x00Hello\x00"); // a stored block whose lengths disagree
    check_invalid(b"\xf2\x00\x11\x00\x00"); // a distance to before the first message
    check_invalid(b"\xf3\x48\xcd\xc9\xc9\x07\x00\xff\xff\xff"); // garbage behind a final block
    check_invalid(b""); // not even the header of an empty block
    // Nor behind a message that could do without one.
    let mut decompressor = Decompressor::new();
    assert_eq!(decompress(&mut decompressor, [&b"\xf3\x48\xcd\xc9\xc9\x07\x00"[..]], 5), Ok(b"Hello".to_vec()));
    assert_eq!(decompress(&mut decompressor, [], 5), Err(INVALID));
}

#[test]
fn tells_the_first_fault_in_any_cuts() {
    // A byte of output, then a block that is none: with a limit of 0 the byte is at fault.
    let message = b"\x3b\x01\xfa\x85\x85";
    for (limit, expected) in [(0, too_long(0)), (100, INVALID)] {
        for size in 1..=message.len() {
            let seen = decompress(&mut Decompressor::new(), message.chunks(size), limit);
            assert_eq!(seen, Err(expected), "limit {limit}, in pieces of {size}");
        }
    }
    // The taker sees all that came before the fault, and what it says of that comes first.
    let broken = [&compress(&mut Compressor::new(compression(15, 1)), b"\xff")[..], &TAIL, b"\xff"].concat();
    for (message, limit) in [(&broken, 100), (&bomb(100), 50)] {
        let refused = Decompressor::new()
            .push(message, &mut [0; SCRATCH_SIZE], limit, |_| Err(ProtocolError::InvalidUtf8.into()));
        assert_eq!(refused, Err(ProtocolError::InvalidUtf8.into()), "limit {limit}");
    }
}

#[test]
fn refuses_what_breaks_off() {
    check_invalid(b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f"); // no empty block behind a stored one
    let text: Vec<u8> = (0..150u32).flat_map(|index| (index * index).to_string().into_bytes()).collect();
    let mut decompressor = Decompressor::new();
    for level in [1, 2, 6, 9] {
        let whole = compress(&mut Compressor::new(compression(15, level)), &text);
        for length in 0..whole.len() {
            decompressor.reset();
            let seen = decompress(&mut decompressor, [&whole[..length]], NO_LIMIT);
            // The last byte may hold the header of the empty block alone.
            let is_whole = seen == Ok(text.clone());
            assert!(seen == Err(INVALID) || is_whole && length + 1 == whole.len(), "level {level}, {length} bytes");
        }
    }
}

#[test]
fn treats_a_window_that_is_too_large_alike_in_all_cuts() {
    // A repetition 20,000 bytes back, where 9 bits were agreed on: understood, since there is one size of window.
    let noise = noise(20_000);
    let payload = [&noise[..], &noise[..100]].concat();
    let compressed = compress(&mut Compressor::new(compression(15, 9)), &payload);
    assert!(reference::decode(&[&compressed[..], &TAIL].concat()).1 > 512);
    for size in [1, 7, 500, compressed.len()] {
        let seen = decompress(&mut Decompressor::new(), compressed.chunks(size), NO_LIMIT);
        assert_eq!(seen.as_ref(), Ok(&payload), "in pieces of {size}");
    }
}

#[test]
fn ends_on_any_bytes() {
    // Every start of a stream, followed by bytes that differ: no hang and no panic, and the limit holds.
    let noise = noise(64 * 1024);
    let mut decompressor = Decompressor::new();
    let mut refused = 0;
    for start in 0..=u16::MAX {
        let behind = &noise[usize::from(start) % (noise.len() - 32)..][..32];
        let message = [&start.to_le_bytes(), behind].concat();
        decompressor.reset();
        match decompress(&mut decompressor, [&message[..]], 100) {
            Ok(output) => assert!(output.len() <= 100),
            Err(error) => {
                assert!(error == INVALID || error == too_long(100), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 60_000, "{refused}");
}

#[test]
fn takes_work_without_output() {
    for blocks in [&b"\x03\x00"[..], b"\x00\x00\x00\xff\xff"] {
        let message = [blocks.repeat(10_000), vec![0]].concat();
        assert_eq!(decompress(&mut Decompressor::new(), [&message[..]], 0), Ok(Vec::new()));
    }
}

#[test]
fn what_serves_many_connections_may_move_between_threads() {
    fn is_send<T: Send + 'static>() {}
    is_send::<Compressor>();
    is_send::<Decompressor>();
}
