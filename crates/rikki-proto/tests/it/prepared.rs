//! Messages that are compressed once for many receivers, as often as there are windows, and no more often.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex};

use bytes::Bytes;
use rikki_limits::Budget;
use rikki_proto::deflate::{Codecs, Compression, Compressor, Decompressor};
use rikki_proto::{Connection, Event, Limits, Message, Output, PreparedMessage};

use crate::delivery::{Outcome, keys, receive};
use crate::wire::{self, BINARY, Frame, TEXT};

const THRESHOLD: usize = 100;

/// One compressor and one decompressor, which count how often they are used.
struct Counting {
    window_bits: u8,
    context_takeover: bool,
    compressor: Mutex<Compressor>,
    decompressor: Mutex<Option<Decompressor>>,
    compressed: AtomicUsize,
    /// Where the first who compresses waits for others.
    meeting: Barrier,
}

impl Counting {
    fn new(window_bits: u8, context_takeover: bool, who_meet: usize) -> Arc<Self> {
        let compression = Compression::default().window_bits(window_bits).unwrap();
        Arc::new(Self {
            window_bits,
            context_takeover,
            compressor: Mutex::new(Compressor::new(compression)),
            decompressor: Mutex::default(),
            compressed: AtomicUsize::default(),
            meeting: Barrier::new(who_meet),
        })
    }

    fn by_window(window_bits: u8) -> Arc<Self> {
        Self::new(window_bits, false, 1)
    }

    fn with_takeover() -> Arc<Self> {
        Self::new(15, true, 1)
    }

    fn compressed(&self) -> usize {
        self.compressed.load(Relaxed)
    }

    /// A new server with these codecs.
    fn server(self: &Arc<Self>) -> Connection {
        let mut server = Connection::server(Limits::default());
        server.set_codecs(self.clone());
        server
    }

    /// A new client with these codecs.
    fn client(self: &Arc<Self>) -> Connection {
        let mut client = Connection::client(Limits::default(), keys());
        client.set_codecs(self.clone());
        client
    }
}

impl Codecs for Counting {
    fn threshold(&self) -> usize {
        THRESHOLD
    }

    fn compress(&self, payload: &[u8], use_it: &mut dyn FnMut(&[u8])) {
        if self.compressed.fetch_add(1, Relaxed) == 0 {
            self.meeting.wait();
        }
        let mut compressor = self.compressor.lock().unwrap();
        let mut compressed = Vec::new();
        compressor.compress(payload, &mut compressed);
        let gains = compressed.len() < payload.len();
        if gains {
            use_it(&compressed);
        }
        if !gains || !self.context_takeover {
            compressor.reset();
        }
    }

    fn lend(&self) -> Option<Decompressor> {
        let mut decompressor = self.decompressor.lock().unwrap().take().unwrap_or_default();
        if !self.context_takeover {
            decompressor.reset();
        }
        Some(decompressor)
    }

    fn give_back(&self, decompressor: Decompressor) {
        *self.decompressor.lock().unwrap() = Some(decompressor);
    }

    fn window_bits(&self) -> Option<u8> {
        (!self.context_takeover).then_some(self.window_bits)
    }
}

/// What `connection` puts on the wire.
fn sent(connection: &mut Connection, message: &PreparedMessage) -> Vec<u8> {
    let mut output = Output::default();
    connection.send_prepared(message, &mut output).unwrap();
    output.to_vec()
}

/// What comes of it at the other end.
fn read_by(peer: &mut Connection, bytes: &[u8]) -> Vec<Event<'static>> {
    let mut outcome = Outcome::default();
    receive(peer, bytes, &mut Output::default(), &mut outcome);
    assert_eq!(outcome.error, None);
    outcome.events
}

/// Becomes smaller, by more with a larger window: what repeats is 600 bytes apart.
fn text(length: usize) -> String {
    let line: String = (0..60u32).map(|i| format!("{:010}", i.wrapping_mul(2_654_435_761))).collect();
    line.chars().cycle().take(length).collect()
}

/// Bytes that do not repeat: xorshift.
fn noise(length: usize) -> Vec<u8> {
    let next = |state: &u32| {
        let state = state ^ state << 13;
        let state = state ^ state >> 17;
        Some(state ^ state << 5)
    };
    std::iter::successors(Some(1), next).map(|state| (state >> 11) as u8).take(length).collect()
}

