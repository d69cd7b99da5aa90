//! What proxies say of clients: every wrong kind of it, and from strangers, beside clients that are let in.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Result;
use crate::case::{Bench, Case, Trouble};
use crate::client::in_time;
use crate::server::Server;

pub(crate) const CASES: &[Case] = &[
    Case { name: "proxy-headers", run: proxy_headers },
    Case { name: "proxy-strangers", run: strangers },
    Case { name: "forwarded-headers", run: forwarded },
];

const GOOD: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 80\r\n";

const REQUEST: &str = "GET /rest HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// The first 12 bytes of version 2 (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>, section 2.2).
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Wrong in every way there is a rule for.
fn wrong_headers() -> Vec<Vec<u8>> {
    let second = |rest: &[u8]| [SIGNATURE, rest].concat();
    let mut wrong: Vec<Vec<u8>> = [
        &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PROXY\r\n",
        b"proxy TCP4 192.0.2.7 192.0.2.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 1\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 70000 2\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 01 2\r\n",
        b"PROXY TCP4 192.0.2.07 192.0.2.1 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 192.0.2.7 192.0.2.1 1 2\r\n",
        b"PROXY TCP4  192.0.2.7 192.0.2.1 1 2\r\n",
        b"PROXY TCP5 192.0.2.7 192.0.2.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2 3\r\n",
    ]
    .map(<[u8]>::to_vec)
    .into();
    wrong.extend([
        vec![b'P'; 200],
        [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat(),
        // Version 3, a command that there is not, families and lengths that do not fit, more than is taken.
        second(&[0x31, 0x11, 0, 12, 192, 0, 2, 7, 192, 0, 2, 1, 0, 1, 0, 2]),
        second(&[0x22, 0x11, 0, 12, 192, 0, 2, 7, 192, 0, 2, 1, 0, 1, 0, 2]),
        second(&[0x21, 0x41, 0, 12, 192, 0, 2, 7, 192, 0, 2, 1, 0, 1, 0, 2]),
        second(&[0x21, 0x11, 0, 4, 192, 0, 2, 7]),
        second(&[0x21, 0x21, 0, 12, 192, 0, 2, 7, 192, 0, 2, 1, 0, 1, 0, 2]),
        second(&[0x21, 0x11, 0xff, 0xff, 192, 0, 2, 7]),
    ]);
    wrong
}

/// Everything that comes back for these bytes, after which nothing more is sent.
async fn answer(server: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>> {
    in_time("the end of a connection", async {
        let mut stream = TcpStream::connect(server).await.map_err(|error| format!("connect: {error}"))?;
        let mut answer = Vec::new();
        // It may be closed before all of it is sent, and what it has not read resets it.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut answer).await;
        Ok(answer)
    })
    .await
}

async fn is_served(server: SocketAddr, before: &[u8]) -> Result<()> {
    let answer = answer(server, &[before, REQUEST.as_bytes()].concat()).await?;
    match answer.starts_with(b"HTTP/1.1 200 ") {
        true => Ok(()),
        false => Err(format!("a good client was answered {:?}", String::from_utf8_lossy(&answer))),
    }
}

fn proxy_headers(bench: &Bench) -> Result<String, Trouble> {
    let (rounds, random) = bench.pick((100, 20_000), (20, 2000));
    let flags = ["--proxy-protocol", "--trust", "127.0.0.1", "--head-timeout", "2s", "--log", "warn"];
    let server = Server::rikki(bench, &flags)?;
    let (address, mut chance) = (server.address, StdRng::seed_from_u64(bench.seed));
    let over = Arc::<AtomicBool>::default();
    let good = bench.runtime.spawn({
        let over = over.clone();
        async move {
            let mut served = 0;
            while !over.load(Relaxed) {
                is_served(address, GOOD).await?;
                served += 1;
            }
            Ok::<usize, String>(served)
        }
    });
    let before = server.memory()?;
    let mut wrong: Vec<Vec<u8>> = Vec::new();
    for _ in 0..rounds {
        wrong.extend(wrong_headers());
    }
    // A good one with a letter or three changed, which may be good still.
    let mut may_be_good = Vec::new();
    for _ in 0..random {
        let mut header = GOOD.to_vec();
        for _ in 0..chance.random_range(1..4) {
            let at = chance.random_range(0..header.len());
            header[at] = chance.random();
        }
        may_be_good.push(header);
    }
    let refused = wrong.len();
    bench.runtime.block_on(async {
        for header in &wrong {
            let told = answer(address, &[header, REQUEST.as_bytes()].concat()).await?;
            if !told.is_empty() {
                return Err(format!("{:?} was answered", String::from_utf8_lossy(header)));
            }
        }
        for header in &may_be_good {
            answer(address, &[header, REQUEST.as_bytes()].concat()).await?;
        }
        Ok(())
    })?;
    over.store(true, Relaxed);
    let served = bench.runtime.block_on(good).map_err(|error| error.to_string())??;
    let grown = server.memory()?.saturating_sub(before) / 1024;
    if grown > 16 << 10 || server.log_text().contains("panicked") {
        return Err(format!("{grown} KiB more; {}", server.log_text()).into());
    }
    Ok(format!(
        "{refused} wrong headers closed without an answer, {random} changed ones ended, {served} good clients served \
         meanwhile; {grown} KiB more; seed {}",
        bench.seed
    ))
}

/// Whoever is not trusted is closed with any header, and believed nothing without one.
fn strangers(bench: &Bench) -> Result<String, Trouble> {
    let server = Server::rikki(bench, &["--proxy-protocol", "--trust", "192.0.2.1"])?;
    let times = bench.pick(1000, 200);
    let told = bench.runtime.block_on(async {
        for _ in 0..times {
            let told = answer(server.address, &[GOOD, REQUEST.as_bytes()].concat()).await?;
            if !told.is_empty() {
                return Err(format!("a stranger was answered {:?}", String::from_utf8_lossy(&told)));
            }
        }
        Ok(())
    });
    told?;
    let other = Server::rikki(bench, &["--access-log", "--trust", "192.0.2.1"])?;
    bench.runtime.block_on(async {
        for field in ["X-Forwarded-For: 198.51.100.1", "Forwarded: for=198.51.100.1", "X-Forwarded-Host: evil.test"] {
            let request = REQUEST.replace("\r\nConnection", &format!("\r\n{field}\r\nConnection"));
            is_believed(other.address, &request).await?;
        }
        Ok::<_, String>(())
    })?;
    let log = other.log_text();
    match log.contains("198.51.100.1") {
        true => Err(format!("a stranger was believed: {log}").into()),
        false => Ok(format!("{times} strangers with a good header closed; what they say in requests changes nothing")),
    }
}

async fn is_believed(server: SocketAddr, request: &str) -> Result<()> {
    let told = answer(server, request.as_bytes()).await?;
    if told.starts_with(b"HTTP/1.1 200 ") {
        Ok(())
    } else {
        Err(format!("{request:?} was answered {:?}", String::from_utf8_lossy(&told)))
    }
}

/// Fields that trusted proxies may not write like this: each request is answered all the same, and the log names an
/// address.
fn forwarded(bench: &Bench) -> Result<String, Trouble> {
    let random = bench.pick(20_000, 2000);
    let mut chance = StdRng::seed_from_u64(bench.seed);
    let mut asked = 0;
    for (field, begin, flags) in [
        ("X-Forwarded-For", "198.51.100.1, 127.0.0.1", &["--trust", "127.0.0.1"][..]),
        (
            "Forwarded",
            "for=198.51.100.1;proto=https, for=\"[::1]:9\"",
            &["--trust", "127.0.0.1", "--forwarded=forwarded"],
        ),
    ] {
        let server = Server::rikki(bench, &[&["--access-log"], flags].concat())?;
        let mut values: Vec<Vec<u8>> =
            ["", ",", ", ,", "unknown", "_hidden", "for=", "for=\"", "999.1.1.1", "::1", "[::1"]
                .map(|value| value.as_bytes().to_vec())
                .into();
        values.push(vec![b','; 8000]);
        values.push("127.0.0.1,".repeat(800).into_bytes());
        for _ in 0..random {
            let mut value = begin.as_bytes().to_vec();
            for _ in 0..chance.random_range(1..5) {
                let at = chance.random_range(0..value.len());
                // What no field can have is another fault.
                value[at] = chance.random_range(0x20..0x7f);
            }
            values.push(value);
        }
        asked += values.len();
        bench.runtime.block_on(async {
            for value in &values {
                let value = String::from_utf8_lossy(value);
                let request = REQUEST.replace("\r\nConnection", &format!("\r\n{field}: {value}\r\nConnection"));
                is_believed(server.address, &request).await?;
            }
            Ok::<_, String>(())
        })?;
        let log = server.log_text();
        let peers = log.lines().filter_map(|line| line.split(" peer=").nth(1)?.split(' ').next());
        if let Some(odd) = peers.into_iter().find(|peer| !is_address(peer)) {
            return Err(format!("{odd} is no address").into());
        }
    }
    Ok(format!("{asked} requests with wrong fields answered, each logged with an address; seed {}", bench.seed))
}

fn is_address(peer: &str) -> bool {
    peer.parse::<SocketAddr>().is_ok() || peer.parse::<IpAddr>().is_ok()
}
