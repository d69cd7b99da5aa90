//! tokio-websockets: a stream and a sink.

use futures_util::{SinkExt as _, StreamExt as _};
use peers::{Echo, Io, Result};
use tokio_websockets::ServerBuilder;

struct TokioWebsockets;

impl Echo for TokioWebsockets {
    async fn serve(io: impl Io) -> Result<()> {
        let (_, mut socket) = ServerBuilder::new().accept(io).await?;
        while let Some(message) = socket.next().await {
            let message = message?;
            if message.is_text() || message.is_binary() {
                socket.send(message).await?;
            }
        }
        Ok(())
    }
}

fn main() -> Result<()> {
    peers::run::<TokioWebsockets>()
}
