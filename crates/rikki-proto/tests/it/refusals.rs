//! One case for each broken rule: no event, the right error, and the Close frame that tells the peer.

use rikki_proto::{Error, Event, Limits, ProtocolError};

use crate::delivery::{End, Outcome, Role, binary, client, ping, server};
use crate::wire::{self, BINARY, CLOSE, CONTINUATION, Frame, KEY, Length, PING, PONG, TEXT};

const ENDS: [fn(Limits) -> End; 2] = [server, client];

/// `frames` cause `events` and then fail with `error`, told as `code`; whatever follows is discarded.
#[track_caller]
fn fails(end: End, frames: &[Frame], events: &[Event<'static>], error: impl Into<Error>, code: u16) {
    let error = error.into();
    let pongs = events.iter().filter_map(|event| match event {
        Event::Ping(payload) => Some(Frame::new(PONG, &payload[..])),
        _ => None,
    });
    let output = end.own(pongs.chain([Frame::close(code, &error.to_string())]).collect());
    let expected = Outcome { events: events.to_vec(), error: Some(error), output };
    let stream = wire::stream(frames);
    end.check(&stream, &expected);
    end.check(&[stream, end.incoming(&[Frame::new(TEXT, "late"), Frame::new(PING, "late")])].concat(), &expected);
}

/// The same for both roles, with frames masked as the role demands.
#[track_caller]
fn fails_at_both(frames: &[Frame], events: &[Event<'static>], error: ProtocolError, code: u16) {
    for end in ENDS.map(|end| end(Limits::default())) {
        let frames = if end.role == Role::Server { wire::masked(frames) } else { frames.to_vec() };
        fails(end, &frames, events, error, code);
    }
}

#[test]
fn masking_5_1() {
    let hello = Frame::new(TEXT, "Hello");
    fails(server(Limits::default()), std::slice::from_ref(&hello), &[], ProtocolError::Unmasked, 1002);
    fails(client(Limits::default()), &[hello.masked(KEY)], &[], ProtocolError::Masked, 1002);
    fails(server(Limits::default()), &[Frame::new(PING, [])], &[], ProtocolError::Unmasked, 1002);
    fails(client(Limits::default()), &[Frame::close(1000, "").masked(KEY)], &[], ProtocolError::Masked, 1002);
}

#[test]
fn reserved_bits_and_opcodes_5_2() {
    for rsv in 1..=7 {
        for opcode in [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] {
            fails_at_both(&[Frame::new(opcode, []).rsv(rsv)], &[], ProtocolError::ReservedBits, 1002);
        }
    }
    for opcode in (0x3..=0x7).chain(0xb..=0xf) {
        fails_at_both(&[Frame::new(opcode, "?")], &[], ProtocolError::ReservedOpcode(opcode), 1002);
    }
}

#[test]
fn lengths_5_2() {
    use Length::{Announced, In16Bits, In64Bits};
    for (length, size) in
        [(In16Bits, 0), (In16Bits, 5), (In16Bits, 125), (In64Bits, 0), (In64Bits, 126), (In64Bits, 65_535)]
    {
        let frame = Frame::new(BINARY, vec![1; size]).length(length);
        fails_at_both(&[frame], &[], ProtocolError::NonMinimalLength, 1002);
    }
    for length in [1 << 63, u64::MAX] {
        let frame = Frame::new(BINARY, [0; 4]).length(Announced(length));
        fails_at_both(&[frame], &[], ProtocolError::LengthOverflow, 1002);
    }
}

#[test]
fn control_frames_5_5() {
    for opcode in [CLOSE, PING, PONG] {
        fails_at_both(&[Frame::new(opcode, [0; 126])], &[], ProtocolError::ControlTooLong, 1002);
        fails_at_both(&[Frame::new(opcode, [0; 70_000])], &[], ProtocolError::ControlTooLong, 1002);
        fails_at_both(&[Frame::new(opcode, []).part()], &[], ProtocolError::ControlFragmented, 1002);
    }
}

#[test]
fn fragmentation_5_4() {
    let start = Frame::new(TEXT, "a").part();
    let unexpected = ProtocolError::UnexpectedContinuation;
    fails_at_both(&[Frame::new(CONTINUATION, "a")], &[], unexpected, 1002);
    fails_at_both(&[Frame::new(CONTINUATION, "a").part()], &[], unexpected, 1002);
    fails_at_both(&[Frame::new(BINARY, "a"), Frame::new(CONTINUATION, "b")], &[binary(b"a")], unexpected, 1002);
    for next in [Frame::new(TEXT, "b"), Frame::new(BINARY, "b"), Frame::new(BINARY, []).part()] {
        fails_at_both(&[start.clone(), next.clone()], &[], ProtocolError::ExpectedContinuation, 1002);
        let between = [start.clone(), Frame::new(PING, "!"), next];
        fails_at_both(&between, &[ping(b"!")], ProtocolError::ExpectedContinuation, 1002);
    }
}

#[test]
fn close_bodies_5_5_1() {
    fails_at_both(&[Frame::new(CLOSE, [3])], &[], ProtocolError::CloseTooShort, 1002);
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        fails_at_both(&[Frame::close(code, "")], &[], ProtocolError::InvalidCloseCode(code), 1002);
    }
    for reason in [&b"\xff\xfe"[..], b"ok\xce", b"\xed\xa0\x80"] {
        let body = [&1000u16.to_be_bytes(), reason].concat();
        fails_at_both(&[Frame::new(CLOSE, body)], &[], ProtocolError::InvalidCloseReason, 1007);
    }
}
