//! HTTP/2 clients that misuse its frames: each is told to go away, and nothing runs on for them.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::Result;
use crate::attack;
use crate::case::{Bench, Case, Trouble};
use crate::client::in_time;
use crate::fair;
use crate::fair::secure::STREAMS;
use crate::good::Good;
use crate::http2::{CANCEL, END_HEADERS, END_STREAM, Http2, Kind, MAX_FRAME, fields, frame};
use crate::server::{Server, within};

pub(crate) const CASES: &[Case] = &[
    Case { name: "http2-rapid-reset", run: rapid_reset },
    Case { name: "http2-continuation", run: continuation },
    Case { name: "http2-empty-data", run: empty_data },
    Case { name: "http2-cancelled", run: cancelled },
    Case { name: "http2-stays", run: stays },
    Case { name: "http2-unread", run: unread },
];

/// What a connection may hold, in bytes: fields of four times their limit of 16 KiB, and buffers of frames and of TLS.
const CONNECTION: u64 = 256 << 10;

/// What the limits leave to the server, in bytes.
const MARGIN: u64 = 1 << 20;

/// <https://www.rfc-editor.org/rfc/rfc9113#section-7>
const ENHANCE_YOUR_CALM: u32 = 11;

/// How many frames are written at once.
const CHUNK: usize = 100;

/// The numbers of the streams that a client opens (section 5.1.1), in chunks.
fn streams(count: u32) -> impl Iterator<Item = impl Iterator<Item = u32>> {
    let size = CHUNK as u32;
    (0..count / size).map(move |chunk| (chunk * size..(chunk + 1) * size).map(|index| 2 * index + 1))
}

/// Floods a server that speaks TLS beside a good client that does not. The server ends each connection and says why,
/// which the reset of one that is still sending may destroy on its way.
fn flood<C: Iterator<Item = Vec<u8>>>(bench: &Bench, chunks: impl Fn() -> C + Send + Sync) -> Result<String, Trouble> {
    let flags = ["--workers", "1", "--log", "warn", "--listen", "https://127.0.0.1:0", "--tls-self-signed"];
    let server = Server::frugal(bench, &flags)?;
    let address = server.next_address()?;
    let told = AtomicUsize::new(0);
    let attack = async || {
        let end = Http2::connect(address).await?.flood(chunks()).await;
        told.fetch_add(usize::from(end.go_away.is_some()), Relaxed);
        if end.closed && end.go_away.is_none_or(|code| code == ENHANCE_YOUR_CALM) {
            Ok(())
        } else {
            Err(format!("{end:?}"))
        }
    };
    let figures = attack::flood(bench, &server, CONNECTION + MARGIN, attack)?;
    match told.load(Relaxed) {
        0 => Err(format!("no GOAWAY was seen: {figures}").into()),
        told => Ok(format!("{figures}; GOAWAY seen {told} times")),
    }
}

/// Requests that are taken back at once, CVE-2023-44487.
fn rapid_reset(bench: &Bench) -> Result<String, Trouble> {
    let count = bench.pick(100_000, 10_000);
    flood(bench, || {
        streams(count).map(|streams| {
            let mut chunk = Vec::new();
            for stream in streams {
                frame(&mut chunk, Kind::Headers, END_STREAM | END_HEADERS, stream, &fields("GET", "/large"));
                frame(&mut chunk, Kind::Reset, 0, stream, &CANCEL.to_be_bytes());
            }
            chunk
        })
    })
}

/// Fields without an end, in full frames and in empty ones.
fn continuation(bench: &Bench) -> Result<String, Trouble> {
    let count = bench.pick(100_000, 10_000);
    // A literal that is not indexed, again and again: https://www.rfc-editor.org/rfc/rfc7541#section-6.2.2
    let field = [&[0, 3][..], b"x-y", &[100], &[b'z'; 100]].concat();
    let full = field.repeat(MAX_FRAME / field.len());
    let flood_with = |payload: &[u8]| {
        flood(bench, || {
            let mut first = Vec::new();
            frame(&mut first, Kind::Headers, END_STREAM, 1, &fields("GET", "/"));
            let mut next = Vec::new();
            frame(&mut next, Kind::Continuation, 0, 1, payload);
            std::iter::once(first).chain(std::iter::repeat_n(next.repeat(CHUNK), count / CHUNK))
        })
    };
    Ok(format!("full frames: {}; empty ones: {}", flood_with(&full)?, flood_with(&[])?))
}

/// A body of nothing without an end.
fn empty_data(bench: &Bench) -> Result<String, Trouble> {
    let count = bench.pick(10_000_000, 1_000_000);
    flood(bench, || {
        let mut first = Vec::new();
        frame(&mut first, Kind::Headers, END_HEADERS, 1, &fields("POST", "/rest"));
        let mut next = Vec::new();
        frame(&mut next, Kind::Data, 0, 1, &[]);
        std::iter::once(first).chain(std::iter::repeat_n(next.repeat(CHUNK), count / CHUNK))
    })
}

