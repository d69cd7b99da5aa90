//! How a server ends. Who tells whom what, from top to bottom as it happens:
//!
//! ```text
//!  handle                  acceptor                  each worker               its connections
//!  ------                  --------                  -----------               ---------------
//!  shutdown, or the
//!  last clone is gone
//!    |---- Draining ----------->|------------------------>|------------------------->| HTTP: the last answers, GOAWAY;
//!    |                          | lets in who has come,   | accepts the same way,    | silent handshakes: 1 s
//!    |                          | closes its sockets      | if it is alone           |
//!    |                          |---- the queue ends ---->| takes what waits in it   |
//!    |                          |                         |---- Clock::drain ------->| WebSockets: 1001, each in its
//!    |                          |                         |                          | turn over the window
//!    |                          |                         |<--- Alive, dropped ------| the last one is gone,
//!    |                          |                         |                          | or drain_timeout has passed
//!    |                          |<--- drained ------------| and keeps its runtime
//!    |<--- over ----------------| all have, or did not
//!    |                          | in GRACE more: stuck
//!    |---- release ------------------------------------->| drops its runtime, and what is left on it
//!    |<--- thread joined --------------------------------|
//! ```
//!
//! `Draining` is HTTP's (`http::draining`), `Clock::drain` that of the WebSockets' clock, the end of the queue is
//! `queue::Command::Drain`. The rest is here: tokens that are given once and stay given, and are given too when whoever
//! had to give them is gone.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::door::Door;
use crate::counters::Counters;
use crate::http::Begin;
use crate::live::{Live, Monitor, Stage};
use crate::ws::CloseCode;
use crate::ws::internal::Clock;

/// How much longer than its connections a worker may take to drain; one that does is stuck in a callback.
const GRACE: Duration = Duration::from_millis(500);

/// How a drain goes, as the server was told last.
#[derive(Clone, Debug)]
pub(super) struct Plans(Arc<(Mutex<Plan>, OnceLock<Plan>)>);

impl Plans {
    pub(super) fn new(plan: Plan) -> Self {
        Self(Arc::new((Mutex::new(plan), OnceLock::new())))
    }

