//! How far the workers are behind: how late a timer is that rings ten times a second on each, as long as somebody looks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// How often a worker says that it is there.
const EVERY: Duration = Duration::from_millis(100);

/// After what silence one is held up.
const STALLED: Duration = Duration::from_millis(500);

/// For how long the longest lag is told, or up to twice as long.
const WINDOW: Duration = Duration::from_secs(10);

/// The lags that are told apart: up to these, in milliseconds, and above. A timer of the runtime is up to one late by
/// itself.
pub(crate) const BOUNDS: [u64; 9] = [1, 2, 5, 10, 25, 50, 100, 250, 1000];

/// Those of a server.
#[derive(Debug, Default)]
pub(crate) struct Pulses {
    all: Mutex<Vec<Arc<Pulse>>>,
    /// Given when somebody looks.
    watched: CancellationToken,
}

/// That of one worker.
#[derive(Debug)]
pub(crate) struct Pulse {
    worker: usize,
    watched: CancellationToken,
    made: Instant,
    /// In microseconds since it was made; 0 before the first.
    beat_at: AtomicU64,
    /// In microseconds, as all that follow.
    lag: AtomicU64,
    /// The longest one of this window, and of the one before.
    longest: [AtomicU64; 2],
    /// Since when this window is.
    window: AtomicU64,
    sum: AtomicU64,
    counts: [AtomicU64; BOUNDS.len() + 1],
}

/// What is read of one.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) worker: usize,
    pub(crate) lag: Duration,
    pub(crate) lag_max: Duration,
    /// Since when nothing was heard of it.
    pub(crate) since: Duration,
    pub(crate) sum: Duration,
    /// How many lags there were up to each bound, and above.
    pub(crate) counts: [u64; BOUNDS.len() + 1],
}

impl Reading {
    /// Whether something holds it up.
    pub(crate) fn is_stalled(&self) -> bool {
        self.since > STALLED
    }
}

impl Pulses {
    /// Begins to look.
    pub(crate) fn watch(&self) {
        self.watched.cancel();
    }

    /// That of one worker more.
    pub(crate) fn add(&self, worker: usize) -> Arc<Pulse> {
        let (beat_at, lag, longest, window, sum, counts) = Default::default();
        let (watched, made) = (self.watched.clone(), Instant::now());
        let pulse = Arc::new(Pulse { worker, watched, made, beat_at, lag, longest, window, sum, counts });
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(pulse.clone());
        pulse
    }

    /// Those that have begun.
    pub(crate) fn read(&self) -> Vec<Reading> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(|pulse| pulse.read()).collect()
    }
}

impl Pulse {
    /// Beats for as long as the runtime lasts.
    pub(crate) async fn beat(self: Arc<Self>) {
        self.watched.cancelled().await;
        loop {
            let due = Instant::now() + EVERY;
            tokio::time::sleep(EVERY).await;
            self.note(due.elapsed());
        }
    }

    fn note(&self, late: Duration) {
        let (lag, now) = (micros(late), micros(self.made.elapsed()).max(1));
        self.beat_at.store(now, Relaxed);
        self.lag.store(lag, Relaxed);
        let [longest, before] = &self.longest;
        if now.saturating_sub(self.window.load(Relaxed)) >= micros(WINDOW) {
            self.window.store(now, Relaxed);
            before.store(longest.swap(0, Relaxed), Relaxed);
        }
        longest.fetch_max(lag, Relaxed);
        self.sum.fetch_add(lag, Relaxed);
        let bucket = BOUNDS.iter().position(|bound| lag <= bound * 1000).unwrap_or(BOUNDS.len());
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Relaxed);
        }
    }

    fn read(&self) -> Option<Reading> {
        let beat_at = Some(self.beat_at.load(Relaxed)).filter(|beat_at| *beat_at > 0)?;
        let longest = self.longest.iter().map(|longest| longest.load(Relaxed)).max();
        Some(Reading {
            worker: self.worker,
            lag: Duration::from_micros(self.lag.load(Relaxed)),
            lag_max: Duration::from_micros(longest.unwrap_or_default()),
            since: self.made.elapsed().saturating_sub(Duration::from_micros(beat_at)),
            sum: Duration::from_micros(self.sum.load(Relaxed)),
            counts: self.counts.each_ref().map(|count| count.load(Relaxed)),
        })
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lags_are_counted_by_their_bounds() {
        let pulses = Pulses::default();
        let pulse = pulses.add(3);
        assert!(pulses.read().is_empty(), "nothing was heard of it yet");
        for ms in [1, 2, 250, 5000, 3] {
            pulse.note(Duration::from_millis(ms));
        }
        let reading = pulses.read().remove(0);
        assert_eq!((reading.worker, reading.counts), (3, [1, 1, 1, 0, 0, 0, 0, 1, 0, 1]));
        assert_eq!((reading.lag, reading.lag_max), (Duration::from_millis(3), Duration::from_secs(5)));
        assert_eq!(reading.sum, Duration::from_millis(5256));
        assert!(!reading.is_stalled());
    }
}