/// Requests that are taken back while a handler is at work on them: it is dropped.
fn cancelled(bench: &Bench) -> Result<String, Trouble> {
    let server = Server::target(bench, &["--tls"])?;
    let figures = bench.runtime.block_on(async {
        let mut asking = Http2::connect(server.address).await?;
        let mut watching = Http2::connect(server.address).await?;
        let mut stream = 1;
        let mut until = async |expected: &str| {
            in_time(expected, async {
                loop {
                    let counters = watching.get("/counters", stream).await?;
                    stream += 2;
                    if counters.contains(expected) {
                        return Ok(());
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
            .await
        };
        let count = CHUNK as u32;
        let (mut requests, mut resets) = (Vec::new(), Vec::new());
        for stream in (0..count).map(|index| 2 * index + 1) {
            frame(&mut requests, Kind::Headers, END_STREAM | END_HEADERS, stream, &fields("GET", "/wait"));
            frame(&mut resets, Kind::Reset, 0, stream, &CANCEL.to_be_bytes());
        }
        asking.send(&requests).await?;
        until(&format!("waits: {count}, cancelled: 0,")).await?;
        asking.send(&resets).await?;
        until(&format!("waits: {count}, cancelled: {count},")).await?;
        // Those of a connection that ends are given up like those of a stream.
        let mut request = Vec::new();
        frame(&mut request, Kind::Headers, END_STREAM | END_HEADERS, 2 * count + 1, &fields("GET", "/wait"));
        asking.send(&request).await?;
        until(&format!("waits: {}, cancelled: {count},", count + 1)).await?;
        drop(asking);
        until(&format!("waits: {0}, cancelled: {0},", count + 1)).await?;
        Ok::<_, String>(format!("{} of {} handlers cancelled", count + 1, count + 1))
    });
    Ok(figures?)
}

/// Clients that ask on when they are told to go away, and acknowledge nothing.
fn stays(bench: &Bench) -> Result<String, Trouble> {
    const LIMIT: usize = 100;
    let flags = ["--max-requests", "100", "--listen", "https://127.0.0.1:0", "--tls-self-signed"];
    let server = Server::rikki(bench, &flags)?;
    let address = server.next_address()?;
    let (count, most) = (bench.pick(100, 10), bench.pick(100_000, 10_000));
    bench.runtime.block_on(async {
        let mut asked = 0;
        for _ in 0..count {
            let (answered, ended) = Http2::connect(address).await?.ask_on("/rest", most).await;
            // A round of 50 is written before its answers are read.
            if !ended || !(LIMIT..=LIMIT + STREAMS).contains(&answered) {
                return Err(
                    format!("{answered} of {most} requests answered, of a limit of {LIMIT}; ended: {ended}").into()
                );
            }
            asked += answered;
        }
        Ok(format!("{count} connections with a limit of {LIMIT} requests: {} answered on each", asked / count))
    })
}

/// Clients that ask for large files on all streams, let the server send without an end, and read nothing.
fn unread(bench: &Bench) -> Result<String, Trouble> {
    /// What SECURITY.md gives to files and to HTTP/2 where there are 256 MiB in all.
    const MEMORY: u64 = (32 + 32) << 20;
    /// What a connection has besides, in bytes: TLS and hyper with their buffers, and the tasks of 100 streams.
    const EACH: u64 = 768 << 10;
    let count = bench.pick(200, 60);
    let flags = ["--memory", "256MiB"];
    let tls = ["--listen", "https://127.0.0.1:0", "--tls-self-signed"];
    let server = Server::rikki(bench, &[&flags[..], &tls].concat())?;
    let address = server.next_address()?;
    let before = server.memory()?;
    let good = Good::start(server.address);
    let held = bench.runtime.block_on(async {
        let mut connections = Vec::new();
        for _ in 0..count {
            connections.push(fair::secure::read_nothing(address).await?);
        }
        // All of them are asked for before it is looked what that has cost.
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok::<_, String>(connections)
    })?;
    let good = good.stop()?;
    good.check()?;
    let growth = server.peak_memory()?.saturating_sub(before);
    drop(held);
    Good::watch(server.address, Duration::from_secs(2))?.check()?;
    let least = MEMORY * 3 / 4;
    // The allocator gives back when it is asked for more, and keeps some for the next ones: so one comes, and goes.
    let given_back = within(Duration::from_secs(20), || {
        drop(bench.runtime.block_on(fair::secure::read_nothing(address))?);
        Ok(server.memory()? < before + least)
    })?;
    let after = server.memory()?.saturating_sub(before);
    let most = MEMORY + count * EACH;
    let figures = format!(
        "{count} connections of {STREAMS} streams: memory +{} MiB, +{} MiB when they have left; {good}",
        growth >> 20,
        after >> 20
    );
    if growth > most || given_back.is_none() {
        return Err(format!("{figures}; at most +{} MiB, then +{} MiB", most >> 20, least >> 20).into());
    }
    Ok(figures)
}
