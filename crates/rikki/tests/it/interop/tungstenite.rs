//! tungstenite, with tokio.

use futures_util::{SinkExt, StreamExt};
use rikki::Server;
use rikki::ws::{CloseCode, Config, Message, Socket};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode as TheirCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
use tokio_tungstenite::tungstenite::{Error, Message as Theirs};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use super::tap::Tap;
use super::{Event, Peer, conversations};
use crate::wire::{BOTH, Running, Stream, Via, soon};

type Client = WebSocketStream<Stream>;

impl Peer for WebSocketStream<Tap> {
    async fn connect(stream: Tap, via: Via) -> Self {
        client_async(url(via, "/"), stream).await.unwrap().0
    }

    async fn accept(stream: Tap) -> Self {
        accept_async(stream).await.unwrap()
    }

    async fn send(&mut self, event: Event) {
        let message = match event {
            Event::Text(text) => Theirs::text(text),
            Event::Binary(bytes) => Theirs::binary(bytes),
            Event::Ping(payload) => Theirs::Ping(payload.into()),
            Event::Pong(payload) => Theirs::Pong(payload.into()),
            Event::Close(close) => {
                Theirs::Close(close.map(|(code, reason)| CloseFrame { code: code.into(), reason: reason.into() }))
            }
            Event::End => unreachable!("no test sends it"),
        };
        SinkExt::send(self, message).await.unwrap();
    }

    async fn send_fragments(&mut self, pieces: &[&str], ping: &[u8]) -> bool {
        for (index, piece) in pieces.iter().enumerate() {
            let opcode = OpCode::Data(if index == 0 { Data::Text } else { Data::Continue });
            SinkExt::send(self, fragment(opcode, index == pieces.len() - 1, piece)).await.unwrap();
            if index == 0 {
                SinkExt::send(self, Theirs::Ping(ping.to_vec().into())).await.unwrap();
            }
        }
        true
    }

    async fn break_the_rules(&mut self) {
        SinkExt::send(self, fragment(OpCode::Data(Data::Continue), true, "of nothing")).await.unwrap();
    }

    async fn next(&mut self) -> Event {
        match StreamExt::next(self).await {
            None => Event::End,
            Some(message) => match message.unwrap() {
                Theirs::Text(text) => Event::Text(text.to_string()),
                Theirs::Binary(bytes) => Event::Binary(bytes.into()),
                Theirs::Ping(payload) => Event::Ping(payload.into()),
                Theirs::Pong(payload) => Event::Pong(payload.into()),
                Theirs::Close(close) => Event::Close(close.map(|close| (close.code.into(), close.reason.to_string()))),
                Theirs::Frame(_) => unreachable!("only for sending"),
            },
        }
    }
}

fn fragment(opcode: OpCode, is_final: bool, text: &str) -> Theirs {
    let header = FrameHeader { opcode, is_final, ..FrameHeader::default() };
    Theirs::Frame(Frame::from_payload(header, text.to_owned().into()))
}

#[tokio::test]
async fn both_ways() {
    conversations::all::<WebSocketStream<Tap>>(Config::default()).await;
}

async fn connect(server: &Running, via: Via, path: &str) -> Client {
    let stream = server.connect(via).await;
    let (client, _) = soon("a handshake", client_async(url(via, path), stream)).await.unwrap();
    client
}

fn url(via: Via, path: &str) -> String {
    format!("{}://localhost{path}", if via == Via::Tls { "wss" } else { "ws" })
}

async fn next(client: &mut Client) -> Option<Result<Theirs, Error>> {
    soon("a message", StreamExt::next(client)).await
}

async fn echo(client: &mut Client, message: Theirs) {
    soon("sending", SinkExt::send(client, message.clone())).await.unwrap();
    let echoed = next(client).await.unwrap().unwrap();
    assert!(echoed == message, "{} bytes came back as {}", message.len(), echoed.len());
}

/// The endpoint of callbacks.
#[tokio::test]
async fn callbacks() {
    let ping = |socket: &mut Socket<'_>, _: Message<'_>| {
        socket.ping(b"there?")?;
        socket.send("pinged")
    };
    let server = Running::echo(Server::new().websocket("/ping", ping)).await;
    for via in BOTH {
        let mut client = connect(&server, via, "/echo").await;
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 1024 * 1024] {
            let bytes: Vec<u8> = (0..length).map(|index: u32| index.wrapping_mul(31) as u8).collect();
            echo(&mut client, Theirs::binary(bytes)).await;
            echo(&mut client, Theirs::text("x".repeat(length as usize))).await;
        }
        soon("closing", client.close(None)).await.unwrap();
        assert!(matches!(next(&mut client).await, Some(Ok(Theirs::Close(None)))));
        assert!(next(&mut client).await.is_none());

        let mut client = connect(&server, via, "/ping").await;
        soon("sending", SinkExt::send(&mut client, Theirs::text("go"))).await.unwrap();
        assert_eq!(next(&mut client).await.unwrap().unwrap(), Theirs::Ping("there?".into()));
        assert_eq!(next(&mut client).await.unwrap().unwrap(), Theirs::text("pinged"));
    }
}

/// The code of a Close that the client sends comes back; a code in a message makes the server send it.
#[tokio::test]
async fn close_codes() {
    let close = |socket: &mut Socket<'_>, message: Message<'_>| {
        socket.close(CloseCode(message.as_text().unwrap().parse().unwrap()), "as you wish")
    };
    let server = Running::echo(Server::new().websocket("/close", close)).await;
    for via in BOTH {
        for code in [1000, 1001, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 3000, 4999] {
            let code = TheirCode::from(code);
            let mut client = connect(&server, via, "/echo").await;
            let frame = CloseFrame { code, reason: "bye".into() };
            soon("closing", client.close(Some(frame))).await.unwrap();
            let answer = next(&mut client).await.unwrap().unwrap();
            assert_eq!(answer, Theirs::Close(Some(CloseFrame { code, reason: "".into() })));
            assert!(next(&mut client).await.is_none());

            let mut client = connect(&server, via, "/close").await;
            soon("sending", SinkExt::send(&mut client, Theirs::text(u16::from(code).to_string()))).await.unwrap();
            let theirs = next(&mut client).await.unwrap().unwrap();
            assert_eq!(theirs, Theirs::Close(Some(CloseFrame { code, reason: "as you wish".into() })));
            assert!(next(&mut client).await.is_none());
        }
    }
}

#[tokio::test]
async fn subprotocols() {
    let server = Running::echo(Server::new().protocols(["v2.chat", "v1.chat"])).await;
    for via in BOTH {
        for (offer, expected) in [("v1.chat", "v1.chat"), ("v1.chat, v2.chat", "v2.chat"), ("x, v1.chat", "v1.chat")] {
            let mut request = url(via, "/echo").into_client_request().unwrap();
            request.headers_mut().insert("sec-websocket-protocol", offer.parse().unwrap());
            let stream = server.connect(via).await;
            let (mut client, response) = soon("a handshake", client_async(request, stream)).await.unwrap();
            assert_eq!(response.headers()["sec-websocket-protocol"], expected);
            echo(&mut client, Theirs::text("hello")).await;
        }
    }
}
