//! Measures topics on NATS: how long a message takes, how many are acknowledged in a second, what a node gets from NATS, and
//! how long it takes to catch up. All nodes are in this process, and NATS beside it:
//!
//! ```sh
//! nats-server -js -sd /tmp/figures & cargo run --release --package rikki-nats --example figures -- nats://127.0.0.1
//! ```
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs, reason = "figures are printed, and a fault ends it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt as _;
use rikki_nats::{Nats, NatsConfig};
use rikki_topics::{From, TopicConfig, Topics, TopicsConfig, Update};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::sleep;

const PACED: u32 = 2000;
const MEASURED: Duration = Duration::from_secs(4);
const UNDER_WAY: usize = 256;

fn main() {
    let url = std::env::args().nth(1).unwrap_or_else(|| "nats://127.0.0.1".to_owned());
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        println!("| nodes | topics | p50 | p99 | acknowledged a second | delivered a second | from NATS, a node and message | gaps |");
        println!("|---|---|---|---|---|---|---|---|");
        for nodes in 1..=3 {
            for topics in [1, 100, 10_000] {
                measure(&url, nodes, topics).await;
            }
        }
        away(&url).await;
    });
}

struct Node {
    nats: Nats,
    topics: Topics,
}

async fn node(url: &str, stream: &str) -> Node {
    let config = NatsConfig::new(url).stream(stream).bytes(256_usize << 20);
    let nats = Nats::start(config).unwrap();
    while !nats.status().connected {
        sleep(Duration::from_millis(5)).await;
    }
    // Rings that hold what a second brings: a node that falls behind by more tells its subscribers of a gap.
    let topic = TopicConfig::default().history(50_000).bytes(32_usize << 20);
    let config = TopicsConfig::default().memory(512_usize << 20).others(topic);
    Node { topics: Topics::with_broker(config, nats.clone()), nats }
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// Follows each topic on each node; how long messages took is put together.
async fn follow(nodes: &[Node], names: &[String], took: &Arc<Took>) -> JoinSet<()> {
    let (mut all, ready) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
    for node in nodes {
        for name in names {
            let (mut updates, took, ready) =
                (node.topics.subscribe(name, From::Now).unwrap(), took.clone(), ready.clone());
            all.spawn(async move {
                while let Some(update) = updates.next().await {
                    match update {
                        Update::Joined(_) => _ = ready.fetch_add(1, Relaxed),
                        Update::Message(message) => {
                            let sent = message.message.as_text().and_then(|text| text.get(..20)?.trim().parse().ok());
                            took.note(now().saturating_sub(sent.unwrap_or_default()));
                        }
                        _ => {}
                    }
                }
            });
        }
    }
    while ready.load(Relaxed) < (nodes.len() * names.len()) as u64 {
        sleep(Duration::from_millis(5)).await;
    }
    all
}

#[derive(Default)]
struct Took {
    count: AtomicU64,
    each: std::sync::Mutex<Vec<u64>>,
}

impl Took {
    fn note(&self, nanos: u64) {
        self.count.fetch_add(1, Relaxed);
        let mut each = self.each.lock().unwrap();
        if each.len() < 100_000 {
            each.push(nanos);
        }
    }
}

fn text() -> String {
    format!("{:<64}", format!("{:020}", now()))
}

async fn measure(url: &str, count: usize, topics: usize) {
    let stream = format!("f{count}-{topics}");
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(node(url, &stream).await);
    }
    let names: Vec<String> = (0..topics).map(|number| format!("topic/{number}")).collect();
    let took = Arc::<Took>::default();
    let following = follow(&nodes, &names, &took).await;
    for number in 0..PACED as usize {
        let node = &nodes[number % count];
        node.topics.publish(&names[number * 7919 % topics], text()).await.unwrap();
        sleep(Duration::from_micros(500)).await;
    }
    let mut each = std::mem::take(&mut *took.each.lock().unwrap());
    each.sort_unstable();
    let part = |percent: usize| Duration::from_nanos(each[each.len() * percent / 100]);
    let (p50, p99) = (part(50), part(99));
    let before: u64 = nodes.iter().map(|node| node.nats.status().received_bytes).sum();
    let (delivered, started) = (took.count.load(Relaxed), Instant::now());
    let acknowledged = Arc::new(AtomicU64::new(0));
    let mut publishing = JoinSet::new();
    for lane in 0..UNDER_WAY {
        let (topics, names, acknowledged) = (nodes[lane % count].topics.clone(), names.clone(), acknowledged.clone());
        publishing.spawn(async move {
            let mut number = lane;
            while started.elapsed() < MEASURED {
                topics.publish(&names[number * 7919 % names.len()], text()).await.unwrap();
                acknowledged.fetch_add(1, Relaxed);
                number += UNDER_WAY;
            }
        });
    }
    while publishing.join_next().await.is_some() {}
    let (seconds, acknowledged) = (started.elapsed().as_secs_f64(), acknowledged.load(Relaxed));
    sleep(Duration::from_millis(500)).await;
    let delivered = took.count.load(Relaxed) - delivered;
    let bytes: u64 = nodes.iter().map(|node| node.nats.status().received_bytes).sum::<u64>() - before;
    let gaps: u64 = nodes.iter().map(|node| node.nats.status().gaps).sum();
    println!(
        "| {count} | {topics} | {:.2} ms | {:.2} ms | {:.0} | {:.0} | {} B | {gaps} |",
        p50.as_secs_f64() * 1e3,
        p99.as_secs_f64() * 1e3,
        acknowledged as f64 / seconds,
        delivered as f64 / seconds,
        bytes / acknowledged.max(1) / count as u64,
    );
    drop(following);
}

