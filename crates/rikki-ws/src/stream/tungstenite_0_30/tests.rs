use std::io;
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use rikki_proto::{LimitExceeded, ProtocolError as Ours};
use tokio::io::{DuplexStream, duplex};
use tokio_tungstenite::WebSocketStream;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::{CloseFrame, Role};

use super::*;
use crate::config::Config;
use crate::error::Deadline;
use crate::live::Live;
use crate::terms::Terms;
use crate::trace::Trace;
use crate::tracker::Tracker;

/// What reads and writes as either does.
trait Theirs: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + Unpin {}
impl<S: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + Unpin> Theirs for S {}

fn server(io: DuplexStream, config: &Config) -> Compat {
    let terms = Arc::new(Terms::new(config, &Live::new()));
    terms.opened().hand_over();
    let trace = Trace::alone(None, "/");
    Compat::new(WebSocket::new(Box::new(io), &[], terms.server(), terms, None, Tracker::default(), trace))
}

async fn pair(config: &Config) -> (Compat, WebSocketStream<DuplexStream>) {
    let (ours, theirs) = duplex(64 * 1024);
    (server(ours, config), WebSocketStream::from_raw_socket(theirs, Role::Client, None).await)
}

fn frame(code: u16, reason: &'static str) -> CloseFrame {
    CloseFrame { code: code.into(), reason: reason.into() }
}

/// Everything until the stream ends, as text.
async fn read_all(mut socket: impl Theirs) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(item) = socket.next().await {
        seen.push(match item {
            Ok(Message::Binary(bytes)) => format!("{} bytes", bytes.len()),
            other => format!("{other:?}"),
        });
    }
    seen
}

/// Echoes, and sees everything.
async fn echo(mut socket: impl Theirs) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(item) = socket.next().await {
        let message = item.unwrap();
        if message.is_text() || message.is_binary() {
            socket.send(message.clone()).await.unwrap();
        }
        seen.push(format!("{:.60}", format!("{message:?}")));
    }
    let after = socket.send("too late".into()).await.unwrap_err();
    seen.push(format!("{after:?}"));
    seen
}

async fn ask(mut socket: impl Theirs) -> Vec<String> {
    for message in [
        Message::text("hello"),
        Message::Ping("are you there?".into()),
        Message::binary(vec![7; 20_000]),
        Message::Pong("unasked".into()),
    ] {
        socket.send(message).await.unwrap();
    }
    socket.send(Message::Close(Some(frame(4000, "")))).await.unwrap();
    let after = socket.send("too late".into()).await.unwrap_err();
    let mut seen = read_all(socket).await;
    seen.push(format!("{after:?}"));
    seen
}

/// Says its part, and closes.
async fn say(mut socket: impl Theirs) -> Vec<String> {
    for message in [Message::text("news"), Message::Ping("you?".into()), Message::Pong("I am".into())] {
        socket.feed(message).await.unwrap();
    }
    socket.send(Message::Close(Some(frame(1001, "going")))).await.unwrap();
    read_all(socket).await
}

/// What both ends of a conversation see is the same with a server of tokio-tungstenite.
#[tokio::test]
async fn reads_and_writes_as_tokio_tungstenite_does() {
    let theirs = async || {
        let (server, client) = duplex(64 * 1024);
        let server = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
        (server, WebSocketStream::from_raw_socket(client, Role::Client, None).await)
    };
    let config = Config::default();
    let (server, client) = theirs().await;
    let expected = tokio::join!(echo(server), ask(client));
    assert_eq!(expected.0.len(), 6, "{expected:?}");
    let (server, client) = pair(&config).await;
    assert_eq!(tokio::join!(echo(server), ask(client)), expected);

    let (server, client) = theirs().await;
    let expected = tokio::join!(say(server), read_all(client));
    assert_eq!(expected.1.len(), 4, "{expected:?}");
    let (server, client) = pair(&config).await;
    assert_eq!(tokio::join!(say(server), read_all(client)), expected);
}

