//! Topics with subscribers that do not read: the others lose nothing, memory does not grow with them, and the policy
//! acts.

use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::slow_readers::{Counters, Pushed, follow, small_socket};
use crate::Result;
use crate::case::{Bench, Case, Trouble};
use crate::client::{Client, LIMIT};
use crate::server::Server;

pub(crate) const CASES: &[Case] = &[
    Case { name: "topic-gap", run: |bench| subscribers(bench, "gap") },
    Case { name: "topic-latest", run: |bench| subscribers(bench, "latest") },
    Case { name: "topic-close", run: |bench| subscribers(bench, "close") },
];

/// What each that does not read may cost: what was framed when it stopped, with a share of the allocator's.
const EACH: u64 = 32 << 10;

/// What the allocator may take beside that, and the ring while it fills: two megabytes, and what old messages leave
/// behind.
const BESIDE: u64 = 6 << 20;

fn subscribers(bench: &Bench, policy: &str) -> Result<String, Trouble> {
    // 10,000 messages to 1,000; two cores carry 100,000 a second that the clients share.
    let (clients, rate, time) = bench.pick((1000, 100, 100), (100, 1000, 4));
    let stalled = clients / 20;
    let server = Server::target(bench, &["--topic", policy, "--push", &format!("{rate}")])?;
    let (stop, stopping) = watch::channel(false);
    let (mut reading, mut slow) = (JoinSet::new(), Vec::new());
    bench.runtime.block_on(async {
        for number in 0..clients {
            let client = Client::connect_with(small_socket()?, server.address, "/topic").await?;
            let pushed = Pushed::new(client);
            if number < stalled { slow.push(pushed) } else { _ = reading.spawn(follow(pushed, stopping.clone())) }
        }
        Ok::<_, String>(())
    })?;
    // The ring is full then, and what old messages leave behind is there.
    thread::sleep(Duration::from_secs(2));
    let before = server.memory()?;
    let mut most = before;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(time) {
        most = most.max(server.memory()?);
        thread::sleep(Duration::from_millis(20));
    }
    // Counted before the others stop, who would be left behind too.
    let counted = bench.runtime.block_on(Counters::read(server.address))?;
    stop.send_replace(true);
    let mut received = 0;
    for followed in bench.runtime.block_on(reading.join_all()) {
        received += followed?.0;
    }
    let grown = most.saturating_sub(before);
    let figures = format!(
        "{received} messages to {} subscribers, none lost; {stalled} that do not read cost {} KiB together",
        clients - stalled,
        grown / 1024
    );
    if grown > EACH * stalled + BESIDE {
        return Err(format!("too much memory: {figures}").into());
    }
    let acted = bench.runtime.block_on(acted(&server, policy, slow, &counted))?;
    Ok(format!("{figures}; {acted}"))
}

/// What has become of those who did not read.
async fn acted(server: &Server, policy: &str, slow: Vec<Pushed>, counted: &Counters) -> Result<String> {
    let stalled = slow.len() as u64;
    if policy == "close" {
        let closed = counted.get("closed")?;
        return if closed == stalled {
            Ok(format!("{closed} closed"))
        } else {
            Err(format!("{closed} closed of {stalled}"))
        };
    }
    // They go on behind what is missing to them, which is counted.
    let mut missing = 0;
    for mut pushed in slow {
        while pushed.missing == 0 {
            timeout(LIMIT, pushed.read()).await.map_err(|_| "no message behind the gap")??;
        }
        missing += pushed.missing;
    }
    let name = if policy == "gap" { "missed" } else { "skipped" };
    let counted = Counters::read(server.address).await?.get(name)?;
    // Who has gone on may fall behind again while others are looked at.
    if counted < missing {
        return Err(format!("{missing} messages are missing, and {counted} were counted"));
    }
    Ok(format!("{missing} {name} ({counted} counted)"))
}
