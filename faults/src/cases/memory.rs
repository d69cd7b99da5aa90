//! All floods at once, on a server with little memory.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Result;
use crate::attack::{duration, yielding};
use crate::case::{Bench, Case, Trouble};
use crate::client::{BINARY, Client, ECHO, PING, frame, raw_frame};
use crate::good::Good;
use crate::http2::{self, CANCEL, END_HEADERS, END_STREAM, Http2};
use crate::memory_group::MemoryGroup;
use crate::server::Server;

pub(crate) const CASES: &[Case] = &[Case { name: "memory-group", run: memory_group }];

/// The memory that there is, in bytes.
const LIMIT: u64 = 256 << 20;

/// In a group whose memory is limited, so that the system would kill it: it is not, and serves on.
fn memory_group(bench: &Bench) -> Result<String, Trouble> {
    if !MemoryGroup::is_there() || !rustix::process::geteuid().is_root() {
        return Err(Trouble::NotRun("limiting memory needs root and control groups of version 1".to_owned()));
    }
    // Before the server: what is dropped last must find it empty.
    let group = MemoryGroup::with_limit(LIMIT)?;
    let flags = ["--log", "warn", "--listen", "https://127.0.0.1:0", "--tls-self-signed"];
    // Hundreds of messages that do not end, of 4 MiB each, would be too much by themselves.
    let limit = ["--message-memory", "64MiB", "--write-timeout", "2s"];
    let mut server = Server::rikki(bench, &[&flags[..], &limit].concat())?;
    group.hold(server.id())?;
    let (http, https) = (server.address, server.next_address()?);
    let count = bench.pick(200, 40);
    let good = Good::start(http);
    let rounds = yielding(|| attack(http, https, count, 2 * duration(bench)));
    let good = good.stop()?;
    if !server.runs() {
        return Err("the server was killed".into());
    }
    let rounds = rounds?;
    good.check()?;
    let peak = group.peak()? >> 20;
    Ok(format!("6 floods on {count} connections each, {rounds} in all: {peak} MiB at most; {good}"))
}

/// What a client sends until the server ends the connection; it reads nothing.
struct Flood {
    to: To,
    first: Vec<u8>,
    /// Again and again.
    chunk: Vec<u8>,
}

enum To {
    WebSocket,
    Http1,
    Http2,
}

impl Flood {
    /// One of each: messages to be echoed, pings, tiny fragments, an endless message, an endless head, rapid resets.
    fn all() -> [Self; 6] {
        let websocket = |first: &[u8], chunk| Self { to: To::WebSocket, first: first.to_vec(), chunk };
        let first = raw_frame(BINARY, b"");
        let head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ".to_vec();
        let mut resets = Vec::new();
        for stream in (0..1000).map(|index| 2 * index + 1) {
            let fields = http2::fields("GET", "/large");
            http2::frame(&mut resets, http2::Kind::Headers, END_STREAM | END_HEADERS, stream, &fields);
            http2::frame(&mut resets, http2::Kind::Reset, 0, stream, &CANCEL.to_be_bytes());
        }
        [
            websocket(&[], frame(BINARY, &[b'x'; 1 << 16])),
            websocket(&[], frame(PING, &[b'x'; 125]).repeat(500)),
            websocket(&first, raw_frame(0, b"x").repeat(10_000)),
            websocket(&first, raw_frame(0, &[b'x'; 1 << 16])),
            Self { to: To::Http1, first: head, chunk: vec![b'x'; 1 << 16] },
            Self { to: To::Http2, first: Vec::new(), chunk: resets },
        ]
    }

    /// From its connection to its end, which is an error.
    async fn send(&self, http: SocketAddr, https: SocketAddr) -> Result<()> {
        let mut stream = match self.to {
            To::WebSocket => Client::connect(http, ECHO).await?.stream,
            To::Http1 => TcpStream::connect(http).await.map_err(|error| format!("connect: {error}"))?,
            To::Http2 => {
                let mut connection = Http2::connect(https).await?;
                loop {
                    connection.send(&self.chunk).await?;
                }
            }
        };
        stream.write_all(&self.first).await.map_err(|error| format!("write: {error}"))?;
        loop {
            stream.write_all(&self.chunk).await.map_err(|error| format!("write: {error}"))?;
        }
    }
}

/// Keeps each flood going on so many connections until the time is over; gives how many there were.
fn attack(http: SocketAddr, https: SocketAddr, count: usize, time: Duration) -> Result<usize> {
    let floods = Flood::all().map(Arc::new);
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| format!("a runtime: {error}"))?;
    runtime.block_on(async {
        let mut all = JoinSet::new();
        for flood in floods.iter().flat_map(|flood| std::iter::repeat_n(flood.clone(), count)) {
            all.spawn(async move {
                let mut rounds = 0;
                let flooding = async {
                    loop {
                        // The server may refuse or cut any of it: that it lives is what counts.
                        let _ = flood.send(http, https).await;
                        rounds += 1;
                    }
                };
                let _over = timeout(time, flooding).await;
                rounds
            });
        }
        Ok(all.join_all().await.into_iter().sum())
    })
}
