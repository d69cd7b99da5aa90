//! Others, in an open loop: what they send is sent when it is due, whatever became of what was sent before, and has
//! waited since it was due.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::Result;
use crate::client::{self, CLOSE, Client, ECHO, TEXT, in_time};
use crate::good::Figures;

/// How often each kind is sent: 500 times a second.
const EVERY: Duration = Duration::from_millis(2);

const REQUEST: &[u8] = b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n";
const FILE: &[u8] = b"a small file\n";

/// A WebSocket that echoes, and small requests, on a thread of their own.
pub(super) struct Others {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(Samples, Samples)>>,
}

/// When something was due, and how long it took from then.
type Samples = Vec<(Instant, Result<Duration>)>;

/// What they have seen in some time.
#[derive(Debug)]
pub(crate) struct Measured {
    echoes: Figures,
    gets: Figures,
}

impl Others {
    pub(super) fn start(server: SocketAddr) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| format!("a runtime: {error}"))?;
            runtime.block_on(async { tokio::try_join!(echo(server, &stopped), get(server, &stopped)) })
        });
        Self { stop, thread }
    }

    /// Ends them; gives what was due before a flood began, and what was due from then on until it ended.
    pub(super) fn stop(self, began: Instant, ended: Instant) -> Result<(Measured, Measured)> {
        self.stop.store(true, Relaxed);
        let (echoes, gets) = self.thread.join().map_err(|_| "the others panicked".to_owned())??;
        let part =
            |is_in: &dyn Fn(Instant) -> bool| Measured { echoes: figures(&echoes, is_in), gets: figures(&gets, is_in) };
        Ok((part(&|due| due < began), part(&|due| (began..ended).contains(&due))))
    }
}

fn figures(samples: &Samples, is_in: &dyn Fn(Instant) -> bool) -> Figures {
    let mut figures = Figures::default();
    for (_, sample) in samples.iter().filter(|(due, _)| is_in(*due)) {
        match sample {
            Ok(time) => figures.times.push(*time),
            Err(error) => figures.failures.push(error.clone()),
        }
    }
    figures.times.sort_unstable();
    figures
}

impl Measured {
    /// An error if anything has failed, or if it was not as often.
    pub(crate) fn check(&self, least: usize) -> Result<()> {
        for (figures, what) in [(&self.echoes, "echoes"), (&self.gets, "GETs")] {
            figures.check().map_err(|error| format!("{what}: {error}"))?;
            if figures.echoes() < least {
                return Err(format!("only {} {what} were measured, of {least}", figures.echoes()));
            }
        }
        Ok(())
    }

    /// That of the kind that took longer.
    pub(crate) fn p99(&self) -> Duration {
        self.echoes.percentile(99).max(self.gets.percentile(99))
    }
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (figures, what) in [(&self.echoes, "echo"), (&self.gets, ", GET")] {
            let (p50, p99) = (figures.percentile(50), figures.percentile(99));
            write!(f, "{what} p50 {p50:.1?} p99 {p99:.1?} of {}", figures.echoes())?;
        }
        Ok(())
    }
}

/// Echoes on one WebSocket.
async fn echo(server: SocketAddr, stop: &AtomicBool) -> Result<Samples> {
    let (mut stream, mut buffer) = Client::connect(server, ECHO).await?.into_parts();
    let (mut read, mut write) = stream.split();
    // Those on their way; no lock is held while anything waits.
    let sent = Mutex::new(VecDeque::new());
    let queue = || sent.lock().unwrap_or_else(PoisonError::into_inner);
    let writing = async {
        let mut due = Instant::now();
        while !stop.load(Relaxed) {
            tokio::time::sleep_until(due.into()).await;
            queue().push_back(due);
            write.write_all(&client::frame(TEXT, b"how do you do")).await.map_err(|error| format!("write: {error}"))?;
            due += EVERY;
        }
        write.write_all(&client::frame(CLOSE, &1000_u16.to_be_bytes())).await.map_err(|error| format!("write: {error}"))
    };
    let mut samples = Vec::new();
    let reading = async {
        while let Some(frame) = in_time("an echo", client::next_frame(&mut read, &mut buffer)).await? {
            if frame.opcode == TEXT {
                let due = queue().pop_front().ok_or("an echo of nothing")?;
                samples.push((due, Ok(due.elapsed())));
            } else if frame.opcode == CLOSE && frame.payload != 1000_u16.to_be_bytes() {
                return Err(format!("a Close: {:?}", frame.payload));
            }
        }
        Ok(())
    };
    let ended = tokio::try_join!(writing, reading).map(drop).and_then(|()| match queue().len() {
        0 => Ok(()),
        missing => Err(format!("{missing} echoes did not come")),
    });
    // It is seen with the first that is missing.
    if let Err(error) = ended {
        let due = queue().pop_front().unwrap_or_else(Instant::now);
        samples.push((due, Err(format!("the WebSocket: {error}"))));
    }
    Ok(samples)
}

/// Asks for a small file on a connection that is free, or on a new one.
async fn get(server: SocketAddr, stop: &AtomicBool) -> Result<Samples> {
    let free = Arc::<Mutex<Vec<TcpStream>>>::default();
    let mut all = JoinSet::new();
    let mut due = Instant::now();
    while !stop.load(Relaxed) {
        tokio::time::sleep_until(due.into()).await;
        let free = free.clone();
        all.spawn(async move {
            let answered = in_time("an answer", async {
                let kept = free.lock().unwrap_or_else(PoisonError::into_inner).pop();
                // One that was kept may be closed as it is used: https://www.rfc-editor.org/rfc/rfc9112#section-9.5
                let again = match kept {
                    Some(stream) => ask(stream).await?,
                    None => None,
                };
                let answer = match again {
                    Some(answer) => Some(answer),
                    None => {
                        let stream = TcpStream::connect(server).await.map_err(|error| format!("connect: {error}"))?;
                        stream.set_nodelay(true).map_err(|error| format!("nodelay: {error}"))?;
                        ask(stream).await?
                    }
                };
                let kept = answer.ok_or("a new connection was closed without an answer")?;
                free.lock().unwrap_or_else(PoisonError::into_inner).extend(kept);
                Ok(())
            });
            (due, answered.await.map(|()| due.elapsed()))
        });
        due += EVERY;
    }
    Ok(all.join_all().await)
}

/// One request; gives the connection if it goes on, and nothing if it has ended without an answer.
async fn ask(mut stream: TcpStream) -> Result<Option<Option<TcpStream>>> {
    if stream.write_all(REQUEST).await.is_err() {
        return Ok(None);
    }
    let mut answer = Vec::new();
    while !answer.ends_with(FILE) {
        match stream.read_buf(&mut answer).await {
            Ok(0) | Err(_) if answer.is_empty() => return Ok(None),
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return Err(format!("read: {error}")),
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    if !answer.starts_with("HTTP/1.1 200 ") {
        return Err(format!("not the file but {:?}", answer.lines().next()));
    }
    Ok(Some((!answer.contains("\r\nconnection: close\r\n")).then_some(stream)))
}
