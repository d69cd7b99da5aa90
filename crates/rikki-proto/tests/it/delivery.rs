//! One end that is fed a stream in every cut: whatever the cuts, the outcome must be the same.

use bytes::BufMut as _;
use rikki_proto::{CloseCode, CloseFrame, Connection, Error, Event, Limits, Message, Output};

use crate::wire::{self, Frame};

/// Streams up to this long are cut at every single byte.
const EVERY_CUT: usize = 400;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

/// An end before its first byte.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) role: Role,
    pub(crate) limits: Limits,
}

pub(crate) const fn server(limits: Limits) -> End {
    End { role: Role::Server, limits }
}

pub(crate) const fn client(limits: Limits) -> End {
    End { role: Role::Client, limits }
}

/// What an end made of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) events: Vec<Event<'static>>,
    pub(crate) error: Option<Error>,
    /// What it answered.
    pub(crate) output: Vec<Frame>,
}

/// The masking keys of a client under test: 1, 2, 3 ...
pub(crate) fn keys() -> impl FnMut() -> [u8; 4] + Send {
    let mut count = 0u32;
    move || {
        count += 1;
        count.to_be_bytes()
    }
}

impl End {
    pub(crate) fn connection(self) -> Connection {
        match self.role {
            Role::Server => Connection::server(self.limits),
            Role::Client => Connection::client(self.limits, keys()),
        }
    }

    /// These frames as they come from this end's peer.
    pub(crate) fn incoming(self, frames: &[Frame]) -> Vec<u8> {
        match self.role {
            Role::Server => wire::stream(&wire::masked(frames)),
            Role::Client => wire::stream(frames),
        }
    }

    /// These frames as this end sends them, first thing on its connection.
    pub(crate) fn own(self, frames: Vec<Frame>) -> Vec<Frame> {
        match self.role {
            Role::Server => frames,
            Role::Client => {
                let mut next_key = keys();
                frames.into_iter().map(|frame| frame.masked(next_key())).collect()
            }
        }
    }

    /// Feeds the pieces one after the other, as reads of a socket.
    pub(crate) fn deliver<'a>(self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
        let (mut connection, mut output) = (self.connection(), Output::default());
        let mut outcome = Outcome::default();
        for piece in pieces {
            receive(&mut connection, piece, &mut output, &mut outcome);
        }
        outcome.output = wire::read(&output.to_vec());
        outcome
    }

    /// Feeds `stream` whole, byte by byte and in two pieces for every cut, and compares what comes of it.
    #[track_caller]
    pub(crate) fn check(self, stream: &[u8], expected: &Outcome) {
        assert_eq!(self.deliver([stream]), *expected, "{:?}: whole", self.role);
        assert_eq!(self.deliver(stream.chunks(1)), *expected, "{:?}: byte by byte", self.role);
        // A long stream is cut where headers are likely, and here and there.
        let step = stream.len().div_ceil(EVERY_CUT).max(1);
        for cut in (0..stream.len()).filter(|cut| *cut < 20 || cut % step == 0) {
            let (head, tail) = stream.split_at(cut);
            assert_eq!(self.deliver([head, tail]), *expected, "{:?}: cut at byte {cut}", self.role);
        }
    }
}

/// Feeds one piece and holds the connection to what its documentation promises.
pub(crate) fn receive(connection: &mut Connection, piece: &[u8], output: &mut Output, outcome: &mut Outcome) {
    let mut piece = piece.to_vec();
    let mut input = &mut piece[..];
    loop {
        match connection.next_event(&mut input, output) {
            Ok(Some(event)) => {
                assert_eq!(connection.is_closed(), matches!(event, Event::Close(_)));
                outcome.events.push(owned(event));
            }
            Ok(None) => {
                assert!(input.is_empty(), "{} bytes were left behind", input.len());
                return;
            }
            Err(error) => {
                assert!(connection.is_closed() && !connection.is_open());
                assert_eq!(*outcome.error.get_or_insert(error), error, "another error than before");
                assert!(input.is_empty(), "{} bytes were left behind", input.len());
                // A failed connection repeats its error and takes all input.
                let mut more = *b"\x89\x80\0\0\0\0";
                input = &mut more;
                assert_eq!(connection.next_event(&mut input, output), Err(error));
                assert!(input.is_empty());
                return;
            }
        }
    }
}

/// Moves what there is room for in a large message straight into it, and says how many bytes these were.
pub(crate) fn fill(connection: &mut Connection, stream: &mut &[u8], most: usize) -> Option<usize> {
    connection.fill_payload(most, |room| {
        let (now, later) = stream.split_at(room.remaining_mut().min(stream.len()));
        room.put_slice(now);
        *stream = later;
        now.len()
    })
}

/// The same event, no longer borrowed from a read.
fn owned(event: Event<'_>) -> Event<'static> {
    match event {
        Event::Message(message) => Event::Message(message.into_owned()),
        Event::Ping(payload) => Event::Ping(payload.into_owned()),
        Event::Pong(payload) => Event::Pong(payload.into_owned()),
        Event::Close(frame) => Event::Close(frame),
        other => panic!("an event the tests do not know: {other:?}"),
    }
}

pub(crate) fn text(text: &str) -> Event<'static> {
    Event::Message(Message::from(text.to_owned()))
}

pub(crate) fn binary(bytes: &[u8]) -> Event<'static> {
    Event::Message(Message::from(bytes.to_vec()))
}

pub(crate) fn ping(payload: &[u8]) -> Event<'static> {
    Event::Ping(payload.to_vec().into())
}

pub(crate) fn pong(payload: &[u8]) -> Event<'static> {
    Event::Pong(payload.to_vec().into())
}

pub(crate) fn closed(code: u16, reason: &str) -> Event<'static> {
    Event::Close(Some(CloseFrame { code: CloseCode(code), reason: reason.to_owned().into() }))
}
