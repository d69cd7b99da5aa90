//! A client masks every frame, each with a key of its own:
//! [RFC 6455 section 5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.3).

use rikki_proto::{CloseCode, Connection, Limits, Output, PreparedMessage};

use crate::delivery::{Outcome, receive};
use crate::wire::{self, BINARY, CLOSE, Frame, PING, PONG, TEXT};

/// Frames of every kind a client sends, and the keys it took.
fn sent(keys: impl FnMut() -> [u8; 4] + Send + 'static) -> (Vec<Frame>, Vec<u8>) {
    let (mut connection, mut output) = (Connection::client(Limits::default(), keys), Output::default());
    let mut expected = Vec::new();
    for payload in ["", "a", "Hello", &"long".repeat(5000)] {
        connection.send(payload, &mut output).unwrap();
        connection.send(payload.as_bytes().to_vec(), &mut output).unwrap();
        connection.send_prepared(&PreparedMessage::new(payload), &mut output).unwrap();
        expected.extend([TEXT, BINARY, TEXT].map(|opcode| Frame::new(opcode, payload)));
    }
    connection.ping(b"ours", &mut output).unwrap();
    receive(&mut connection, &Frame::new(PING, "theirs").bytes(), &mut output, &mut Outcome::default());
    output.set_blocked(true);
    receive(&mut connection, &Frame::new(PING, "kept").bytes(), &mut output, &mut Outcome::default());
    output.set_blocked(false);
    connection.handle_unblocked(&mut output);
    connection.close(CloseCode::NORMAL, "", &mut output).unwrap();
    expected.extend([Frame::new(PING, "ours"), Frame::new(PONG, "theirs"), Frame::new(PONG, "kept")]);
    expected.push(Frame::new(CLOSE, [0x03, 0xe8]));
    (expected, output.to_vec())
}

#[test]
fn every_frame_takes_the_next_key() {
    let (expected, bytes) = sent(crate::delivery::keys());
    let keyed = expected.into_iter().zip(1u32..).map(|(frame, key)| frame.masked(key.to_be_bytes()));
    assert_eq!(wire::read(&bytes), keyed.collect::<Vec<_>>());
}

/// The second example of section 5.7.
#[test]
fn the_example_of_the_rfc() {
    let mut connection = Connection::client(Limits::default(), || wire::KEY);
    let mut output = Output::default();
    connection.send("Hello", &mut output).unwrap();
    assert_eq!(output.to_vec(), b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
}
