//! The async face in somebody else's server: `axum::serve` on a multi-thread runtime, a stream and a sink.
//!
//! ```text
//! cargo run --package rikki --example axum
//! ```
//!
//! Try: connect a client to `ws://localhost:8000/chat`. What it sends comes back, and a tick comes every second.
//!
//! Here the server is axum's: rikki checks the Origin of each upgrade and keeps the deadlines of WebSockets; those of
//! requests, the check of Host and draining are `rikki::Server`'s.

use std::error::Error;
use std::io::{Write as _, stdout};
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use axum::routing::{any, get};
use futures_util::StreamExt as _;
use rikki::ws::{self, Upgrade, WebSocket};
use tokio::net::TcpListener;

async fn chat(upgrade: Upgrade) -> Response {
    upgrade.on_upgrade(|socket| async move {
        if let Err(error) = echo_and_tick(socket).await {
            // Nobody is left to tell if stdout is closed.
            let _ = writeln!(stdout(), "a WebSocket has failed: {error}");
        }
    })
}

async fn echo_and_tick(mut socket: WebSocket) -> Result<(), ws::Error> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        // Giving `next` up for a tick loses nothing: it is cancel safe.
        tokio::select! {
            message = socket.next() => match message {
                Some(message) => socket.send(message?).await?,
                None => return Ok(()),
            },
            _ = ticks.tick() => socket.send("tick").await?,
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let app = Router::new().route("/", get(|| async { "hello" })).route("/chat", any(chat));
    let listener = TcpListener::bind("localhost:8000").await?;
    writeln!(stdout(), "Serving on ws://{}/chat", listener.local_addr()?)?;
    axum::serve(listener, app).await?;
    Ok(())
}
