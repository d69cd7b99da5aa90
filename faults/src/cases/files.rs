//! Files that take long: asked for by clients that are gone, and by way of a disk that hangs.

use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Result;
use crate::attack;
use crate::case::{Bench, Case, Trouble};
use crate::client::in_time;
use crate::fair::files::get;
use crate::fair::{self, Done};
use crate::folders::{self, Hung};
use crate::server::{self, Server};

pub(crate) const CASES: &[Case] = &[
    Case { name: "abandoned-listings", run: abandoned_listings },
    Case { name: "abandoned-streams", run: abandoned_streams },
    Case { name: "hung-mount", run: hung_mount },
    Case { name: "open-files", run: open_files },
    Case { name: "range-floods", run: range_floods },
];

/// What SECURITY.md says to take where there are 256 MiB.
const RECIPE: [&str; 2] = ["--memory", "256MiB"];

/// How many ask at a time, until they go.
const BATCH: usize = 100;

/// How long the listing of somebody who waits may take after those who do not.
const HONEST: Duration = Duration::from_secs(2);

/// What requests of clients that are gone may hold, in bytes: the read memory of the settings, and as much for 100
/// streams that are begun, and what the allocator keeps.
const ABANDONED: u64 = 64 << 20;

/// Clients that ask for a large listing and reset: who asks after them is answered soon.
fn abandoned_listings(bench: &Bench) -> Result<String, Trouble> {
    folders::many(bench)?;
    let server = Server::rikki(bench, &[&["--log", "warn"], &RECIPE[..]].concat())?;
    let address = server.address;
    let alone = listed(bench, address)?;
    attack::beside(bench, &server, || {
        let count = bench.pick(2000, 500);
        bench.runtime.block_on(async {
            for _ in 0..count / BATCH {
                let asking = (0..BATCH).map(|_| fair::files::abandon(address, Done::default()));
                futures_util::future::try_join_all(asking).await?;
            }
            Ok::<_, String>(())
        })?;
        let after = listed(bench, address)?;
        if after > HONEST {
            return Err(
                format!("a listing took {after:.1?} after {count} that nobody waits for, {alone:.1?} alone").into()
            );
        }
        Ok(format!("a listing took {alone:.1?}, and {after:.1?} after {count} that nobody waits for"))
    })
}

/// How long a listing takes.
fn listed(bench: &Bench, address: SocketAddr) -> Result<Duration> {
    let started = Instant::now();
    let answer = bench.runtime.block_on(get(address, "/many/"))?;
    if answer.starts_with("HTTP/1.1 200 ") && answer.contains("</html>") {
        return Ok(started.elapsed());
    }
    Err(format!("no listing but {:?}", answer.lines().next()))
}

/// The same by way of HTTP/2, where taking a request back costs a frame: nothing is held for them.
fn abandoned_streams(bench: &Bench) -> Result<String, Trouble> {
    folders::many(bench)?;
    let flags = [&["--log", "warn", "--tls-self-signed"], &RECIPE[..]].concat();
    let server = Server::rikki_on(bench, "https", &flags)?;
    let resident = server.memory()?;
    server.forget_peak()?;
    let (most, done) = (bench.pick(20_000, 5000), Done::default());
    let connections = attack::yielding(|| {
        bench.runtime.block_on(async {
            let mut connections = 0;
            while done.get() < most {
                connections += 1;
                // It ends with the connection.
                let _ = fair::secure::take_back(server.address, done.clone(), most).await;
            }
            Ok(connections)
        })
    })?;
    // What works on for them does so now.
    thread::sleep(bench.pick(Duration::from_secs(5), Duration::from_secs(2)));
    let growth = server.peak_memory()?.saturating_sub(resident);
    let figures =
        format!("{} requests taken back, on {connections} connections: {} MiB at most", done.get(), growth >> 20);
    if growth > ABANDONED {
        return Err(format!("{figures}, more than {}", ABANDONED >> 20).into());
    }
    Ok(figures)
}

