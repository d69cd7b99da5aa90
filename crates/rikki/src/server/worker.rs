//! One thread of the server: a single-threaded runtime that serves its connections from the first byte to the last.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::accept::{self, Destination, Sockets};
use super::admission::{Admission, Place};
use super::queue::{Command, Queue};
#[cfg(feature = "tls")]
use crate::http::Handshakes;
use crate::http::{Connection, Phase, Serving};
use crate::net::{Detached, Peer, Stream};
use crate::ws::internal::{Clock, Tracker};
use crate::ws::{self, CloseCode};
use rikki_limits::Seldom;

/// Threads for blocking work, such as reading files, for each worker: as many as tokio has by default. Folders bound what
/// they take of them, each for itself, so that one whose disk hangs leaves the others theirs.
const BLOCKING_THREADS: usize = 512;

/// After how many tasks a runtime looks at its sockets and timers, if there are always more that can go on; tokio's own
/// number, 61, is for tasks that take less than these.
const EVENT_INTERVAL: u32 = 16;

/// How many connections without a place are told so at a time, by each worker, and for how long. Beyond them they are
/// cut, which costs nothing.
const REFUSALS: usize = 64;
const REFUSAL_TIME: Duration = Duration::from_secs(2);

/// A connection on its way from the acceptor to a worker.
pub(super) struct Accepted {
    pub(super) stream: Detached,
    pub(super) peer: Peer,
    pub(super) listener: Arc<Listener>,
}

/// What the workers of a server share, each with a clone.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) admission: Arc<Admission>,
    pub(super) phase: watch::Receiver<Phase>,
    /// Runtimes are kept until this is closed: the connections of one worker may use what lives on another.
    pub(super) release: watch::Receiver<()>,
    pub(super) drain: Drain,
}

/// How a server ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    pub(super) code: CloseCode,
    /// Over what WebSockets are closed.
    pub(super) window: Duration,
    /// After what the rest is cut.
    pub(super) timeout: Duration,
}

/// What the connections of a listener share.
pub(super) struct Listener {
    /// What answers the requests of those that are let in.
    pub(super) router: Router,
    pub(super) serving: Arc<Serving>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<tokio_rustls::TlsAcceptor>,
}

/// The acceptor's and the handle's end of a worker.
pub(super) struct Worker {
    pub(super) queue: Arc<Queue<Accepted>>,
    /// Yields when the worker has drained.
    pub(super) drained: oneshot::Receiver<()>,
    /// Held by the worker's thread until its runtime is gone.
    pub(super) thread: thread::JoinHandle<()>,
}

/// Starts a worker, which accepts on `sockets` itself. It drains when its queue says so.
pub(super) fn start(index: usize, shared: Shared, sockets: Sockets) -> io::Result<Worker> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    let queue = Arc::<Queue<Accepted>>::default();
    let (done, drained) = oneshot::channel();
    let (alive, all_gone) = mpsc::channel(1);
    let Shared { admission, phase, release, drain } = shared;
    let door = Arc::new(Door { admission, local: Local::default(), alive });
    let accepting = accept::start(&runtime, sockets, Destination::Own(door.clone()), &phase)?;
    let work = Work { commands: queue.clone(), accepting, door, all_gone, drain };
    let thread = thread::Builder::new().name(format!("rikki-{index}")).spawn(move || {
        runtime.block_on(work.run(done, release));
        // Without waiting for blocking work that may hang, such as a read from a dead disk.
        runtime.shutdown_background();
    })?;
    Ok(Worker { queue, drained, thread })
}

/// What a worker does until it has drained.
struct Work {
    /// From the acceptor.
    commands: Arc<Queue<Accepted>>,
    accepting: JoinSet<()>,
    door: Arc<Door>,
    /// Ends when the door and all connections are gone.
    all_gone: mpsc::Receiver<Infallible>,
    drain: Drain,
}

impl Work {
    async fn run(self, done: oneshot::Sender<()>, mut release: watch::Receiver<()>) {
        let Self { commands, mut accepting, door, mut all_gone, drain } = self;
        let clock = Clock::current();
        while let Command::Connection(accepted) = commands.next().await {
            door.enter(accepted);
        }
        let rest = async {
            while accepting.join_next().await.is_some() {}
            drop(door);
            all_gone.recv().await
        };
        let drained = async { tokio::join!(clock.drain(drain.code, drain.window.min(drain.timeout / 2)), rest) };
        if timeout(drain.timeout, drained).await.is_err() {
            tracing::warn!(target: "rikki::server", "drain deadline passed: the connections that are left are cut");
        }
        let _ = done.send(());
        let _ = release.changed().await;
    }
}

