//! What others notice of a flood: the mechanism. A flood says what it needs, who makes it and how strong it has to be;
//! a WebSocket and small requests are measured before it and beside it.

pub(crate) mod files;
pub(crate) mod frames;
mod measure;
pub(crate) mod messages;
pub(crate) mod secure;
mod stage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::Result;
use crate::attack::yielding;
use crate::case::{Bench, Trouble};
pub(crate) use measure::Measured;
pub(crate) use stage::{Need, Stage};

/// What others wait at most on two cores that do nothing else, for all but one in a hundred of what they ask for.
pub(crate) const PROMISE: Duration = Duration::from_millis(50);

/// How many of each kind are measured beside a flood at least.
const SAMPLES: usize = 1000;

/// How long a flood that has not its strength yet goes on.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the short form allows in place of 50 ms, beside what it takes without a flood: it runs where up to five people
/// build on the same two cores, and whoever has a turn among five waits for four others first.
const SHARED: u32 = 5;

/// How often a flood is measured until it holds nobody up: what else runs here can add to the figure, and take nothing
/// away.
const TRIES: usize = 3;

/// How long a client that was refused or cut waits until it comes again.
const AGAIN: Duration = Duration::from_millis(10);

/// Where the server listens.
#[derive(Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
}

/// Counts what a flood has done, in its unit.
#[derive(Clone, Default)]
pub(crate) struct Done(Arc<AtomicUsize>);

impl Done {
    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(more, Relaxed);
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// How strong a flood has to be.
#[derive(Clone, Copy)]
pub(crate) enum Strength {
    InAll(usize),
    ASecond(usize),
}

/// What a client of a flood does.
pub(crate) type Client = fn(Addresses, Done) -> BoxFuture<'static, Result<()>>;

/// A flood.
pub(crate) struct Flood {
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [Need],
    /// Who makes it at a time, in the long form and in the short one.
    pub(crate) clients: (usize, usize),
    /// What each of them does; again from the start when it has ended.
    pub(crate) client: Client,
    /// In the long form and in the short one.
    pub(crate) least: (Strength, Strength),
    pub(crate) unit: &'static str,
}

impl Flood {
    /// How much was done in this time, and an error if that is too little.
    fn judge(&self, bench: &Bench, done: usize, time: Duration) -> Result<String> {
        let clients = bench.pick(self.clients.0, self.clients.1);
        let (done, least, how) = match bench.pick(self.least.0, self.least.1) {
            Strength::InAll(least) => (done, least, ""),
            Strength::ASecond(least) => ((done as f64 / time.as_secs_f64()) as usize, least, " a second"),
        };
        let figures = format!("{clients} clients, {done} {}{how}", self.unit);
        if done < least { Err(format!("too weak a flood: {figures}, at least {least}")) } else { Ok(figures) }
    }
}

/// Floods at once.
pub(crate) struct Attack<'a> {
    pub(crate) floods: &'a [&'a Flood],
    /// How many clients each flood has at most.
    pub(crate) most: usize,
    pub(crate) time: Duration,
    /// Whether each flood has to have its strength, for which it may go on for longer; if not, one alone has to
    /// do something.
    pub(crate) strong: bool,
}

impl Attack<'_> {
    /// Gives what each flood has done, and in what time.
    async fn run(&self, bench: &Bench, to: Addresses) -> (Vec<usize>, Duration) {
        let started = Instant::now();
        let mut all = JoinSet::new();
        let done: Vec<Done> = self.floods.iter().map(|_| Done::default()).collect();
        for (flood, done) in self.floods.iter().zip(&done) {
            for _ in 0..bench.pick(flood.clients.0, flood.clients.1).min(self.most) {
                all.spawn(keep_on(flood.client, to, done.clone()));
            }
        }
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let elapsed = started.elapsed();
            let counts = || done.iter().map(Done::get);
            let is_enough = || {
                let mut each = self.floods.iter().zip(counts());
                each.all(|(flood, done)| self.judge(bench, flood, done, elapsed).is_ok())
            };
            if elapsed >= self.time && (elapsed >= PATIENCE || is_enough()) {
                let counts = counts().collect();
                all.shutdown().await;
                return (counts, elapsed);
            }
        }
    }

    fn judge(&self, bench: &Bench, flood: &Flood, done: usize, time: Duration) -> Result<String> {
        match done {
            _ if self.strong => flood.judge(bench, done, time),
            // Floods at once may be in each other's way.
            0 if self.floods.len() == 1 => Err(format!("no {}", flood.unit)),
            done => Ok(format!("{done} {}", flood.unit)),
        }
    }

    /// Makes it beside a WebSocket and small requests, which begin so long before it; gives the figures of each flood,
    /// and what others have seen before and beside it.
    pub(crate) fn beside(
        &self,
        bench: &Bench,
        to: Addresses,
        before: Duration,
    ) -> Result<(Vec<String>, Measured, Measured)> {
        let others = measure::Others::start(to.http);
        thread::sleep(before);
        let began = Instant::now();
        let attacked = yielding(|| {
            let runtime = Builder::new_current_thread().enable_all().build();
            Ok(runtime.map_err(|error| format!("a runtime: {error}"))?.block_on(self.run(bench, to)))
        });
        let ended = Instant::now();
        let (before, with) = others.stop(began, ended)?;
        let (done, took) = attacked?;
        let mut figures = Vec::new();
        for (flood, done) in self.floods.iter().zip(done) {
            figures.push(self.judge(bench, flood, done, took)?);
        }
        Ok((figures, before, with))
    }
}

/// What one client of a flood does, again and again.
async fn keep_on(client: Client, to: Addresses, done: Done) {
    loop {
        // The server may refuse or cut it: whether that makes the flood too weak is judged in the end.
        if client(to, done.clone()).await.is_err() {
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// The case of one flood: nobody fails, and nobody waits longer than is promised.
pub(crate) fn is_fair(bench: &Bench, flood: &Flood) -> Result<String, Trouble> {
    let times = bench.pick((2000, 10_000), (400, 2100));
    let (quiet, time) = (Duration::from_millis(times.0), Duration::from_millis(times.1));
    let attack = Attack { floods: &[flood], most: usize::MAX, time, strong: true };
    let stage = Stage::set(bench, flood.needs, &[])?;
    let mut tries = 1;
    loop {
        let (figures, before, with) = attack.beside(bench, stage.addresses, quiet)?;
        with.check(SAMPLES)?;
        let bound = bench.pick(PROMISE, PROMISE * SHARED + before.p99());
        let kept = if with.p99() < PROMISE { "kept" } else { "not kept here" };
        let figures = format!("{}; others: {with}, p99 before {:.1?}; 50 ms {kept}", figures.join("; "), before.p99());
        if with.p99() < bound {
            return Ok(figures);
        }
        if tries == TRIES {
            return Err(format!("others were held up, {tries} times in turn, bound {bound:.1?}: {figures}").into());
        }
        tries += 1;
    }
}
