//! What waits to be written: pings under backlog, shared payloads, and taking back what was sent.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use rikki_proto::{Connection, Event, Limits, Message, Output, PreparedMessage};

use crate::delivery::{End, Outcome, client, ping, receive, server};
use crate::wire::{self, Frame, PING, PONG, TEXT};

const ENDS: [fn(Limits) -> End; 2] = [server, client];

/// What an end has to write after pings that came while writing was blocked, and once it no longer is.
fn pongs(end: End, pings: &[&str]) -> (Vec<Event<'static>>, Vec<Frame>) {
    let (mut connection, mut output) = (end.connection(), Output::default());
    let mut outcome = Outcome::default();
    output.set_blocked(true);
    for payload in pings {
        receive(&mut connection, &end.incoming(&[Frame::new(PING, payload)]), &mut output, &mut outcome);
    }
    assert!(output.is_empty(), "a pong was queued behind a peer that does not read");
    output.set_blocked(false);
    for _ in 0..2 {
        connection.handle_unblocked(&mut output); // the second time there is nothing to answer
    }
    (outcome.events, wire::read(&output.to_vec()))
}

/// Section 5.5.3: only the latest ping need be answered.
#[test]
fn blocked_output_keeps_only_the_latest_ping() {
    for end in ENDS.map(|end| end(Limits::default())) {
        let answer = |payload| end.own(vec![Frame::new(PONG, payload)]);
        assert_eq!(pongs(end, &[]), (vec![], vec![]));
        assert_eq!(pongs(end, &["one"]), (vec![ping(b"one")], answer("one")));
        assert_eq!(pongs(end, &[""]), (vec![ping(b"")], answer("")));
        let flood: Vec<String> = (0..1000).map(|i| format!("{i:0>125}")).collect();
        let flood: Vec<&str> = flood.iter().map(String::as_str).collect();
        let (events, answered) = pongs(end, &flood);
        assert_eq!((events.len(), answered), (1000, answer(flood[999])));
    }
}

/// Section 5.5.1: nothing follows a Close, an owed pong neither.
#[test]
fn a_close_drops_the_ping_that_was_kept() {
    for end in ENDS.map(|end| end(Limits::default())) {
        let (mut connection, mut output) = (end.connection(), Output::default());
        output.set_blocked(true);
        let stream = end.incoming(&[Frame::new(PING, "kept"), Frame::close(1000, "")]);
        receive(&mut connection, &stream, &mut output, &mut Outcome::default());
        output.set_blocked(false);
        connection.handle_unblocked(&mut output);
        assert_eq!(wire::read(&output.to_vec()), end.own(vec![Frame::close(1000, "")]));
    }
}

/// The bytes of one message, sent in the two ways there are.
fn sent_both_ways(end: End, message: &Message<'static>) -> (Vec<u8>, Vec<u8>) {
    let (mut plain, mut prepared) = (Output::default(), Output::default());
    end.connection().send(message.clone(), &mut plain).unwrap();
    let framed = PreparedMessage::new(message.clone());
    end.connection().send_prepared(&framed, &mut prepared).unwrap();
    if end.role == crate::delivery::Role::Server {
        assert_eq!(framed.len(), prepared.len());
    }
    (plain.to_vec(), prepared.to_vec())
}

#[test]
fn a_prepared_message_is_what_send_would_have_sent() {
    for length in [0, 1, 125, 126, 16_379, 16_380, 16_384, 65_535, 65_536] {
        for message in [Message::from("x".repeat(length)), Message::from(vec![0xff; length])] {
            for end in ENDS.map(|end| end(Limits::default())) {
                let (plain, prepared) = sent_both_ways(end, &message);
                assert!(plain == prepared, "{:?}, {length} bytes", end.role);
                assert_eq!(wire::read(&plain)[0].payload, message.as_bytes());
            }
        }
    }
}

/// Where the chunks of an output lie that a server has sent `message` into.
fn chunks(send: impl FnOnce(&mut Connection, &mut Output)) -> Vec<(*const u8, usize)> {
    let mut output = Output::default();
    send(&mut Connection::server(Limits::default()), &mut output);
    output.chunks().map(|chunk| (chunk.as_ptr(), chunk.len())).collect()
}

#[test]
fn large_shared_payloads_are_written_from_where_they_lie() {
    for length in [16 * 1024, 70_000] {
        let bytes = Bytes::from(vec![b'x'; length]);
        let bytes_lie_at = (bytes.as_ptr(), length);
        assert_eq!(chunks(|end, out| end.send(bytes.clone(), out).unwrap())[1], bytes_lie_at);
        let text = String::from("x").repeat(length);
        let lies_at = (text.as_ptr(), length);
        assert_eq!(chunks(|end, out| end.send(text, out).unwrap())[1], lies_at);
        let prepared = PreparedMessage::new(bytes);
        let twice = chunks(|end, out| (0..2).for_each(|_| end.send_prepared(&prepared, out).unwrap()));
        assert_eq!((twice[1], twice[3]), (bytes_lie_at, bytes_lie_at));
    }
    let below = Bytes::from(vec![b'x'; 16 * 1024 - 1]);
    assert_eq!(chunks(|end, out| end.send(below.clone(), out).unwrap()).len(), 1);
    assert_eq!(chunks(|end, out| end.send_prepared(&PreparedMessage::new(below), out).unwrap()).len(), 1);
}

fn message() -> impl Strategy<Value = Message<'static>> {
    let length = prop_oneof![0usize..200, 16_380usize..16_390, 60_000usize..70_000];
    (length, any::<u8>()).prop_map(|(length, byte)| Message::from(vec![byte; length]))
}

proptest! {
    /// What a handler sent before it panicked is taken back, whatever has been written before.
    #[test]
    fn a_rollback_takes_back_all_sent_since_the_checkpoint(
        is_server: bool,
        before in vec(message(), 0..5),
        written: prop::sample::Index,
        taken_back in vec(message(), 0..5),
        after in message(),
    ) {
        let end = if is_server { server(Limits::default()) } else { client(Limits::default()) };
        let (mut connection, mut output) = (end.connection(), Output::default());
        for message in before {
            connection.send(message, &mut output).unwrap();
        }
        output.advance(written.index(output.len() + 1));
        let kept = output.to_vec();
        let checkpoint = output.checkpoint();
        for message in taken_back {
            connection.send(message, &mut output).unwrap();
        }
        output.rollback(checkpoint);
        prop_assert!(output.to_vec() == kept);
        prop_assert_eq!(output.len(), kept.len());
        prop_assert_eq!(output.is_empty(), kept.is_empty());
        // The output is as good as before.
        let length = after.as_bytes().len();
        connection.send(after, &mut output).unwrap();
        prop_assert!(output.len() > kept.len() + length);
        prop_assert!(output.to_vec().starts_with(&kept));
        output.advance(output.len());
        prop_assert!(output.is_empty());
    }
}

/// All that one read causes is in one buffer, ready for one write.
#[test]
fn answers_to_one_read_are_one_chunk() {
    let end = server(Limits::default());
    let mut read = end.incoming(&vec![Frame::new(TEXT, "twenty bytes of text"); 32]);
    let (mut connection, mut output) = (end.connection(), Output::default());
    let mut input = &mut read[..];
    while let Some(event) = connection.next_event(&mut input, &mut output).unwrap() {
        let Event::Message(message) = event else { panic!("{event:?}") };
        connection.send(message, &mut output).unwrap();
    }
    assert_eq!(output.chunks().map(<[u8]>::len).collect::<Vec<_>>(), [32 * 22]);
}
