//! A client and a server joined in memory, through any sequence of operations: what one end has sent arrives at the
//! other, once and in order, and neither sends what must not be sent.
//!
//! Input: operations, as `arbitrary` makes them of bytes.
#![no_main]

use std::sync::Arc;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use rikki_fuzz::{CLOSE, Outcome, Role, Shelf, read_frames, receive_some};
use rikki_proto::deflate::Compression;
use rikki_proto::{CloseCode, Connection, Event, Limits, Message, Output, PreparedMessage, SendError};

/// No message is longer: enough for lengths in 64 bits.
const LONGEST: usize = 70_000;

/// Longer scripts find nothing that shorter ones do not, and are slow.
const STEPS: usize = 40;

#[derive(Arbitrary, Debug)]
struct Script {
    compressed: bool,
    context_takeover: bool,
    /// Of the server and of the client.
    window_bits: [u8; 2],
    steps: Vec<(bool, Operation)>,
}

#[derive(Arbitrary, Debug)]
enum Operation {
    Send(Body),
    SendUncompressed(Body),
    SendPrepared(Body),
    Ping(Vec<u8>),
    Close(u16, String),
    /// Sends, and has it all taken back, as after a callback that panicked; then it may close.
    RollBack(Vec<Body>, bool),
    /// So many bytes of its output reach the other end, which does not look at them yet.
    Write(u16),
    /// It takes at most so many events out of so many bytes of its input. What is left comes again, with what has
    /// arrived in the meantime: a read that was cancelled.
    Read(u16, u8),
    /// Bytes reach it that its peer has not sent.
    Attack(Vec<u8>),
    Block,
    Unblock,
    Shrink,
}

#[derive(Arbitrary, Debug)]
enum Body {
    Text(String),
    Binary(Vec<u8>),
    /// Repeated to a length of any size, also close to where a header grows or a server splices.
    Repeated(Vec<u8>, u8, u8),
}

impl Body {
    fn message(&self) -> Message<'static> {
        match self {
            Self::Text(text) => text.clone().into(),
            Self::Binary(bytes) => bytes.clone().into(),
            Self::Repeated(pattern, high, low) => {
                let length = (usize::from(*high) << (low % 10)).saturating_sub(usize::from(low / 10)).min(LONGEST);
                // Not byte by byte: the fuzzer counts every comparison.
                let pattern = if pattern.is_empty() { &[0; 1024][..] } else { pattern };
                let mut bytes = pattern.repeat(length / pattern.len() + 1);
                bytes.truncate(length);
                bytes.into()
            }
        }
    }
}

/// One end, and what is known about it.
struct End {
    role: Role,
    connection: Connection,
    codecs: Arc<Shelf>,
    output: Output,
    /// What has reached it, and has not been looked at.
    input: Vec<u8>,
    received: Outcome,
    /// The messages and pings that it took to be sent.
    sent: Vec<Event<'static>>,
    /// All that it has written.
    written: Vec<u8>,
    is_attacked: bool,
    was_blocked: bool,
}

impl End {
    fn new(role: Role, script: &Script) -> Self {
        let bits = script.window_bits[usize::from(role == Role::Client)];
        let compression = Compression::default().window_bits(9 + bits % 7).expect("a window in its range");
        let codecs = Shelf::new(compression, script.context_takeover);
        let mut connection = role.connection(Limits::default().max_message_size(LONGEST));
        if script.compressed {
            connection.set_codecs(codecs.clone());
        }
        Self {
            role,
            connection,
            codecs,
            output: Output::default(),
            input: Vec::new(),
            received: Outcome::default(),
            sent: Vec::new(),
            written: Vec::new(),
            is_attacked: false,
            was_blocked: false,
        }
    }

