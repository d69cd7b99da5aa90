//! Signals: a drain under load, one at any moment, and a process that was stopped for a while.

use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Result;
use crate::case::{Bench, Case, LARGE, Trouble};
use crate::client::{CLOSE, Client, ECHO, PING, PONG, TEXT, in_time};
use crate::server::Server;

pub(crate) const CASES: &[Case] = &[
    Case { name: "drain", run: drain },
    Case { name: "drain-at-random", run: drain_at_random },
    Case { name: "stopped-process", run: stopped_process },
];

/// The server's deadline for a drain, and a little for the process to end.
pub(super) const GRACE: Duration = Duration::from_millis(8500);

pub(super) const DOWNLOADS: usize = 20;

/// SIGTERM with idle and busy WebSockets and downloads on their way: all are told, all is delivered.
fn drain(bench: &Bench) -> Result<String, Trouble> {
    let mut server = Server::rikki(bench, &["--log", "warn"])?;
    let address = server.address;
    let (idle, busy) = (bench.pick(5000, 500), bench.pick(200, 50));
    let (mut sockets, mut downloads) = (JoinSet::new(), JoinSet::new());
    bench.runtime.block_on(async {
        let (ready, mut begun) = mpsc::channel(1);
        for number in 0..idle + busy {
            let client = Client::connect(address, ECHO).await?;
            sockets.spawn(until_closed(client, number < busy));
        }
        for _ in 0..DOWNLOADS {
            downloads.spawn(download(address, ready.clone()));
        }
        drop(ready);
        // Each sends one message and then drops its end.
        while in_time("the downloads", async { Ok(begun.recv().await) }).await?.is_some() {}
        Ok::<_, String>(())
    })?;
    let signalled = Instant::now();
    server.signal(Signal::TERM)?;
    let (sockets, downloads) = bench.runtime.block_on(async { (sockets.join_all().await, downloads.join_all().await) });
    let status = server.wait(GRACE.saturating_sub(signalled.elapsed()))?;
    let took = signalled.elapsed();

    let told = sockets.iter().filter(|end| matches!(end, Ok(1001))).count();
    if let Some(other) = sockets.iter().find(|end| !matches!(end, Ok(1001))) {
        return Err(format!("{told} of {} got 1001, another {other:?}", sockets.len()).into());
    }
    if let Some(Err(error)) = downloads.iter().find(|download| download.is_err()) {
        return Err(format!("a download: {error}").into());
    }
    if !status.success() || took > GRACE {
        return Err(format!("the server ended with {status} after {took:.1?}").into());
    }
    Ok(format!("{told} of {} got 1001, {} downloads whole, exit 0 after {took:.1?}", sockets.len(), downloads.len()))
}

/// Waits for the Close and answers it; a busy one echoes meanwhile.
async fn until_closed(mut client: Client, busy: bool) -> Result<u16> {
    let code = if busy {
        loop {
            // That it is not taken will show in what can be read.
            let _ = client.send(TEXT, b"still there").await;
            match client.next().await? {
                Some(frame) if frame.opcode == CLOSE => {
                    break frame.payload.first_chunk().map(|c| u16::from_be_bytes(*c));
                }
                Some(_) => sleep(Duration::from_millis(10)).await,
                None => return Err("the connection ended without a Close".to_owned()),
            }
        }
        .ok_or("a Close without a code")?
    } else {
        client.close_code().await?
    };
    client.leave(code).await?;
    Ok(code)
}

