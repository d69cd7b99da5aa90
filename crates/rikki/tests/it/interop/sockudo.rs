//! sockudo-ws, with and without permessage-deflate. It departs from the RFCs in what follows, none of which keeps it
//! from talking to us:
//!
//! - at an error of its peer it drops the connection without a Close
//!   ([RFC 6455 section 7.1.7](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7)).
//!
//! It has no way to send fragments, and none to send a frame that breaks the rules: those bytes are written past it.

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use rikki::ws::{Compression, Config};
use sockudo_ws::deflate::{DeflateConfig, negotiate_server_deflate, parse_deflate_offer};
use sockudo_ws::error::CloseReason;
use sockudo_ws::handshake::{
    build_request, build_response, client_handshake, generate_accept_key, generate_key, parse_request, parse_response,
    server_handshake, validate_accept_key,
};
use sockudo_ws::{CompressedWebSocketStream, Config as TheirConfig, Error, Message as Theirs, Role, WebSocketStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::conversations::{self, assert_next, close, echo, send};
use super::tap::{Frame, Log, Tap};
use super::{Event, Peer, converse};
use crate::wire::Via;

/// Without compression.
struct Plain {
    socket: WebSocketStream<Tap>,
    is_client: bool,
}

impl Peer for Plain {
    async fn connect(mut stream: Tap, _: Via) -> Self {
        let handshake = client_handshake(&mut stream, "localhost", "/", None).await.unwrap();
        let socket =
            WebSocketStream::from_raw_with_leftover(stream, Role::Client, TheirConfig::default(), handshake.leftover);
        Self { socket, is_client: true }
    }

    async fn accept(mut stream: Tap) -> Self {
        let handshake = server_handshake(&mut stream).await.unwrap();
        assert!(handshake.leftover.is_none(), "a client waits for the answer");
        Self { socket: WebSocketStream::server(stream, TheirConfig::default()), is_client: false }
    }

    async fn send(&mut self, event: Event) {
        self.socket.send(message(event)).await.unwrap();
    }

    async fn send_fragments(&mut self, _: &[&str], _: &[u8]) -> bool {
        false
    }

    async fn break_the_rules(&mut self) {
        let frame: &[u8] = if self.is_client { &[0x80, 0x80, 1, 2, 3, 4] } else { &[0x80, 0] };
        self.socket.get_mut().write_all(frame).await.unwrap();
        self.socket.get_mut().flush().await.unwrap();
    }

    async fn next(&mut self) -> Event {
        event(self.socket.next().await)
    }
}

/// With what was agreed on.
struct Compressed(CompressedWebSocketStream<Tap>);

impl Peer for Compressed {
    async fn connect(mut stream: Tap, _: Via) -> Self {
        let key = generate_key();
        let offer = "permessage-deflate; client_max_window_bits";
        let request = build_request("localhost", "/", &key, None, Some(offer));
        stream.write_all(&request).await.unwrap();
        stream.flush().await.unwrap();
        let mut buffer = BytesMut::new();
        let (agreed, length) = loop {
            read(&mut stream, &mut buffer).await;
            if let Some((response, length)) = parse_response(&buffer).unwrap() {
                assert!(validate_accept_key(&key, response.accept.unwrap()));
                break (response.extensions.expect("we agree to compress").to_owned(), length);
            }
        };
        let deflate = DeflateConfig::from_params(&parse_deflate_offer(&agreed).unwrap()).unwrap();
        let leftover = Some(buffer.split_off(length).freeze());
        Self(CompressedWebSocketStream::client_with_leftover(stream, TheirConfig::default(), deflate, leftover))
    }

    async fn accept(mut stream: Tap) -> Self {
        let mut buffer = BytesMut::new();
        let (agreed, accept) = loop {
            read(&mut stream, &mut buffer).await;
            if let Some((request, length)) = parse_request(&buffer).unwrap() {
                assert_eq!(length, buffer.len(), "a client waits for the answer");
                let agreed = negotiate_server_deflate(request.extensions.unwrap(), &DeflateConfig::default());
                break (agreed.expect("our offer is good"), generate_accept_key(request.key));
            }
        };
        let response = build_response(&accept, None, Some(&agreed.to_response_header()));
        stream.write_all(&response).await.unwrap();
        stream.flush().await.unwrap();
        Self(CompressedWebSocketStream::server(stream, TheirConfig::default(), agreed.config))
    }

    async fn send(&mut self, event: Event) {
        self.0.send(message(event)).await.unwrap();
    }

    async fn send_fragments(&mut self, _: &[&str], _: &[u8]) -> bool {
        false
    }

    async fn break_the_rules(&mut self) {
        unreachable!("without compression it is the same");
    }

    async fn next(&mut self) -> Event {
        event(self.0.next().await)
    }
}

async fn read(stream: &mut Tap, buffer: &mut BytesMut) {
    assert!(stream.read_buf(buffer).await.unwrap() > 0, "the handshake was cut short");
}

fn message(event: Event) -> Theirs {
    match event {
        Event::Text(text) => Theirs::Text(text.into()),
        Event::Binary(bytes) => Theirs::Binary(bytes.into()),
        Event::Ping(payload) => Theirs::Ping(payload.into()),
        Event::Pong(payload) => Theirs::Pong(payload.into()),
        Event::Close(close) => Theirs::Close(close.map(|(code, reason)| CloseReason { code, reason })),
        Event::End => unreachable!("no test sends it"),
    }
}

fn event(message: Option<Result<Theirs, Error>>) -> Event {
    let text = |bytes: Bytes| String::from_utf8(bytes.into()).unwrap();
    match message.map(Result::unwrap) {
        Some(Theirs::Text(bytes)) => Event::Text(text(bytes)),
        Some(Theirs::Binary(bytes)) => Event::Binary(bytes.into()),
        Some(Theirs::Ping(payload)) => Event::Ping(payload.into()),
        Some(Theirs::Pong(payload)) => Event::Pong(payload.into()),
        Some(Theirs::Close(close)) => Event::Close(close.map(|CloseReason { code, reason }| (code, reason))),
        None => Event::End,
    }
}

#[tokio::test]
async fn both_ways() {
    conversations::all::<Plain>(Config::default()).await;
}

fn settings(compression: Compression) -> Config {
    Config::default().compression(compression.threshold(32))
}

#[tokio::test]
async fn compressed_without_context_takeover() {
    conversations::messages::<Compressed>(settings(Compression::shared())).await;
    converse(settings(Compression::shared()), echo, async |peer: Compressed, log| {
        let [first, last] = compressed_lengths(peer, log).await;
        // The number differs, and how its digits are coded.
        assert!(last.iter().zip(first).all(|(last, first)| last.abs_diff(first) < 4), "{first:?}, then {last:?}");
    })
    .await;
}

#[tokio::test]
async fn compressed_with_context_takeover() {
    conversations::messages::<Compressed>(settings(Compression::dedicated())).await;
    for window_bits in [9, 12, 15] {
        let settings = settings(Compression::dedicated().window_bits(window_bits).unwrap());
        converse(settings, echo, async |peer: Compressed, log| {
            let [first, last] = compressed_lengths(peer, log).await;
            assert!(last.iter().zip(first).all(|(last, first)| *last < first / 3), "{first:?}, then {last:?}");
        })
        .await;
    }
}

/// Sends similar messages and expects them back; how many bytes each side makes of the first and of the last.
async fn compressed_lengths(mut peer: Compressed, log: Log) -> [[usize; 2]; 2] {
    let json =
        |number| format!(r#"{{"event": "price", "symbol": "RIKK", "bid": 101.25, "ask": 101.5, "number": {number}}}"#);
    for number in 100..120 {
        send(&mut peer, Event::Text(json(number))).await;
        assert_next(&mut peer, Event::Text(json(number))).await;
    }
    close(peer, 4001).await;
    let texts = [log.theirs(), log.ours()].map(|frames| {
        let lengths: Vec<_> = frames.iter().filter(|frame| frame.first & 0x0f == 1).map(compressed_length).collect();
        [lengths[0], *lengths.last().unwrap()]
    });
    [0, 1].map(|index| texts.map(|lengths| lengths[index]))
}

fn compressed_length(frame: &Frame) -> usize {
    assert_eq!(frame.first, 0xc1, "a compressed text in one frame");
    frame.payload.len()
}
