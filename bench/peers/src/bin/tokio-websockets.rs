//! tokio-websockets: a stream and a sink; one to all by tokio's broadcast.

use futures_util::{SinkExt as _, StreamExt as _};
use peers::{Io, Library, ROOM_SIZE, Result};
use tokio::sync::broadcast;
use tokio_websockets::{Message, ServerBuilder};

struct TokioWebsockets;

impl Library for TokioWebsockets {
    type Room = broadcast::Sender<Message>;

    async fn echo(io: impl Io) -> Result<()> {
        let (_, mut socket) = ServerBuilder::new().accept(io).await?;
        while let Some(message) = socket.next().await {
            let message = message?;
            if message.is_text() || message.is_binary() {
                socket.send(message).await?;
            }
        }
        Ok(())
    }

    fn room() -> Self::Room {
        broadcast::Sender::new(ROOM_SIZE)
    }

    async fn push(io: impl Io, room: Self::Room) -> Result<()> {
        let mut pushed = room.subscribe();
        let (_, mut socket) = ServerBuilder::new().accept(io).await?;
        loop {
            tokio::select! {
                message = pushed.recv() => socket.send(message?).await?,
                message = socket.next() => match message {
                    Some(message) => {
                        let message = message?;
                        if message.is_text() || message.is_binary() {
                            room.send(message)?;
                        }
                    }
                    None => return Ok(()),
                },
            }
        }
    }
}

fn main() -> Result<()> {
    peers::run::<TokioWebsockets>()
}
