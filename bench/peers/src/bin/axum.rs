//! axum's own WebSockets, behind hyper; one to all as its chat example is written, by a split and tokio's broadcast.

use axum::Router;
use axum::extract::WebSocketUpgrade;
use axum::extract::ws::{Message, WebSocket};
use axum::routing::any;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use peers::{Io, Library, ROOM_SIZE, Result};
use tokio::sync::broadcast;

struct Axum;

impl Library for Axum {
    type Room = broadcast::Sender<Message>;

    async fn echo(io: impl Io) -> Result<()> {
        serve(io, Router::new().route("/websocket", any(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(echo))))
            .await
    }

    fn room() -> Self::Room {
        broadcast::Sender::new(ROOM_SIZE)
    }

    async fn push(io: impl Io, room: Self::Room) -> Result<()> {
        let open = async move |upgrade: WebSocketUpgrade| upgrade.on_upgrade(|socket| push(socket, room));
        serve(io, Router::new().route("/websocket", any(open))).await
    }
}

async fn serve(io: impl Io, router: Router) -> Result<()> {
    let service = TowerToHyperService::new(router);
    Ok(http1::Builder::new().serve_connection(TokioIo::new(io), service).with_upgrades().await?)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if is_data(&message) && socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn push(socket: WebSocket, room: broadcast::Sender<Message>) {
    let mut pushed = room.subscribe();
    let (mut sender, mut receiver) = socket.split();
    let sending = tokio::spawn(async move {
        while let Ok(message) = pushed.recv().await {
            if sender.send(message).await.is_err() {
                return;
            }
        }
    });
    while let Some(Ok(message)) = receiver.next().await {
        if is_data(&message) && room.send(message).is_err() {
            break;
        }
    }
    sending.abort();
}

fn is_data(message: &Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_))
}

fn main() -> Result<()> {
    peers::run::<Axum>()
}
