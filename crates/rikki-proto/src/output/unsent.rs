//! Which frames the bytes that are left belong to: looked at when a write stops in the middle of them, and never else.

use super::Output;
use crate::frame::FrameHeader;

/// What is left of a frame that has been written in part.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Begun {
    left: usize,
    is_message: bool,
}

/// A frame that is unsent as a whole.
struct Unsent {
    /// Header and payload, in bytes.
    length: usize,
    is_message: bool,
}

impl Output {
    /// The messages that have not been written, or in part alone: what the peer does not get if nothing more is
    /// written.
    ///
    /// Takes a time in proportion to their number.
    #[must_use]
    pub fn messages(&self) -> usize {
        usize::from(self.begun.is_message) + self.frames().filter(|frame| frame.is_message).count()
    }

    /// Notes how far into a frame the first `count` bytes reach, while they are still there.
    #[cold]
    #[inline(never)]
    pub(super) fn note_written(&mut self, count: usize) {
        let mut begun = self.begun;
        for frame in self.frames() {
            if begun.left > count {
                break;
            }
            begun = Begun { left: begun.left + frame.length, is_message: frame.is_message };
        }
        // The last frame that was looked at ends behind them, or with them.
        let left = begun.left.saturating_sub(count);
        self.begun = Begun { left, is_message: begun.is_message && left > 0 };
    }

    /// Notes that the first `count` bytes of a message's frame of `length` bytes have been written, with nothing before
    /// it.
    pub(super) fn note_begun(&mut self, length: usize, count: usize) {
        if count > 0 {
            self.begun = Begun { left: length.saturating_sub(count), is_message: true };
        }
    }

    /// The frames behind the one that has begun. Their headers lie in one piece each: they were written so.
    fn frames(&self) -> impl Iterator<Item = Unsent> {
        let mut chunks = self.chunks();
        let mut chunk: &[u8] = &[];
        let mut skipped = self.begun.left;
        std::iter::from_fn(move || {
            while skipped >= chunk.len() {
                skipped -= chunk.len();
                chunk = chunks.next()?;
            }
            chunk = chunk.get(skipped..)?;
            let is_masked = chunk.get(1)? & 0x80 != 0;
            let (header, length) = FrameHeader::parse(chunk, is_masked, true).ok()??;
            skipped = length + usize::try_from(header.length).ok()?;
            Some(Unsent { length: skipped, is_message: !header.opcode.is_control() })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use bytes::Bytes;

    use super::*;
    use crate::{CloseCode, Connection, Limits, Message, PreparedMessage};

    /// Messages and control frames, short, long and spliced.
    fn fill(connection: &mut Connection, output: &mut Output) -> Vec<(usize, bool)> {
        let mut frames = Vec::new();
        let mut note = |output: &Output, is_message| {
            let before: usize = frames.iter().map(|(length, _)| length).sum();
            frames.push((output.len() - before, is_message));
        };
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            connection.send(Message::from(vec![0; length]), output).unwrap();
            note(output, true);
            connection.ping(b"ping", output).unwrap();
            note(output, false);
            connection.send(Bytes::from(vec![1; length]), output).unwrap();
            note(output, true);
            connection.send_prepared(&PreparedMessage::new("prepared".repeat(length % 7)), output).unwrap();
            note(output, true);
        }
        connection.close(CloseCode::NORMAL, "end", output).unwrap();
        note(output, false);
        frames
    }

    /// How many of `frames` are messages that end behind the first `written` bytes.
    fn unsent(frames: &[(usize, bool)], written: usize) -> usize {
        let ends = frames.iter().scan(0, |end, (length, is_message)| {
            *end += length;
            Some((*end, *is_message))
        });
        ends.filter(|(end, is_message)| *is_message && *end > written).count()
    }

    #[test]
    fn counts_messages_that_are_not_written_whole() {
        let server = || Connection::server(Limits::default());
        let client = || Connection::client(Limits::default(), || [1, 2, 3, 4]);
        for connection in [server as fn() -> Connection, client] {
            for step in [13, 1000, 16 * 1024, 70_000, usize::MAX] {
                let mut output = Output::default();
                let frames = fill(&mut connection(), &mut output);
                let mut written = 0;
                while !output.is_empty() {
                    if step > 13 || written % 97 < 20 {
                        assert_eq!(output.messages(), unsent(&frames, written), "{written} written, by {step}");
                    }
                    let count = step.min(output.len());
                    output.advance(count);
                    written += count;
                    match written % 3 {
                        1 => output.shrink(),
                        2 => output.seal(),
                        _ => {}
                    }
                }
                assert_eq!(output.messages(), 0);
            }
        }
    }

    #[test]
    fn of_what_is_written_at_once_the_rest_is_kept() {
        for payload in ["", "x", &"y".repeat(5000), &"z".repeat(70_000)] {
            let mut connection = Connection::server(Limits::default());
            let mut whole = Output::default();
            connection.send(payload, &mut whole).unwrap();
            let whole = whole.to_vec();
            for taken in [0, 1, 2, 3, 4, 5, 11, 4000, whole.len() - 1, whole.len()] {
                let taken = taken.min(whole.len());
                let (mut output, mut written) = (Output::default(), Vec::new());
                let write = |pieces: &[IoSlice<'_>]| {
                    written.extend(pieces.iter().flat_map(|piece| piece.iter()).take(taken));
                    taken
                };
                connection.send_through(payload.into(), &mut output, write).unwrap();
                assert_eq!(output.messages(), usize::from(taken < whole.len()), "{taken} of {}", whole.len());
                // What waits is not overtaken.
                let is_empty = output.is_empty();
                let mut asked = false;
                let write = |_: &[IoSlice<'_>]| usize::from(std::mem::replace(&mut asked, true));
                connection.send_through("next".into(), &mut output, write).unwrap();
                assert_eq!(asked, is_empty);
                assert_eq!(output.messages(), usize::from(taken < whole.len()) + 1);
                written.extend_from_slice(&output.to_vec());
                assert!(written == [&whole[..], b"\x81\x04next"].concat(), "{taken} of {}", whole.len());
            }
        }
        let mut client = Connection::client(Limits::default(), || [1, 2, 3, 4]);
        let mut output = Output::default();
        client.send_through("masked".into(), &mut output, |_| panic!("it is not as it was sent")).unwrap();
        assert_eq!(output.messages(), 1);
    }
}
