//! WebSocket clients that send what is legal in amounts that are not: each ends as it is documented, costs no more
//! memory than its limit, and holds nobody up.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;

use crate::Result;
use crate::attack;
use crate::case::{Bench, Case, Trouble};
use crate::client::{BINARY, Client, ECHO, PING, frame, in_time, raw_frame};
use crate::server::Server;

pub(crate) const CASES: &[Case] = &[
    Case { name: "ping-flood", run: ping_flood },
    Case { name: "ping-flood-unread", run: ping_flood_unread },
    Case { name: "tiny-fragments", run: tiny_fragments },
    Case { name: "endless-message", run: endless_message },
    Case { name: "huge-claim", run: huge_claim },
    Case { name: "unfinished-message", run: unfinished_message },
];

/// What the limits leave to the server, in bytes: sockets, and what the allocator keeps.
const MARGIN: u64 = 1 << 20;

/// How often frames are repeated in a chunk that is written at once.
const CHUNK: usize = 10_000;

const POLICY_VIOLATION: u16 = 1008;
const TOO_BIG: u16 = 1009;

/// All on one thread: whoever is attacked shares it with the good client.
const ONE_WORKER: &[&str] = &["--workers", "1", "--log", "warn"];

fn server(bench: &Bench, flags: &[&str]) -> Result<Server> {
    Server::frugal(bench, &[ONE_WORKER, flags].concat())
}

/// What a client sends, and what it expects.
struct Flood<'a> {
    first: &'a [u8],
    /// Sent so many times, with a pause after each.
    chunk: &'a [u8],
    times: usize,
    pause: Duration,
    /// The code of the Close.
    code: u16,
}

impl Flood<'_> {
    async fn send(&self, server: &Server) -> Result<()> {
        let mut client = Client::connect(server.address, ECHO).await?;
        client.stream.write_all(self.first).await.map_err(|error| format!("write: {error}"))?;
        match client.flood(self.chunk, self.times, self.pause).await? {
            code if code == self.code => Ok(()),
            code => Err(format!("closed with {code} and not with {}", self.code)),
        }
    }
}

/// Pings beyond the rate that is allowed.
fn ping_flood(bench: &Bench) -> Result<String, Trouble> {
    let server = server(bench, &["--max-message-rate", "1000"])?;
    let pings = frame(PING, &[b'x'; 125]).repeat(CHUNK);
    let flood =
        Flood { first: &[], chunk: &pings, times: bench.pick(100, 10), pause: Duration::ZERO, code: POLICY_VIOLATION };
    let attack = async || flood.send(&server).await;
    attack::flood(bench, &server, MARGIN, attack)
}

/// Pings without a limit from a client that reads no pong: no more than the latest is answered
/// ([RFC 6455 section 5.5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3)), and the connection is dropped
/// since writing to it makes no progress.
fn ping_flood_unread(bench: &Bench) -> Result<String, Trouble> {
    let server = server(bench, &["--write-timeout", "1s"])?;
    let pings = frame(PING, &[b'x'; 125]).repeat(CHUNK);
    let attack = async || {
        let mut client = Client::connect(server.address, ECHO).await?;
        in_time("the end of a flood", async {
            while client.stream.write_all(&pings).await.is_ok() {}
            Ok(())
        })
        .await
    };
    attack::flood(bench, &server, MARGIN, attack)
}

/// A message in fragments of one byte, and one in fragments of none.
fn tiny_fragments(bench: &Bench) -> Result<String, Trouble> {
    let server = server(bench, &[])?;
    let times = bench.pick(10_000_000, 100_000) / CHUNK;
    let attack = async || {
        for payload in [&b"x"[..], b""] {
            let (first, chunk) = (&raw_frame(BINARY, payload), &raw_frame(0, payload).repeat(CHUNK));
            Flood { first, chunk, times, pause: Duration::ZERO, code: POLICY_VIOLATION }.send(&server).await?;
        }
        Ok(())
    };
    attack::flood(bench, &server, MARGIN, attack)
}

/// A message in fragments of 64 KiB without an end.
fn endless_message(bench: &Bench) -> Result<String, Trouble> {
    const MAX_MESSAGE: u64 = 4 << 20;
    let server = server(bench, &[])?;
    let (first, chunk) = (&raw_frame(BINARY, b"x"), &raw_frame(0, vec![b'x'; 1 << 16]));
    let flood = Flood { first, chunk, times: bench.pick(10_000, 1000), pause: Duration::ZERO, code: TOO_BIG };
    let attack = async || flood.send(&server).await;
    // A message grows by moving to twice the room. What it leaves, half of it, the allocator gives back a little later.
    attack::flood(bench, &server, MAX_MESSAGE + MAX_MESSAGE / 2 + MARGIN, attack)
}

/// Headers that announce more than can be: refused before a byte of it has come.
fn huge_claim(bench: &Bench) -> Result<String, Trouble> {
    let server = server(bench, &[])?;
    let claim = [&[0x80 | BINARY, 0x80 | 127, 0x7f][..], &[0xff; 7], &[0; 4]].concat();
    let flood = Flood { first: &claim, chunk: &[], times: 0, pause: Duration::ZERO, code: TOO_BIG };
    let attack = async || flood.send(&server).await;
    attack::flood(bench, &server, MARGIN, attack)
}

/// A message that is begun, and of which a byte comes now and then.
fn unfinished_message(bench: &Bench) -> Result<String, Trouble> {
    // A second for the message, one of lingering since the client does not end TCP, and one of ticks and noise.
    const LIMIT: Duration = Duration::from_secs(3);
    let server = server(bench, &["--min-payload", "1KB", "--payload-window", "1s"])?;
    let (first, chunk, pause) = (&raw_frame(BINARY, b"x"), &raw_frame(0, b"x"), Duration::from_millis(100));
    let flood = Flood { first, chunk, times: 1000, pause, code: POLICY_VIOLATION };
    let attack = async || {
        let started = Instant::now();
        flood.send(&server).await?;
        let took = started.elapsed();
        if took > LIMIT { Err(format!("ended after {took:.1?}")) } else { Ok(()) }
    };
    attack::flood(bench, &server, MARGIN, attack)
}
