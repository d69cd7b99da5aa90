//! The closing handshake: [RFC 6455 section 7](https://www.rfc-editor.org/rfc/rfc6455#section-7).

use rikki_proto::{CloseCode, Event, LimitExceeded, Limits, Message, ProtocolError, SendError};

use crate::delivery::{End, Outcome, client, closed, ping, receive, server, text};
use crate::model::may_be_sent;
use crate::pair::Pair;
use crate::wire::{self, BINARY, CLOSE, CONTINUATION, Frame, PING, TEXT};

const ENDS: [fn(Limits) -> End; 2] = [server, client];

/// Feeds `frames` to both roles, which must report `events` and answer with `answers`.
#[track_caller]
fn check(frames: &[Frame], events: &[Event<'static>], answers: &[Frame]) {
    for end in ENDS.map(|end| end(Limits::default())) {
        let output = end.own(answers.to_vec());
        end.check(&end.incoming(frames), &Outcome { events: events.to_vec(), error: None, output });
    }
}

#[test]
fn a_close_is_answered_with_its_code() {
    check(&[Frame::close(1000, "")], &[closed(1000, "")], &[Frame::close(1000, "")]);
    check(&[Frame::close(4999, "bye, κόσμε")], &[closed(4999, "bye, κόσμε")], &[Frame::close(4999, "")]);
    let longest = "r".repeat(123);
    check(&[Frame::close(1001, &longest)], &[closed(1001, &longest)], &[Frame::close(1001, "")]);
    // No code is answered with no code.
    check(&[Frame::new(CLOSE, [])], &[Event::Close(None)], &[Frame::new(CLOSE, [])]);
}

#[test]
fn nothing_after_a_close_is_looked_at() {
    let after =
        [Frame::new(TEXT, "late"), Frame::new(PING, "late"), Frame::close(1001, ""), Frame::new(0xf, "wrong").rsv(7)];
    let frames = [&[Frame::close(1000, "")], &after[..]].concat();
    check(&frames, &[closed(1000, "")], &[Frame::close(1000, "")]);
    // A Close ends a message that is under way.
    let amid = [Frame::new(TEXT, "never ").part(), Frame::close(1000, ""), Frame::new(CONTINUATION, "whole")];
    check(&amid, &[closed(1000, "")], &[Frame::close(1000, "")]);
}

#[test]
fn exactly_the_codes_of_section_7_4_are_taken_and_sent() {
    for code in (0..=5100).chain([u16::MAX]) {
        for end in ENDS.map(|end| end(Limits::default())) {
            let taken = end.deliver([&end.incoming(&[Frame::close(code, "")])[..]]);
            let (mut connection, mut output) = (end.connection(), rikki_proto::Output::default());
            let sent = connection.close(CloseCode(code), "", &mut output);
            if may_be_sent(code) {
                assert_eq!((taken.events, sent), (vec![closed(code, "")], Ok(())));
                assert_eq!(wire::read(&output.to_vec()), end.own(vec![Frame::close(code, "")]));
            } else {
                assert_eq!(taken.error, Some(ProtocolError::InvalidCloseCode(code).into()));
                assert_eq!(sent, Err(SendError::InvalidCloseCode(code)));
                assert!(output.is_empty() && connection.is_open());
            }
        }
    }
}

/// Runs a closing handshake that `closers` start before anything is carried, and returns what client and server see.
fn handshake(client_closes: bool, server_closes: bool) -> (Vec<Event<'static>>, Vec<Event<'static>>) {
    let mut pair = Pair::new(Limits::default());
    for (from_client, closes) in [(true, client_closes), (false, server_closes)] {
        let (side, _) = pair.sides(from_client);
        let code = if from_client { 3001 } else { 3002 };
        if closes {
            side.connection.close(CloseCode(code), "why", &mut side.output).unwrap();
            assert!(!side.connection.is_open() && !side.connection.is_closed());
        }
    }
    pair.settle(1);
    assert!(pair.client.connection.is_closed() && pair.server.connection.is_closed());
    assert_eq!(pair.client.connection.is_closed_by_peer(), !client_closes);
    assert_eq!(pair.server.connection.is_closed_by_peer(), !server_closes);
    (pair.client.events().to_vec(), pair.server.events().to_vec())
}

#[test]
fn either_end_or_both_at_once_may_start() {
    assert_eq!(handshake(true, false), (vec![closed(3001, "")], vec![closed(3001, "why")]));
    assert_eq!(handshake(false, true), (vec![closed(3002, "why")], vec![closed(3002, "")]));
    assert_eq!(handshake(true, true), (vec![closed(3002, "why")], vec![closed(3001, "why")]));
}

/// Feeds `frames` to both roles after they have sent a Close; nothing may follow it on the wire.
#[track_caller]
fn after_our_close(frames: &[Frame], expected: &Outcome) {
    for end in ENDS.map(|end| end(Limits::default())) {
        let stream = end.incoming(frames);
        for piece in [1, 3, stream.len()] {
            let (mut connection, mut output) = (end.connection(), rikki_proto::Output::default());
            connection.close(CloseCode::GOING_AWAY, "down", &mut output).unwrap();
            let mut outcome = Outcome::default();
            for piece in stream.chunks(piece) {
                receive(&mut connection, piece, &mut output, &mut outcome);
            }
            assert_eq!(outcome, *expected);
            assert_eq!(wire::read(&output.to_vec()), end.own(vec![Frame::close(1001, "down")]));
        }
    }
}

#[test]
fn after_our_close_the_peer_is_heard_until_its_own() {
    let message = Frame::new(TEXT, "still under way");
    let heard = [text("still under way"), ping(b"?"), closed(1001, "")];
    let expected = Outcome { events: heard.to_vec(), ..Outcome::default() };
    let frames = [message.clone(), Frame::new(PING, "?"), Frame::close(1001, ""), message];
    after_our_close(&frames, &expected);
}

#[test]
fn a_failure_after_our_close_is_told_to_the_caller_alone() {
    let broken = |error: ProtocolError| Outcome { error: Some(error.into()), ..Outcome::default() };
    after_our_close(&[Frame::new(0x3, "")], &broken(ProtocolError::ReservedOpcode(3)));
    after_our_close(&[Frame::new(TEXT, [0xff])], &broken(ProtocolError::InvalidUtf8));
    after_our_close(&[Frame::close(1005, "")], &broken(ProtocolError::InvalidCloseCode(1005)));
}

#[test]
fn a_failure_reaches_the_peer_as_a_close() {
    let limits = Limits::default().max_message_size(10);
    for from_client in [true, false] {
        let mut pair = Pair::new(limits);
        let (side, _) = pair.sides(from_client);
        side.connection.send("eleven byte", &mut side.output).unwrap();
        side.connection.send("unheard", &mut side.output).unwrap();
        pair.settle(4);
        let (sender, receiver) = pair.sides(from_client);
        let error = LimitExceeded::MessageTooLong { length: 11, limit: 10 };
        assert_eq!((receiver.events(), receiver.error()), (&[][..], Some(error.into())));
        assert_eq!((sender.events(), sender.error()), (&[closed(1009, &error.to_string())][..], None));
        assert!(sender.connection.is_closed() && sender.output.is_empty());
    }
}

#[test]
fn a_closed_end_sends_nothing() {
    let binary = Frame::new(BINARY, "x");
    for end in ENDS.map(|end| end(Limits::default())) {
        for frames in [vec![Frame::close(1000, "")], vec![binary.clone().rsv(1)]] {
            let (mut connection, mut output) = (end.connection(), rikki_proto::Output::default());
            receive(&mut connection, &end.incoming(&frames), &mut output, &mut Outcome::default());
            let answered = output.len();
            assert_eq!(connection.send("x", &mut output), Err(SendError::Closed));
            let prepared = rikki_proto::PreparedMessage::new(Message::from("x"));
            assert_eq!(connection.send_prepared(&prepared, &mut output), Err(SendError::Closed));
            assert_eq!(connection.ping(b"x", &mut output), Err(SendError::Closed));
            assert_eq!(connection.close(CloseCode::NORMAL, "", &mut output), Err(SendError::Closed));
            connection.handle_unblocked(&mut output);
            assert_eq!(output.len(), answered);
        }
    }
}
