//! Compressed messages through whole connections: who may send them, what they turn into, and what they may cost.

use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use proptest::prelude::*;
use rikki_proto::deflate::{Codecs, Compression, Compressor, Decompressor};
use rikki_proto::{Connection, Error, Event, LimitExceeded, Limits, Message, MessageMemory, Output, ProtocolError};

use crate::wire::{self, CLOSE, CONTINUATION, Frame, KEY, PING, TEXT};

/// One compressor, and as many decompressors as it is made with.
struct Shelf {
    compressor: Mutex<Compressor>,
    decompressors: Mutex<Vec<Decompressor>>,
    threshold: usize,
}

impl Shelf {
    fn new(decompressors: usize, threshold: usize) -> Arc<Self> {
        Arc::new(Self {
            compressor: Mutex::new(Compressor::new(Compression::default())),
            decompressors: Mutex::new((0..decompressors).map(|_| Decompressor::new()).collect()),
            threshold,
        })
    }

    fn left(&self) -> usize {
        self.decompressors.lock().unwrap().len()
    }

    fn deflate(&self, payload: &[u8]) -> Vec<u8> {
        let mut compressed = Vec::new();
        let mut compressor = self.compressor.lock().unwrap();
        compressor.reset();
        compressor.compress(payload, &mut compressed);
        compressed
    }
}

impl Codecs for Shelf {
    fn threshold(&self) -> usize {
        self.threshold
    }

    fn compress(&self, payload: &[u8], use_it: &mut dyn FnMut(&[u8])) {
        let compressed = self.deflate(payload);
        if compressed.len() < payload.len() {
            use_it(&compressed);
        }
    }

    fn lend(&self) -> Option<Decompressor> {
        let mut decompressor = self.decompressors.lock().unwrap().pop()?;
        decompressor.reset();
        Some(decompressor)
    }

    fn give_back(&self, decompressor: Decompressor) {
        self.decompressors.lock().unwrap().push(decompressor);
    }
}

fn server(limits: Limits, shelf: &Arc<Shelf>) -> Connection {
    let mut server = Connection::server(limits);
    server.set_codecs(shelf.clone());
    server
}

