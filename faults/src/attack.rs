//! An attack beside a good client: what it costs the server, and what it costs others.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::setpriority_process;
use tokio::runtime::Builder;

use crate::Result;
use crate::case::{Bench, Trouble};
use crate::good::Good;
use crate::server::Server;

/// What is served before anything is measured.
const WARM_UP: Duration = Duration::from_millis(500);

/// A good client whose echoes take no longer than this has not been held up: timers and schedulers of a machine that is
/// shared with the attack are not finer. The short form runs where tests share the machine with anything: it judges
/// what people would notice, and prints the figures for the rest.
pub(crate) fn unnoticed(bench: &Bench) -> Duration {
    bench.pick(Duration::from_millis(10), Duration::from_millis(250))
}

/// How often an attack is measured until it holds nobody up: what else runs here can add to the figure, and take
/// nothing away.
const TRIES: u32 = 3;

/// What an attack may leave behind when it is made for the first times, in bytes. The allocator has pages for each size
/// from then on and fills them again: where a buffer grows by doubling, blocks of 64 to 512 KiB are 960 KiB of that.
const KEPT: u64 = 3 << 20;

/// The "nice" value of whoever may wait for everybody else.
const LEAST: i32 = 19;

/// How long a flood goes on.
pub(crate) fn duration(bench: &Bench) -> Duration {
    bench.pick(Duration::from_secs(10), Duration::from_secs(2))
}

/// Makes `attack`, which judges what becomes of it, beside a good client, whose echoes may take twice the time that
/// they took before. Gives both figures.
pub(crate) fn beside(
    bench: &Bench,
    server: &Server,
    mut attack: impl FnMut() -> Result<String, Trouble>,
) -> Result<String, Trouble> {
    let mut tries = 1;
    loop {
        Good::watch(server.address, WARM_UP)?.check()?;
        let without = Good::watch(server.address, duration(bench))?;
        without.check()?;
        let good = Good::start(server.address);
        let attacked = attack();
        let with = good.stop()?;
        let figures = attacked?;
        with.check()?;
        let (usual, p99) = (without.percentile(99), with.percentile(99));
        let figures = format!("{figures}; others' p99 {usual:.1?} -> {p99:.1?}");
        if p99 <= unnoticed(bench).max(usual * 2) {
            return Ok(figures);
        }
        if tries == TRIES {
            return Err(format!("others were held up, {tries} times in turn: {figures}").into());
        }
        tries += 1;
    }
}

/// Repeats `attack`, which checks how the server ends it, as [`beside`] does; all of it may cost so many bytes of
/// `memory` beside what the first times have left behind.
pub(crate) fn flood(
    bench: &Bench,
    server: &Server,
    memory: u64,
    attack: impl AsyncFn() -> Result<()> + Sync,
) -> Result<String, Trouble> {
    let fresh = server.memory()?;
    yielding(|| repeat(duration(bench) / 2, &attack))?;
    let kept = server.memory()?.saturating_sub(fresh);
    if kept > KEPT {
        return Err(format!("the first times left {} KiB behind", kept / 1024).into());
    }
    beside(bench, server, || {
        let resident = server.memory()?;
        server.forget_peak()?;
        let rounds = yielding(|| repeat(duration(bench), &attack))?;
        let growth = server.peak_memory()?.saturating_sub(resident);
        let figures = format!("{rounds} times, memory +{} KiB, first +{} KiB", growth / 1024, kept / 1024);
        if growth > memory {
            return Err(format!("{figures}, more than {} KiB", memory / 1024).into());
        }
        Ok(figures)
    })
}

/// Makes an attack until the time is over; gives how often that was.
pub(crate) fn repeat(time: Duration, attack: &impl AsyncFn() -> Result<()>) -> Result<u32> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| format!("a runtime: {error}"))?;
    runtime.block_on(async {
        let started = Instant::now();
        let mut rounds = 0;
        while started.elapsed() < time {
            attack().await?;
            rounds += 1;
        }
        Ok(rounds)
    })
}

/// Runs `work` on a thread that has what others leave of the processors: an attack comes from other machines, and must
/// not take the good client's time, or the server's, by running here.
pub(crate) fn yielding<R: Send>(work: impl FnOnce() -> Result<R> + Send) -> Result<R> {
    thread::scope(|scope| {
        let there = scope.spawn(|| {
            setpriority_process(None, LEAST).map_err(|error| format!("setpriority: {error}"))?;
            work()
        });
        there.join().map_err(|_| "the attack panicked".to_owned())?
    })
}
