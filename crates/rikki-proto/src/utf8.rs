//! UTF-8 that arrives in pieces, [RFC 6455 section 8.1](https://www.rfc-editor.org/rfc/rfc6455#section-8.1).
//!
//! Every byte is checked once, as it arrives: an error shows at the byte that causes it, and what has been accepted is
//! a `String` that needs no second look.

use crate::error::ProtocolError;

/// A text under assembly: the part that is known to be UTF-8, and at most three bytes of a character cut in two.
#[derive(Debug, Default)]
pub(crate) struct Utf8Assembler {
    text: String,
    tail: [u8; 4],
    tail_length: u8,
}

impl Utf8Assembler {
    /// Bytes taken so far.
    pub(crate) fn len(&self) -> usize {
        self.text.len() + usize::from(self.tail_length)
    }

    pub(crate) fn capacity(&self) -> usize {
        self.text.capacity()
    }

    /// Makes room for this many bytes beside those taken, of which the tail has yet to get into the text.
    pub(crate) fn reserve_exact(&mut self, additional: usize) {
        self.text.reserve_exact(usize::from(self.tail_length) + additional);
    }

    /// Takes the next piece, or says that no continuation could make the text valid.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), ProtocolError> {
        let piece = self.complete_tail(piece)?;
        let (whole, cut) = piece.split_at(piece.len() - cut_character(piece));
        self.text.push_str(simdutf8::basic::from_utf8(whole).map_err(|_| ProtocolError::InvalidUtf8)?);
        for &byte in cut {
            self.push_to_tail(byte)?;
        }
        Ok(())
    }

    /// The whole text, if it does not end inside a character.
    pub(crate) fn finish(self) -> Result<String, ProtocolError> {
        if self.tail_length == 0 { Ok(self.text) } else { Err(ProtocolError::InvalidUtf8) }
    }

    /// Takes bytes from the front of `piece` until the character that was cut in two is complete.
    fn complete_tail<'a>(&mut self, mut piece: &'a [u8]) -> Result<&'a [u8], ProtocolError> {
        while self.tail_length > 0 {
            let [byte, rest @ ..] = piece else { break };
            self.push_to_tail(*byte)?;
            piece = rest;
        }
        Ok(piece)
    }

    fn push_to_tail(&mut self, byte: u8) -> Result<(), ProtocolError> {
        let length = usize::from(self.tail_length);
        if let Some(slot) = self.tail.get_mut(length) {
            *slot = byte;
        }
        let tail = self.tail.get(..=length).ok_or(ProtocolError::InvalidUtf8)?;
        match std::str::from_utf8(tail) {
            Ok(character) => {
                self.text.push_str(character);
                self.tail_length = 0;
                Ok(())
            }
            // `None` means that the bytes so far are the beginning of a character.
            Err(error) if error.error_len().is_none() => {
                self.tail_length += 1;
                Ok(())
            }
            Err(_) => Err(ProtocolError::InvalidUtf8),
        }
    }
}

/// How many bytes at the end of `piece` begin a character that `piece` does not complete.
fn cut_character(piece: &[u8]) -> usize {
    for (behind, byte) in piece.iter().rev().take(3).enumerate() {
        let needed = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if needed > behind + 1 { behind + 1 } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `bytes` one by one and returns how many were taken before the text was refused.
    fn taken_bytewise(bytes: &[u8]) -> usize {
        let mut assembler = Utf8Assembler::default();
        bytes.iter().take_while(|&&byte| assembler.push(&[byte]).is_ok()).count()
    }

    #[test]
    fn refuses_at_the_byte_that_cannot_be_right() {
        for (bytes, taken) in [
            (&b"\xce\xba\xed\xa0\x80"[..], 3), // a surrogate: wrong at its second byte
            (b"\xf4\x90\x80\x80", 1),          // above U+10FFFF
            (b"\xc0\x80", 0),                  // overlong
            (b"\xe0\x80\x80", 1),
            (b"a\x80", 1),
            (b"\xf5", 0),
        ] {
            assert_eq!(taken_bytewise(bytes), taken, "{bytes:02x?}");
            assert!(Utf8Assembler::default().push(bytes).is_err(), "{bytes:02x?}");
        }
    }

    #[test]
    fn refuses_a_text_that_ends_inside_a_character() {
        let mut assembler = Utf8Assembler::default();
        assembler.push("κ".as_bytes()).unwrap();
        assembler.push(b"\xce").unwrap();
        assert_eq!(assembler.len(), 3);
        assert_eq!(assembler.finish(), Err(ProtocolError::InvalidUtf8));
    }

    proptest! {
        #[test]
        fn agrees_with_std_in_any_cuts(
            bytes in prop_oneof![any::<Vec<u8>>(), any::<String>().prop_map(String::into_bytes)],
            cuts in prop::collection::vec(0usize..6, 0..12),
        ) {
            let mut assembler = Utf8Assembler::default();
            let mut rest = &bytes[..];
            let mut pushed = Ok(());
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                pushed = pushed.and_then(|()| assembler.push(now));
                rest = later;
            }
            let ours = pushed.and_then(|()| assembler.finish()).ok();
            prop_assert_eq!(ours, String::from_utf8(bytes).ok());
        }
    }
}
