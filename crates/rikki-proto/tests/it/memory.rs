//! What a connection costs: heap memory held, and work counted as bytes allocated, never as time.

use rikki_proto::{Connection, Event, Limits, Message, Output};

use crate::delivery::{End, client, fill, server};
use crate::wire::{BINARY, CONTINUATION, Frame, Length, PING, PONG, TEXT};

const ENDS: [fn(Limits) -> End; 2] = [server, client];

/// Bytes of bookkeeping allowed beside the payload of an unfinished message or control frame, what is left free in
/// front of it included.
const BOOKKEEPING: i64 = 320;

/// One end, and the heap memory it holds and has allocated.
struct Measured {
    connection: Connection,
    output: Output,
    held: i64,
    allocated: u64,
    allocations: u64,
}

impl Measured {
    fn new(end: End) -> Self {
        let output = Output::default();
        Self { connection: end.connection(), output, held: 0, allocated: 0, allocations: 0 }
    }

    /// Feeds one read and drops what it reports; says how many messages that were.
    fn read(&mut self, bytes: &mut [u8]) -> usize {
        self.measure(|connection, output| {
            let (mut input, mut messages) = (bytes, 0);
            while let Ok(Some(event)) = connection.next_event(&mut input, output) {
                messages += usize::from(matches!(event, Event::Message(_)));
            }
            messages
        })
    }

    fn measure<R>(&mut self, work: impl FnOnce(&mut Connection, &mut Output) -> R) -> R {
        let mut result = None;
        let info = allocation_counter::measure(|| result = Some(work(&mut self.connection, &mut self.output)));
        self.held += info.bytes_current;
        self.allocated += info.bytes_total;
        self.allocations += info.count_total;
        result.unwrap()
    }

    /// Feeds `stream` in pieces and says how many messages came.
    fn dribble(&mut self, mut stream: Vec<u8>, piece: usize) -> usize {
        stream.chunks_mut(piece).map(|piece| self.read(piece)).sum()
    }
}

/// A payload of exactly `length` bytes of text, in characters of three bytes.
fn wide_text(length: usize) -> Vec<u8> {
    let mut text = "a".repeat(length % 3);
    text.push_str(&"\u{20ac}".repeat(length / 3));
    text.into_bytes()
}

/// Feeds a message as long as the limit in pieces; no more may be held than twice what has come, nor than the limit.
#[track_caller]
fn grows_with_what_arrives(opcode: u8, payload: &[u8], piece: usize) {
    for end in ENDS.map(|end| end(Limits::default().max_message_size(payload.len()))) {
        let mut measured = Measured::new(end);
        let mut arrived = 0;
        for piece in end.incoming(&[Frame::new(opcode, payload).part()]).chunks_mut(piece) {
            arrived += piece.len();
            measured.read(piece);
            let most = payload.len().min(2 * arrived) as i64 + BOOKKEEPING;
            assert!(measured.held <= most, "{} bytes held, {arrived} of {} arrived", measured.held, payload.len());
        }
        let messages = measured.dribble(end.incoming(&[Frame::new(CONTINUATION, [])]), piece);
        assert_eq!((messages, measured.held), (1, 0), "a message that was handed out leaves nothing behind");
    }
}

#[test]
fn an_unfinished_message_holds_what_has_arrived() {
    const LIMIT: usize = 100_000;
    for piece in [1, 7, 1000, 4096, LIMIT / 4 * 3, LIMIT] {
        grows_with_what_arrives(BINARY, &[0xff; LIMIT], piece);
        grows_with_what_arrives(TEXT, &[b'a'; LIMIT], piece);
        for shift in 0..3 {
            grows_with_what_arrives(TEXT, &wide_text(LIMIT - shift), piece);
        }
    }
}

