//! Frames by the letter of [RFC 6455 section 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2), right and
//! wrong ones: written and read here without any code of the crate under test.

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

/// The key of frames whose key does not matter.
pub(crate) const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// How the length is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Shortest,
    In16Bits,
    In64Bits,
    /// In 64 bits, whatever the payload is.
    Announced(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    /// The three reserved bits, 0 to 7.
    pub(crate) rsv: u8,
    pub(crate) opcode: u8,
    pub(crate) mask: Option<[u8; 4]>,
    pub(crate) length: Length,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// A whole frame as a server sends it.
    pub(crate) fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        let payload = payload.as_ref().to_vec();
        Self { fin: true, rsv: 0, opcode, mask: None, length: Length::Shortest, payload }
    }

    /// A Close frame with this code and reason.
    pub(crate) fn close(code: u16, reason: &str) -> Self {
        Self::new(CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// The same frame without FIN: more fragments follow.
    pub(crate) fn part(self) -> Self {
        Self { fin: false, ..self }
    }

    pub(crate) fn masked(self, key: [u8; 4]) -> Self {
        Self { mask: Some(key), ..self }
    }

    pub(crate) fn rsv(self, rsv: u8) -> Self {
        Self { rsv, ..self }
    }

    pub(crate) fn length(self, length: Length) -> Self {
        Self { length, ..self }
    }

    pub(crate) fn is_control(&self) -> bool {
        self.opcode & 0x8 != 0
    }

    /// The length in the header.
    pub(crate) fn announced(&self) -> u64 {
        match self.length {
            Length::Announced(length) => length,
            _ => self.payload.len() as u64,
        }
    }

    /// How many bytes of length follow the first seven bits.
    pub(crate) fn wide_length(&self) -> usize {
        match self.length {
            Length::Shortest => shortest(self.announced()),
            Length::In16Bits => 2,
            Length::In64Bits | Length::Announced(_) => 8,
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode];
        match self.wide_length() {
            0 => bytes.push(masked | self.payload.len() as u8),
            2 => {
                bytes.push(masked | 126);
                bytes.extend(u16::try_from(self.payload.len()).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(masked | 127);
                bytes.extend(self.announced().to_be_bytes());
            }
        }
        bytes.extend(self.mask.iter().flatten());
        let key = self.mask.unwrap_or_default();
        bytes.extend(self.payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]));
        bytes
    }
}

/// How many bytes this length needs behind the first seven bits.
pub(crate) fn shortest(length: u64) -> usize {
    match length {
        0..=125 => 0,
        126..=0xffff => 2,
        _ => 8,
    }
}

/// The bytes of these frames, one after the other.
pub(crate) fn stream(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(Frame::bytes).collect()
}

/// The same frames as a client sends them.
pub(crate) fn masked(frames: &[Frame]) -> Vec<Frame> {
    frames.iter().map(|frame| frame.clone().masked(KEY)).collect()
}

/// Reads frames that keep the rules; panics on anything else.
pub(crate) fn read(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (first, second) = (bytes[0], bytes[1]);
        let (length, mut at) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
            127 => (u64::from_be_bytes(bytes[2..10].try_into().unwrap()), 10),
            short => (u64::from(short), 2),
        };
        let mut mask = None;
        if second & 0x80 != 0 {
            mask = Some(<[u8; 4]>::try_from(&bytes[at..at + 4]).unwrap());
            at += 4;
        }
        let key = mask.unwrap_or_default();
        let end = at + length as usize;
        let payload = bytes[at..end].iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
        let frame = Frame {
            fin: first & 0x80 != 0,
            rsv: first >> 4 & 0x7,
            opcode: first & 0xf,
            mask,
            length: Length::Shortest,
            payload,
        };
        assert_eq!(frame.bytes(), bytes[..end], "the length is not in its shortest form");
        frames.push(frame);
        bytes = &bytes[end..];
    }
    frames
}