/// Takes a file in about three seconds, and says when it has begun.
pub(super) async fn download(server: SocketAddr, begun: mpsc::Sender<()>) -> Result<()> {
    const STEP: usize = LARGE / 300;
    in_time("a download", async {
        let failed = |error| format!("download: {error}");
        let mut stream = TcpStream::connect(server).await.map_err(failed)?;
        let request = format!("GET /large HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.map_err(failed)?;
        let (mut buffer, mut taken) = (vec![0; STEP], stream.read_u8().await.map(|_| 1).map_err(failed)?);
        let _ = begun.send(()).await;
        drop(begun);
        loop {
            match stream.read(&mut buffer).await.map_err(failed)? {
                0 if taken > LARGE => return Ok(()),
                0 => return Err(format!("{taken} bytes of {LARGE} and a head")),
                read => taken += read,
            }
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

/// SIGTERM at random moments, some of them while the load is only beginning: the process ends as it should.
fn drain_at_random(bench: &Bench) -> Result<String, Trouble> {
    let rounds = bench.pick(100, 20);
    let mut random = StdRng::seed_from_u64(bench.seed);
    let mut longest = Duration::ZERO;
    for round in 0..rounds {
        let mut server = Server::rikki(bench, &["--log", "info", "--drain-window", "200ms"])?;
        let address = server.address;
        let load: Vec<_> = (0..30).map(|number| bench.runtime.spawn(load(address, number))).collect();
        thread::sleep(Duration::from_micros(random.random_range(0..200_000)));
        let signalled = Instant::now();
        server.signal(Signal::TERM)?;
        let status = server.wait(GRACE);
        longest = longest.max(signalled.elapsed());
        load.iter().for_each(tokio::task::JoinHandle::abort);
        let at = || format!("round {round} of seed {}", bench.seed);
        let status = status.map_err(|error| format!("{}: {error}", at()))?;
        let log = server.log_text();
        if !status.success() || log.contains("panicked") {
            return Err(format!("{}: {status}; {log}", at()).into());
        }
        TcpListener::bind(address).map_err(|error| format!("{}: the port: {error}", at()))?;
    }
    Ok(format!("{rounds} times exit 0, the last after {longest:.1?}; seed {}", bench.seed))
}

/// A client that comes again and again: with WebSockets, some of them cut, and with requests.
async fn load(server: SocketAddr, number: usize) {
    // What fails when the server ends is what this is about.
    loop {
        let _ = match number % 3 {
            0 => once_websocket(server).await,
            1 => Client::connect(server, ECHO).await.and_then(Client::reset),
            _ => once_http(server).await,
        };
        sleep(Duration::from_millis(1)).await;
    }
}

pub(super) async fn once_websocket(server: SocketAddr) -> Result<()> {
    let mut client = Client::connect(server, ECHO).await?;
    for _ in 0..20 {
        client.echo("still there").await?;
    }
    client.leave(1000).await
}

pub(super) async fn once_http(server: SocketAddr) -> Result<()> {
    in_time("a request", async {
        let mut stream = TcpStream::connect(server).await.map_err(|error| error.to_string())?;
        let request = format!("GET /small HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
        stream.read_to_end(&mut Vec::new()).await.map(drop).map_err(|error| error.to_string())
    })
    .await
}

/// SIGSTOP for longer than a peer may be silent, then SIGCONT: nobody is dropped for a silence that was the server's.
fn stopped_process(bench: &Bench) -> Result<String, Trouble> {
    // The defaults are a ping after 30 s and 10 s for the pong.
    let flags: &[&str] = bench.pick(&[][..], &["--ping-interval", "1s", "--pong-timeout", "1s"][..]);
    let (stop, watch) = bench.pick((60, 45), (6, 4));
    let server = Server::rikki(bench, flags)?;
    let address = server.address;
    let peers = 50;
    let (ask, _) = tokio::sync::broadcast::channel(1);
    let mut clients = JoinSet::new();
    bench.runtime.block_on(async {
        for _ in 0..peers {
            clients.spawn_on(healthy(Client::connect(address, ECHO).await?, ask.subscribe()), bench.runtime.handle());
        }
        Ok::<_, String>(())
    })?;
    server.signal(Signal::STOP)?;
    thread::sleep(Duration::from_secs(stop));
    server.signal(Signal::CONT)?;
    thread::sleep(Duration::from_secs(watch));
    ask.send(()).map_err(|_| "no peer was left")?;
    let ends = bench.runtime.block_on(clients.join_all());
    let pings: usize = ends.iter().filter_map(|end| end.as_ref().ok()).sum();
    match ends.iter().find_map(|end| end.as_ref().err()) {
        Some(error) => Err(format!("a healthy peer was dropped: {error}").into()),
        None if pings == 0 => Err("nobody was pinged".into()),
        None => Ok(format!("{peers} of {peers} peers there after {stop} s of SIGSTOP, {pings} pings answered")),
    }
}

/// Answers pings until it is asked whether its connection still echoes; gives their number.
async fn healthy(mut client: Client, mut asked: tokio::sync::broadcast::Receiver<()>) -> Result<usize> {
    let mut pings = 0;
    loop {
        let frame = tokio::select! {
            frame = client.next() => frame?.ok_or("the server ended the connection")?,
            _ = asked.recv() => break,
        };
        if frame.opcode == PING {
            pings += 1;
            client.send(PONG, &frame.payload).await?;
        }
    }
    client.send(TEXT, b"still there").await?;
    in_time("an echo", async {
        loop {
            match client.next().await? {
                Some(frame) if frame.opcode == TEXT => return Ok(pings),
                Some(_) => {}
                None => return Err("the server ended the connection".to_owned()),
            }
        }
    })
    .await
}
