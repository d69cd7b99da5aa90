//! The client: against our own server, and against servers that answer what they should not.

use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use rikki::Server;
use rikki::client::Builder;
use rikki::ws::{CloseCode, Compression, Message, Settings, WebSocket};

use crate::wire::{Running, Via, soon};

fn url(server: &Running, via: Via, path: &str) -> String {
    let scheme = if via == Via::Tls { "wss" } else { "ws" };
    format!("{scheme}://localhost:{}{path}", server.address(via).port())
}

async fn next(socket: &mut WebSocket) -> Option<Message<'static>> {
    soon("a message", socket.next()).await.map(Result::unwrap)
}

/// Sends each message and awaits it back.
async fn echoed(socket: &mut WebSocket, messages: impl IntoIterator<Item = Message<'static>>) {
    for message in messages {
        soon("sending", socket.send(message.clone())).await.unwrap();
        assert_eq!(next(socket).await, Some(message));
    }
}

#[tokio::test]
async fn messages_of_every_size_come_back() {
    let messages = || {
        [0, 1, 125, 126, 65_535, 65_536, 3_000_000]
            .into_iter()
            .flat_map(|size| [Message::from("é".repeat(size / 2)), Message::from(vec![size as u8; size])])
    };
    for compression in [None, Some(Compression::shared()), Some(Compression::dedicated())] {
        let server =
            Running::echo(Server::new().websocket_settings(Settings::default().compression(compression))).await;
        for via in [Via::Tcp, Via::Tls] {
            let builder = Builder::new(url(&server, via, "/echo")).tls(server.trust());
            let builder = builder.settings(Settings::default().compression(compression));
            let (mut socket, response) = soon("connecting", builder.connect()).await.unwrap();
            assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
            assert_eq!(response.headers().contains_key("sec-websocket-extensions"), compression.is_some());
            echoed(&mut socket, messages()).await;
            soon("closing", socket.close()).await.unwrap();
            assert_eq!(next(&mut socket).await, None);
            assert_eq!(socket.closed().map(|closed| closed.code), Some(CloseCode::NORMAL));
        }
    }
}
