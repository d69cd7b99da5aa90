//! Peers that do not read: what they may cost, and what becomes of the others.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Result;
use crate::attack;
use crate::case::{Bench, Case, Trouble};
use crate::client::{self, BINARY, Client, ECHO, LIMIT};
use crate::good::Good;
use crate::server::{Server, within};

pub(crate) const CASES: &[Case] = &[
    Case { name: "push-pause", run: |bench| push(bench, "pause") },
    Case { name: "push-close", run: |bench| push(bench, "close") },
    Case { name: "push-drop-newest", run: |bench| push(bench, "drop-newest") },
    Case { name: "push-drop-oldest", run: |bench| push(bench, "drop-oldest") },
    Case { name: "stalled-readers", run: stalled_readers },
    Case { name: "never-reading", run: never_reading },
];

/// A message that the target pushes, and its header.
const PUSHED: usize = 1024;
const HEADER: [u8; 4] = [0x82, 126, 4, 0];

/// What waits for a connection at most, by default: the mark.
const MARK: u64 = 1 << 20;

/// What 1,000 peers that do not read may cost in all.
const MOST_MEMORY: u64 = 128 << 20;

/// Pushing to many while some do not read: the others lose nothing, and the policy holds for those who do not.
fn push(bench: &Bench, policy: &str) -> Result<String, Trouble> {
    // 100,000 messages a second, which two cores carry that the clients share.
    let (clients, rate, time) = bench.pick((1000, 100, 20), (100, 1000, 3));
    let stalled = clients / 20;
    let server = Server::target(bench, &["--overflow", policy, "--push", &format!("{rate}")])?;
    let address = server.address;
    let (stall, stalling) = watch::channel(false);
    let (end, ending) = watch::channel(false);
    let mut tasks = JoinSet::new();
    bench.runtime.block_on(async {
        for number in 0..clients {
            let client = Client::connect_with(small_socket()?, address, "/push").await?;
            let stop = if number < stalled { stalling.clone() } else { ending.clone() };
            tasks.spawn(follow(Pushed::new(client), stop));
        }
        Ok::<_, String>(())
    })?;
    // All read, for as long as it takes until memory no longer grows with them.
    thread::sleep(Duration::from_secs(2));
    let before = server.memory()?;
    stall.send_replace(true);
    let mut most = before;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(time) {
        most = most.max(server.memory()?);
        thread::sleep(Duration::from_millis(20));
    }
    end.send_replace(true);
    let followed = bench.runtime.block_on(tasks.join_all());
    let counters = bench.runtime.block_on(Counters::read(address))?;

    let mut received = 0;
    let mut streams = Vec::new();
    for followed in followed {
        let (count, stream) = followed?;
        received += count;
        streams.push(stream);
    }
    let each = most.saturating_sub(before) / stalled;
    // A message is taken below the mark; the allocator has a share too.
    if each > (MARK + PUSHED as u64) * 5 / 4 {
        return Err(format!("{} KiB for each of {stalled} stalled clients", each / 1024).into());
    }
    let (closed, dropped) = (counters.get("closed_overflows")?, counters.get("dropped_messages")?);
    let (acted, latest) = (counters.get("acted")?, Duration::from_millis(counters.get("latest")?));
    let (seen, wrong) = match policy {
        "pause" => (counters.get("full")?, closed + dropped > 0),
        "close" => (closed, closed != stalled),
        _ => (dropped, closed > 0),
    };
    let wrong = wrong || seen == 0 || acted < stalled || latest > Duration::from_secs(1);
    let acted = format!("acted on {acted}, at the latest {latest:?} after the mark");
    if wrong {
        return Err(format!("{closed} of {stalled} closed, {dropped} messages dropped, {acted}").into());
    }
    let rate = received as u64 / (time + 2);
    Ok(format!(
        "{received} messages ({rate}/s) to {clients} clients, none lost; {stalled} stalled with {} KiB each; \
         full: {}, dropped: {dropped}, closed: {closed}; {acted}",
        each / 1024,
        counters.get("full")?,
    ))
}

/// A socket whose kernel buffer holds little, so that what waits does so in the server.
pub(super) fn small_socket() -> Result<TcpSocket> {
    let socket = TcpSocket::new_v4().map_err(|error| format!("a socket: {error}"))?;
    socket.set_recv_buffer_size(16 * 1024).map_err(|error| format!("SO_RCVBUF: {error}"))?;
    Ok(socket)
}

/// Takes pushed messages until it is told to stop; none may be missing. Gives their number, and the connection.
pub(super) async fn follow(mut pushed: Pushed, mut stop: watch::Receiver<bool>) -> Result<(usize, TcpStream)> {
    while !*stop.borrow_and_update() {
        tokio::select! {
            read = timeout(LIMIT, pushed.read()) => read.map_err(|_| "no message in time")??,
            _ = stop.changed() => break,
        }
        if pushed.missing > 0 {
            return Err(format!("{} messages are missing among {}", pushed.missing, pushed.count));
        }
    }
    Ok((pushed.count, pushed.stream))
}

/// A connection on which numbered messages come.
pub(super) struct Pushed {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    /// The number of the next one, if nothing is missing.
    pub(super) next: Option<u64>,
    pub(super) count: usize,
    pub(super) missing: u64,
}

impl Pushed {
    pub(super) fn new(client: Client) -> Self {
        let (stream, mut buffer) = client.into_parts();
        let filled = buffer.len();
        buffer.resize(64 * 1024, 0);
        Self { stream, buffer, filled, next: None, count: 0, missing: 0 }
    }

