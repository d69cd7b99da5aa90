//! Any bytes into one end, whole, cut anywhere and straight into large messages: the outcome is the same, and its
//! answers can be read.
//!
//! Input: a byte of settings, a byte that says where to cut, then what arrives.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rikki_fuzz::{Frame, Outcome, PONG, Role, Shelf, fill, pieces, read_frames, receive};
use rikki_proto::deflate::Compression;
use rikki_proto::{CloseCode, Connection, Event, Limits, Output};

/// Small enough for inputs of some hundred bytes to reach them.
const SMALL: (usize, u32) = (300, 3);

/// Longer streams are cut once instead of at every byte, which is quicker.
const EVERY_BYTE: usize = 300;

/// In front of some streams: the header of a binary message and most of its payload, more than is read at once.
const LARGE: (u64, usize) = (150_000, 149_900);

type Receive = fn(&mut Connection, &[u8], &mut Output, &mut Outcome);

struct Settings {
    role: Role,
    limits: Limits,
    compressed: bool,
    context_takeover: bool,
}

impl Settings {
    fn new(bits: u8) -> Self {
        let limits = Limits::default().max_message_size(1 << 20);
        let (message, fragments) = SMALL;
        Self {
            role: Role::of_bit(bits),
            limits: if bits & 2 == 0 { limits } else { limits.max_message_size(message).max_fragments(fragments) },
            compressed: bits & 4 != 0,
            context_takeover: bits & 8 != 0,
        }
    }

    /// What comes of a stream, and what is answered.
    fn deliver<'a>(&self, receive: Receive, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Outcome, Vec<u8>) {
        let shelf = Shelf::new(Compression::default(), self.context_takeover);
        let mut connection = self.role.connection(self.limits);
        if self.compressed {
            connection.set_codecs(shelf.clone());
        }
        let (mut output, mut outcome) = (Output::default(), Outcome::default());
        for piece in pieces {
            receive(&mut connection, piece, &mut output, &mut outcome);
        }
        assert!(!connection.is_closed() || !connection.is_mid_message(), "nothing is kept of what nobody waits for");
        assert!(connection.is_mid_message() || shelf.is_whole(), "a decompressor without a message");
        check_end(&connection, &outcome);
        (outcome, output.to_vec())
    }

    fn check_answers(&self, outcome: &Outcome, output: &[u8]) {
        let frames = read_frames(output, self.role == Role::Client);
        let (pongs, closes): (Vec<&Frame>, Vec<&Frame>) = frames.iter().partition(|frame| frame.opcode == PONG);
        // Section 5.5.2: every ping is answered, since nothing waits to be written.
        let pings = outcome.events.iter().filter_map(|event| match event {
            Event::Ping(payload) => Some(&payload[..]),
            _ => None,
        });
        assert!(pings.eq(pongs.iter().map(|pong| &pong.payload[..])), "pings {outcome:?}, pongs {pongs:?}");
        // Section 7.1.7: an error is told with its code. Section 5.5.1: a Close is answered with the same code.
        let answered = closes.first().map(|close| &close.payload[..]);
        match (outcome.error, outcome.events.last()) {
            (Some(error), _) => {
                let code = CloseCode::for_error(&error).0.to_be_bytes();
                assert!(answered.is_some_and(|body| body.starts_with(&code)), "{error:?}, {answered:?}");
            }
            (None, Some(Event::Close(frame))) => {
                let code = frame.as_ref().map_or(Vec::new(), |frame| frame.code.0.to_be_bytes().to_vec());
                assert_eq!(answered, Some(&code[..]));
            }
            _ => assert_eq!(answered, None),
        }

        let mut peer = self.role.other().connection(Limits::default());
        let mut heard = Outcome::default();
        receive(&mut peer, output, &mut Output::default(), &mut heard);
        assert_eq!((heard.error, heard.events.len()), (None, frames.len()), "the other end understands it");
    }
}

fn check_end(connection: &Connection, outcome: &Outcome) {
    let close = outcome.events.iter().position(|event| matches!(event, Event::Close(_)));
    assert!(close.is_none_or(|at| at + 1 == outcome.events.len() && outcome.error.is_none()), "{outcome:?}");
    assert_eq!(connection.is_closed(), close.is_some() || outcome.error.is_some());
    assert_eq!(connection.is_open(), !connection.is_closed());
}

/// The beginning of a large message, of which `stream` is the rest and what follows.
fn with_large(role: Role, stream: &[u8]) -> Vec<u8> {
    let (length, there) = LARGE;
    let (mask, key) = if role == Role::Server { (0x80, &[1, 2, 3, 4][..]) } else { (0, &[][..]) };
    [&[0x82, mask | 127][..], &length.to_be_bytes(), key, &vec![7; there], stream].concat()
}

fuzz_target!(|data: &[u8]| {
    let Some((&[bits, seed], stream)) = data.split_first_chunk() else { return };
    let settings = Settings::new(bits);
    let whole = settings.deliver(receive, [stream]);
    assert_eq!(settings.deliver(receive, pieces(stream, seed)), whole);
    if stream.len() <= EVERY_BYTE {
        assert_eq!(settings.deliver(receive, pieces(stream, 0)), whole);
    }
    if bits & 16 != 0 {
        let stream = with_large(settings.role, stream);
        let whole = settings.deliver(receive, [&stream[..]]);
        let (head, tail) = stream.split_at(stream.len() * usize::from(seed) / 255);
        assert_eq!(settings.deliver(fill, [head, tail]), whole);
    }
    let (outcome, output) = whole;
    if bits & 2 != 0 {
        assert!(outcome.messages().all(|message| message.as_bytes().len() <= SMALL.0), "{outcome:?}");
    }
    settings.check_answers(&outcome, &output);
});
