//! A server on the library with what the command lacks.

use std::io::{Write as _, stdout};

use rikki::Server;
use rikki::ws::{Message, Socket};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let server = Server::new()
            .websocket("/websocket", |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message))
            .listen("http://127.0.0.1:0");
        let handle = server.start().await?;
        let bound = handle.bound().iter().map(|bound| format!("Starting WS listener on ws://{bound}/websocket\n"));
        let greeting: String = bound.collect();
        let running = handle.run();
        stdout().write_all(greeting.as_bytes())?;
        running.await?;
        Ok(())
    })
}
