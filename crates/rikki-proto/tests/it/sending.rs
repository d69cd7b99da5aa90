//! What a caller may not send, and that nothing of it reaches the wire.

use rikki_proto::{CloseCode, Connection, Limits, Output, SendError};

use crate::delivery::{client, server};
use crate::wire::{self, Frame, PING};

/// `send` fails with `expected`, or puts `frame` on the wire; the connection stays usable after an error.
#[track_caller]
fn check(send: impl Fn(&mut Connection, &mut Output) -> Result<(), SendError>, expected: Result<Frame, SendError>) {
    for end in [server(Limits::default()), client(Limits::default())] {
        let (mut connection, mut output) = (end.connection(), Output::default());
        let result = send(&mut connection, &mut output);
        let frames = wire::read(&output.to_vec());
        match &expected {
            Ok(frame) => assert_eq!((result, frames), (Ok(()), end.own(vec![frame.clone()]))),
            Err(error) => {
                assert_eq!((result, frames), (Err(*error), vec![]));
                assert_eq!(connection.send("still open", &mut output), Ok(()));
            }
        }
    }
}

#[test]
fn pings() {
    for length in [0, 1, 125] {
        check(|end, out| end.ping(&vec![7; length], out), Ok(Frame::new(PING, vec![7; length])));
    }
    for length in [126, 70_000] {
        check(|end, out| end.ping(&vec![7; length], out), Err(SendError::ControlTooLong { length }));
    }
}

#[test]
fn closes() {
    let longest = "κ".repeat(61) + "!"; // 123 bytes
    check(|end, out| end.close(CloseCode(1000), "", out), Ok(Frame::close(1000, "")));
    check(|end, out| end.close(CloseCode(4000), &longest, out), Ok(Frame::close(4000, &longest)));
    let too_long = "κ".repeat(62);
    check(|end, out| end.close(CloseCode(4000), &too_long, out), Err(SendError::ReasonTooLong { length: 124 }));
    for code in [CloseCode::NO_STATUS, CloseCode::ABNORMAL, CloseCode(1015), CloseCode(0), CloseCode(5000)] {
        check(|end, out| end.close(code, "", out), Err(SendError::InvalidCloseCode(code.0)));
    }
}

/// A connection lives in a task of a runtime that may move it, and an idle one is small.
#[test]
fn a_connection_is_send_and_small() {
    fn send<T: Send>(_: &T) -> usize {
        size_of::<T>()
    }
    let size = send(&server(Limits::default()).connection());
    assert!(size <= 152, "{size} bytes");
}