/// Many ask for files on a disk that hangs, and are told so; files of another folder are read meanwhile.
fn hung_mount(bench: &Bench) -> Result<String, Trouble> {
    const ASKED: usize = 40;
    let hung = Hung::mount(bench)?;
    let server = Server::rikki(bench, &["--log", "error", &hung.flag(), "--disk-timeout", "2s"])?;
    let address = server.address;
    let figures = bench.runtime.block_on(async {
        let started = Instant::now();
        let mut asked = JoinSet::new();
        for _ in 0..ASKED {
            asked.spawn(get(address, "/remote/hung/file"));
        }
        let mut longest = Duration::ZERO;
        let mut others = 0;
        while started.elapsed() < Duration::from_secs(3) {
            let began = Instant::now();
            // Each name for the first time, which has to be looked up.
            let answer = get(address, &format!("/new-{others}")).await?;
            if !answer.starts_with("HTTP/1.1 404 ") {
                return Err(format!("another folder answered {:?}", answer.lines().next()));
            }
            longest = longest.max(began.elapsed());
            others += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for answer in asked.join_all().await {
            let answer = answer?;
            if !answer.starts_with("HTTP/1.1 503 ") {
                return Err(format!("the disk that hangs answered {:?}", answer.lines().next()));
            }
        }
        if longest > Duration::from_secs(1) {
            return Err(format!("another folder took {longest:.1?}"));
        }
        Ok(format!("{ASKED} got 503 from a disk that hangs; {others} of another folder took {longest:.1?} at most"))
    });
    drop(hung);
    Ok(figures?)
}

/// Streams of HTTP/2 whose clients take nothing, each of a file: others are accepted and served.
fn open_files(bench: &Bench) -> Result<String, Trouble> {
    const NEW: usize = 13;
    let url = "http://127.0.0.1:0";
    let few = server::command(bench, url, &["--log", "error", "--listen", "https://127.0.0.1:0", "--tls-self-signed"]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 1024 && exec \"$0\" \"$@\""]).arg(few.get_program()).args(few.get_args());
    let server = Server::spawn(bench, command)?;
    let (http, https) = (server.address, server.next_address()?);
    let connections = bench.pick(40, 12);
    let figures = bench.runtime.block_on(async {
        let mut held = Vec::new();
        for _ in 0..connections {
            held.push(fair::secure::hold_files(https).await?);
        }
        let mut longest = Duration::ZERO;
        for _ in 0..NEW {
            let started = Instant::now();
            let answer = get(http, "/small").await?;
            if !answer.starts_with("HTTP/1.1 200 ") {
                return Err(format!("a new client got {:?}", answer.lines().next()));
            }
            longest = longest.max(started.elapsed());
        }
        let open = server.descriptors()?;
        Ok(format!(
            "{} streams that take nothing: {open} descriptors, {NEW} new clients served within {longest:.1?}",
            100 * connections
        ))
    });
    Ok(figures?)
}

/// As many parts of a file as there may be in an answer, and more ranges than that in a head, again and again.
fn range_floods(bench: &Bench) -> Result<String, Trouble> {
    const REQUESTS: usize = 50;
    let server = Server::rikki(bench, &["--log", "warn"])?;
    let parts: Vec<_> = (0..16).map(|part| format!("{0}-{0}", part * 1000)).collect();
    let floods = [parts.join(","), "0-0,".repeat(3000)].map(|ranges| {
        let method = if ranges.len() > 1000 { "HEAD" } else { "GET" };
        format!("{method} /large HTTP/1.1\r\nHost: localhost\r\nRange: bytes={ranges}\r\n\r\n").repeat(REQUESTS)
    });
    let attack = async || {
        for flood in &floods {
            let mut stream = TcpStream::connect(server.address).await.map_err(|error| format!("connect: {error}"))?;
            let (mut read, mut write) = stream.split();
            let mut answers = Vec::new();
            let asking = async {
                write.write_all(flood.as_bytes()).await?;
                write.shutdown().await
            };
            let talking = async { tokio::try_join!(asking, read.read_to_end(&mut answers)) };
            in_time("answers", async { talking.await.map_err(|error| format!("a flood of ranges: {error}")) }).await?;
            let answered = String::from_utf8_lossy(&answers).matches("HTTP/1.1 20").count();
            if answered != REQUESTS {
                return Err(format!("{answered} of {REQUESTS} requests were answered"));
            }
        }
        Ok(())
    };
    // Blocks to read into are kept for the next reader.
    bench.runtime.block_on(attack())?;
    attack::flood(bench, &server, 2 << 20, attack)
}