/// `Message::Close` without a frame, and `close` of the sink.
#[tokio::test]
async fn a_close_without_a_frame() {
    let (mut server, mut client) = pair(&Config::default()).await;
    client.send(Message::Close(None)).await.unwrap();
    assert_eq!(server.next().await.unwrap().unwrap(), Message::Close(None));
    assert!(server.next().await.is_none() && server.is_terminated());

    let (mut server, client) = pair(&Config::default()).await;
    server.send(Message::Close(None)).await.unwrap();
    server.close().await.unwrap();
    let close = format!("{:?}", Ok::<_, Error>(Message::Close(Some(frame(1000, "")))));
    assert_eq!(tokio::join!(read_all(server), read_all(client)), (vec![close.clone()], vec![close]));
}

#[tokio::test]
async fn what_cannot_be_sent() {
    let (mut server, _client) = pair(&Config::default()).await;
    let mut check = async |message: Message, expected: &str| {
        let error = server.feed(message).await.unwrap_err();
        let kind = if let Error::Io(error) = &error { format!("{:?}: ", error.kind()) } else { String::new() };
        assert_eq!(format!("{kind}{error}"), expected);
    };
    let raw = "Unsupported: IO error: a raw frame cannot be sent: rikki makes the frames of a message by itself, so \
               send that";
    check(Message::Frame(Frame::ping("")), raw).await;
    let long = "WebSocket protocol error: Control frame too big (payload must be 125 bytes or less)";
    check(Message::Ping(vec![0; 126].into()), long).await;
    check(Message::Pong(vec![0; 126].into()), long).await;
    let code = "InvalidInput: IO error: close code 1005 must not be sent";
    check(Message::Close(Some(frame(1005, ""))), code).await;
    let reason = "InvalidInput: IO error: close reason of 126 bytes, at most 123 fit";
    let three = "a reason that is much longer than it may be, ";
    let close = CloseFrame { code: 1000.into(), reason: three.repeat(3)[..126].into() };
    check(Message::Close(Some(close)), reason).await;
}

/// What finds no room comes back whole.
#[tokio::test]
async fn a_queue_that_is_full_gives_messages_back() {
    let config = Config::default().set("write-queue", "64KiB").unwrap();
    let (mut server, _client) = pair(&config).await;
    // More than the pipe and the queue hold, and nobody reads.
    server.feed(Message::binary(vec![0; 200 * 1024])).await.unwrap();
    let full = server.start_send_unpin(Message::Ping("back".into())).unwrap_err();
    assert!(matches!(&full, Error::WriteBufferFull(back) if **back == Message::Ping("back".into())), "{full:?}");
}

#[tokio::test]
async fn how_it_ends_without_a_close() {
    let (mut server, client) = pair(&Config::default()).await;
    drop(client.into_inner());
    let error = server.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)), "{error:?}");
    assert!(server.next().await.is_none());
    assert!(matches!(server.send("too late".into()).await, Err(Error::AlreadyClosed)));

    let (mut server, mut client) = pair(&Config::default().max_message_size(10)).await;
    client.send("longer than ten bytes".into()).await.unwrap();
    let error = server.next().await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "Space limit exceeded: Message too long: 21 > 10");
    assert!(server.next().await.is_none());
}

/// The latest of many are kept, and none for whoever does not look.
#[tokio::test]
async fn pings_and_pongs_are_bounded_and_messages_stay() {
    let (mut server, mut client) = pair(&Config::default()).await;
    for number in 0..20_u8 {
        client.feed(Message::Pong(vec![number].into())).await.unwrap();
    }
    client.feed("first".into()).await.unwrap();
    client.send("second".into()).await.unwrap();
    for number in 4..20_u8 {
        assert_eq!(server.next().await.unwrap().unwrap(), Message::Pong(vec![number].into()));
    }
    let mut socket = server.into_inner();
    client.send(Message::Ping("unseen".into())).await.unwrap();
    for expected in ["first", "second"] {
        assert_eq!(socket.recv().await.unwrap().unwrap().as_text(), Some(expected));
    }
    assert!(socket.inbox.controls.is_none());
}

