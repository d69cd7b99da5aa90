//! What is said: each conversation is a function for our half and one for theirs.

use futures_util::{SinkExt, StreamExt};
use rikki::ws::{CloseCode, Config, Error, Message, WebSocket};

use super::tap::{Frame, Log};
use super::{Event, Peer, converse};
use crate::wire::soon;

/// On both sides of the boundaries of the length's encodings
/// ([section 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)), and what takes many reads.
const SIZES: [usize; 7] = [0, 1, 125, 126, 65_535, 65_536, 1_000_000];

/// Messages that are under way before the first answer is awaited.
const IN_FLIGHT: usize = 300;

/// Everything that is the same for all implementations and both ways.
pub(super) async fn all<P: Peer>(settings: Config) {
    messages::<P>(settings.clone()).await;
    converse(settings.clone(), meet_a_broken_rule, break_a_rule::<P>).await;
    converse(settings.max_message_size(1000), meet_a_large_message, send_a_large_message::<P>).await;
}

/// Messages, pings and closing from either side.
pub(super) async fn messages<P: Peer>(settings: Config) {
    converse(settings.clone(), echo, their_messages_come_back::<P>).await;
    converse(settings, our_messages_come_back, their_echo::<P>).await;
}

/// A text of so many bytes, some of two.
fn text(size: usize) -> String {
    (0..size / 4).map(|number| ["né ", "ö0, "][number % 2]).chain(std::iter::repeat_n(".", size % 4)).collect()
}

fn bytes(size: usize) -> Vec<u8> {
    (0..size as u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Our half of an echo, until the peer closes with 4001.
pub(super) async fn echo(mut socket: WebSocket) {
    while let Some(message) = socket.next().await {
        socket.send(message.unwrap()).await.unwrap();
    }
    let reason = assert_closed(&socket, 4001);
    assert_eq!(reason, "bye");
}

async fn their_messages_come_back<P: Peer>(mut peer: P, log: Log) {
    for message in SIZES.into_iter().flat_map(|size| [Event::Text(text(size)), Event::Binary(bytes(size))]) {
        send(&mut peer, message.clone()).await;
        assert_next(&mut peer, message).await;
    }
    for number in 0..IN_FLIGHT {
        send(&mut peer, Event::Text(number.to_string())).await;
    }
    for number in 0..IN_FLIGHT {
        assert_next(&mut peer, Event::Text(number.to_string())).await;
    }
    for payload in [&b""[..], b"are you there?", &[0xff; 125]] {
        send(&mut peer, Event::Ping(payload.to_vec())).await;
        assert_next(&mut peer, Event::Pong(payload.to_vec())).await;
    }
    let pieces = ["in ", "", "f\u{00f6}ur ", "pieces"];
    if soon("sending", peer.send_fragments(&pieces, b"between")).await {
        assert_next(&mut peer, Event::Pong(b"between".to_vec())).await;
        assert_next(&mut peer, Event::Text(pieces.concat())).await;
        assert!(log.theirs().iter().any(|frame| frame.first == 0x01), "it was sent in fragments");
    }
    close(peer, 4001).await;
}

/// Their half of an end that they begin. Their Close comes back ([section 5.5.1]).
///
/// [section 5.5.1]: https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
pub(super) async fn close(mut peer: impl Peer, code: u16) {
    send(&mut peer, Event::Close(Some((code, "bye".to_owned())))).await;
    assert_next(&mut peer, Event::Close(Some((code, String::new())))).await;
    assert_next(&mut peer, Event::End).await;
}

async fn our_messages_come_back(mut socket: WebSocket) {
    let sizes = || SIZES.into_iter().flat_map(|size| [Message::from(text(size)), Message::from(bytes(size))]);
    for message in sizes() {
        socket.send(message.clone()).await.unwrap();
        let echoed = socket.next().await.unwrap().unwrap();
        assert!(echoed == message, "{} bytes came back as {}", message.as_bytes().len(), echoed.as_bytes().len());
    }
    for number in 0..IN_FLIGHT {
        socket.feed(number.to_string().into()).await.unwrap();
    }
    socket.flush().await.unwrap();
    for number in 0..IN_FLIGHT {
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::from(number.to_string()));
    }
    socket.sender().unwrap().ping(b"are you there?").unwrap();
    socket.sender().unwrap().send("after the ping").unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::from("after the ping"));
    socket.start_close(CloseCode(4002), "enough").unwrap();
    assert!(socket.next().await.is_none());
    // Some send the reason back, some do not.
    assert_closed(&socket, 4002);
}

pub(super) async fn their_echo<P: Peer>(mut peer: P, log: Log) {
    loop {
        match soon("a message", peer.next()).await {
            message @ (Event::Text(_) | Event::Binary(_)) => send(&mut peer, message).await,
            Event::Ping(_) => {}
            Event::Close(close) => break assert_eq!(close, Some((4002, "enough".to_owned()))),
            other => panic!("{other:?}"),
        }
    }
    assert_next(&mut peer, Event::End).await;
    let pong = Frame { first: 0x8a, payload: b"are you there?".to_vec() };
    assert!(log.theirs().contains(&pong), "our ping was answered");
}

async fn meet_a_broken_rule(mut socket: WebSocket) {
    let error = socket.next().await;
    assert!(matches!(error, Some(Err(Error::Protocol(_)))), "{error:?}");
    assert!(socket.next().await.is_none());
    assert_eq!(socket.closed().unwrap().code, CloseCode::PROTOCOL_ERROR);
}

async fn break_a_rule<P: Peer>(mut peer: P, _: Log) {
    soon("sending", peer.break_the_rules()).await;
    assert_told(peer, 1002).await;
}

async fn meet_a_large_message(mut socket: WebSocket) {
    assert_eq!(socket.next().await.unwrap().unwrap().as_bytes().len(), 1000);
    let error = socket.next().await;
    assert!(matches!(error, Some(Err(Error::Limit(_)))), "{error:?}");
    assert!(socket.next().await.is_none());
}

async fn send_a_large_message<P: Peer>(mut peer: P, _: Log) {
    send(&mut peer, Event::Binary(bytes(1000))).await;
    send(&mut peer, Event::Binary(bytes(1001))).await;
    assert_told(peer, 1009).await;
}

async fn assert_told(mut peer: impl Peer, code: u16) {
    let told = soon("a Close", peer.next()).await;
    assert!(matches!(&told, Event::Close(Some((told, _))) if *told == code), "{told:?} instead of {code}");
}

pub(super) async fn send(peer: &mut impl Peer, event: Event) {
    soon("sending", peer.send(event)).await;
}

pub(super) async fn assert_next(peer: &mut impl Peer, expected: Event) {
    let next = soon("what comes next", peer.next()).await;
    // A million bytes say no more than some.
    assert!(next == expected, "{:.200} instead of {:.200}", format!("{next:?}"), format!("{expected:?}"));
}

/// That it ended in order, with this code; returns the reason.
fn assert_closed(socket: &WebSocket, code: u16) -> &str {
    let closed = socket.closed().unwrap();
    assert!(closed.code == CloseCode(code) && closed.error.is_none(), "{closed:?}");
    &closed.reason
}
