//! The same bytes into `tungstenite` and into us: the same messages come out, but for the departures named here.
//!
//! Input: a byte that says which end, then what arrives.
#![no_main]

use std::io::{self, Read, Write};

use libfuzzer_sys::fuzz_target;
use rikki_fuzz::{Outcome, Role, receive};
use rikki_proto::{CloseCode, Error, Event, LimitExceeded, Limits, Output, ProtocolError};
use tungstenite::protocol::{self, WebSocket, WebSocketConfig};

/// The largest message that both take.
const LIMIT: usize = 4096;

/// The most fragments that we take: few, so that short inputs reach the limit.
const FRAGMENTS: u32 = 5;

/// More than any frame that has begun within the limit still lacks, header included.
const REST: usize = LIMIT + 14;

/// What makes a frame whole that has begun: in a length it is far above the limit, and no frame begins with it.
const FILLING: u8 = 0x7f;

/// A connection that has `input` to be read, and takes what is written.
struct Wire<'a> {
    input: &'a [u8],
    padding: usize,
    output: Vec<u8>,
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.input.is_empty() {
            return self.input.read(buffer);
        }
        let length = buffer.len().min(self.padding);
        buffer[..length].fill(FILLING);
        self.padding -= length;
        Ok(length)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite has made of its input.
struct Theirs {
    messages: Vec<protocol::Message>,
    /// `None` if it waits for more, or was told that there is no more.
    error: Option<tungstenite::Error>,
    output: Vec<u8>,
}

/// Feeds `input` and then `padding` bytes of filling to tungstenite, up to the first Close.
fn theirs(role: Role, input: &[u8], padding: usize) -> Theirs {
    let role = match role {
        Role::Server => protocol::Role::Server,
        Role::Client => protocol::Role::Client,
    };
    let config =
        WebSocketConfig::default().read_buffer_size(4096).max_message_size(Some(LIMIT)).max_frame_size(Some(LIMIT));
    let wire = Wire { input, padding, output: Vec::new() };
    let mut socket = WebSocket::from_raw_socket(wire, role, Some(config));
    let mut messages = Vec::new();
    let error = loop {
        match socket.read() {
            Ok(message) => {
                let is_close = message.is_close();
                messages.push(message);
                if is_close {
                    break None;
                }
            }
            Err(tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
                break None;
            }
            Err(error) => break Some(error),
        }
    };
    let _ = socket.flush();
    Theirs { messages, error, output: std::mem::take(&mut socket.get_mut().output) }
}

fn ours(role: Role, input: &[u8]) -> (Outcome, Vec<u8>) {
    let mut connection = role.connection(Limits::default().max_message_size(LIMIT).max_fragments(FRAGMENTS));
    let (mut output, mut outcome) = (Output::default(), Outcome::default());
    receive(&mut connection, input, &mut output, &mut outcome);
    (outcome, output.to_vec())
}

fn is_same(ours: &Event<'_>, theirs: &protocol::Message) -> bool {
    match (ours, theirs) {
        (Event::Message(rikki_proto::Message::Text(ours)), protocol::Message::Text(theirs)) => {
            **ours == *theirs.as_str()
        }
        (Event::Message(rikki_proto::Message::Binary(ours)), protocol::Message::Binary(theirs))
        | (Event::Ping(ours), protocol::Message::Ping(theirs))
        | (Event::Pong(ours), protocol::Message::Pong(theirs)) => ours[..] == theirs[..],
        (Event::Close(None), protocol::Message::Close(None)) => true,
        (Event::Close(Some(ours)), protocol::Message::Close(Some(theirs))) => {
            is_departure_in_codes(ours.code)
                || (ours.code.0 == u16::from(theirs.code) && *ours.reason == *theirs.reason.as_str())
        }
        _ => false,
    }
}

/// Departure 1, where tungstenite is stricter: 1014 (bad gateway) came into the registry of section 7.4.2 after
/// RFC 6455; tungstenite reports 1002 in its place.
fn is_departure_in_codes(code: CloseCode) -> bool {
    code.0 == 1014
}

/// The departures in which we refuse what tungstenite takes; every other error of ours must be one of theirs too.
fn is_taken_by_tungstenite(error: Error) -> bool {
    match error {
        // Departure 2, section 5.2: "the minimal number of bytes MUST be used to encode the length".
        Error::Protocol(ProtocolError::NonMinimalLength) => true,
        // The same in a control frame, where a length in 16 or 64 bits is either above 125 or not minimal.
        Error::Protocol(ProtocolError::ControlTooLong) => true,
        // Departure 3, section 7.4: a code that must not be sent is an error of the peer's. Tungstenite reports a Close
        // with 1002 that nobody has sent.
        Error::Protocol(ProtocolError::InvalidCloseCode(_)) => true,
        // Departure 4: a limit of ours that tungstenite does not have.
        Error::Limit(LimitExceeded::TooManyFragments { .. }) => true,
        _ => false,
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&bits, stream)) = data.split_first() else { return };
    let role = Role::of_bit(bits);
    let (ours, our_output) = ours(role, stream);
    // Departure 5, in time alone: we fail at the byte that breaks a rule, tungstenite when the frame is whole. So that
    // frame is made whole for it.
    let padding = if ours.error.is_some() { REST } else { 0 };
    let theirs = theirs(role, stream, padding);

    let all_same = ours.events.iter().zip(&theirs.messages).all(|(ours, theirs)| is_same(ours, theirs));
    let differ = || format!("{role:?}: {ours:?}\n{:?}, then {:?}", theirs.messages, theirs.error);
    assert!(all_same && ours.events.len() <= theirs.messages.len(), "{}", differ());
    match ours.error {
        Some(error) if is_taken_by_tungstenite(error) => {}
        Some(_) => assert!(theirs.error.is_some() && theirs.messages.len() == ours.events.len(), "{}", differ()),
        None => assert!(theirs.error.is_none() && theirs.messages.len() == ours.events.len(), "{}", differ()),
    }

    // Each understands what the other answers, and both have answered the same pings.
    let (by_us, _) = self::ours(role.other(), &theirs.output);
    let by_them = self::theirs(role.other(), &our_output, 0);
    assert!(by_us.error.is_none() && by_them.error.is_none(), "{by_us:?}\n{:?}, {:?}", by_them.messages, by_them.error);
    if ours.error.is_none() {
        let pongs = |event: &&Event<'_>| matches!(event, Event::Pong(_));
        let same = by_us.events.iter().filter(pongs).zip(by_them.messages.iter().filter(|message| message.is_pong()));
        assert!(same.clone().all(|(ours, theirs)| is_same(ours, theirs)), "{by_us:?}\n{:?}", by_them.messages);
        assert_eq!(by_us.events.len(), by_them.messages.len());
    }
});