#[test]
fn is_sent_as_it_is_where_it_is_not_compressed() {
    for length in [0, 125, 126, 65_535, 65_536] {
        let message = Message::from("x".repeat(length));
        let expected = Frame::new(TEXT, message.as_bytes()).bytes();
        let codecs = Counting::by_window(15);
        let uncompressed = PreparedMessage::uncompressed(message.clone());
        assert!(sent(&mut codecs.server(), &uncompressed) == expected, "{length} bytes");
        let masked = wire::read(&sent(&mut codecs.client(), &uncompressed)).remove(0);
        assert_eq!((masked.rsv, masked.payload == message.as_bytes()), (0, true));
        assert_eq!(codecs.compressed(), 0);
        let prepared = PreparedMessage::new(message.clone());
        assert!(sent(&mut Connection::server(Limits::default()), &prepared) == expected, "no codecs, {length} bytes");
        assert_eq!((prepared.message(), prepared.len()), (&message, expected.len()));
    }
}

/// How often a message is compressed for a thousand servers with each of these windows.
#[track_caller]
fn check(message: &PreparedMessage, windows: &[u8], expected: usize) {
    let mut compressed = 0;
    for codecs in windows.iter().map(|window| Counting::by_window(*window)) {
        let first = sent(&mut codecs.server(), message);
        for _ in 1..1000 {
            assert!(sent(&mut codecs.server(), &message.clone()) == first);
        }
        assert_eq!(read_by(&mut codecs.client(), &first), [Event::Message(message.message().clone())]);
        compressed += codecs.compressed();
    }
    assert_eq!(compressed, expected);
}

#[test]
fn is_compressed_once_for_each_window() {
    let message = || PreparedMessage::new(text(3000));
    check(&message(), &[15], 1);
    check(&message(), &[9, 15], 2);
    check(&message(), &[15, 12, 15, 12], 2);
    check(&message(), &[9, 10, 11, 12, 13, 14, 15], 7);
    check(&PreparedMessage::new(text(THRESHOLD)), &[15], 1);
    check(&PreparedMessage::new(text(THRESHOLD - 1)), &[15], 0);
    check(&PreparedMessage::uncompressed(text(3000)), &[9, 15], 0);
    // What gains nothing is tried once.
    check(&PreparedMessage::new(noise(200)), &[15], 1);
}

#[test]
fn a_window_that_cannot_be_has_no_form() {
    let message = PreparedMessage::new(text(3000));
    for window_bits in [0, 8, 16, 255] {
        let codecs = Arc::new(Counting { window_bits, ..Arc::into_inner(Counting::by_window(9)).unwrap() });
        assert_eq!(sent(&mut codecs.server(), &message).len(), message.len());
        assert_eq!(codecs.compressed(), 0);
    }
}

#[test]
fn each_window_has_a_form_of_its_own() {
    let message = PreparedMessage::new(text(3000));
    let [wide, narrow] = [15, 9].map(|window| sent(&mut Counting::by_window(window).server(), &message).len());
    assert!(wide + 500 < narrow && narrow < message.len(), "{wide}, {narrow} of {}", message.len());
}