    /// Reads once, and looks at what is whole.
    pub(super) async fn read(&mut self) -> Result<()> {
        let room = self.buffer.get_mut(self.filled..).ok_or("a full buffer")?;
        self.filled += match self.stream.read(room).await {
            Ok(0) => return Err(format!("the connection ended after {} messages", self.count)),
            Ok(read) => read,
            Err(error) => return Err(format!("read after {} messages: {error}", self.count)),
        };
        let whole = self.filled - self.filled % (HEADER.len() + PUSHED);
        for frame in self.buffer[..whole].chunks(HEADER.len() + PUSHED) {
            let number = frame.strip_prefix(&HEADER).and_then(|payload| payload.first_chunk());
            let number = u64::from_be_bytes(*number.ok_or("not the frame that is pushed")?);
            let next = self.next.unwrap_or(number);
            let missing = number.checked_sub(next).ok_or_else(|| format!("message {number} came after {next}"))?;
            (self.next, self.missing) = (Some(number + 1), self.missing + missing);
            self.count += 1;
        }
        self.buffer.copy_within(whole..self.filled, 0);
        self.filled -= whole;
        Ok(())
    }
}

/// What the target counts.
pub(crate) struct Counters(String);

impl Counters {
    pub(crate) async fn read(server: SocketAddr) -> Result<Self> {
        client::in_time("the counters", async {
            let failed = |error| format!("the counters: {error}");
            let mut stream = TcpStream::connect(server).await.map_err(failed)?;
            let request = format!("GET /counters HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.map_err(failed)?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await.map_err(failed)?;
            Ok(Self(text))
        })
        .await
    }

    pub(crate) fn get(&self, name: &str) -> Result<u64> {
        let rest = self.0.split_once(&format!(" {name}: ")).map(|(_, rest)| rest);
        let number = rest.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
        number.ok_or_else(|| format!("no {name} in {}", self.0))
    }
}

/// Peers that ask for much and take nothing of it: the mark of each and that of all bound what they cost.
fn stalled_readers(bench: &Bench) -> Result<String, Trouble> {
    let server = Server::rikki(bench, &["--log", "warn", "--compression", "off"])?;
    let clients = bench.pick(1000, 300);
    let before = server.memory()?;
    // More than the kernel takes and the mark together.
    let (flood, stop) = flood(bench, server.address, clients)?;
    let most = peak(&server, Duration::from_secs(bench.pick(10, 3)))?;
    stop.send_replace(true);
    let sent: usize = bench.runtime.block_on(flood.join_all()).into_iter().sum::<Result<usize>>()?;
    if most > MOST_MEMORY {
        return Err(format!("{} MiB for {clients} clients", most >> 20).into());
    }
    let sent = sent >> 20;
    Ok(format!("{} MiB resident (before: {}) with {clients} clients that sent {sent} MiB", most >> 20, before >> 20))
}

/// Peers that send as fast as they can and never read, beside one that does both.
fn never_reading(bench: &Bench) -> Result<String, Trouble> {
    let server = Server::rikki(bench, &["--log", "warn", "--compression", "off"])?;
    let alone = Good::watch(server.address, Duration::from_secs(2))?;
    alone.check()?;
    let clients = bench.pick(200, 50);
    let (flood, stop) = flood(bench, server.address, clients)?;
    let good = Good::start(server.address);
    let most = peak(&server, Duration::from_secs(bench.pick(10, 3)))?;
    let beside = good.stop()?;
    stop.send_replace(true);
    bench.runtime.block_on(flood.join_all()).into_iter().sum::<Result<usize>>()?;
    beside.check()?;
    // On a machine that is busy with other things, not even a client alone keeps to it.
    let limit = attack::unnoticed(bench).max(alone.percentile(99) * 2);
    if most > MOST_MEMORY || beside.percentile(99) > limit {
        return Err(format!("{} MiB; a good client: {beside}; alone: {alone}", most >> 20).into());
    }
    Ok(format!("{} MiB resident with {clients} clients; a good client: {beside}; alone: {alone}", most >> 20))
}

/// The most memory that it has while so much time passes.
fn peak(server: &Server, time: Duration) -> Result<u64> {
    let mut most = 0;
    within(time, || {
        most = most.max(server.memory()?);
        Ok(false)
    })?;
    Ok(most)
}

/// Clients that send messages to be echoed for as long as the server takes them, and read nothing until they are told
/// to stop. Their tasks give how much they have sent.
fn flood(bench: &Bench, server: SocketAddr, clients: usize) -> Result<(JoinSet<Result<usize>>, watch::Sender<bool>)> {
    let (stop, stopping) = watch::channel(false);
    let message = client::frame(BINARY, &vec![b'x'; 16 * 1024]);
    let mut tasks = JoinSet::new();
    bench.runtime.block_on(async {
        for _ in 0..clients {
            let mut client = Client::connect_with(small_socket()?, server, ECHO).await?;
            let (message, mut stopping) = (message.clone(), stopping.clone());
            tasks.spawn(async move {
                let mut sent = 0;
                loop {
                    tokio::select! {
                        written = client.stream.write_all(&message) => written.map_err(|error| format!("write: {error}"))?,
                        _ = stopping.changed() => return Ok(sent),
                    }
                    sent += message.len();
                }
            });
        }
        Ok::<_, String>(())
    })?;
    Ok((tasks, stop))
}
