//! sockudo-ws: a stream and a sink, on the bare stream; one to all by its own subscriptions.

use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use peers::{Io, Library, Result};
use sockudo_ws::deflate::DeflateConfig;
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request, server_handshake};
use sockudo_ws::pubsub::PubSub;
use sockudo_ws::{CompressedWebSocketStream, Config, Message, WebSocketStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

/// What everybody who connects hears.
const TOPIC: &str = "all";

struct Sockudo;

impl Library for Sockudo {
    type Room = Arc<PubSub>;

    async fn echo(mut io: impl Io) -> Result<()> {
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

    async fn deflate(mut io: impl Io) -> Result<()> {
        let config = DeflateConfig {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            compression_level: 1,
            ..DeflateConfig::default()
        };
        accept_compressed(&mut io, &config).await?;
        let mut socket = CompressedWebSocketStream::server(io, Config::default(), config);
        while let Some(message) = socket.next().await {
            match message? {
                message @ (Message::Text(_) | Message::Binary(_)) => socket.send(message).await?,
                Message::Close(_) => break,
                _ => {}
            }
        }
        Ok(())
    }

    fn room() -> Self::Room {
        Arc::default()
    }

    async fn push(mut io: impl Io, room: Self::Room) -> Result<()> {
        let (sender, mut pushed) = mpsc::unbounded_channel();
        let subscriber = room.create_subscriber(sender);
        room.subscribe(subscriber, TOPIC);
        server_handshake(&mut io).await?;
        let mut socket = WebSocketStream::server(io, Config::default());
        loop {
            tokio::select! {
                Some(message) = pushed.recv() => socket.send(message).await?,
                message = socket.next() => match message {
                    Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => drop(room.publish(TOPIC, message)),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    _ => break,
                },
            }
        }
        room.remove_subscriber(subscriber);
        Ok(())
    }
}

/// Answers an upgrade request that offers compression. The load sends nothing before it has the answer.
async fn accept_compressed(io: &mut impl Io, config: &DeflateConfig) -> Result<()> {
    let mut request = Vec::new();
    loop {
        if io.read_buf(&mut request).await? == 0 {
            return Err("no request has come".into());
        }
        if let Some((request, _)) = parse_request(&request)? {
            let key = generate_accept_key(request.key);
            io.write_all(&build_response(&key, None, Some(&config.to_response_header()))).await?;
            return Ok(io.flush().await?);
        }
    }
}

fn main() -> Result<()> {
    peers::run::<Sockudo>()
}