/// A large form is written from where it lies, as a large payload is.
#[test]
fn a_large_form_is_not_copied() {
    // Bytes that are half noise come to half of them.
    let message = PreparedMessage::new(noise(60_000).iter().map(|byte| byte & 0x0f).collect::<Vec<_>>());
    let codecs = Counting::by_window(15);
    let chunks: Vec<_> = (0..2)
        .map(|_| {
            let mut output = Output::default();
            codecs.server().send_prepared(&message, &mut output).unwrap();
            assert_eq!((output.messages(), wire::read(&output.to_vec())[0].opcode), (1, BINARY));
            output.chunks().map(|chunk| (chunk.as_ptr(), chunk.len())).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!((chunks[0].len(), codecs.compressed()), (1, 1));
    assert_eq!(chunks[0], chunks[1]);
    assert!((16 * 1024..60_000).contains(&chunks[0][0].1), "{} bytes", chunks[0][0].1);
}

/// Of messages that refer to earlier ones none can be shared, and each is referred to.
#[test]
fn takes_part_in_the_context_of_a_connection() {
    let (prepared, later) = (PreparedMessage::new(text(3000)), Message::from(text(2000)));
    for _ in 0..2 {
        let (ours, theirs) = (Counting::with_takeover(), Counting::with_takeover());
        for (mut end, mut peer) in [(ours.server(), theirs.client()), (theirs.client(), ours.server())] {
            let mut output = Output::default();
            for _ in 0..2 {
                end.send(later.clone(), &mut output).unwrap();
                end.send_prepared(&prepared, &mut output).unwrap();
            }
            let lengths: Vec<_> = wire::read(&output.to_vec()).iter().map(|frame| frame.payload.len()).collect();
            assert!(lengths[1..].iter().all(|length| *length < lengths[0] / 4), "{lengths:?}");
            let expected = [&later, prepared.message()].repeat(2).into_iter().cloned().map(Event::Message);
            assert_eq!(read_by(&mut peer, &output.to_vec()), expected.collect::<Vec<_>>());
        }
        assert_eq!((ours.compressed(), theirs.compressed()), (4, 4));
    }
    // One that shares forms meanwhile disturbs nobody.
    check(&prepared, &[15], 1);
}

/// A client masks each frame with a key of its own, so that it compresses as it sends.
#[test]
fn a_client_compresses_for_itself() {
    let (message, codecs) = (PreparedMessage::new(text(3000)), Counting::by_window(15));
    let frames: Vec<_> = (0..2).map(|_| sent(&mut codecs.client(), &message)).collect();
    for bytes in &frames {
        assert_eq!(wire::read(bytes)[0].rsv, 4);
        assert_eq!(read_by(&mut codecs.server(), bytes), [Event::Message(message.message().clone())]);
    }
    assert_eq!(codecs.compressed(), 2);
}

#[test]
fn two_threads_at_once_compress_once() {
    let (message, codecs) = (PreparedMessage::new(text(1 << 20)), Counting::new(15, false, 2));
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| sent(&mut codecs.server(), &message));
        codecs.meeting.wait(); // the other one compresses
        (sent(&mut codecs.server(), &message), first.join().unwrap())
    });
    assert!(first == second && first[0] == 0xc1);
    assert_eq!(codecs.compressed(), 1);
}

/// Whether a message is compressed for windows of 15 and 9 where so much may be held, and how often that was tried for
/// two servers each; and what is held for it, and how long.
#[track_caller]
fn counted(most: usize, is_compressed: [bool; 2], tried: [usize; 2]) {
    let budget = Arc::new(Budget::new("of a test", most));
    let message = PreparedMessage::counted(text(3000), &budget);
    assert_eq!(budget.used(), 0, "nothing is compressed yet");
    let (mut held, mut got) = (if most < 128 { 0 } else { 128 }, vec![]);
    for window in [15, 9] {
        let codecs = Counting::by_window(window);
        let frames = [(); 2].map(|()| sent(&mut codecs.server(), &message));
        assert!(frames[0] == frames[1]);
        got.push((frames[0][0] == 0xc1, codecs.compressed()));
        held += if frames[0][0] == 0xc1 { frames[0].len() + 48 } else { 0 };
    }
    let expected: Vec<_> = is_compressed.into_iter().zip(tried).collect();
    assert_eq!(got, expected, "at most {most}");
    let clone = message.clone();
    drop(message);
    assert_eq!(budget.used(), held, "a clone keeps them");
    drop(clone);
    assert_eq!(budget.used(), 0);
}

#[test]
fn forms_are_counted_as_long_as_they_are_kept() {
    counted(100_000, [true, true], [1, 1]);
    counted(1000, [true, false], [1, 1]);
    counted(200, [false, false], [1, 1]);
    counted(0, [false, false], [0, 0]);
}

/// A message is one word, and what it holds is what its documentation says.
#[test]
fn costs_little_and_nothing_to_send() {
    assert_eq!(size_of::<PreparedMessage>(), size_of::<usize>());
    let payload = Bytes::from(text(3000));
    let held = allocation_counter::measure(|| std::mem::forget(PreparedMessage::new(payload.clone()))).bytes_current;
    assert!(held <= 144, "{held} bytes"); // with what `Bytes` needs to be cloned the first time

    let (codecs, budget) = (Counting::by_window(15), Arc::new(Budget::new("of a test", 100_000)));
    let (mut compressing, mut plain) = (codecs.server(), Connection::server(Limits::default()));
    for length in [3000, 100_000] {
        let message = PreparedMessage::counted(text(length), &budget);
        let mut output = Output::default();
        let mut send = |connection: &mut Connection| {
            allocation_counter::measure(|| connection.send_prepared(&message, &mut output).unwrap());
            output.advance(output.len());
            let info = allocation_counter::measure(|| connection.send_prepared(&message, &mut output).unwrap());
            output.advance(output.len());
            info.count_total
        };
        assert_eq!([send(&mut compressing), send(&mut plain)], [0, 0], "{length} bytes");
    }
    assert_eq!(codecs.compressed(), 2);
}