/// Each step copies what is there already: were the last one a few bytes, it would copy all of it once more.
#[test]
fn a_message_of_known_length_grows_by_steps_that_end_with_it() {
    const LENGTH: usize = 1 << 20;
    let end = server(Limits::default());
    let stream = end.incoming(&[Frame::new(BINARY, vec![7; LENGTH])]);
    let (head, mut rest) = stream.split_at(1 << 16);
    let mut measured = Measured::new(end);
    measured.read(&mut head.to_vec());
    let mut steps = vec![measured.held];
    while measured.measure(|connection, _| fill(connection, &mut rest, 1 << 16)).is_some_and(|count| count > 0) {
        steps.extend((Some(&measured.held) != steps.last()).then_some(measured.held));
    }
    let steps: Vec<_> = steps.iter().map(|held| held / (1 << 16)).collect();
    assert_eq!(steps, [1, 4, 16], "steps in units of 64 KiB");
}

#[test]
fn a_message_of_known_length_holds_four_times_what_has_arrived_and_what_is_read_next() {
    const LENGTH: usize = 1 << 20;
    const NEXT: usize = 32 * 1024;
    for end in ENDS.map(|end| end(Limits::default())) {
        for (opcode, read) in [(BINARY, 1000), (TEXT, 1000), (BINARY, 1 << 16), (TEXT, 1 << 16), (BINARY, LENGTH)] {
            let mut measured = Measured::new(end);
            let stream = end.incoming(&[Frame::new(opcode, vec![b'a'; LENGTH])]);
            let (mut rest, mut messages) = (&stream[..], 0);
            while !rest.is_empty() {
                let most = LENGTH.min(4 * (stream.len() - rest.len() + NEXT)) as i64 + BOOKKEEPING;
                measured.measure(|connection, _| fill(connection, &mut &[][..], LENGTH));
                assert!(measured.held <= most, "{} bytes held for a read of nothing", measured.held);
                if measured.measure(|connection, _| fill(connection, &mut rest, read)).is_none() {
                    let (now, later) = rest.split_at(rest.len().min(read).min(1 << 16));
                    messages += measured.read(&mut now.to_vec());
                    rest = later;
                }
                let most = LENGTH.min(4 * (stream.len() - rest.len() + NEXT)) as i64 + BOOKKEEPING;
                assert!(measured.held <= most, "{} bytes held, {} to come", measured.held, rest.len());
            }
            assert_eq!((messages, measured.held), (1, 0), "a message that was handed out leaves nothing behind");
        }
    }
}

#[test]
fn a_read_of_nothing_makes_room_for_four_times_what_has_arrived() {
    const ARRIVED: usize = 32 * 1024;
    for end in ENDS.map(|end| end(Limits::default())) {
        let mut measured = Measured::new(end);
        let mut stream = end.incoming(&[Frame::new(BINARY, vec![7; 4 << 20])]);
        let header = stream.len() - (4 << 20);
        // The first makes as much room as has arrived after the second.
        let (first, rest) = stream.split_at_mut(header + ARRIVED / 4);
        measured.read(first);
        measured.read(&mut rest[..ARRIVED / 4 * 3]);
        assert_eq!(measured.measure(|connection, _| fill(connection, &mut &[][..], 1 << 20)), Some(0));
        assert!(measured.held <= 4 * ARRIVED as i64 + BOOKKEEPING, "{} bytes held", measured.held);
    }
}

#[test]
fn an_announcement_costs_nothing() {
    let limits = Limits::default().max_message_size(usize::MAX / 2);
    for end in ENDS.map(|end| end(limits)) {
        for length in [70_000, 4 << 20, 1 << 62] {
            let announced = |opcode| Frame::new(opcode, []).length(Length::Announced(length)).part();
            let fragmented = [Frame::new(TEXT, "a").part(), announced(CONTINUATION)];
            for frames in [&[announced(TEXT)][..], &[announced(BINARY)], &fragmented] {
                let mut measured = Measured::new(end);
                measured.dribble(end.incoming(frames), 3);
                assert!(measured.connection.is_mid_message());
                assert!(measured.allocated <= BOOKKEEPING as u64, "{} bytes for {length}", measured.allocated);
            }
        }
    }
}

