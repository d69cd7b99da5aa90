//! A well-behaved client beside an attack: how long its echoes take, and whether any fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::Result;
use crate::client::{Client, ECHO};

/// How often each connection echoes: 100 times a second in all.
const EVERY: Duration = Duration::from_millis(40);

/// How many echoes a connection serves before the next one is opened, so that it is seen whether new ones are let in.
const ECHOES: u32 = 25;

/// A client at work on a thread of its own, where the runtime of the attack does not hold it up.
pub(crate) struct Good {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Figures>,
}

/// What it has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// Round trips, sorted.
    pub(crate) times: Vec<Duration>,
    /// What went wrong.
    pub(crate) failures: Vec<String>,
}

impl Good {
    /// Its connections at a time.
    pub(crate) const CONNECTIONS: u32 = 4;

    pub(crate) fn start(server: SocketAddr) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        Self { stop, thread: thread::spawn(move || work(server, &stopped)) }
    }

    /// Ends it, and gives what it has seen.
    pub(crate) fn stop(self) -> Result<Figures> {
        self.stop.store(true, Relaxed);
        self.thread.join().map_err(|_| "the good client panicked".to_owned())
    }

    /// What it sees in so much time.
    pub(crate) fn watch(server: SocketAddr, time: Duration) -> Result<Figures> {
        let good = Self::start(server);
        thread::sleep(time);
        good.stop()
    }
}

impl Figures {
    /// The time that so many percent of the echoes have kept.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let at = (self.times.len() * percent / 100).min(self.times.len().saturating_sub(1));
        self.times.get(at).copied().unwrap_or_default()
    }

    pub(crate) fn echoes(&self) -> usize {
        self.times.len()
    }

    /// An error if there was a failure, or not a single echo.
    pub(crate) fn check(&self) -> Result<()> {
        match self.failures.first() {
            Some(first) => Err(format!("{} failures of a good client, the first: {first}", self.failures.len())),
            None if self.times.is_empty() => Err("the good client got no echo".to_owned()),
            None => Ok(()),
        }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (p50, p99) = (self.percentile(50), self.percentile(99));
        write!(f, "{} echoes, p50 {p50:.1?}, p99 {p99:.1?}, {} failed", self.echoes(), self.failures.len())
    }
}

fn work(server: SocketAddr, stop: &Arc<AtomicBool>) -> Figures {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else {
        return Figures { failures: vec!["no runtime for it".to_owned()], ..Figures::default() };
    };
    let mut all = runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for number in 0..Good::CONNECTIONS {
            tasks.spawn(echo_on(server, stop.clone(), number));
        }
        tasks.join_all().await.into_iter().fold(Figures::default(), |mut all, one| {
            all.times.extend(one.times);
            all.failures.extend(one.failures);
            all
        })
    });
    all.times.sort_unstable();
    all
}

/// Echoes at a steady pace, over a new connection from time to time.
async fn echo_on(server: SocketAddr, stop: Arc<AtomicBool>, number: u32) -> Figures {
    let mut figures = Figures::default();
    // Spread, so that they do not wait for each other.
    let mut due = Instant::now() + EVERY * number / Good::CONNECTIONS;
    while !stop.load(Relaxed) {
        let mut client = match Client::connect(server, ECHO).await {
            Ok(client) => client,
            Err(error) => {
                figures.failures.push(error);
                tokio::time::sleep(EVERY).await;
                continue;
            }
        };
        due = due.max(Instant::now());
        for _ in 0..ECHOES {
            // An echo that the one before it has held up is late by that too; a timer that is late is not the server's
            // fault.
            let started = if due > Instant::now() {
                tokio::time::sleep_until(due.into()).await;
                Instant::now()
            } else {
                due
            };
            due += EVERY;
            match client.echo("how do you do").await {
                Ok(()) => figures.times.push(started.elapsed()),
                Err(error) => {
                    figures.failures.push(error);
                    break;
                }
            }
            if stop.load(Relaxed) {
                break;
            }
        }
        if let Err(error) = client.leave(1000).await {
            figures.failures.push(error);
        }
    }
    figures
}
