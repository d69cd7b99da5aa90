//! A client that stays connected: it follows the ticks of the example `push`, through restarts of that.
//!
//! ```text
//! cargo run --package rikki --example reconnect
//! ```
//!
//! Try: start `push` before or after it, and end and start it again.

use std::error::Error;
use std::io::{Write as _, stdout};

use rikki::client::{Backoff, Builder, Event, ReconnectError};
use rikki::ws::WebSocket;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    follow(Builder::new("ws://localhost:8000/ticks"), |line| drop(writeln!(stdout(), "{line}"))).await?;
    Ok(())
}

/// Until the server ends it for good, or is not what it should be.
pub(crate) async fn follow(builder: Builder, mut tell: impl FnMut(String)) -> Result<(), ReconnectError> {
    let mut socket = builder
        .reconnecting(Backoff::default())
        .on_connect(async |socket: &mut WebSocket| socket.send("here I am").await);
    while let Some(event) = socket.recv().await {
        match event? {
            Event::Message(message) => tell(message.as_text().unwrap_or("no text").to_owned()),
            Event::Connected { reconnects: 0, .. } => tell("connected".to_owned()),
            Event::Connected { .. } => tell("connected again: what came in between is missing".to_owned()),
            Event::Disconnected { why, retry_in, .. } => tell(format!("{why}; again in {retry_in:.1?}")),
            _ => {}
        }
    }
    Ok(())
}