#[test]
fn empty_fragments_hold_nothing() {
    let end = server(Limits::default());
    let mut measured = Measured::new(end);
    let mut frames = vec![Frame::new(CONTINUATION, []).part(); 16_384];
    frames[0].opcode = TEXT;
    assert_eq!(measured.dribble(end.incoming(&frames), 1000), 0);
    assert!(measured.connection.is_open() && measured.allocated <= BOOKKEEPING as u64, "{}", measured.allocated);
}

/// The way of most messages: whole in one read, echoed into an output that has room.
#[test]
fn a_message_whole_in_one_read_is_echoed_without_an_allocation() {
    let end = server(Limits::default());
    let mut measured = Measured::new(end);
    let frames = [
        Frame::new(TEXT, "twenty bytes of text"),
        Frame::new(BINARY, [7; 3000]),
        Frame::new(PING, "?"),
        Frame::new(PONG, "!"),
    ];
    // The first round makes room in the output, the second must find it.
    for _ in 0..2 {
        measured.allocations = 0;
        let mut read = end.incoming(&frames);
        measured.measure(|connection, output| {
            let mut input = &mut read[..];
            while let Ok(Some(event)) = connection.next_event(&mut input, output) {
                if let Event::Message(message) = event {
                    connection.send(message, output).unwrap();
                }
            }
        });
        assert!(measured.output.len() > 3000);
        measured.output.advance(measured.output.len());
    }
    assert_eq!(measured.allocations, 0);
}

#[test]
fn a_ping_flood_holds_one_ping_while_writing_is_blocked() {
    let end = server(Limits::default());
    let mut measured = Measured::new(end);
    measured.output.set_blocked(true);
    measured.dribble(end.incoming(&vec![Frame::new(PING, [1; 125]); 10_000]), 4096);
    assert!(measured.held <= BOOKKEEPING, "{} bytes held", measured.held);
    assert!(measured.output.is_empty());
}

/// Sending and receiving leave nothing behind once the output is written and shrunk.
#[test]
fn an_idle_connection_holds_nothing() {
    for end in ENDS.map(|end| end(Limits::default())) {
        let mut measured = Measured::new(end);
        let frames =
            [Frame::new(TEXT, "one ").part(), Frame::new(PING, [1; 125]), Frame::new(CONTINUATION, [b'x'; 9000])];
        assert_eq!(measured.dribble(end.incoming(&frames), 5), 1);
        measured.measure(|connection, output| {
            connection.send(Message::from("x".repeat(20_000)), output).unwrap();
            output.advance(output.len());
            output.shrink();
        });
        assert_eq!((measured.held, measured.output.capacity()), (0, 0));
        assert!(!measured.connection.is_mid_message());
    }
}

/// The bytes allocated for a message that comes byte by byte: each one is copied when its buffer grows, and the buffers
/// of one that grows in large steps are less than twice the message in all.
#[track_caller]
fn is_linear(frames: &[Frame], length: usize) {
    let end = server(Limits::default());
    let mut measured = Measured::new(end);
    assert_eq!(measured.dribble(end.incoming(frames), 1), 1);
    let most = 2 * length as u64 + 2 * BOOKKEEPING as u64;
    assert!(measured.allocated <= most, "{} bytes allocated for {length}", measured.allocated);
}

#[test]
fn the_work_for_a_message_that_comes_byte_by_byte_is_linear() {
    for length in [256 << 10, 1 << 20] {
        let payload = wide_text(length);
        is_linear(&[Frame::new(TEXT, &payload)], length);
        let mut frames: Vec<Frame> = payload.chunks(64).map(|piece| Frame::new(CONTINUATION, piece).part()).collect();
        frames[0].opcode = TEXT;
        frames.last_mut().unwrap().fin = true;
        is_linear(&frames, length);
    }
}

#[test]
fn the_work_for_a_control_frame_that_comes_byte_by_byte_is_linear() {
    let end = server(Limits::default());
    let mut measured = Measured::new(end);
    measured.dribble(end.incoming(&[Frame::new(PONG, [1; 125])]), 1);
    assert!(measured.allocated <= 2 * BOOKKEEPING as u64, "{} bytes allocated", measured.allocated);
}
