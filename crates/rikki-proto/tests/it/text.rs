//! Text is UTF-8, judged as it arrives: [RFC 6455 section 8.1](https://www.rfc-editor.org/rfc/rfc6455#section-8.1).

use rikki_proto::{Error, Limits, ProtocolError};

use crate::delivery::{End, Outcome, client, server, text};
use crate::wire::{BINARY, CONTINUATION, Frame, TEXT};

/// How many bytes of the payload of an unfinished text message are taken before it is refused, one byte at a time;
/// `None` if all are.
fn refused_at(end: End, payload: &[u8], fragment: usize) -> Option<usize> {
    let fragments = payload.chunks(fragment).enumerate().map(|(i, piece)| {
        let opcode = if i == 0 { TEXT } else { CONTINUATION };
        end.incoming(&[Frame::new(opcode, piece).part()])
    });
    let mut stream = Vec::new();
    let mut arrived = 0;
    for (bytes, piece) in fragments.zip(payload.chunks(fragment)) {
        let header = bytes.len() - piece.len();
        for count in 1..=piece.len() {
            let so_far = [&stream[..], &bytes[..header + count]].concat();
            if end.deliver([&so_far[..]]).error.is_some() {
                return Some(arrived + count - 1);
            }
        }
        arrived += piece.len();
        stream.extend(bytes);
    }
    None
}

#[track_caller]
fn refused(payload: &[u8], valid: usize) {
    for end in [server(Limits::default()), client(Limits::default())] {
        for fragment in [1, 2, 3, payload.len()] {
            assert_eq!(refused_at(end, payload, fragment), Some(valid), "{payload:02x?} in fragments of {fragment}");
        }
        let whole = end.incoming(&[Frame::new(TEXT, payload)]);
        end.check(&whole, &failure(end));
        let halves = payload.split_at(payload.len() / 2);
        let parts = [Frame::new(TEXT, halves.0).part(), Frame::new(CONTINUATION, halves.1)];
        end.check(&end.incoming(&parts), &failure(end));
        // The same bytes are as good as any in a binary message.
        assert_eq!(end.deliver([&end.incoming(&[Frame::new(BINARY, payload)])[..]]).error, None);
    }
}

fn failure(end: End) -> Outcome {
    let error = Error::Protocol(ProtocolError::InvalidUtf8);
    let output = end.own(vec![Frame::close(1007, &error.to_string())]);
    Outcome { events: Vec::new(), error: Some(error), output }
}

#[test]
fn is_refused_at_the_byte_that_cannot_be_right() {
    refused(b"\xce\xba\xed\xa0\x80edited", 3); // a surrogate
    refused(b"\xce\xba\xf4\x90\x80\x80edited", 3); // above U+10FFFF
    refused(b"ok\xc0\xaf", 2); // overlong, two bytes
    refused(b"ok\xc1\xbf", 2);
    refused(b"ok\xe0\x80\xaf", 3); // overlong, three bytes
    refused(b"ok\xf0\x80\x80\xaf", 3); // overlong, four bytes
    refused(b"\x80", 0); // nothing to continue
    refused(b"\xce\xba\x80", 2);
    refused(b"\xf5\x80\x80\x80", 0); // bytes that never occur
    refused(b"ab\xff", 2);
    refused(b"\xe1\x88x", 2); // broken off by another character
    refused(b"\xf0\x9f\x98\xf0", 3);
}

#[test]
fn must_not_end_inside_a_character() {
    for payload in [&b"\xce"[..], b"a\xe1", b"a\xe1\x88", b"\xf0", b"\xf0\x9f\x98"] {
        for end in [server(Limits::default()), client(Limits::default())] {
            end.check(&end.incoming(&[Frame::new(TEXT, payload)]), &failure(end));
            let empty_end = [Frame::new(TEXT, payload).part(), Frame::new(CONTINUATION, [])];
            end.check(&end.incoming(&empty_end), &failure(end));
        }
    }
}

#[test]
fn may_be_cut_anywhere_between_fragments() {
    let content = "κόσμε \u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}\0😀";
    for end in [server(Limits::default()), client(Limits::default())] {
        let expected = Outcome { events: vec![text(content)], ..Outcome::default() };
        for cut in 0..=content.len() {
            let (head, tail) = content.as_bytes().split_at(cut);
            let parts = [Frame::new(TEXT, head).part(), Frame::new(CONTINUATION, tail)];
            end.check(&end.incoming(&parts), &expected);
        }
    }
}
