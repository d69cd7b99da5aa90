//! axum's own WebSockets, behind hyper.

use axum::Router;
use axum::extract::WebSocketUpgrade;
use axum::extract::ws::{Message, WebSocket};
use axum::response::Response;
use axum::routing::any;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use peers::{Echo, Io, Result};

struct Axum;

impl Echo for Axum {
    async fn serve(io: impl Io) -> Result<()> {
        let service = TowerToHyperService::new(Router::new().route("/websocket", any(open)));
        Ok(http1::Builder::new().serve_connection(TokioIo::new(io), service).with_upgrades().await?)
    }
}

async fn open(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
            return;
        }
    }
}

fn main() -> Result<()> {
    peers::run::<Axum>()
}
