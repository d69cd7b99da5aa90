//! A mixed load for minutes: nothing may be left of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::signals::{once_http, once_websocket};
use super::slow_readers::{Counters, small_socket};
use crate::Result;
use crate::case::{Bench, Case, Trouble};
use crate::client::{Client, TEXT};
use crate::server::{Server, within};

pub(crate) const CASES: &[Case] = &[Case { name: "soak", run: soak }];

/// How often the process is looked at.
const SAMPLE: Duration = Duration::from_secs(1);

/// A slope is judged over this time and more: before it, what the allocator keeps is still growing.
const JUDGED: Duration = Duration::from_secs(300);

/// Every kind of client, well-behaved and not: afterwards memory has not grown, and no descriptor, thread or connection
/// is left.
fn soak(bench: &Bench) -> Result<String, Trouble> {
    let root = bench.root();
    let server = Server::target(bench, &["--push", "50", "--files", &root.display().to_string()])?;
    let address = server.address;
    let (descriptors, threads) = (server.descriptors()?, server.threads()?);
    let load = Arc::<Load>::default();
    let mut tasks = JoinSet::new();
    for number in 0..48 {
        tasks.spawn_on(client(load.clone(), address, number), bench.runtime.handle());
    }
    let started = Instant::now();
    let mut samples = Vec::new();
    while started.elapsed() < bench.soak {
        thread::sleep(SAMPLE);
        samples.push((started.elapsed(), server.memory()?));
    }
    load.stop.store(true, Relaxed);
    bench.runtime.block_on(tasks.join_all());
    let (failures, rounds) = (load.failures.load(Relaxed), load.rounds.load(Relaxed));

    // Threads that read files end ten seconds after the last of them.
    let back =
        within(Duration::from_secs(40), || Ok(server.descriptors()? <= descriptors && server.threads()? <= threads))?;
    let left = format!("{} descriptors, {} threads", server.descriptors()?, server.threads()?);
    let counters = bench.runtime.block_on(Counters::read(address))?;
    let (connections, websockets) = (counters.get("connections")?, counters.get("websockets")?);
    samples.drain(..samples.len() / 4);
    let (slope, growth, mean) = slope(&samples);
    let figures = format!(
        "{rounds} rounds of 48 clients in {:.0?}, {failures} failed; memory {:.1} MiB, slope {:.1} KiB a minute; \
         before: {descriptors} descriptors, {threads} threads, after: {left}, {} connections, {websockets} WebSockets",
        started.elapsed(),
        mean / 1048576.0,
        slope / 1024.0 * 60.0,
        connections - 1,
    );
    let grows = bench.soak >= JUDGED && growth > (mean / 10.0).max(4194304.0);
    // The connection that asks for the counters is one of them.
    if failures > 0 || rounds == 0 || back.is_none() || connections > 1 || websockets > 0 || grows {
        return Err(format!("{figures}; {:?}", load.first_failure.lock()).into());
    }
    Ok(figures)
}

#[derive(Default)]
struct Load {
    stop: AtomicBool,
    rounds: AtomicUsize,
    failures: AtomicUsize,
    first_failure: std::sync::Mutex<Option<String>>,
}

/// Does what clients of its number do, again and again.
async fn client(load: Arc<Load>, server: SocketAddr, number: usize) {
    while !load.stop.load(Relaxed) {
        let result = match number % 8 {
            0 | 1 => once_websocket(server).await,
            2 => once_http(server).await,
            3 => follow(server).await,
            4 => stall(server).await,
            5 => break_off(server).await,
            6 => Client::connect(server, "/panic/open").await.map(drop),
            _ => give_up(server).await,
        };
        load.rounds.fetch_add(1, Relaxed);
        if let Err(error) = result {
            load.failures.fetch_add(1, Relaxed);
            if let Ok(mut first) = load.first_failure.lock() {
                first.get_or_insert(error);
            }
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// Takes what is pushed for a while, and leaves.
async fn follow(server: SocketAddr) -> Result<()> {
    let mut client = Client::connect(server, "/push").await?;
    for _ in 0..50 {
        client.next().await?.ok_or("the server ended a connection that it pushed to")?;
    }
    client.leave(1000).await
}

/// Is pushed to, takes nothing, and is gone after a while.
async fn stall(server: SocketAddr) -> Result<()> {
    let client = Client::connect_with(small_socket()?, server, "/push").await?;
    sleep(Duration::from_secs(3)).await;
    client.reset()
}

/// Goes away in the middle of a message.
async fn break_off(server: SocketAddr) -> Result<()> {
    let mut client = Client::connect(server, "/websocket").await?;
    let message = crate::client::frame(TEXT, &[b'x'; 100_000]);
    let half = tokio::io::AsyncWriteExt::write_all(&mut client.stream, &message[..50_000]);
    timeout(Duration::from_secs(1), half).await.map_err(|_| "nothing is read")?.map_err(|error| error.to_string())?;
    client.reset()
}

/// Asks for what takes a minute, and does not wait for it.
async fn give_up(server: SocketAddr) -> Result<()> {
    match timeout(Duration::from_secs(1), Client::connect(server, "/wait")).await {
        Ok(answer) => Err(format!("/wait was answered, with a WebSocket: {}", answer.is_ok())),
        Err(_) => Ok(()),
    }
}

/// The line through the samples by least squares, in bytes a second; what it grows by in their time, and their mean.
fn slope(samples: &[(Duration, u64)]) -> (f64, f64, f64) {
    let count = samples.len().max(1) as f64;
    let points = || samples.iter().map(|(time, bytes)| (time.as_secs_f64(), *bytes as f64));
    let mean_time = points().map(|(time, _)| time).sum::<f64>() / count;
    let mean = points().map(|(_, bytes)| bytes).sum::<f64>() / count;
    let covariance: f64 = points().map(|(time, bytes)| (time - mean_time) * (bytes - mean)).sum();
    let variance: f64 = points().map(|(time, _)| (time - mean_time).powi(2)).sum();
    let slope = if variance > 0.0 { covariance / variance } else { 0.0 };
    let time = samples.last().map_or(0.0, |(last, _)| last.as_secs_f64() - samples[0].0.as_secs_f64());
    (slope, slope * time, mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope() {
        let samples: Vec<_> = (0..5).map(|second| (Duration::from_secs(second), 100 + 3 * second)).collect();
        let (slope, growth, mean) = slope(&samples);
        assert!((slope - 3.0).abs() < 1e-9 && (growth - 12.0).abs() < 1e-9 && (mean - 106.0).abs() < 1e-9);
    }
}
