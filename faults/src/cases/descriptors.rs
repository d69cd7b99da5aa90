//! No descriptor left.

use std::thread;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::case::{Bench, Case, Trouble};
use crate::client::{Client, ECHO, in_time};
use crate::http2::Http2;
use crate::server::Server;

pub(crate) const CASES: &[Case] = &[
    Case { name: "out-of-descriptors", run: out_of_descriptors },
    Case { name: "out-of-descriptors-http2", run: beside_http2 },
];

/// Clients that are connected when the descriptors run out, those that leave to make room, and those that wait for it.
const HELD: usize = 10;
const LEAVING: usize = 60;
const WAITING: usize = 50;

/// EMFILE: accepting backs off without a busy loop or a flood of log lines, and goes on when there is room again.
fn out_of_descriptors(bench: &Bench) -> Result<String, Trouble> {
    let server = Server::rikki(bench, &["--log", "info"])?;
    let address = server.address;
    let seconds = bench.pick(10, 2);
    bench.runtime.block_on(async {
        let mut held = JoinSet::new();
        for _ in 0..HELD {
            held.spawn(echo_for(Client::connect(address, ECHO).await?, seconds + 2));
        }
        let mut leaving = Vec::new();
        for _ in 0..LEAVING {
            leaving.push(Client::connect(address, ECHO).await?);
        }
        server.limit_descriptors(server.next_descriptor()?)?;
        let mut waiting = JoinSet::new();
        for _ in 0..WAITING {
            waiting.spawn(Client::connect(address, ECHO));
        }
        // The log is that of this time alone: nothing before it is an error.
        let (cpu, started) = (server.cpu()?, Instant::now());
        thread::sleep(Duration::from_secs(seconds));
        let used = (server.cpu()? - cpu).as_secs_f64() / started.elapsed().as_secs_f64() * 100.0;
        let lines = server.log_text().lines().filter(|line| line.contains("cannot accept")).count();
        if let Some(early) = waiting.try_join_next() {
            return Err(format!("a client was served without a descriptor: {:?}", early.map(|end| end.is_ok())).into());
        }
        if used >= 5.0 || lines == 0 || lines > seconds as usize + 1 {
            return Err(format!("{used:.1} % of a core and {lines} log lines in {seconds} s").into());
        }
        let freed = Instant::now();
        drop(leaving);
        for client in waiting.join_all().await {
            client?;
        }
        let resumed = freed.elapsed();
        if resumed > Duration::from_millis(1500) {
            return Err(format!("accepting went on after {resumed:.1?}").into());
        }
        let echoes: usize = held.join_all().await.into_iter().sum::<crate::Result<usize>>()?;
        Ok(format!(
            "{used:.1} % of a core and {lines} log lines in {seconds} s, resumed within {resumed:.1?}, \
             {HELD} held connections with {echoes} echoes"
        ))
    })
}

/// Echoes ten times a second.
async fn echo_for(mut client: Client, seconds: u64) -> crate::Result<usize> {
    let rounds = 10 * seconds as usize;
    in_time("the echoes", async {
        for _ in 0..rounds {
            client.echo("still there").await?;
            sleep(Duration::from_millis(100)).await;
        }
        Ok(rounds)
    })
    .await
}

/// Plain connections have taken all descriptors: those of HTTP/2 that are open go on, as far as they need none.
fn beside_http2(bench: &Bench) -> Result<String, Trouble> {
    let server = Server::rikki(bench, &["--log", "warn", "--listen", "https://127.0.0.1:0", "--tls-self-signed"])?;
    let secure = server.next_address()?;
    bench.runtime.block_on(async {
        let mut connection = Http2::connect(secure).await?;
        let mut streams = (0..).map(|index| 2 * index + 1);
        let mut stream = || streams.next().unwrap_or_default();
        connection.get("/small", stream()).await?;
        server.limit_descriptors(server.next_descriptor()?)?;
        let mut plain = JoinSet::new();
        for _ in 0..WAITING {
            plain.spawn(Client::connect(server.address, ECHO));
        }
        let (mut answered, mut refused, started) = (0, 0, Instant::now());
        while started.elapsed() < Duration::from_secs(1) {
            let rest = connection.get("/rest", stream()).await?;
            if !rest.contains("result") {
                return Err(format!("{rest:?} in answer to /rest").into());
            }
            // It has to be opened, which may fail, but not for ever.
            let small = connection.get("/small", stream()).await?;
            answered += 1;
            refused += usize::from(small != "a small file\n");
        }
        server.limit_descriptors(10_000)?;
        for client in plain.join_all().await {
            client?;
        }
        let small = connection.get("/small", stream()).await?;
        if small != "a small file\n" {
            return Err(format!("{small:?} when there are descriptors again").into());
        }
        Ok(format!(
            "{answered} requests over HTTP/2 beside {WAITING} connections that wait, {refused} files not opened"
        ))
    })
}
