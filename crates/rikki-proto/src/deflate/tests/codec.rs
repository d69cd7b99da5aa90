//! Messages there and back: the examples of RFC 7692, any messages at any setting, and what a window of 9 bits means.

use proptest::prelude::*;

use super::*;

/// Decompresses these messages of one connection, whole and byte by byte.
#[track_caller]
fn check_examples(messages: &[(&[u8], &str)]) {
    let (mut whole, mut bytewise) = (Decompressor::new(), Decompressor::new());
    for (compressed, expected) in messages {
        let seen = decompress(&mut whole, [*compressed], NO_LIMIT);
        assert_eq!(seen, Ok(expected.as_bytes().to_vec()), "{compressed:02x?}");
        assert_eq!(decompress(&mut bytewise, compressed.chunks(1), NO_LIMIT), seen, "{compressed:02x?} in bytes");
    }
}

#[test]
fn reads_the_examples_of_the_rfc() {
    // https://www.rfc-editor.org/rfc/rfc7692#section-7.2.3.1 and the sections that follow it
    let first: (&[u8], _) = (b"\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello");
    check_examples(&[first, (b"\xf2\x00\x11\x00\x00", "Hello")]);
    check_examples(&[first, first]);
    check_examples(&[(b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", "Hello")]);
    check_examples(&[(b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello"), first]);
    check_examples(&[(b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "Hello")]);
    check_examples(&[(b"\x00", ""), first, (b"\x00", ""), (b"\xf2\x00\x11\x00\x00", "Hello")]);
}

#[test]
fn reads_final_blocks_wherever_they_stand() {
    let hello = *b"\xf3\x48\xcd\xc9\xc9\x07\x00";
    check_examples(&[(&[&hello[..], &hello, &[0]].concat(), "HelloHello"), (b"\x00", "")]);
    // Without the empty block behind it, as some clients send it.
    check_examples(&[(&hello, "Hello"), (&[&hello[..], &hello].concat(), "HelloHello"), (b"\x00", "")]);
}

#[test]
fn writes_the_examples_of_the_rfc() {
    let mut compressor = Compressor::new(compression(15, 6));
    assert_eq!(compress(&mut compressor, b"Hello"), b"\xf2\x48\xcd\xc9\xc9\x07\x00");
    // zlib-rs writes a literal and then the repetition: its shortest is 4 bytes, and it looks one byte ahead.
    let again = compress(&mut compressor, b"Hello");
    assert!(again.len() <= 5, "{again:02x?}");
    assert_eq!(compress(&mut compressor, b""), b"\x00");
    compressor.reset();
    assert_eq!(compress(&mut compressor, b"Hello"), b"\xf2\x48\xcd\xc9\xc9\x07\x00");
}

#[test]
fn appends_to_what_is_in_the_buffer() {
    let mut out = b"header".to_vec();
    Compressor::new(compression(15, 6)).compress(b"Hello", &mut out);
    assert_eq!(out, b"header\xf2\x48\xcd\xc9\xc9\x07\x00");
}

#[test]
fn keeps_a_message_without_takeover_readable_alone() {
    let mut compressor = Compressor::new(compression(15, 6));
    let messages: Vec<_> = (0..3)
        .map(|_| {
            compressor.reset();
            compress(&mut compressor, b"the same text each time")
        })
        .collect();
    for message in &messages {
        let seen = decompress(&mut Decompressor::new(), [&message[..]], NO_LIMIT);
        assert_eq!(seen, Ok(b"the same text each time".to_vec()));
    }
    // The other way round: a message that relies on the one before it is not readable by who forgot that.
    let second = compress(&mut compressor, b"the same text each time");
    assert!(decompress(&mut Decompressor::new(), [&second[..]], NO_LIMIT).is_err());
}

#[test]
fn leaves_nothing_behind_a_reset() {
    let (mut compressor, mut decompressor) = (Compressor::new(compression(15, 6)), Decompressor::new());
    let mut scratch = [0; 16 * 1024];
    let good = compress(&mut compressor, b"Hello");
    let half = &good[..3];
    for leftover in [&b"\xff\xff\xff"[..], half, b"\xf3\x48\xcd\xc9\xc9\x07\x00"] {
        let _ = decompressor.push(leftover, &mut scratch, NO_LIMIT, |_| Ok(()));
        decompressor.reset();
        assert_eq!(decompress(&mut decompressor, [&good[..]], 5), Ok(b"Hello".to_vec()), "after {leftover:02x?}");
        decompressor.reset();
    }
}

/// Bytes that compress and bytes that do not, with repetitions near and far.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..600),
        (prop::collection::vec(any::<u8>(), 1..40), 1usize..400).prop_map(|(part, times)| part.repeat(times)),
        (any::<u8>(), 0usize..40_000).prop_map(|(byte, length)| vec![byte; length]),
    ];
    prop::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_messages_come_back_the_same(
        messages in prop::collection::vec(payload(), 1..5),
        (window_bits, memory_level, level) in (9u8..=15, 1u8..=9, 1u8..=9),
        takeover in any::<bool>(),
        forgets in any::<bool>(),
        cuts in prop::collection::vec(0usize..3_000, 0..8),
    ) {
        let options = compression(window_bits, level).memory_level(memory_level).unwrap();
        let (mut compressor, mut decompressor) = (Compressor::new(options), Decompressor::new());
        let mut stream = Vec::new();
        for message in &messages {
            if !takeover {
                compressor.reset();
            }
            let compressed = compress(&mut compressor, message);
            stream.extend_from_slice(&compressed);
            stream.extend_from_slice(&TAIL);
            let mut pieces = Vec::new();
            let mut rest = &compressed[..];
            for cut in &cuts {
                let (piece, behind) = rest.split_at(rest.len().min(*cut));
                pieces.push(piece);
                rest = behind;
            }
            pieces.push(rest);
            // A receiver without takeover understands a sender without it; one with it understands both.
            if !takeover && forgets {
                decompressor.reset();
            }
            // The limit is the message itself: it is met and not passed.
            let seen = decompress(&mut decompressor, pieces, message.len());
            prop_assert_eq!(seen.as_ref(), Ok(message));
        }
        let (decoded, largest) = reference::decode(&stream);
        prop_assert!(decoded == messages.concat(), "the reference decoder sees something else");
        prop_assert!(largest <= 1 << window_bits, "distance {} in a window of {} bits", largest, window_bits);
        prop_assert!(window_bits > 9 || largest <= 256, "distance {} where a window of 8 bits is promised", largest);
    }
}

#[test]
fn uses_the_window_it_has() {
    // A repetition 300 bytes back is out of reach of 9 bits, and one 20,000 bytes back of all but 15.
    let noise = noise(20_000);
    for (window_bits, gap, is_found) in
        [(9, 300, false), (10, 300, true), (14, 20_000 - 60, false), (15, 20_000 - 60, true)]
    {
        let payload = [&noise[..60], &noise[60..gap], &noise[..60]].concat();
        for level in 1..=9 {
            let compressed = compress(&mut Compressor::new(compression(window_bits, level)), &payload);
            let (decoded, largest) = reference::decode(&[&compressed[..], &TAIL].concat());
            assert_eq!(decoded, payload);
            assert_eq!(largest >= gap, is_found, "level {level}, {window_bits} bits: {largest} for {gap}");
        }
    }
}
