//! fastwebsockets behind hyper, as its own echo server is written; one to all by its split and tokio's broadcast.

use std::sync::Arc;

use fastwebsockets::{FragmentCollector, FragmentCollectorRead, Frame, OpCode, WebSocketError, upgrade};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use peers::{Io, Library, ROOM_SIZE, Result};
use tokio::sync::broadcast;

struct FastWebsockets;

/// A message that all connections read from where it is.
#[derive(Clone, Debug)]
struct Message {
    opcode: OpCode,
    payload: Arc<[u8]>,
}

type Room = broadcast::Sender<Message>;

impl Library for FastWebsockets {
    type Room = Room;

    async fn echo(io: impl Io) -> Result<()> {
        serve(io, |upgraded| drop(tokio::spawn(tokio::task::unconstrained(echo(upgraded))))).await
    }

    fn room() -> Room {
        broadcast::Sender::new(ROOM_SIZE)
    }

    async fn push(io: impl Io, room: Room) -> Result<()> {
        serve(io, move |upgraded| drop(tokio::spawn(push(upgraded, room.clone())))).await
    }
}

async fn serve(io: impl Io, open: impl Fn(upgrade::UpgradeFut) + Send) -> Result<()> {
    let service = service_fn(|mut request: Request<Incoming>| {
        let answer = upgrade::upgrade(&mut request).map(|(response, upgraded)| {
            open(upgraded);
            response
        });
        std::future::ready::<std::result::Result<Response<Empty<Bytes>>, WebSocketError>>(answer)
    });
    Ok(http1::Builder::new().serve_connection(TokioIo::new(io), service).with_upgrades().await?)
}

async fn echo(upgraded: upgrade::UpgradeFut) -> Result<()> {
    let mut socket = FragmentCollector::new(upgraded.await?);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}

async fn push(upgraded: upgrade::UpgradeFut, room: Room) -> Result<()> {
    let mut pushed = room.subscribe();
    let (reader, mut writer) = upgraded.await?.split(tokio::io::split);
    let mut reader = FragmentCollectorRead::new(reader);
    let sending = tokio::spawn(async move {
        while let Ok(Message { opcode, payload }) = pushed.recv().await {
            let frame = Frame::new(true, opcode, None, (&*payload).into());
            if writer.write_frame(frame).await.is_err() {
                return;
            }
        }
    });
    loop {
        // The load sends nothing that has to be answered: no ping, no Close.
        let mut answer = async |_: Frame<'_>| Ok::<_, WebSocketError>(());
        match reader.read_frame(&mut answer).await {
            Ok(frame) if matches!(frame.opcode, OpCode::Text | OpCode::Binary) => {
                room.send(Message { opcode: frame.opcode, payload: (&*frame.payload).into() })?;
            }
            Ok(frame) if frame.opcode != OpCode::Close => {}
            _ => {
                sending.abort();
                return Ok(());
            }
        }
    }
}

fn main() -> Result<()> {
    peers::run::<FastWebsockets>()
}
