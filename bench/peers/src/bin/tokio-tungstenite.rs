//! tokio-tungstenite: a stream and a sink.

use futures_util::{SinkExt as _, StreamExt as _};
use peers::{Echo, Io, Result};

struct Tungstenite;

impl Echo for Tungstenite {
    async fn serve(io: impl Io) -> Result<()> {
        let mut socket = tokio_tungstenite::accept_async(io).await?;
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
    peers::run::<Tungstenite>()
}
