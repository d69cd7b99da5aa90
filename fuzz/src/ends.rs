//! One end of a connection that is fed bytes in pieces.

use rikki_proto::{Connection, Error, Event, Limits, Message, Output};

/// How much is read at most before a connection is asked whether more may go straight into a message.
const FILL_CUT: usize = 40_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Server,
    Client,
}

/// What an end has made of its input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub events: Vec<Event<'static>>,
    pub error: Option<Error>,
}

impl Role {
    #[must_use]
    pub fn of_bit(bit: u8) -> Self {
        if bit & 1 == 0 { Self::Server } else { Self::Client }
    }

    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Server => Self::Client,
            Self::Client => Self::Server,
        }
    }

    /// A connection whose masking keys, if it has any, are 1, 2, 3 ...
    #[must_use]
    pub fn connection(self, limits: Limits) -> Connection {
        match self {
            Self::Server => Connection::server(limits),
            Self::Client => {
                let mut key = 0u32;
                Connection::client(limits, move || {
                    key = key.wrapping_add(0x0102_0305);
                    key.to_be_bytes()
                })
            }
        }
    }
}

impl Outcome {
    pub fn messages(&self) -> impl Iterator<Item = &Message<'static>> {
        self.events.iter().filter_map(|event| match event {
            Event::Message(message) => Some(message),
            _ => None,
        })
    }
}

/// Feeds one piece to its end, as a read of a socket.
pub fn receive(connection: &mut Connection, piece: &[u8], output: &mut Output, outcome: &mut Outcome) {
    let left = receive_some(connection, piece, output, outcome, usize::MAX);
    assert_eq!(left, 0, "all of the input is taken");
}

/// The same, but straight into a large message where that is offered.
pub fn fill(connection: &mut Connection, mut piece: &[u8], output: &mut Output, outcome: &mut Outcome) {
    while !piece.is_empty() {
        let filled = connection.fill_payload(usize::MAX, |room| {
            let (now, later) = piece.split_at(room.remaining_mut().min(piece.len()));
            room.put_slice(now);
            piece = later;
        });
        if filled.is_none() {
            let (now, later) = piece.split_at(piece.len().min(FILL_CUT));
            receive(connection, now, output, outcome);
            piece = later;
        }
    }
}

/// Feeds one piece until so many events have come of it, and says how many bytes are left of it.
pub fn receive_some(
    connection: &mut Connection,
    piece: &[u8],
    output: &mut Output,
    outcome: &mut Outcome,
    events: usize,
) -> usize {
    let mut bytes = piece.to_vec();
    let mut input = &mut bytes[..];
    for _ in 0..events {
        match connection.next_event(&mut input, output) {
            Ok(Some(event)) => outcome.events.push(owned(event)),
            Ok(None) => break,
            Err(error) => {
                assert!(outcome.error.is_none_or(|before| before == error), "it is repeated as it was");
                outcome.error = Some(error);
                break;
            }
        }
    }
    assert!(piece.ends_with(input), "what is not taken is left as it was");
    input.len()
}

fn owned(event: Event<'_>) -> Event<'static> {
    match event {
        Event::Message(message) => Event::Message(message.into_owned()),
        Event::Ping(payload) => Event::Ping(payload.into_owned()),
        Event::Pong(payload) => Event::Pong(payload.into_owned()),
        Event::Close(frame) => Event::Close(frame),
        other => unreachable!("an event that no target knows: {other:?}"),
    }
}

/// Cuts `stream` into pieces whose lengths follow from `seed`; 0 cuts at every byte.
pub fn pieces(stream: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = stream;
    let mut state = u32::from(seed);
    std::iter::from_fn(move || {
        // The constants of a common linear congruential generator; its high bits are the better ones.
        state = state.wrapping_mul(1_664_525).wrapping_add(if seed == 0 { 0 } else { 1_013_904_223 });
        let scale = 1 << (seed % 11);
        let length = 1 + (state >> 16) as usize % scale;
        let (front, back) = rest.split_at(length.min(rest.len()));
        rest = back;
        (!front.is_empty()).then_some(front)
    })
}
