//! tungstenite as a client: another reading of the same RFC.

use futures_util::{SinkExt, StreamExt};
use rikki::Server;
use rikki::ws::{CloseCode, Message, Socket};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode as TheirCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
use tokio_tungstenite::tungstenite::{Error, Message as Theirs};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::wire::{BOTH, Running, Stream, Via, soon};

type Client = WebSocketStream<Stream>;

async fn connect(server: &Running, via: Via, path: &str) -> Client {
    let stream = server.connect(via).await;
    let (client, _) = soon("a handshake", client_async(url(via, path), stream)).await.unwrap();
    client
}

fn url(via: Via, path: &str) -> String {
    format!("{}://localhost{path}", if via == Via::Tls { "wss" } else { "ws" })
}

async fn next(client: &mut Client) -> Option<Result<Theirs, Error>> {
    soon("a message", client.next()).await
}

async fn echo(client: &mut Client, message: Theirs) {
    soon("sending", client.send(message.clone())).await.unwrap();
    let echoed = next(client).await.unwrap().unwrap();
    assert!(echoed == message, "{} bytes came back as {}", message.len(), echoed.len());
}

#[tokio::test]
async fn messages() {
    let server = Running::echo(Server::new()).await;
    for via in BOTH {
        let mut client = connect(&server, via, "/echo").await;
        echo(&mut client, Theirs::text("h\u{e9}llo \u{1f980}")).await;
        echo(&mut client, Theirs::text("")).await;
        echo(&mut client, Theirs::binary(vec![])).await;
        for length in [1, 125, 126, 127, 65_535, 65_536, 65_537, 1024 * 1024] {
            let bytes: Vec<u8> = (0..length).map(|index: u32| index.wrapping_mul(31) as u8).collect();
            echo(&mut client, Theirs::binary(bytes)).await;
            echo(&mut client, Theirs::text("x".repeat(length as usize))).await;
        }
        soon("closing", client.close(None)).await.unwrap();
        assert!(matches!(next(&mut client).await, Some(Ok(Theirs::Close(None)))));
        assert!(next(&mut client).await.is_none());
    }
}

#[tokio::test]
async fn fragments() {
    let server = Running::echo(Server::new()).await;
    for via in BOTH {
        let mut client = connect(&server, via, "/echo").await;
        let pieces = ["in ", "", "three ", "pieces"];
        for (index, piece) in pieces.into_iter().enumerate() {
            let opcode = OpCode::Data(if index == 0 { Data::Text } else { Data::Continue });
            let header = FrameHeader { opcode, is_final: index == pieces.len() - 1, ..FrameHeader::default() };
            let frame = Frame::from_payload(header, piece.into());
            soon("sending", client.send(Theirs::Frame(frame))).await.unwrap();
        }
        assert_eq!(next(&mut client).await.unwrap().unwrap(), Theirs::text("in three pieces"));
    }
}

#[tokio::test]
async fn pings() {
    let server = Running::echo(Server::new()).await;
    for via in BOTH {
        let mut client = connect(&server, via, "/echo").await;
        for payload in [&b""[..], b"are you there?", &[0xff; 125]] {
            soon("sending", client.send(Theirs::Ping(payload.to_vec().into()))).await.unwrap();
            assert_eq!(next(&mut client).await.unwrap().unwrap(), Theirs::Pong(payload.to_vec().into()));
        }
    }
    // And the other way: tungstenite answers by itself.
    let ping = |socket: &mut Socket<'_>, _: Message<'_>| {
        socket.ping(b"there?")?;
        socket.send("pinged")
    };
    let server = Running::start(Server::new().websocket("/ping", ping)).await;
    for via in BOTH {
        let mut client = connect(&server, via, "/ping").await;
        soon("sending", client.send(Theirs::text("go"))).await.unwrap();
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
            soon("sending", client.send(Theirs::text(u16::from(code).to_string()))).await.unwrap();
            let theirs = next(&mut client).await.unwrap().unwrap();
            assert_eq!(theirs, Theirs::Close(Some(CloseFrame { code, reason: "as you wish".into() })));
            assert!(next(&mut client).await.is_none());
        }
    }
}

#[tokio::test]
async fn subprotocols() {
    let server = Running::echo(Server::new().subprotocols(["v2.chat", "v1.chat"])).await;
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
