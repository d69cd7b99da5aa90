//! Frames as a client sends them ([RFC 6455 section 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)).

/// The key of the example in section 5.7, which shows if it is not applied.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked frame, of which the first byte (FIN, reserved bits and opcode) is given.
pub fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame_with(KEY, first, payload)
}

/// A frame that is masked with this key; with that of zeros its payload can be read.
pub fn frame_with(key: [u8; 4], first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = header(first, payload.len() as u64);
    frame.extend_from_slice(&key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// The header of a masked frame up to its key, which claims so many bytes of payload.
pub fn header(first: u8, length: u64) -> Vec<u8> {
    let mut header = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => header.push(0x80 | short),
        (_, Ok(medium)) => {
            header.push(0x80 | 126);
            header.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            header.push(0x80 | 127);
            header.extend_from_slice(&length.to_be_bytes());
        }
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_the_standard_has_them() {
        // Section 5.7: a masked text message with "Hello".
        assert_eq!(frame(0x81, "Hello"), [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        let check = |length, expected: &[u8]| assert_eq!(header(0x82, length), expected, "{length}");
        check(0, &[0x82, 0x80]);
        check(125, &[0x82, 0xfd]);
        check(126, &[0x82, 0xfe, 0, 126]);
        check(65_535, &[0x82, 0xfe, 0xff, 0xff]);
        check(65_536, &[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0]);
        check(u64::MAX, &[0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(frame_with([0; 4], 0x89, [1, 2]), [0x89, 0x82, 0, 0, 0, 0, 1, 2]);
    }
}