    fn send(&mut self, operation: &Operation) {
        let expected = if self.connection.is_open() { Ok(()) } else { Err(SendError::Closed) };
        let (connection, output) = (&mut self.connection, &mut self.output);
        let (result, body) = match operation {
            Operation::Send(body) => (connection.send(body.message(), output), body),
            Operation::SendUncompressed(body) => (connection.send_uncompressed(body.message(), output), body),
            Operation::SendPrepared(body) => {
                (connection.send_prepared(&PreparedMessage::new(body.message()), output), body)
            }
            _ => return,
        };
        assert_eq!(result, expected);
        if result.is_ok() {
            self.sent.push(Event::Message(body.message()));
        }
    }

    fn ping(&mut self, payload: &[u8]) {
        let expected = match payload.len() {
            _ if !self.connection.is_open() => Err(SendError::Closed),
            length @ 126.. => Err(SendError::ControlTooLong { length }),
            _ => Ok(()),
        };
        assert_eq!(self.connection.ping(payload, &mut self.output), expected);
        if expected.is_ok() {
            self.sent.push(Event::Ping(payload.to_vec().into()));
        }
    }

    fn close(&mut self, code: u16, reason: &str) {
        let expected = match (code, reason.len()) {
            _ if !self.connection.is_open() => Err(SendError::Closed),
            // RFC 6455 section 7.4, and the codes registered since.
            (0..1000 | 1004..=1006 | 1015..3000 | 5000.., _) => Err(SendError::InvalidCloseCode(code)),
            (_, length @ 124..) => Err(SendError::ReasonTooLong { length }),
            _ => Ok(()),
        };
        assert_eq!(self.connection.close(CloseCode(code), reason, &mut self.output), expected);
        assert!(expected.is_err() || !self.connection.is_open());
    }

    fn roll_back(&mut self, bodies: &[Body], closes: bool) {
        let (checkpoint, before) = (self.output.checkpoint(), self.output.len());
        for body in bodies {
            let _ = self.connection.send(body.message(), &mut self.output);
        }
        self.output.rollback(checkpoint);
        assert_eq!(self.output.len(), before);
        if closes {
            self.close(1011, "");
        }
    }

    fn write(&mut self, count: usize, peer: &mut Self) {
        let waiting = self.output.to_vec();
        assert_eq!((waiting.len(), waiting.is_empty()), (self.output.len(), self.output.is_empty()));
        let piece = &waiting[..count.min(waiting.len())];
        self.output.advance(piece.len());
        self.written.extend_from_slice(piece);
        peer.input.extend_from_slice(piece);
    }

    fn read(&mut self, count: usize, events: usize) {
        let piece = &self.input[..count.min(self.input.len())];
        let left = receive_some(&mut self.connection, piece, &mut self.output, &mut self.received, events);
        self.input.drain(..piece.len() - left);
        assert!(self.received.error.is_none() || self.is_attacked, "{:?}: {:?}", self.role, self.received.error);
    }

    fn unblock(&mut self) {
        self.output.set_blocked(false);
        self.connection.handle_unblocked(&mut self.output);
    }

    /// Judges what has come of all that this end sent, once everything has arrived.
    fn check_arrival(&self, peer: &Self, compressed: bool) {
        let frames = read_frames(&self.written, self.role == Role::Client);
        assert!(compressed || frames.iter().all(|frame| !frame.compressed), "compression was not agreed on");
        let close = frames.last().filter(|frame| frame.opcode == CLOSE);
        assert_eq!(self.connection.is_open(), close.is_none(), "a Close and nothing else ends what can be sent");
        if peer.is_attacked {
            return;
        }
        let is_sent = |event: &&Event<'_>| matches!(event, Event::Message(_) | Event::Ping(_));
        assert!(peer.received.events.iter().filter(is_sent).eq(&self.sent), "{:?}: what was sent arrived", self.role);
        let told = peer.received.events.last().and_then(|event| match event {
            Event::Close(frame) => Some(
                frame
                    .as_ref()
                    .map_or(Vec::new(), |frame| [&frame.code.0.to_be_bytes(), frame.reason.as_bytes()].concat()),
            ),
            _ => None,
        });
        assert_eq!(told.as_ref(), close.map(|frame| &frame.payload));
        assert_eq!(peer.connection.is_closed(), close.is_some(), "the closing handshake comes to its end");
        assert!(!peer.connection.is_mid_message() && peer.codecs.is_whole(), "all messages are whole");
        if !self.is_attacked {
            self.check_pongs(peer);
        }
    }