/// What the connections of one worker share.
struct Local {
    refusals: Arc<Semaphore>,
    #[cfg(feature = "tls")]
    handshakes: Handshakes,
}

impl Default for Local {
    fn default() -> Self {
        Self {
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            #[cfg(feature = "tls")]
            handshakes: Handshakes::default(),
        }
    }
}

/// Where connections enter a worker.
pub(super) struct Door {
    admission: Arc<Admission>,
    local: Local,
    /// Each connection holds a clone; the drain waits for the last.
    alive: mpsc::Sender<Infallible>,
}

impl Door {
    /// Lets in what another thread has accepted.
    pub(super) fn enter(&self, accepted: Accepted) {
        let Accepted { stream, peer, listener } = accepted;
        match stream.attach() {
            Ok(stream) => self.admit(stream, peer, &listener),
            Err(error) => log_dropped(peer, &error),
        }
    }

    /// Serves a connection, or tells it that there is no place for it.
    pub(super) fn admit(&self, stream: Stream, peer: Peer, listener: &Listener) {
        match self.admission.admit(peer, || listener.serving.send_idle_away()) {
            Ok(place) => {
                let tracker = Tracker::new(Held { _drain: self.alive.clone(), _place: Some(place) });
                let connection =
                    Connection::new(listener.serving.clone(), listener.router.clone(), peer, tracker, true);
                tokio::spawn(listener.serve(&self.local, connection, stream));
            }
            Err(excess) => {
                tracing::debug!(target: "rikki::server", %peer, "connection refused: {excess:?}");
                let Ok(refusal) = self.local.refusals.clone().try_acquire_owned() else { return };
                let tracker = Tracker::new(Held { _drain: self.alive.clone(), _place: None });
                let connection = Connection::new(listener.serving.clone(), excess.router(), peer, tracker, false);
                let answer = timeout(REFUSAL_TIME, listener.serve(&self.local, connection, stream));
                tokio::spawn(async move {
                    // Whether the client has listened makes no difference.
                    let _ = answer.await;
                    drop(refusal);
                });
            }
        }
    }
}

/// What goes when a connection does, whatever has become of it.
#[derive(Debug)]
struct Held {
    /// A draining server waits for the last of these.
    _drain: mpsc::Sender<Infallible>,
    /// Its place among the connections that the server takes, if it has one.
    _place: Option<Place>,
}

impl ws::internal::Held for Held {}

pub(super) fn log_dropped(peer: Peer, error: &io::Error) {
    static LINES: Seldom = Seldom::new();
    if let Some(left_out) = LINES.turn(()) {
        tracing::warn!(target: "rikki::server", %peer, left_out, "connection dropped: {error}");
    }
}

impl Listener {
    /// Boxed, since spawning and ending a task copy its future several times; and apart, since a plain connection would
    /// have six times its size otherwise, for as long as it lasts.
    #[cfg_attr(not(feature = "tls"), expect(unused_variables, reason = "without TLS there are no handshakes"))]
    fn serve(&self, local: &Local, connection: Connection, stream: Stream) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        #[cfg(feature = "tls")]
        let stream = match &self.tls {
            None => stream,
            // Nobody stands between the two ends of a Unix socket.
            Some(tls) => match stream.into_tcp() {
                Ok(tcp) => return Box::pin(connection.serve_tls(tls.clone(), local.handshakes.clone(), tcp)),
                Err(stream) => stream,
            },
        };
        Box::pin(connection.serve_http1(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In bytes; a connection that has not been upgraded owns this from its first moment.
    #[tokio::test]
    async fn a_plain_connection_has_no_room_for_tls() {
        let (_server, phase) = watch::channel(Phase::Serving);
        let serving = Arc::new(Serving::new(Default::default(), Default::default(), Default::default(), phase));
        let listener = Listener {
            router: Router::new(),
            serving: serving.clone(),
            #[cfg(feature = "tls")]
            tls: None,
        };
        let socket = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let stream = tokio::net::TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
        let connection = Connection::new(serving, Router::new(), Peer::Unix, Tracker::default(), false);
        let served = listener.serve(&Local::default(), connection, Stream::Tcp(stream));
        let size = size_of_val(&*served);
        assert!(size <= 2112, "{size} bytes");
    }
}
