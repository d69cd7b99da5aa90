//! fastwebsockets behind hyper, as its own echo server is written.

use fastwebsockets::{FragmentCollector, OpCode, upgrade};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use peers::{Echo, Io, Result};

struct FastWebsockets;

impl Echo for FastWebsockets {
    async fn serve(io: impl Io) -> Result<()> {
        Ok(http1::Builder::new().serve_connection(TokioIo::new(io), service_fn(open)).with_upgrades().await?)
    }
}

async fn open(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>> {
    let (response, upgraded) = upgrade::upgrade(&mut request)?;
    tokio::spawn(tokio::task::unconstrained(echo(upgraded)));
    Ok(response)
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

fn main() -> Result<()> {
    peers::run::<FastWebsockets>()
}