    /// For a drain that has not begun.
    pub(super) fn set(&self, plan: Plan) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    /// What it would be.
    pub(super) fn now(&self) -> Plan {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From the first who asks on it stays what it is.
    fn get(&self) -> Plan {
        *self.0.1.get_or_init(|| self.now())
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Whether nothing is logged of it.
    pub(super) is_quiet: bool,
    /// What WebSockets are closed with.
    pub(super) code: CloseCode,
    /// Over what they are.
    pub(super) window: Duration,
    /// After what the rest is cut.
    pub(super) timeout: Duration,
}

/// The handle's end: lets a drain begin and waits for it.
#[derive(Debug)]
pub(super) struct Stop {
    live: Arc<Live>,
    begin: Begin,
    over: CancellationToken,
    release: DropGuard,
    workers: Mutex<Vec<Thread>>,
    /// Given when whoever came first has joined them.
    joined: CancellationToken,
}

/// A worker's thread, held until its runtime is gone.
#[derive(Debug)]
pub(super) struct Thread {
    pub(super) drained: CancellationToken,
    pub(super) handle: JoinHandle<()>,
}

impl Stop {
    /// Of a server that serves from now on.
    pub(super) fn new(
        live: Arc<Live>,
        begin: Begin,
        over: CancellationToken,
        release: DropGuard,
        workers: Vec<Thread>,
    ) -> Self {
        live.reach(Stage::Serving);
        let (workers, joined) = (Mutex::new(workers), CancellationToken::new());
        Self { live, begin, over, release, workers, joined }
    }

    pub(super) fn begin(&self) {
        self.live.reach(Stage::Draining);
        self.begin.now();
    }

    /// Begins, and waits for the end; on a thread of the server, where it would wait for itself, it does not wait.
    pub(super) async fn shutdown(&self) {
        self.begin();
        if self.is_own_thread() {
            return;
        }
        self.over.cancelled().await;
        self.release.token().cancel();
        let workers = std::mem::take(&mut *self.workers());
        if workers.is_empty() {
            return self.joined.cancelled().await;
        }
        // Without an `await`, so that it is not given up half-way.
        for Thread { drained, handle } in workers {
            // One that is stuck in a callback is left behind; the others end at once.
            if drained.is_cancelled() {
                let _ = handle.join();
            }
        }
        self.joined.cancel();
    }

    fn is_own_thread(&self) -> bool {
        let current = thread::current().id();
        self.workers().iter().any(|worker| worker.handle.thread().id() == current)
    }

    fn workers(&self) -> MutexGuard<'_, Vec<Thread>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stop {
    /// It drains with nobody waiting, unless it has.
    fn drop(&mut self) {
        self.live.reach(Stage::Draining);
    }
}

/// The acceptor's end: sees the workers drain, and tells how far they are.
pub(super) struct Watch {
    pub(super) plans: Plans,
    pub(super) workers: Vec<CancellationToken>,
    pub(super) monitor: Monitor,
}

impl Watch {
    /// Says that a drain has begun, before anything can have ended, and by when it is over.
    pub(super) fn begin(&self) -> Instant {
        let Plan { timeout: longest, is_quiet, .. } = self.plans.get();
        if !is_quiet {
            let Counters { connections, websockets, .. } = self.monitor.counters();
            tracing::info!(target: "rikki::server", connections, websockets, ?longest, "draining");
        }
        Instant::now() + longest + GRACE
    }

    /// Waits until all workers have drained, or `deadline` has come.
    pub(super) async fn finish(self, deadline: Instant) {
        let all = async {
            for drained in &self.workers {
                let _ = timeout_at(deadline, drained.cancelled()).await;
            }
        };
        tokio::select! {
            () = all => {}
            never = self.log_progress() => match never {},
        }
    }

    /// Tells once a second what a drain still waits for.
    async fn log_progress(&self) -> Infallible {
        loop {
            sleep(Duration::from_secs(1)).await;
            if self.plans.get().is_quiet {
                continue;
            }
            let Counters { connections, websockets, .. } = self.monitor.counters();
            let note = "a second signal does not wait";
            tracing::info!(target: "rikki::server", connections, websockets, note, "still draining");
        }
    }
}

/// What each connection holds, and the door that lets them in: a drain waits for the last clone.
///
/// A channel on which nothing is sent. tokio-util's `TaskTracker` is the same, and would bring futures-macro into the
/// tree.
#[derive(Clone, Debug)]
pub(super) struct Alive {
    _held: mpsc::Sender<Infallible>,
}

/// A worker's end: closes what it has.
pub(super) struct Finish {
    plans: Plans,
    all_gone: mpsc::Receiver<Infallible>,
    /// Given when all are gone, or cut.
    drained: DropGuard,
    /// The runtime is kept until then: connections of other workers may use what lives on it.
    release: CancellationToken,
}

impl Finish {
    pub(super) fn new(plans: Plans, release: CancellationToken) -> (Self, Alive, CancellationToken) {
        let (alive, all_gone) = mpsc::channel(1);
        let drained = CancellationToken::new();
        let finish = Self { plans, all_gone, drained: drained.clone().drop_guard(), release };
        (finish, Alive { _held: alive }, drained)
    }

    /// Closes the connections, of which no more come from other threads, and waits until the runtime may go.
    pub(super) async fn run(self, clock: &Clock, mut accepting: JoinSet<()>, door: Arc<Door>) {
        let Self { plans, mut all_gone, drained, release } = self;
        let plan = plans.get();
        let gone = async {
            while accepting.join_next().await.is_some() {}
            drop(door);
            all_gone.recv().await
        };
        let closed = async { tokio::join!(clock.drain(plan.code, plan.window.min(plan.timeout / 2)), gone) };
        if timeout(plan.timeout, closed).await.is_err() && !plan.is_quiet {
            tracing::warn!(target: "rikki::server", "drain deadline passed: the connections that are left are cut");
        }
        drop(drained);
        release.cancelled().await;
    }
}
