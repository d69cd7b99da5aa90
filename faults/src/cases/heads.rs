//! Requests whose head does not end.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Result;
use crate::attack;
use crate::case::{Bench, Case, Trouble};
use crate::client::in_time;
use crate::server::Server;

pub(crate) const CASES: &[Case] =
    &[Case { name: "head-dribble", run: head_dribble }, Case { name: "huge-heads", run: huge_heads }];

/// The largest head that is taken, the default: a connection holds no more of it.
const MAX_HEAD: u64 = 16 * 1024;

/// What a connection of HTTP/1.1 takes beside it, in bytes: its state, and buffers for reading and writing.
const CONNECTION: u64 = 32 * 1024;

/// What the limits leave to the server, in bytes.
const MARGIN: u64 = 1 << 20;

const HEAD: &[u8] = b"GET /small HTTP/1.1\r\nHost: localhost\r\n";

/// Heads of which a byte comes ten times a second: each connection is closed in time.
fn head_dribble(bench: &Bench) -> Result<String, Trouble> {
    // A second for the head, one of lingering, and the rest for a machine on which a thousand clients come last.
    const LIMIT: Duration = Duration::from_secs(5);
    let server = Server::frugal(bench, &["--workers", "1", "--log", "warn", "--head-timeout", "1s"])?;
    let address = server.address;
    let count = bench.pick(1000, 100);
    let attack = async || {
        let mut all = JoinSet::new();
        for _ in 0..count {
            all.spawn(async move {
                let mut stream = connect(address).await?;
                let started = Instant::now();
                stream.write_all(HEAD).await.map_err(|error| format!("write: {error}"))?;
                while stream.write_all(b"x").await.is_ok() {
                    if started.elapsed() > LIMIT {
                        return Err(format!("open after {LIMIT:?}"));
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Ok(())
            });
        }
        all.join_all().await.into_iter().collect()
    };
    let figures = attack::flood(bench, &server, count * (MAX_HEAD + CONNECTION) + MARGIN, attack)?;
    Ok(format!("{count} connections, {figures}"))
}

/// Heads of 10 MiB, in one field and in many: refused with 431 (<https://www.rfc-editor.org/rfc/rfc6585#section-5>).
fn huge_heads(bench: &Bench) -> Result<String, Trouble> {
    const SIZE: usize = 10 << 20;
    let server = Server::frugal(bench, &["--workers", "1", "--log", "warn"])?;
    let one = [HEAD, b"X: ", &vec![b'x'; SIZE]].concat();
    let many = [HEAD, &b"X: y\r\n".repeat(SIZE / 6)].concat();
    let attack = async || {
        for head in [&one, &many] {
            let mut stream = connect(server.address).await?;
            let (mut read, mut write) = stream.split();
            let mut answer = Vec::new();
            // Whether all of it is taken makes no difference, nor how the connection ends after the answer.
            let _ =
                in_time("an answer", async { Ok(tokio::join!(write.write_all(head), read.read_to_end(&mut answer))) })
                    .await?;
            if !answer.starts_with(b"HTTP/1.1 431 ") {
                return Err(format!("no 431 but \"{}\"", answer.escape_ascii()));
            }
        }
        Ok(())
    };
    attack::flood(bench, &server, MAX_HEAD + MARGIN, attack)
}

async fn connect(address: SocketAddr) -> Result<TcpStream> {
    TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))
}
