//! What is sent and what has to come back, byte for byte.

use std::ops::Range;

/// Bytes that are sent or expected again and again, with a number in them that tells one time from the next.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    bytes: Vec<u8>,
    /// Where the number is: only a payload of eight bytes and more has room for one.
    number_at: Option<usize>,
    /// What the number is masked with; zero in what a server sends.
    key: [u8; 4],
    /// What may differ, as a date does.
    unchecked: Range<usize>,
    /// How much of them has been checked.
    checked: usize,
}

impl Frame {
    /// A WebSocket message of `size` bytes as a client sends it, and as a server sends it back.
    pub(crate) fn message(size: usize, text: bool, key: [u8; 4]) -> (Self, Self) {
        (Self::websocket(size, text, Some(key)), Self::websocket(size, text, None))
    }

    /// Bytes without a number, of which `unchecked` may differ.
    pub(crate) fn plain(bytes: Vec<u8>, unchecked: Range<usize>) -> Self {
        Self { bytes, number_at: None, key: [0; 4], unchecked, checked: 0 }
    }

    fn websocket(size: usize, text: bool, key: Option<[u8; 4]>) -> Self {
        let mut bytes = vec![if text { 0x81 } else { 0x82 }];
        let masked = if key.is_some() { 0x80 } else { 0 };
        match (u8::try_from(size), u16::try_from(size)) {
            (Ok(short @ 0..=125), _) => bytes.push(masked | short),
            (_, Ok(medium)) => {
                bytes.push(masked | 126);
                bytes.extend_from_slice(&medium.to_be_bytes());
            }
            _ => {
                bytes.push(masked | 127);
                bytes.extend_from_slice(&(size as u64).to_be_bytes());
            }
        }
        bytes.extend(key.into_iter().flatten());
        let key = key.unwrap_or_default();
        let number_at = (size >= 8).then_some(bytes.len());
        // Printable, so that it is UTF-8, and of a period that is no power of two: a shifted echo is seen.
        let payload = (0..size).map(|at| b' ' + (at % 95) as u8);
        bytes.extend(payload.zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        Self { bytes, number_at, key, unchecked: 0..0, checked: 0 }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Puts `number` in, as eight printable characters of six bits each.
    pub(crate) fn set_number(&mut self, number: u64) {
        let Some(at) = self.number_at else { return };
        for (place, byte) in self.bytes[at..at + 8].iter_mut().enumerate() {
            *byte = (b'0' + (number >> (6 * place) & 0x3f) as u8) ^ self.key[place % 4];
        }
    }

    /// Compares the next bytes with the front of `got`: how many there were, and whether all have been seen.
    pub(crate) fn check(&mut self, got: &[u8]) -> Result<(usize, bool), &'static str> {
        let taken = got.len().min(self.bytes.len() - self.checked);
        if !self.matches(self.checked, &got[..taken]) {
            return Err("came back changed");
        }
        self.checked += taken;
        let is_whole = self.checked == self.bytes.len();
        if is_whole {
            self.checked = 0;
        }
        Ok((taken, is_whole))
    }

    /// Whether `got` is what stands at `from`; it must not be longer than what is left there.
    fn matches(&self, from: usize, got: &[u8]) -> bool {
        let to = from + got.len();
        let before = from..to.min(self.unchecked.start).max(from);
        let after = from.max(self.unchecked.end).min(to)..to;
        let same = |range: Range<usize>| self.bytes[range.clone()] == got[range.start - from..range.end - from];
        if self.unchecked.is_empty() { same(from..to) } else { same(before) && same(after) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_framed_as_the_rfc_says() {
        let (sent, expected) = Frame::message(3, true, [1, 2, 3, 4]);
        assert_eq!(sent.bytes(), [0x81, 0x83, 1, 2, 3, 4, b' ' ^ 1, b'!' ^ 2, b'"' ^ 3]);
        assert_eq!(expected.bytes(), b"\x81\x03 !\"");
        let check = |size, header: &[u8]| assert!(Frame::message(size, false, [0; 4]).1.bytes().starts_with(header));
        check(125, &[0x82, 125, b' ']);
        check(126, &[0x82, 126, 0, 126, b' ']);
        check(65_535, &[0x82, 126, 0xff, 0xff, b' ']);
        check(65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0, b' ']);
    }

    #[test]
    fn numbers_are_told_apart() {
        let (mut sent, mut expected) = Frame::message(20, false, [9, 8, 7, 6]);
        sent.set_number(64);
        expected.set_number(64);
        let unmasked: Vec<_> = sent.bytes()[6..].iter().zip([9, 8, 7, 6].iter().cycle()).map(|(a, b)| a ^ b).collect();
        assert_eq!(unmasked, expected.bytes()[2..]);
        let before = expected.bytes().to_vec();
        expected.set_number(65);
        assert!(!expected.matches(0, &before));
    }

    #[test]
    fn only_the_unchecked_part_may_differ() {
        let frame = Frame::plain(b"abcdef".to_vec(), 2..4);
        let check = |from, got: &[u8], expected| assert_eq!(frame.matches(from, got), expected, "{from} {got:?}");
        check(0, b"abcdef", true);
        check(0, b"abxxef", true);
        check(0, b"xbcdef", false);
        check(0, b"abcdex", false);
        check(0, b"a", true);
        check(1, b"xx", false);
        check(2, b"xx", true);
        check(3, b"xe", true);
        check(3, b"xx", false);
        check(5, b"f", true);
        check(5, b"x", false);
    }
}
