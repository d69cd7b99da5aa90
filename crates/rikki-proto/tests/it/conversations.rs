//! Random conversations of two ends: everything that was sent arrives, in order and intact.

use proptest::collection::vec;
use proptest::prelude::*;
use rikki_proto::{CloseCode, Event, Limits, Message, PreparedMessage, SendError};

use crate::delivery::{closed, pong};
use crate::pair::Pair;

#[derive(Clone, Debug)]
enum Step {
    Send(Message<'static>),
    SendPrepared(Message<'static>),
    Ping(Vec<u8>),
    Close(u16, String),
    /// Carries this many bytes.
    Carry(usize),
}

fn message() -> impl Strategy<Value = Message<'static>> {
    prop_oneof![
        any::<String>().prop_map(Message::from),
        vec(any::<u8>(), 0..300).prop_map(Message::from),
        // Lengths in 16 and 64 bits, and payloads that are spliced into the output.
        (120usize..130).prop_map(|length| Message::from(vec![7; length])),
        (16_380usize..16_400).prop_map(|length| Message::from(vec![8; length])),
        (65_530usize..65_540).prop_map(|length| Message::from("x".repeat(length))),
    ]
}

/// A step of the client (`true`) or the server.
fn step() -> impl Strategy<Value = (bool, Step)> {
    let step = prop_oneof![
        6 => message().prop_map(Step::Send),
        2 => message().prop_map(Step::SendPrepared),
        4 => vec(any::<u8>(), 0..=125).prop_map(Step::Ping),
        1 => (3000u16..5000, "[a-zκ]{0,40}").prop_map(|(code, reason)| Step::Close(code, reason)),
        8 => prop_oneof![0usize..20, 0usize..70_000].prop_map(Step::Carry),
    ];
    (any::<bool>(), step)
}

/// What one end has sent.
#[derive(Default)]
struct Sent {
    events: Vec<Event<'static>>,
    pings: Vec<Event<'static>>,
    close: Option<(u16, String)>,
}

fn take_step(pair: &mut Pair, sent: &mut Sent, from_client: bool, step: Step) -> Result<(), TestCaseError> {
    let (side, _) = pair.sides(from_client);
    let (connection, output) = (&mut side.connection, &mut side.output);
    let was_open = connection.is_open();
    let result = match &step {
        Step::Send(message) => connection.send(message.clone(), output),
        Step::SendPrepared(message) => connection.send_prepared(&PreparedMessage::new(message.clone()), output),
        Step::Ping(payload) => connection.ping(payload, output),
        Step::Close(code, reason) => connection.close(CloseCode(*code), reason, output),
        Step::Carry(count) => {
            pair.carry(from_client, *count);
            return Ok(());
        }
    };
    prop_assert_eq!(result, if was_open { Ok(()) } else { Err(SendError::Closed) });
    if was_open {
        match step {
            Step::Send(message) | Step::SendPrepared(message) => sent.events.push(Event::Message(message)),
            Step::Ping(payload) => {
                sent.pings.push(pong(&payload));
                sent.events.push(Event::Ping(payload.into()));
            }
            Step::Close(code, reason) => sent.close = Some((code, reason)),
            Step::Carry(_) => {}
        }
    }
    Ok(())
}

/// What `to` has received is what `from` has sent, and the pongs that belong to its own pings.
fn arrived(from: &Sent, to: &Sent, received: &[Event<'static>]) -> Result<(), TestCaseError> {
    let close = match (&from.close, &to.close) {
        (Some((code, reason)), _) => Some(closed(*code, reason)),
        // Section 5.5.1: the answer to a Close repeats its code.
        (None, Some((code, _))) => Some(closed(*code, "")),
        (None, None) => None,
    };
    let is_closed = close.is_some();
    let (pongs, others): (Vec<_>, Vec<_>) = received.iter().cloned().partition(|event| matches!(event, Event::Pong(_)));
    prop_assert_eq!(others, from.events.iter().cloned().chain(close).collect::<Vec<_>>());
    // Pings that come after a Close was sent stay unanswered.
    let answered = if is_closed { &to.pings[..pongs.len().min(to.pings.len())] } else { &to.pings[..] };
    prop_assert_eq!(&pongs[..], answered);
    prop_assert!(!is_closed || matches!(received.last(), Some(Event::Close(_))), "something follows the Close");
    Ok(())
}

proptest! {
    #[test]
    fn arrive_in_order_and_intact(steps in vec(step(), 0..40), last in 1usize..5000) {
        let mut pair = Pair::new(Limits::default());
        let (mut by_client, mut by_server) = (Sent::default(), Sent::default());
        for (from_client, step) in steps {
            let sent = if from_client { &mut by_client } else { &mut by_server };
            take_step(&mut pair, sent, from_client, step)?;
        }
        pair.settle(last);
        arrived(&by_client, &by_server, pair.server.events())?;
        arrived(&by_server, &by_client, pair.client.events())?;
        let is_closed = by_client.close.is_some() || by_server.close.is_some();
        for side in [&pair.client, &pair.server] {
            prop_assert_eq!(side.error(), None);
            prop_assert_eq!(side.connection.is_closed(), is_closed);
            prop_assert_eq!(side.connection.is_open(), !is_closed);
            prop_assert!(!side.connection.is_mid_message());
        }
    }
}
