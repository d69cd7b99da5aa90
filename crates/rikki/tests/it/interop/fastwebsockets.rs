//! fastwebsockets. It departs from RFC 6455 in what follows, none of which keeps it from talking to us:
//!
//! - its client does not look at Sec-WebSocket-Accept
//!   ([section 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1));
//! - its server takes frames without a mask ([section 5.1](https://www.rfc-editor.org/rfc/rfc6455#section-5.1));
//! - it drops the connection without a Close at most errors of its peer
//!   ([section 7.1.7](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7)).

use ::fastwebsockets::{Frame, OpCode, Payload, WebSocket, WebSocketError, handshake, upgrade};
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rikki::ws::Config;
use tokio::sync::mpsc::unbounded_channel;

use super::tap::Tap;
use super::{Event, Peer, conversations};
use crate::wire::Via;

/// Without its collector of fragments, which cannot be told to flush: over TLS the end of a large message could stay
/// behind. We send no fragments.
struct Fast {
    socket: WebSocket<TokioIo<Upgraded>>,
    is_server: bool,
    has_ended: bool,
}

impl Fast {
    async fn write(&mut self, is_last: bool, opcode: OpCode, payload: &[u8]) {
        self.write_frame(Frame::new(is_last, opcode, None, Payload::Owned(payload.to_vec()))).await;
    }

    async fn write_frame(&mut self, frame: Frame<'static>) {
        self.socket.write_frame(frame).await.unwrap();
        self.socket.flush().await.unwrap();
    }
}

impl Peer for Fast {
    async fn connect(stream: Tap, _: Via) -> Self {
        let request = Request::get("/")
            .header("host", "localhost")
            .header("upgrade", "websocket")
            .header("connection", "upgrade")
            .header("sec-websocket-key", handshake::generate_key())
            .header("sec-websocket-version", "13")
            .body(Body::empty())
            .unwrap();
        let (socket, _) = handshake::client(&TokioExecutor::new(), request, stream).await.unwrap();
        Self { socket, is_server: false, has_ended: false }
    }

    async fn accept(stream: Tap) -> Self {
        let (sender, mut upgraded) = unbounded_channel();
        let service = service_fn(move |mut request: Request<Incoming>| {
            let (response, upgraded) = upgrade::upgrade(&mut request).unwrap();
            sender.send(upgraded).unwrap();
            async { Ok::<_, std::convert::Infallible>(response) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades());
        let socket = upgraded.recv().await.unwrap().await.unwrap();
        Self { socket, is_server: true, has_ended: false }
    }

    async fn send(&mut self, event: Event) {
        match event {
            Event::Text(text) => self.write(true, OpCode::Text, text.as_bytes()).await,
            Event::Binary(bytes) => self.write(true, OpCode::Binary, &bytes).await,
            Event::Ping(payload) => self.write(true, OpCode::Ping, &payload).await,
            Event::Pong(payload) => self.write(true, OpCode::Pong, &payload).await,
            Event::Close(Some((code, reason))) => {
                self.write_frame(Frame::close(code, reason.as_bytes())).await;
            }
            Event::Close(None) | Event::End => unreachable!("no test sends it"),
        }
    }

    async fn send_fragments(&mut self, pieces: &[&str], ping: &[u8]) -> bool {
        for (index, piece) in pieces.iter().enumerate() {
            let opcode = if index == 0 { OpCode::Text } else { OpCode::Continuation };
            self.write(index == pieces.len() - 1, opcode, piece.as_bytes()).await;
            if index == 0 {
                self.write(true, OpCode::Ping, ping).await;
            }
        }
        true
    }

    async fn break_the_rules(&mut self) {
        self.write(true, OpCode::Continuation, b"of nothing").await;
    }

    /// It does not tell of pings.
    async fn next(&mut self) -> Event {
        if self.has_ended {
            return Event::End;
        }
        let frame = match self.socket.read_frame().await {
            Ok(frame) => frame,
            // What it says when the connection ends, in order or not.
            Err(WebSocketError::UnexpectedEOF) => return Event::End,
            Err(WebSocketError::IoError(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Event::End;
            }
            Err(error) => panic!("{error}"),
        };
        // Ending TCP after the closing handshake is left to its user, and the server's part
        // (https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1).
        self.has_ended = self.is_server && frame.opcode == OpCode::Close;
        let payload = frame.payload.to_vec();
        match frame.opcode {
            OpCode::Text => Event::Text(String::from_utf8(payload).unwrap()),
            OpCode::Binary => Event::Binary(payload),
            OpCode::Pong => Event::Pong(payload),
            OpCode::Close => Event::Close(
                payload
                    .split_first_chunk()
                    .map(|(code, reason)| (u16::from_be_bytes(*code), String::from_utf8(reason.to_vec()).unwrap())),
            ),
            OpCode::Ping | OpCode::Continuation => unreachable!("it handles these itself"),
        }
    }
}

#[tokio::test]
async fn both_ways() {
    conversations::all::<Fast>(Config::default()).await;
}
