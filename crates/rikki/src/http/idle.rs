//! Connections that wait for a request: how long each may, and which one goes when another needs its place.
//!
//! For HTTP/1 hyper has one deadline for both, the silence between two requests and the head of a request. It sets a
//! timer when it begins to wait for a head; ours tells the two apart by whether anything has been read since then.

#[cfg(feature = "tls")]
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use hyper::rt::{Sleep as HyperSleep, Timer};
use slab::Slab;
use tokio::time::{Instant, Sleep, sleep_until};

use super::sending::Sending;

/// How many of those that have waited longest are found at a time: looking at all of them takes longer with each.
const FOUND: usize = 256;

/// When nobody was found to be idle, nobody is looked for in this time.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// All connections of a server that may come to wait for a request.
#[derive(Debug)]
pub(crate) struct Idling {
    start: Instant,
    registry: Mutex<Registry>,
}

#[derive(Debug, Default)]
struct Registry {
    waits: Slab<Arc<Wait>>,
    /// Connections that had waited longest when they were looked for, the longest last, with the time since which they
    /// did.
    longest: Vec<(u64, usize)>,
    looked_in_vain: Option<Instant>,
}

impl Default for Idling {
    fn default() -> Self {
        Self { start: Instant::now(), registry: Mutex::default() }
    }
}

impl Idling {
    /// Tells the connection that has waited longest for a request to go. False if none waits.
    pub(crate) fn send_away(&self) -> bool {
        let mut registry = self.registry();
        let registry = &mut *registry;
        loop {
            while let Some((since, key)) = registry.longest.pop() {
                let wait = registry.waits.get(key);
                if wait.is_some_and(|wait| wait.idle_since.load(Relaxed) == since && wait.leave()) {
                    return true;
                }
            }
            if registry.looked_in_vain.is_some_and(|at| at.elapsed() < LOOK_AGAIN) {
                return false;
            }
            registry.look();
            if registry.longest.is_empty() {
                registry.looked_in_vain = Some(Instant::now());
                return false;
            }
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In microseconds, and never 0, which stands for one that does not wait.
    fn stamp(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_micros() as u64 + 1
    }
}

impl Registry {
    fn look(&mut self) {
        let idle = self.waits.iter().filter(|(_, wait)| !wait.leaves.load(Relaxed));
        let since = idle.map(|(key, wait)| (wait.idle_since.load(Relaxed), key));
        self.longest = since.filter(|(since, _)| *since != 0).collect();
        if self.longest.len() > FOUND {
            self.longest.select_nth_unstable(FOUND);
            self.longest.truncate(FOUND);
        }
        self.longest.sort_unstable_by(|one, other| other.cmp(one));
    }
}

/// What one connection waits for.
#[derive(Debug)]
struct Wait {
    idling: Arc<Idling>,
    keep_alive: Duration,
    head_timeout: Duration,
    /// Since when nothing of the next request has come; 0 while there is one, and before the first.
    idle_since: AtomicU64,
    leaves: AtomicBool,
    /// The answer under way has no end of its own.
    is_endless: AtomicBool,
    /// hyper has not read the head of the next request.
    awaits_head: AtomicBool,
    alarm: Mutex<Alarm>,
    /// What of the answers the system sends, in the place of bytes that are written.
    sending: Sending,
}

#[derive(Debug, Default)]
struct Alarm {
    /// Since when the request, or the rest of its head, is waited for.
    since: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Who waits for it.
    waker: Option<Waker>,
}

impl Wait {
    /// False if it does already.
    fn leave(&self) -> bool {
        if self.leaves.swap(true, Relaxed) {
            return false;
        }
        let waker = self.alarm().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    fn alarm(&self) -> MutexGuard<'_, Alarm> {
        self.alarm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) {
        self.awaits_head.store(true, Relaxed);
        let now = Instant::now();
        if self.alarm().since.replace(now).is_some() {
            self.idle_since.store(self.idling.stamp(now), Relaxed);
        }
    }

    /// Under the lock that it is told with.
    fn poll_leaves(&self, alarm: &mut Alarm, cx: &mut Context<'_>) -> Poll<()> {
        if !alarm.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            alarm.waker = Some(cx.waker().clone());
        }
        if self.leaves.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn poll_too_long(&self, cx: &mut Context<'_>) -> Poll<()> {
        let longest = if self.idle_since.load(Relaxed) == 0 { self.head_timeout } else { self.keep_alive };
        let mut alarm = self.alarm();
        let Some(since) = alarm.since else { return Poll::Pending };
        // hyper has looked for a request before.
        if self.poll_leaves(&mut alarm, cx).is_ready() {
            return Poll::Ready(());
        }
        let due = since + longest;
        let sleep = alarm.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
        // It is set anew when it rings, not with each request.
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
        while Instant::now() < due {
            ready!(sleep.as_mut().poll(cx));
            sleep.as_mut().reset(due);
        }
        Poll::Ready(())
    }
}

/// A connection's own end of this.
#[derive(Debug)]
pub(super) struct Waiting {
    wait: Arc<Wait>,
    /// In the registry, if it has a place that it could give to another.
    key: Option<usize>,
}

impl Waiting {
    pub(super) fn new(
        idling: &Arc<Idling>,
        has_place: bool,
        keep_alive: Duration,
        head_timeout: Duration,
        sending: Sending,
    ) -> Self {
        let wait = Arc::new(Wait {
            sending,
            idling: idling.clone(),
            keep_alive,
            head_timeout,
            idle_since: AtomicU64::new(0),
            leaves: AtomicBool::new(false),
            is_endless: AtomicBool::new(false),
            awaits_head: AtomicBool::new(false),
            alarm: Mutex::default(),
        });
        let key = has_place.then(|| idling.registry().waits.insert(wait.clone()));
        Self { wait, key }
    }

    /// What hyper is to tell the time by.
    pub(super) fn timer(&self) -> impl Timer + Send + Sync + 'static {
        HeadTimer(self.wait.clone())
    }

    /// What the stream of the connection has to be read through.
    pub(super) fn reading(&self) -> Reading {
        Reading(self.wait.clone())
    }

    /// What of its answers the system sends.
    pub(super) fn sending(&self) -> &Sending {
        &self.wait.sending
    }

    /// The answer that comes next goes on until the client does.
    pub(super) fn is_endless(&self, is_endless: bool) {
        self.wait.is_endless.store(is_endless, Relaxed);
    }

    /// Whether it waits for a request, where hyper's timer does not tell.
    #[cfg(feature = "tls")]
    pub(super) fn idles(&self, idles: bool) {
        let since = if idles { self.wait.idling.stamp(Instant::now()) } else { 0 };
        self.wait.idle_since.store(since, Relaxed);
    }

    /// Waits until it is told to give its place to another, where hyper's timer does not.
    #[cfg(feature = "tls")]
    pub(super) async fn must_leave(&self) {
        poll_fn(|cx| self.wait.poll_leaves(&mut self.wait.alarm(), cx)).await;
    }

    /// Whether it has been told to give its place to another.
    pub(super) fn leaves(&self) -> bool {
        self.wait.leaves.load(Relaxed)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.wait.idling.registry().waits.try_remove(key);
        }
    }
}

