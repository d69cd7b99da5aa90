//! The frame header, [RFC 6455 section 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2).
//!
//! What one header says on its own is judged here; how frames follow each other is `connection`'s business.

use bytes::BufMut;

use crate::error::ProtocolError;

/// The longest payload of a control frame, in bytes (section 5.5).
pub(crate) const MAX_CONTROL: usize = 125;

/// The longest header, in bytes: two, eight of length, four of masking key.
pub(crate) const MAX_HEADER: usize = 14;

/// The same without a masking key.
const MAX_UNMASKED: usize = MAX_HEADER - 4;

const FIN: u8 = 0x80;
/// Set on the first frame of a compressed message.
const RSV1: u8 = 0x40;
const RSV2_AND_3: u8 = 0x30;
const MASKED: u8 = 0x80;
/// Lengths that mean: the length follows in 16 or 64 bits.
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xa,
}

impl Opcode {
    pub(crate) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    fn parse(bits: u8) -> Result<Self, ProtocolError> {
        match bits {
            0x0 => Ok(Self::Continuation),
            0x1 => Ok(Self::Text),
            0x2 => Ok(Self::Binary),
            0x8 => Ok(Self::Close),
            0x9 => Ok(Self::Ping),
            0xa => Ok(Self::Pong),
            // "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_."
            reserved => Err(ProtocolError::ReservedOpcode(reserved)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) fin: bool,
    /// The bit RSV1: the message that the frame begins is compressed.
    pub(crate) compressed: bool,
    pub(crate) opcode: Opcode,
    pub(crate) length: u64,
    pub(crate) mask: Option<[u8; 4]>,
}

impl FrameHeader {
    /// Reads a header from the front of `bytes` and says how long it is, or `None` if more bytes are needed.
    ///
    /// `masked` says whether the peer has to mask, `deflate` whether it may compress. A broken rule is reported as soon
    /// as the byte that breaks it is there.
    pub(crate) fn parse(bytes: &[u8], masked: bool, deflate: bool) -> Result<Option<(Self, usize)>, ProtocolError> {
        let [first, rest @ ..] = bytes else { return Ok(None) };
        // "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values."
        if first & RSV2_AND_3 != 0 || (first & RSV1 != 0 && !deflate) {
            return Err(ProtocolError::ReservedBits);
        }
        let fin = first & FIN != 0;
        let opcode = Opcode::parse(first & 0x0f)?;
        let compressed = first & RSV1 != 0;
        // https://www.rfc-editor.org/rfc/rfc7692#section-6.1: the bit belongs to the first frame of a data message
        // alone.
        if compressed && !matches!(opcode, Opcode::Text | Opcode::Binary) {
            return Err(ProtocolError::ReservedBits);
        }
        // Section 5.5: control frames "MUST NOT be fragmented".
        if opcode.is_control() && !fin {
            return Err(ProtocolError::ControlFragmented);
        }

        let [second, rest @ ..] = rest else { return Ok(None) };
        // Section 5.1: a server closes the connection upon a frame that is not masked, a client upon one that is.
        match (second & MASKED != 0, masked) {
            (false, true) => return Err(ProtocolError::Unmasked),
            (true, false) => return Err(ProtocolError::Masked),
            _ => {}
        }
        let short = second & !MASKED;
        // Section 5.5: "All control frames MUST have a payload length of 125 bytes or less".
        if opcode.is_control() && usize::from(short) > MAX_CONTROL {
            return Err(ProtocolError::ControlTooLong);
        }
        let Some((length, rest)) = parse_length(short, rest)? else { return Ok(None) };

        let (mask, rest) = match (masked, rest) {
            (false, _) => (None, rest),
            (true, [a, b, c, d, rest @ ..]) => (Some([*a, *b, *c, *d]), rest),
            (true, _) => return Ok(None),
        };
        Ok(Some((Self { fin, compressed, opcode, length, mask }, bytes.len() - rest.len())))
    }

    /// Appends the header to `out`.
    #[inline]
    pub(crate) fn encode(&self, out: &mut impl BufMut) {
        // Most messages that a server sends are short.
        if self.length < u64::from(LENGTH_16) && self.mask.is_none() {
            out.put_slice(&[self.first_byte(), self.length as u8]);
        } else {
            self.encode_any(out);
        }
    }

    #[inline(never)]
    fn encode_any(&self, out: &mut impl BufMut) {
        let first = self.first_byte();
        let masked = if self.mask.is_some() { MASKED } else { 0 };
        // "the minimal number of bytes MUST be used to encode the length"
        match (u8::try_from(self.length), u16::try_from(self.length)) {
            (Ok(short), _) if short < LENGTH_16 => out.put_slice(&[first, masked | short]),
            (_, Ok(length)) => {
                let [high, low] = length.to_be_bytes();
                out.put_slice(&[first, masked | LENGTH_16, high, low]);
            }
            _ => {
                out.put_slice(&[first, masked | LENGTH_64]);
                out.put_slice(&self.length.to_be_bytes());
            }
        }
        if let Some(key) = self.mask {
            out.put_slice(&key);
        }
    }

    fn first_byte(&self) -> u8 {
        self.opcode as u8 | if self.fin { FIN } else { 0 } | if self.compressed { RSV1 } else { 0 }
    }
}

/// The header of a whole message as a server sends it, encoded once.
pub(crate) struct EncodedHeader {
    bytes: [u8; MAX_UNMASKED],
    length: u8,
}

impl EncodedHeader {
    pub(crate) fn new(opcode: Opcode, compressed: bool, payload: &[u8]) -> Self {
        let mut bytes = [0; MAX_UNMASKED];
        let mut free = &mut bytes[..];
        let length = payload.len() as u64;
        FrameHeader { fin: true, compressed, opcode, length, mask: None }.encode(&mut free);
        let length = (MAX_UNMASKED - free.len()) as u8; // at most 10
        Self { bytes, length }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

/// The payload length behind its first seven bits, and what is left of `bytes`.
#[allow(clippy::type_complexity, reason = "a parser's result: more bytes needed, or a value and the rest")]
fn parse_length(short: u8, bytes: &[u8]) -> Result<Option<(u64, &[u8])>, ProtocolError> {
    match short {
        LENGTH_16 => {
            let Some((length, rest)) = bytes.split_first_chunk() else { return Ok(None) };
            let length = u64::from(u16::from_be_bytes(*length));
            // "the minimal number of bytes MUST be used to encode the length"
            if length < u64::from(LENGTH_16) {
                return Err(ProtocolError::NonMinimalLength);
            }
            Ok(Some((length, rest)))
        }
        LENGTH_64 => {
            // "the most significant bit MUST be 0"
            if bytes.first().is_some_and(|high| high & 0x80 != 0) {
                return Err(ProtocolError::LengthOverflow);
            }
            let Some((length, rest)) = bytes.split_first_chunk() else { return Ok(None) };
            let length = u64::from_be_bytes(*length);
            if length <= u64::from(u16::MAX) {
                return Err(ProtocolError::NonMinimalLength);
            }
            Ok(Some((length, rest)))
        }
        _ => Ok(Some((u64::from(short), bytes))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn refused(bytes: &[u8], masked: bool, expected: ProtocolError) {
        assert_eq!(FrameHeader::parse(bytes, masked, false), Err(expected), "{bytes:02x?}");
    }

    #[test]
    fn refuses_what_section_5_forbids_at_the_first_byte_that_shows_it() {
        use ProtocolError::*;
        for first in [0xc1, 0xa1, 0x91, 0xf1] {
            refused(&[first], true, ReservedBits);
        }
        for opcode in [0x83, 0x87, 0x8b, 0x8f] {
            refused(&[opcode], true, ReservedOpcode(opcode & 0x0f));
        }
        refused(&[0x09], true, ControlFragmented);
        for first in [0xa1, 0x91, 0xf1, 0xc9, 0xc8, 0x40] {
            assert_eq!(FrameHeader::parse(&[first], true, true), Err(ReservedBits), "{first:#x} with compression");
        }
        refused(&[0x08], true, ControlFragmented);
        refused(&[0x89, 0xfe], true, ControlTooLong);
        refused(&[0x89, 0xff], true, ControlTooLong);
        refused(&[0x81, 0x05], true, Unmasked);
        refused(&[0x81, 0x85], false, Masked);
        refused(&[0x82, 0xfe, 0, 125], true, NonMinimalLength);
        refused(&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], true, NonMinimalLength);
        refused(&[0x82, 0xff, 0x80], true, LengthOverflow);
    }

    proptest! {
        #[test]
        fn an_encoded_header_is_read_back_and_never_from_fewer_bytes(
            fin: bool,
            opcode in prop::sample::select(vec![Opcode::Continuation, Opcode::Text, Opcode::Binary]),
            bits in 0u32..63,
            low: u64,
            mask: Option<[u8; 4]>,
            deflate: bool,
        ) {
            let length = low & ((1u64 << bits) - 1);
            let compressed = deflate && opcode != Opcode::Continuation;
            let header = FrameHeader { fin, compressed, opcode, length, mask };
            let mut bytes = Vec::new();
            header.encode(&mut bytes);
            prop_assert!(bytes.len() <= MAX_HEADER);
            prop_assert_eq!(FrameHeader::parse(&bytes, mask.is_some(), deflate), Ok(Some((header, bytes.len()))));
            for cut in 0..bytes.len() {
                prop_assert_eq!(FrameHeader::parse(&bytes[..cut], mask.is_some(), deflate), Ok(None));
            }
        }
    }
}
