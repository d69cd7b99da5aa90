//! Clients that vanish.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::time::sleep;

use crate::case::{Bench, Case, Trouble};
use crate::client::{Client, ECHO, TEXT, frame, in_time};
use crate::server::{Server, within};

pub(crate) const CASES: &[Case] = &[Case { name: "resets", run: resets }];

/// How long it may take until what they held is back.
const LIMIT: Duration = Duration::from_secs(10);

/// What the allocator may keep then, in bytes.
const KEPT: u64 = 8 << 20;

/// What each client has begun to send and not ended, in bytes.
const BEGUN: usize = 8 * 1024;

/// RST from half of the clients, each in the middle of a message: what they held is given back.
fn resets(bench: &Bench) -> Result<String, Trouble> {
    let server = Server::rikki(bench, &["--log", "warn"])?;
    let half = bench.pick(2500, 1500);
    bench.runtime.block_on(async {
        let (descriptors, memory) = (server.descriptors()?, server.memory()?);
        let mut clients = begun(&server, 2 * half).await?;
        let most = server.memory()?;
        let started = Instant::now();
        for gone in clients.drain(..half) {
            gone.reset()?;
        }
        let closed = within(LIMIT, || Ok(server.descriptors()? <= descriptors + half))?;
        let closed =
            closed.ok_or_else(|| format!("{} descriptors after {LIMIT:?}", server.descriptors().unwrap_or(0)))?;
        let half_left = freed(&server, started, memory + (most - memory) / 2).await?;
        for client in &mut clients {
            client.stream.write_all(&message()[BEGUN..]).await.map_err(|error| format!("write: {error}"))?;
            in_time("an echo", client.next()).await?.ok_or("the server ended a connection")?;
        }
        let started = Instant::now();
        clients.into_iter().try_for_each(Client::reset)?;
        let none_left = freed(&server, started, memory).await?;
        let (all, most) = (2 * half, (most - memory) / 1024);
        Ok(format!(
            "{half} of {all} descriptors back after {closed:.1?}; of {most} KiB, half of them gone: {half_left}, and \
             all: {none_left}"
        ))
    })
}

/// Waits until `expected` bytes are resident, and what the allocator may keep; says how much it keeps.
async fn freed(server: &Server, started: Instant, expected: u64) -> crate::Result<String> {
    // An allocator gives memory back when it is called and not by a clock: others come and go.
    while server.memory()? > expected + KEPT {
        if started.elapsed() > LIMIT {
            let left = server.memory()?.saturating_sub(expected) / 1024;
            return Err(format!("{left} KiB more than are needed after {LIMIT:?}"));
        }
        begun(server, 100).await?.into_iter().try_for_each(Client::reset)?;
        sleep(Duration::from_millis(100)).await;
    }
    let (left, freed) = (server.memory()?.saturating_sub(expected) / 1024, started.elapsed());
    Ok(format!("{left} KiB beside what is in use after {freed:.1?}"))
}

fn message() -> Vec<u8> {
    frame(TEXT, &[b'x'; 2 * BEGUN])
}

/// Clients that have sent the first half of a message.
async fn begun(server: &Server, count: usize) -> crate::Result<Vec<Client>> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = Client::connect(server.address, ECHO).await?;
        client.stream.write_all(&message()[..BEGUN]).await.map_err(|error| format!("write: {error}"))?;
        clients.push(client);
    }
    Ok(clients)
}
