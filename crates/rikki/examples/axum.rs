//! The async face in somebody else's server: `axum::serve` on a multi-thread runtime, a stream and a sink.
//!
//! ```text
//! cargo run --package rikki --example axum
//! ```
//!
//! Try: connect a client to `ws://localhost:8000/chat`. What it sends comes back, and a tick comes every second.
//!
//! Ctrl-C ends it: axum answers what it has been asked, and the group closes its WebSockets with 1001, for which `main`
//! waits. Without the group they would be cut.
//!
//! Here the server is axum's: rikki checks the Origin of each upgrade and keeps the deadlines of WebSockets; those of
//! requests and the check of Host are `rikki::Server`'s.

use std::error::Error;
use std::io::{Write as _, stdout};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{any, get};
use futures_util::StreamExt as _;
use rikki::ws::{self, Group, Upgrade, WebSocket};
use tokio::net::TcpListener;
use tokio::signal::ctrl_c;
use tokio::time::timeout;

async fn chat(State(open): State<Group>, upgrade: Upgrade) -> Response {
    upgrade.group(&open).on_upgrade(|socket| async move {
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
    let open = Group::new();
    let app = Router::new().route("/", get(|| async { "hello" })).route("/chat", any(chat)).with_state(open.clone());
    let listener = TcpListener::bind("localhost:8000").await?;
    writeln!(stdout(), "Serving on ws://{}/chat", listener.local_addr()?)?;
    axum::serve(listener, app).with_graceful_shutdown(open.shutdown(ctrl_c())).await?;
    if timeout(Duration::from_secs(10), open.closed()).await.is_err() {
        writeln!(stdout(), "{} WebSockets are cut", open.len())?;
    }
    Ok(())
}
