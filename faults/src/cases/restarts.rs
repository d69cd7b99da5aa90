//! A service that is restarted again and again under load, on a socket that its manager keeps: nobody is refused.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::signals::GRACE;
use crate::Result;
use crate::case::{Bench, Case, Trouble};
use crate::client::{CLOSE, Client, ECHO, LIMIT, TEXT, in_time};
use crate::server::Server;

pub(crate) const CASES: &[Case] = &[Case { name: "restarts", run: restarts }];

/// What systemd asks for, as far as the system lets it.
const BACKLOG: i32 = 4096;

const ASKING: usize = 20;
const TALKING: usize = 20;

#[derive(Default)]
struct Counts {
    over: AtomicBool,
    answered: AtomicUsize,
    /// Connections that ended before the answer, as those do that were idle when a drain began.
    unanswered: AtomicUsize,
    opened: AtomicUsize,
}

/// The manager of the service: it keeps the socket, and is told what the server does.
struct Manager<'a> {
    bench: &'a Bench,
    socket: TcpListener,
    notified: UnixDatagram,
}

impl<'a> Manager<'a> {
    fn new(bench: &'a Bench) -> Result<Self> {
        let failed = |error: std::io::Error| error.to_string();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).map_err(failed)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).map_err(failed)?;
        socket.listen(BACKLOG).map_err(failed)?;
        let notified = UnixDatagram::bind(Self::named(bench)).map_err(failed)?;
        notified.set_read_timeout(Some(LIMIT)).map_err(failed)?;
        Ok(Self { bench, socket: socket.into(), notified })
    }

    fn named(bench: &Bench) -> PathBuf {
        bench.scratch.join("notify")
    }

    /// Starts the server, and waits until it says that it is ready.
    fn start(&self) -> Result<Server> {
        let failed = |error: std::io::Error| error.to_string();
        let log = self.bench.scratch.join("log-restarts");
        let mut command = Command::new("sh");
        command.arg("-c").arg("exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec \"$0\" \"$@\"");
        let flags = ["--listen", "fd:web", "--log", "warn", "--drain-window", "0s"];
        command.arg(&self.bench.rikki).arg(self.bench.root()).args(flags);
        let stdin = self.socket.try_clone().map_err(failed)?;
        command.env("NOTIFY_SOCKET", Self::named(self.bench)).stdin(OwnedFd::from(stdin));
        command.stderr(File::create(&log).map_err(failed)?);
        let server = Server::spawn_as(command, log)?;
        until(&self.notified, "READY=1")?;
        Ok(server)
    }
}

fn restarts(bench: &Bench) -> Result<String, Trouble> {
    let manager = Manager::new(bench)?;
    let address = manager.socket.local_addr().map_err(|error| error.to_string())?;
    let mut server = manager.start()?;
    let counts = Arc::<Counts>::default();
    let asking = (0..ASKING).map(|_| bench.runtime.spawn(ask(address, counts.clone())));
    let talking = (0..TALKING).map(|_| bench.runtime.spawn(talk(address, counts.clone())));
    let mut load = asking.collect::<Vec<_>>();
    load.extend(talking);
    let (rounds, mut longest) = (bench.pick(50, 8), Duration::ZERO);
    for round in 0..rounds {
        // Not before somebody was answered by this one.
        let before = counts.answered.load(Relaxed);
        let deadline = Instant::now() + LIMIT;
        while counts.answered.load(Relaxed) < before + ASKING && !load.iter().any(|client| client.is_finished()) {
            if Instant::now() > deadline {
                return Err(format!("round {round}: nobody is answered; {}", server.log_text()).into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let began = Instant::now();
        server.signal(Signal::TERM)?;
        let status = server.wait(GRACE)?;
        if !status.success() {
            return Err(format!("round {round}: {status}; {}", server.log_text()).into());
        }
        server = manager.start()?;
        longest = longest.max(began.elapsed());
    }
    counts.over.store(true, Relaxed);
    let ended = bench.runtime.block_on(async {
        for client in load {
            client.await.map_err(|error| error.to_string())??;
        }
        Ok::<_, String>(())
    });
    ended?;
    let [answered, unanswered, opened] =
        [&counts.answered, &counts.unanswered, &counts.opened].map(|count| count.load(Relaxed));
    Ok(format!(
        "{rounds} restarts, the longest in {longest:.1?}: of {} connects 0 refused; {answered} requests answered, \
         {unanswered} cut as a drain began, {opened} WebSockets opened",
        answered + unanswered + opened
    ))
}

/// Waits until the manager is told this.
fn until(manager: &UnixDatagram, what: &str) -> Result<()> {
    let mut message = [0; 4096];
    loop {
        let length = manager.recv(&mut message).map_err(|error| format!("{what} was not told: {error}"))?;
        let told = message.get(..length).unwrap_or_default();
        if told.split(|byte| *byte == b'\n').any(|line| line == what.as_bytes()) {
            return Ok(());
        }
    }
}

/// One request on a connection after the other. To be refused is an error, and so is half an answer.
async fn ask(address: SocketAddr, counts: Arc<Counts>) -> Result<()> {
    while !counts.over.load(Relaxed) {
        let connect = async { TcpStream::connect(address).await.map_err(|error| format!("connect: {error}")) };
        let mut stream = in_time("a connection", connect).await?;
        let request = format!("GET /small HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let mut answer = Vec::new();
        let exchange = async {
            // It may have been cut.
            let _ = stream.write_all(request.as_bytes()).await;
            let _ = stream.read_to_end(&mut answer).await;
            Ok(())
        };
        in_time("an answer", exchange).await?;
        match () {
            () if answer.is_empty() => counts.unanswered.fetch_add(1, Relaxed),
            () if answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"a small file\n") => {
                counts.answered.fetch_add(1, Relaxed)
            }
            () => return Err(format!("an answer: {:?}", String::from_utf8_lossy(&answer))),
        };
    }
    Ok(())
}

/// WebSockets that come back at once whenever they are closed.
async fn talk(address: SocketAddr, counts: Arc<Counts>) -> Result<()> {
    while !counts.over.load(Relaxed) {
        let mut client = match Client::connect(address, ECHO).await {
            Ok(client) => client,
            Err(error) if error.starts_with("connect: ") => return Err(error),
            Err(_) => {
                counts.unanswered.fetch_add(1, Relaxed);
                continue;
            }
        };
        counts.opened.fetch_add(1, Relaxed);
        while !counts.over.load(Relaxed) {
            let _ = client.send(TEXT, b"still there").await;
            match client.next().await {
                Ok(Some(frame)) if frame.opcode != CLOSE => tokio::time::sleep(Duration::from_millis(5)).await,
                Ok(Some(_)) => {
                    let _ = client.leave(1001).await;
                    break;
                }
                _ => break,
            }
        }
    }
    Ok(())
}