    /// Sections 5.5.2 and 5.5.3: this end has answered the pings of the peer in order, all of them or, when it could
    /// not write, the latest.
    fn check_pongs(&self, peer: &Self) {
        let pings: Vec<_> = peer.sent.iter().filter_map(payload_of_ping).collect();
        let pongs: Vec<_> = peer.received.events.iter().filter_map(payload_of_pong).collect();
        let mut rest = pings.iter();
        assert!(pongs.iter().all(|pong| rest.any(|ping| ping == pong)), "pings {pings:?}, pongs {pongs:?}");
        if !self.was_blocked {
            assert!(pings.starts_with(&pongs), "pings {pings:?}, pongs {pongs:?}");
        }
        if self.connection.is_open() {
            assert_eq!(pings.last(), pongs.last());
            assert!(self.was_blocked || pings.len() == pongs.len(), "pings {pings:?}, pongs {pongs:?}");
        }
    }
}

fn payload_of_ping<'e>(event: &'e Event<'_>) -> Option<&'e [u8]> {
    if let Event::Ping(payload) = event { Some(payload) } else { None }
}

fn payload_of_pong<'e>(event: &'e Event<'_>) -> Option<&'e [u8]> {
    if let Event::Pong(payload) = event { Some(payload) } else { None }
}

fn perform(operation: &Operation, script: &Script, end: &mut End, peer: &mut End) {
    match operation {
        Operation::Send(_) | Operation::SendUncompressed(_) | Operation::SendPrepared(_) => end.send(operation),
        Operation::Ping(payload) => end.ping(payload),
        // Most numbers are no codes: half of them become one.
        Operation::Close(code, reason) => end.close(if code % 2 == 0 { 3000 + code % 2000 } else { *code }, reason),
        // A compressor that remembers cannot forget a message alone: nothing but a Close can follow.
        Operation::RollBack(bodies, closes) => {
            end.roll_back(bodies, *closes || (script.compressed && script.context_takeover));
        }
        Operation::Write(count) => end.write(usize::from(*count), peer),
        Operation::Read(count, events) => end.read(usize::from(*count), usize::from(*events)),
        Operation::Attack(bytes) => {
            end.is_attacked |= !bytes.is_empty();
            end.input.extend_from_slice(bytes);
        }
        Operation::Block => {
            end.output.set_blocked(true);
            end.was_blocked = true;
        }
        Operation::Unblock => end.unblock(),
        Operation::Shrink => end.output.shrink(),
    }
}

/// Lets everything arrive.
fn settle(server: &mut End, client: &mut End) {
    while !(server.output.is_empty() && client.output.is_empty() && server.input.is_empty() && client.input.is_empty())
    {
        server.write(usize::MAX, client);
        client.write(usize::MAX, server);
        server.read(usize::MAX, usize::MAX);
        client.read(usize::MAX, usize::MAX);
    }
}

fuzz_target!(|script: Script| {
    let (mut server, mut client) = (End::new(Role::Server, &script), End::new(Role::Client, &script));
    for (by_client, operation) in script.steps.iter().take(STEPS) {
        let (end, peer) = if *by_client { (&mut client, &mut server) } else { (&mut server, &mut client) };
        perform(operation, &script, end, peer);
    }
    settle(&mut server, &mut client);
    server.unblock();
    client.unblock();
    settle(&mut server, &mut client);
    server.check_arrival(&client, script.compressed);
    client.check_arrival(&server, script.compressed);
});
