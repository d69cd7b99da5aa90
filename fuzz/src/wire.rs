//! Frames read by the letter of [RFC 6455 section 5](https://www.rfc-editor.org/rfc/rfc6455#section-5), without any
//! code of the crate under test.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub compressed: bool,
    pub opcode: u8,
    /// Unmasked.
    pub payload: Vec<u8>,
}

/// The opcodes of control frames, section 5.2.
pub const CLOSE: u8 = 0x8;
pub const PONG: u8 = 0xa;

/// Reads all that an end has sent; panics at anything that no end may send.
///
/// We send no fragments, so that every frame has FIN.
#[must_use]
pub fn read_frames(mut bytes: &[u8], from_client: bool) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    while !bytes.is_empty() {
        let (frame, rest) = read_frame(bytes, from_client).expect("frames are sent whole");
        // Section 5.5.1: "The application MUST NOT send any more data frames after sending a Close frame."
        assert!(frames.last().is_none_or(|last| last.opcode != CLOSE), "{frame:?} follows a Close");
        frames.push(frame);
        bytes = rest;
    }
    frames
}

fn read_frame(bytes: &[u8], from_client: bool) -> Option<(Frame, &[u8])> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    let opcode = first & 0x0f;
    assert!(matches!(opcode, 1 | 2 | 8..=10) && first & 0x80 != 0, "{first:#04x} begins a whole frame");
    // RFC 7692 section 6: RSV1 is for data messages, and the other two are for nobody.
    assert!(first & 0x30 == 0 && (first & 0x40 == 0 || opcode < 8), "{first:#04x} has no stray reserved bit");
    // Section 5.1: a client masks and a server does not.
    assert_eq!(second & 0x80 != 0, from_client, "masked by the client alone");
    // Section 5.2: "the minimal number of bytes MUST be used to encode the length"
    let (length, rest) = match second & 0x7f {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            let length = u64::from(u16::from_be_bytes(*length));
            assert!(length > 125, "{length} in 16 bits");
            (length, rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk()?;
            let length = u64::from_be_bytes(*length);
            assert!(length > 0xffff && length < 1 << 63, "{length} in 64 bits");
            (length, rest)
        }
        short => (u64::from(short), rest),
    };
    // Section 5.5: control frames have at most 125 bytes.
    assert!(opcode < 8 || length <= 125, "a control frame of {length} bytes");
    let (key, rest) = if from_client { rest.split_first_chunk()? } else { (&[0; 4], rest) };
    let (payload, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((Frame { compressed: first & 0x40 != 0, opcode, payload: unmask(payload, *key) }, rest))
}

/// Section 5.3, sixteen bytes at a time where it can be: the fuzzer counts every comparison, also that of a loop.
fn unmask(payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut bytes = payload.to_vec();
    let wide = u128::from_ne_bytes([key; 4].as_flattened().try_into().expect("four times four bytes"));
    let (words, rest) = bytes.as_chunks_mut::<16>();
    for word in words {
        *word = (u128::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (index, byte) in rest.iter_mut().enumerate() {
        *byte ^= key[index % 4];
    }
    bytes
}
