//! Three things on one port with callbacks: a WebSocket echo, a route and the files of the current folder.
//!
//! ```text
//! cargo run --package rikki --example echo
//! ```
//!
//! Try: `rikki connect ws://localhost:8000/websocket`, or any other client. <http://localhost:8000/> lists the files,
//! <http://localhost:8000/rest> is the route. Ctrl-C closes every WebSocket with 1001.

use std::error::Error;
use std::io::{Write as _, stdout};

use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use rikki::Server;
use rikki::ws::{Message, Socket};

fn main() -> Result<(), Box<dyn Error>> {
    writeln!(stdout(), "Starting an echo on ws://localhost:8000/websocket")?;
    Server::new()
        // The message borrows from what was read, and is copied once: into what is written.
        .websocket("/websocket", |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message))
        .route("/rest", get(|| async { ([(CONTENT_TYPE, "application/json")], "{\"result\": 123}\n") }))
        .files(".")
        .listen("http://localhost:8000")
        .run()?;
    Ok(())
}
