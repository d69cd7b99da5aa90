//! Streams at random: conversations that keep every rule, and frames that break any of them.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::delivery::Role;
use crate::wire::{BINARY, CLOSE, CONTINUATION, Frame, KEY, Length, PING, PONG, TEXT};

/// Any frame at all, most of its fields right most of the time.
pub(crate) fn any_frame(role: Role) -> impl Strategy<Value = Frame> {
    let rsv = prop_oneof![15 => Just(0u8), 1 => 1u8..8];
    let opcode = prop_oneof![12 => select(vec![CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG]), 1 => 0u8..16];
    let is_right = prop_oneof![15 => Just(true), 1 => Just(false)];
    let length = prop_oneof![
        20 => Just(Length::Shortest),
        1 => Just(Length::In16Bits),
        1 => Just(Length::In64Bits),
        1 => (0x1_0000u64..).prop_map(Length::Announced),
    ];
    (any::<bool>(), rsv, opcode, is_right, any::<[u8; 4]>(), length, payload()).prop_map(
        move |(fin, rsv, opcode, mask_is_right, key, length, payload)| {
            let is_masked = (role == Role::Server) == mask_is_right;
            Frame { fin, rsv, opcode, mask: is_masked.then_some(key), length, payload }
        },
    )
}

/// Bytes of which many are text, some almost, some the body of a Close frame.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(any::<char>(), 0..20).prop_map(|text| text.into_iter().collect::<String>().into_bytes()),
        2 => vec(any::<char>(), 1..20).prop_map(|text| {
            let mut bytes = text.into_iter().collect::<String>().into_bytes();
            bytes.pop();
            bytes
        }),
        2 => vec(any::<u8>(), 0..200),
        1 => (500u16..5500, "[a-zκ]{0,9}").prop_map(|(code, reason)| Frame::close(code, &reason).payload),
        1 => Just(Vec::new()),
    ]
}

/// A conversation that keeps every rule: messages in fragments that are cut anywhere, also inside characters, with
/// control frames between them, and sometimes a Close at its end.
pub(crate) fn conversation(role: Role) -> impl Strategy<Value = Vec<Frame>> {
    let close = option::weighted(0.3, (select(vec![1000, 1001, 1011, 3000, 4999]), "[a-zκ]{0,9}"));
    (vec(fragmented(), 0..5), close).prop_map(move |(messages, close)| {
        let close = close.map(|(code, reason)| Frame::close(code, &reason));
        let frames = messages.into_iter().flatten().chain(close);
        frames.map(|frame| if role == Role::Server { frame.masked(KEY) } else { frame }).collect()
    })
}

/// One message in fragments, and control frames before each of them.
fn fragmented() -> impl Strategy<Value = Vec<Frame>> {
    let message = prop_oneof![
        vec(any::<char>(), 0..60).prop_map(|text| (TEXT, text.into_iter().collect::<String>().into_bytes())),
        vec(any::<u8>(), 0..200).prop_map(|bytes| (BINARY, bytes)),
    ];
    (message, vec((0usize..40, vec(control(), 0..3)), 0..5)).prop_map(|((opcode, payload), cuts)| {
        let mut frames = Vec::new();
        let mut rest = &payload[..];
        let mut opcode = opcode;
        for (length, controls) in cuts {
            let (now, later) = rest.split_at(length.min(rest.len()));
            frames.push(Frame::new(opcode, now).part());
            frames.extend(controls);
            (opcode, rest) = (CONTINUATION, later);
        }
        frames.push(Frame::new(opcode, rest));
        frames
    })
}

fn control() -> impl Strategy<Value = Frame> {
    (select(vec![PING, PONG]), prop_oneof![vec(any::<u8>(), 0..6), vec(any::<u8>(), 125)])
        .prop_map(|(opcode, payload)| Frame::new(opcode, payload))
}
