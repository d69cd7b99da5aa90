//! One thread of the server: a single-threaded runtime that serves its connections from the first byte to the last.

use std::io;
use std::sync::Arc;
use std::thread;

use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::accept::{self, Destination, Sockets};
use super::admission::Admission;
use super::door::{Arrival, Door};
use super::drain::{Finish, Plans, Thread};
use super::event_loop::EventLoop;
use super::queue::{Command, Queue};
use crate::http::Draining;
use crate::ws::internal::Clock;

/// Threads for blocking work, such as reading files, for each worker: as many as tokio has by default. Folders bound
/// what they take of them, each for itself, so that one whose disk hangs leaves the others theirs.
const BLOCKING_THREADS: usize = 512;

/// After how many tasks a runtime looks at its sockets and timers, if there are always more that can go on; tokio's own
/// number, 61, is for tasks that take less than these.
const EVENT_INTERVAL: u32 = 16;

/// What the workers of a server share, each with a clone.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) admission: Arc<Admission>,
    pub(super) draining: Draining,
    pub(super) release: CancellationToken,
    pub(super) plans: Plans,
}

/// Starts a worker, which accepts on `sockets` itself. It drains when its queue ends.
pub(super) fn start(index: usize, shared: Shared, queue: Arc<Queue<Arrival>>, sockets: Sockets) -> io::Result<Thread> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    let Shared { admission, draining, release, plans } = shared;
    #[cfg(feature = "admin")]
    let pulse = admission.live().pulses.add(index);
    let (finish, alive, drained) = Finish::new(plans, release);
    let door = Arc::new(Door::new(admission, alive));
    let accepting = accept::start(&runtime, sockets, Destination::Own(door.clone()), &draining)?;
    let work = Work { queue, accepting, door, finish };
    let event_loop = EventLoop::of(&runtime);
    let handle = thread::Builder::new().name(format!("rikki-{index}")).spawn(move || {
        #[cfg(feature = "files")]
        rikki_files::internal::share_checks();
        #[cfg(feature = "admin")]
        runtime.spawn(pulse.beat());
        runtime.block_on(work.run());
        // Without waiting for blocking work that may hang, such as a read from a dead disk.
        runtime.shutdown_background();
    })?;
    Ok(Thread { drained, event_loop, handle })
}

/// What a worker does until it has drained.
struct Work {
    /// From the acceptor.
    queue: Arc<Queue<Arrival>>,
    accepting: JoinSet<()>,
    door: Arc<Door>,
    finish: Finish,
}

impl Work {
    async fn run(self) {
        let Self { queue, accepting, door, finish } = self;
        let clock = Clock::current();
        while let Command::Connection(accepted) = queue.next().await {
            door.enter(accepted);
        }
        finish.run(&clock, accepting, door).await;
    }
}
