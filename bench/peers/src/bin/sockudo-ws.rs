//! sockudo-ws: a stream and a sink, on the bare stream.

use futures_util::{SinkExt as _, StreamExt as _};
use peers::{Echo, Io, Result};
use sockudo_ws::handshake::server_handshake;
use sockudo_ws::{Config, Message, WebSocketStream};

struct Sockudo;

impl Echo for Sockudo {
    async fn serve(mut io: impl Io) -> Result<()> {
        server_handshake(&mut io).await?;
        let mut socket = WebSocketStream::server(io, Config::default());
        while let Some(message) = socket.next().await {
            match message? {
                message @ (Message::Text(_) | Message::Binary(_)) => socket.send(message).await?,
                Message::Close(_) => break,
                _ => {}
            }
        }
        Ok(())
    }
}

fn main() -> Result<()> {
    peers::run::<Sockudo>()
}