#[test]
fn payloads_are_shared() {
    let bytes = Bytes::from(vec![b'x'; 100]);
    let place = bytes.as_ptr();
    let text = Message::Text(bytes.clone().try_into().unwrap());
    for message in [text, Message::Binary(bytes)] {
        let ours = convert::to_send(message.clone()).unwrap();
        assert_eq!(ours.as_bytes().as_ptr(), place);
        let back = convert::received(ours).unwrap();
        assert_eq!((back.clone().into_data().as_ptr(), back), (place, message));
    }
}

/// Nothing is lost: either they have words that say as much, or ours is inside.
#[test]
fn errors_in_their_words() {
    let check = |error: crate::Error, expected: &str| {
        let text = error.to_string();
        let theirs = convert::error(error);
        if let (Error::Io(outer), Some(kind)) = (&theirs, expected.strip_prefix("ours, as ")) {
            assert_eq!((format!("{:?}", outer.kind()), outer.to_string()), (kind.to_owned(), text));
            let inner = outer.get_ref().and_then(|inner| inner.downcast_ref::<crate::Error>());
            assert!(inner.is_some(), "{outer:?}");
        } else {
            assert_eq!(format!("{theirs:?}"), expected);
        }
    };
    for (rule, expected) in [
        (Ours::ReservedBits, "Protocol(NonZeroReservedBits)"),
        (Ours::ReservedOpcode(3), "Protocol(UnknownDataFrameType(3))"),
        (Ours::ReservedOpcode(11), "Protocol(UnknownControlFrameType(11))"),
        (Ours::Unmasked, "Protocol(UnmaskedFrameFromClient)"),
        (Ours::Masked, "Protocol(MaskedFrameFromServer)"),
        (Ours::ControlTooLong, "Protocol(ControlFrameTooBig)"),
        (Ours::ControlFragmented, "Protocol(FragmentedControlFrame)"),
        (Ours::UnexpectedContinuation, "Protocol(UnexpectedContinueFrame)"),
        (Ours::CloseTooShort, "Protocol(InvalidCloseSequence)"),
        (Ours::InvalidUtf8, "Utf8(\"text is not UTF-8\")"),
        (Ours::InvalidCloseReason, "Utf8(\"close reason is not UTF-8\")"),
        (Ours::ExpectedContinuation, "ours, as InvalidData"),
        (Ours::InvalidCloseCode(1005), "ours, as InvalidData"),
        (Ours::NonMinimalLength, "ours, as InvalidData"),
        (Ours::LengthOverflow, "ours, as InvalidData"),
        (Ours::InvalidDeflate, "ours, as InvalidData"),
    ] {
        check(crate::Error::Protocol(rule), expected);
    }
    let long = LimitExceeded::MessageTooLong { length: 20, limit: 10 };
    check(crate::Error::Limit(long), "Capacity(MessageTooLong { size: 20, max_size: 10 })");
    check(crate::Error::Limit(LimitExceeded::CompressedTooLong { limit: 10 }), "ours, as QuotaExceeded");
    check(crate::Error::Limit(LimitExceeded::NoMessageMemory), "ours, as QuotaExceeded");
    check(crate::Error::RateExceeded, "ours, as QuotaExceeded");
    check(crate::Error::TimedOut(Deadline::Pong), "ours, as TimedOut");
    check(crate::Error::Overflow, "ours, as ConnectionAborted");
    check(crate::Error::HandlerPanicked, "ours, as Other");
    check(crate::Error::Send(SendError::InvalidCloseCode(1005)), "ours, as InvalidInput");
    check(crate::Error::Send(SendError::Closed), "AlreadyClosed");
    check(io::Error::from(io::ErrorKind::BrokenPipe).into(), "Io(Kind(BrokenPipe))");
    for kind in [io::ErrorKind::ConnectionReset, io::ErrorKind::UnexpectedEof] {
        check(io::Error::from(kind).into(), "Protocol(ResetWithoutClosingHandshake)");
    }
}