/// What a connection makes of bytes that arrive in pieces of `cut`: messages, then the error if there is one.
fn receive(
    connection: &mut Connection,
    bytes: &[u8],
    cut: usize,
    output: &mut Output,
) -> (Vec<Message<'static>>, Option<Error>) {
    let mut messages = Vec::new();
    for piece in bytes.to_vec().chunks_mut(cut) {
        let mut input = piece;
        loop {
            match connection.next_event(&mut input, output) {
                Ok(Some(Event::Message(message))) => messages.push(message.into_owned()),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}

const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";

#[track_caller]
fn refused(frames: &[Frame], limits: Limits, expected: impl Into<Error>) {
    let expected = expected.into();
    let bytes = wire::stream(&wire::masked(frames));
    for cut in [1, 3, bytes.len()] {
        let shelf = Shelf::new(1, 1);
        let mut output = Output::default();
        let (_, error) = receive(&mut server(limits, &shelf), &bytes, cut, &mut output);
        assert_eq!(error, Some(expected), "cut {cut}");
        assert_eq!(wire::read(&output.to_vec()).last().map(|frame| frame.opcode), Some(CLOSE));
        assert_eq!(shelf.left(), 1, "a failed connection gives back what it was lent");
    }
}

#[test]
fn takes_the_examples_of_rfc_7692() {
    let (first, last) = HELLO.split_at(3);
    let whole = [Frame::new(TEXT, HELLO).rsv(4)];
    let parts = [
        Frame::new(TEXT, first).rsv(4).part(),
        Frame::new(PING, "between"),
        Frame::new(CONTINUATION, last),
        Frame::new(TEXT, "plain"),
    ];
    for (frames, expected) in [(&whole[..], &["Hello"][..]), (&parts, &["Hello", "plain"])] {
        let bytes = wire::stream(&wire::masked(frames));
        for cut in 1..=bytes.len() {
            let shelf = Shelf::new(1, 1);
            let (messages, error) =
                receive(&mut server(Limits::default(), &shelf), &bytes, cut, &mut Output::default());
            let expected: Vec<_> = expected.iter().map(|text| Message::from(*text)).collect();
            assert_eq!((messages, error), (expected, None), "cut {cut}");
            assert_eq!(shelf.left(), 1);
        }
    }
}

#[test]
fn refuses_the_bit_where_it_does_not_belong() {
    let limits = Limits::default();
    refused(&[Frame::new(PING, "").rsv(4)], limits, ProtocolError::ReservedBits);
    refused(&[Frame::new(TEXT, "").rsv(2)], limits, ProtocolError::ReservedBits);
    refused(
        &[Frame::new(TEXT, HELLO).rsv(4).part(), Frame::new(CONTINUATION, "").rsv(4)],
        limits,
        ProtocolError::ReservedBits,
    );
    // Not agreed on: not known either.
    let bytes = wire::stream(&[Frame::new(TEXT, HELLO).rsv(4).masked(KEY)]);
    let (_, error) = receive(&mut Connection::server(limits), &bytes, 1, &mut Output::default());
    assert_eq!(error, Some(ProtocolError::ReservedBits.into()));
}

#[test]
fn refuses_what_is_not_deflate_or_not_text() {
    let limits = Limits::default();
    let shelf = Shelf::new(0, 1);
    refused(&[Frame::new(TEXT, b"\xff\xff\xff\xff").rsv(4)], limits, ProtocolError::InvalidDeflate);
    refused(&[Frame::new(TEXT, &HELLO[..3]).rsv(4)], limits, ProtocolError::InvalidDeflate);
    refused(&[Frame::new(TEXT, shelf.deflate(b"\xce\xba\xed\xa0\x80")).rsv(4)], limits, ProtocolError::InvalidUtf8);
    refused(&[Frame::new(TEXT, shelf.deflate(b"cut \xce")).rsv(4)], limits, ProtocolError::InvalidUtf8);
    // Of two faults the first is told, whatever the cuts.
    let broken = [&shelf.deflate(b"\xff")[..], b"\x00\x00\xff\xff", b"\xff"].concat();
    refused(&[Frame::new(TEXT, broken).rsv(4)], limits, ProtocolError::InvalidUtf8);
    let long = shelf.deflate(&[&[0xff][..], &[b'x'; 20]].concat());
    refused(&[Frame::new(TEXT, long).rsv(4)], limits.max_message_size(20), ProtocolError::InvalidUtf8);
}

#[test]
fn the_limit_is_on_what_comes_out() {
    let limits = Limits::default().max_message_size(100_000);
    let shelf = Shelf::new(1, 1);
    let exact = Frame::new(TEXT, shelf.deflate(&[b'x'; 100_000])).rsv(4).masked(KEY);
    let (messages, error) = receive(&mut server(limits, &shelf), &exact.bytes(), 7, &mut Output::default());
    assert_eq!((messages.len(), error), (1, None));
    let bomb = Frame::new(TEXT, shelf.deflate(&vec![b'x'; 10_000_000])).rsv(4);
    assert!(bomb.payload.len() < 100_000, "the wire does not show it");
    refused(&[bomb], limits, LimitExceeded::CompressedTooLong { limit: 100_000 });
    // Empty blocks never come to anything: what is announced is bounded too.
    let blocks = Frame::new(TEXT, "").rsv(4).length(wire::Length::Announced(120_000));
    refused(&[blocks], limits, LimitExceeded::CompressedTooLong { limit: 100_000 });
}

/// What a message comes to is counted, and what has come of it until then.
#[test]
fn the_memory_of_all_messages_is_that_of_what_comes_out() {
    let shelf = Shelf::new(1, 1);
    let message = Frame::new(TEXT, shelf.deflate(&[b'x'; 100_000])).rsv(4).masked(KEY).bytes();
    let begun = Frame::new(TEXT, [b'x'; 20_000]).part().masked(KEY).bytes();
    for (memory, is_evicted) in [(119_999, true), (120_000, false)] {
        let memory = Arc::new(MessageMemory::new(memory));
        let [mut first, mut second] = [(); 2].map(|()| server(Limits::default().max_message_size(100_000), &shelf));
        first.set_message_memory(memory.clone());
        second.set_message_memory(memory);
        assert_eq!(receive(&mut first, &begun, 30_000, &mut Output::default()), (vec![], None));
        let (messages, error) = receive(&mut second, &message, 1000, &mut Output::default());
        assert_eq!((messages.len(), error), (1, None));
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(first.poll_evicted(&mut cx, &mut Output::default()).is_ready(), is_evicted);
    }
}

/// Whoever sends the rest of a message slowly, or never, takes no decompressor from others.
#[test]
fn a_message_that_has_begun_holds_no_decompressor() {
    let shelf = Shelf::new(1, 1);
    let (mut first, mut second) = (server(Limits::default(), &shelf), server(Limits::default(), &shelf));
    let bytes = Frame::new(TEXT, HELLO).rsv(4).masked(KEY).bytes();
    let (begun, rest) = bytes.split_at(bytes.len() - 2);
    assert_eq!(receive(&mut first, begun, 100, &mut Output::default()), (vec![], None));
    assert_eq!(shelf.left(), 1);
    assert_eq!(receive(&mut second, &bytes, 100, &mut Output::default()), (vec!["Hello".into()], None));
    assert_eq!(receive(&mut first, rest, 100, &mut Output::default()), (vec!["Hello".into()], None));
    // Where there is none at all, the peer is told so.
    let mut output = Output::default();
    let none = Shelf::new(0, 1);
    let refused = receive(&mut server(Limits::default(), &none), &bytes, 100, &mut output);
    assert_eq!(refused, (vec![], Some(LimitExceeded::NoDecompressor.into())));
    assert!(output.to_vec().starts_with(b"\x88\x22\x03\xf5"), "1013: {:?}", output.to_vec());
}

#[test]
fn sends_compressed_what_becomes_smaller() {
    let shelf = Shelf::new(1, 100);
    let mut server = server(Limits::default(), &shelf);
    let noise: Vec<u8> = (0..200u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (message, compressed) in
        [(Message::from("x".repeat(100)), true), (Message::from("x".repeat(99)), false), (Message::from(noise), false)]
    {
        let mut output = Output::default();
        server.send(message.clone(), &mut output).unwrap();
        let frame = wire::read(&output.to_vec()).pop().unwrap();
        assert_eq!(frame.rsv, if compressed { 4 } else { 0 });
        assert_eq!(frame.payload.len() < message.as_bytes().len(), compressed);
        let mut output = Output::default();
        server.send_uncompressed(message.clone(), &mut output).unwrap();
        assert_eq!(wire::read(&output.to_vec()).pop().unwrap().payload, message.as_bytes());
    }
}

proptest! {
    #[test]
    fn any_messages_arrive_intact_in_any_cuts(
        texts in prop::collection::vec("[a-cé]{0,300}", 1..8),
        cut in 1usize..400,
    ) {
        let shelf = Shelf::new(1, 10);
        let mut client = Connection::client(Limits::default(), || KEY);
        client.set_codecs(shelf.clone());
        let mut output = Output::default();
        for text in &texts {
            client.send(text.as_str(), &mut output).unwrap();
        }
        let (messages, error) = receive(&mut server(Limits::default(), &shelf), &output.to_vec(), cut, &mut Output::default());
        prop_assert_eq!(error, None);
        let expected: Vec<_> = texts.into_iter().map(Message::from).collect();
        prop_assert_eq!(messages, expected);
        prop_assert_eq!(shelf.left(), 1);
    }
}