/// Another process publishes while this one is held up by a proxy that is cut.
async fn away(url: &str) {
    let proxy = Proxy::start(url).await;
    let (near, far) = (node(url, "away").await, node(&proxy.url, "away").await);
    let names: Vec<String> = (0..1000).map(|number| format!("topic/{number}")).collect();
    let took = Arc::<Took>::default();
    let far = [far];
    let following = follow(&far, &names, &took).await;
    proxy.cut();
    let started = Instant::now();
    let mut sent = 0;
    while started.elapsed() < Duration::from_secs(10) {
        near.topics.publish(&names[sent * 7919 % 1000], text()).await.unwrap();
        sent += 1;
        sleep(Duration::from_millis(1)).await;
    }
    let before = far[0].nats.status().received_bytes;
    proxy.mend();
    while !far[0].nats.status().connected {
        sleep(Duration::from_millis(1)).await;
    }
    let connected = Instant::now();
    while took.count.load(Relaxed) < sent as u64 {
        sleep(Duration::from_millis(1)).await;
    }
    println!(
        "\n{sent} messages of 1,000 topics were published in 10 s of absence; all were there {:.0} ms after the connection, for \
         {} KiB from NATS",
        connected.elapsed().as_secs_f64() * 1e3,
        (far[0].nats.status().received_bytes - before) / 1024
    );
    drop(following);
}

/// Passes bytes on, until it is cut.
struct Proxy {
    url: String,
    is_cut: tokio::sync::watch::Sender<bool>,
}

impl Proxy {
    async fn start(url: &str) -> Self {
        let target = url.trim_start_matches("nats://").to_owned();
        let target = if target.contains(':') { target } else { format!("{target}:4222") };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let is_cut = tokio::sync::watch::Sender::new(false);
        let watched = is_cut.clone();
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let (mut cut, target) = (watched.subscribe(), target.clone());
                tokio::spawn(async move {
                    if *cut.borrow() {
                        return;
                    }
                    let Ok(mut far) = tokio::net::TcpStream::connect(target).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { url: format!("nats://{address}"), is_cut }
    }

    fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}
