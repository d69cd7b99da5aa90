//! Handlers that panic.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Result;
use crate::case::{Bench, Case, Trouble};
use crate::client::{Client, ECHO, TEXT, in_time};
use crate::good::Good;
use crate::http2::Http2;
use crate::server::Server;

pub(crate) const CASES: &[Case] = &[Case { name: "panics", run: panics }];

/// A panic ends its own connection, or in HTTP its own request, and no other.
fn panics(bench: &Bench) -> Result<String, Trouble> {
    let rounds = bench.pick(200, 20);
    let mut plain = Server::target(bench, &[])?;
    let good = Good::start(plain.address);
    let address = plain.address;
    bench.runtime.block_on(async {
        let mut bystander = Client::connect(address, ECHO).await?;
        for _ in 0..rounds {
            for path in ["/panic/callback", "/panic/open", "/panic/stream"] {
                let code = in_time("a Close", closed_with(address, path)).await?;
                if code != 1011 {
                    return Err(format!("{path} closed with {code}"));
                }
            }
            // In the last callback of a connection nothing is left to be told.
            Client::connect(address, "/panic/close").await?.leave(1000).await?;
            let mut stream = TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?;
            expect_status(&mut stream, "/panic", 500).await?;
        }
        bystander.echo("still there").await
    })?;
    let secure = Server::target(bench, &["--tls"])?;
    bench.runtime.block_on(async {
        // Of HTTP/2 a stream ends, and the others of its connection go on.
        let mut connection = Http2::connect(secure.address).await?;
        for round in 0..rounds {
            connection.get("/panic", 4 * round + 1).await?;
            let counters = connection.get("/counters", 4 * round + 3).await?;
            if !counters.contains("websockets") {
                return Err(format!("after a panic over HTTP/2 the counters are {counters:?}"));
            }
        }
        Ok(())
    })?;
    let beside = good.stop()?;
    beside.check()?;
    if !plain.runs() {
        return Err("the server has ended".into());
    }
    Ok(format!(
        "{rounds} times 4 kinds of WebSocket panics and one each of HTTP/1.1 and HTTP/2; a good client: {beside}"
    ))
}

async fn closed_with(server: SocketAddr, path: &str) -> Result<u16> {
    let mut client = Client::connect(server, path).await?;
    // The server may have closed already.
    let _ = client.send(TEXT, b"now").await;
    let code = client.close_code().await?;
    client.leave(code).await?;
    Ok(code)
}

async fn expect_status(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str, status: u16) -> Result<()> {
    in_time("a response", async {
        let failed = |error| format!("{path}: {error}");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.map_err(failed)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.map_err(failed)?;
        if answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()) {
            return Ok(());
        }
        Err(format!("{path} was answered with {:?}", String::from_utf8_lossy(&answer)))
    })
    .await
}