/// Tells when something is read.
#[derive(Debug)]
pub(super) struct Reading(Arc<Wait>);

impl Reading {
    /// What stands in the place of bytes that are written.
    pub(super) fn sending(&self) -> &Sending {
        &self.0.sending
    }

    /// Whether what is sent ends only with the client.
    pub(super) fn is_endless(&self) -> bool {
        self.0.is_endless.load(Relaxed)
    }

    /// Whether hyper waits for the head of a request, or could not read it.
    pub(super) fn awaits_head(&self) -> bool {
        self.0.awaits_head.load(Relaxed)
    }

    /// Something has come: if it was waited for, the rest of the head has its own time from now on.
    pub(super) fn read(&self) {
        let wait = &self.0;
        if wait.idle_since.load(Relaxed) != 0 {
            wait.idle_since.store(0, Relaxed);
            wait.alarm().since = Some(Instant::now());
        }
    }
}

/// hyper's deadline for the head of a request.
#[derive(Debug)]
struct HeadTimer(Arc<Wait>);

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn HyperSleep>> {
        self.sleep_until(self.now() + duration)
    }

    /// It begins to wait for a request.
    fn sleep_until(&self, _: std::time::Instant) -> Pin<Box<dyn HyperSleep>> {
        self.0.begin();
        Box::pin(HeadSleep(self.0.clone()))
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into_std()
    }
}

struct HeadSleep(Arc<Wait>);

impl Future for HeadSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_too_long(cx)
    }
}

impl HyperSleep for HeadSleep {}

/// The request is there: it may have been read with the one before.
impl Drop for HeadSleep {
    fn drop(&mut self) {
        self.0.idle_since.store(0, Relaxed);
        self.0.awaits_head.store(false, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(idling: &Arc<Idling>) -> Waiting {
        Waiting::new(idling, true, Duration::from_secs(75), Duration::from_secs(10), Sending::default())
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn silence_and_heads_have_times_of_their_own() {
        let waiting = waiting(&Arc::default());
        let (timer, reading) = (waiting.timer(), waiting.reading());
        let check = async |what: &str, read_after: Option<u64>, expected: u64| {
            let started = Instant::now();
            let mut sleep = timer.sleep_until(timer.now());
            if let Some(after) = read_after {
                assert!(tokio::time::timeout(Duration::from_secs(after), &mut sleep).await.is_err(), "{what}");
                reading.read();
                reading.read();
            }
            sleep.await;
            assert_eq!(started.elapsed().as_secs(), expected, "{what}");
        };
        check("the first head", None, 10).await;
        check("silence", None, 75).await;
        check("a head", Some(0), 10).await;
        check("a head after silence", Some(74), 84).await;
        check("silence again", None, 75).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_goes_first() {
        let idling = Arc::new(Idling::default());
        assert!(!idling.send_away(), "there is none");
        pass(1).await;
        let all: Vec<_> = (0..4).map(|_| waiting(&idling)).collect();
        let timers: Vec<_> = all.iter().map(|waiting| waiting.timer()).collect();
        let begin = |number: usize| timers[number].sleep_until(timers[number].now());
        let _first: Vec<_> = (0..4).map(begin).collect();
        assert!(!idling.send_away(), "a connection that has asked for nothing yet has its time for that");
        pass(1).await;
        let mut sleeps = Vec::new();
        for number in [2, 0, 3, 1] {
            sleeps.push(begin(number));
            pass(1).await;
        }
        let left = || all.iter().map(|waiting| u8::from(waiting.leaves())).collect::<Vec<_>>();
        assert!(idling.send_away());
        assert_eq!(left(), [0, 0, 1, 0]);
        // It asks for something in the meantime.
        all[0].reading().read();
        assert!(idling.send_away());
        assert_eq!(left(), [0, 0, 1, 1]);
        drop(sleeps.pop());
        assert!(!idling.send_away(), "its request is there");
        // It ends though its time has not come.
        let started = Instant::now();
        sleeps.remove(0).await;
        assert_eq!(started.elapsed(), Duration::ZERO);
        drop(all);
        assert!(idling.registry().waits.is_empty());
    }
}
