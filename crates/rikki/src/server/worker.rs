//! One thread of the server: a single-threaded runtime that serves its connections from the first byte to the last.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::accept::{self, Destination, Sockets};
use super::admission::{Admission, Place};
use super::drain::{Alive, Finish, Plan, Thread};
use super::queue::{Command, Queue};
#[cfg(feature = "tls")]
use crate::http::Handshakes;
use crate::http::{Connection, Draining, Serving};
use crate::net::{Detached, Peer, Stream};
use crate::ws;
use crate::ws::internal::{Clock, Tracker};
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
    pub(super) draining: Draining,
    pub(super) release: CancellationToken,
    pub(super) plan: Plan,
}

/// What the connections of a listener share.
pub(super) struct Listener {
    /// What answers the requests of those that are let in.
    pub(super) router: Router,
    pub(super) serving: Arc<Serving>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<tokio_rustls::TlsAcceptor>,
}

/// Starts a worker, which accepts on `sockets` itself. It drains when its queue ends.
pub(super) fn start(index: usize, shared: Shared, queue: Arc<Queue<Accepted>>, sockets: Sockets) -> io::Result<Thread> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    let Shared { admission, draining, release, plan } = shared;
    let (finish, alive, drained) = Finish::new(plan, release);
    let door = Arc::new(Door { admission, local: Local::default(), alive });
    let accepting = accept::start(&runtime, sockets, Destination::Own(door.clone()), &draining)?;
    let work = Work { queue, accepting, door, finish };
    let handle = thread::Builder::new().name(format!("rikki-{index}")).spawn(move || {
        runtime.block_on(work.run());
        // Without waiting for blocking work that may hang, such as a read from a dead disk.
        runtime.shutdown_background();
    })?;
    Ok(Thread { drained, handle })
}

/// What a worker does until it has drained.
struct Work {
    /// From the acceptor.
    queue: Arc<Queue<Accepted>>,
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
    alive: Alive,
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
                let tracker = Tracker::new(Held { _alive: self.alive.clone(), _place: Some(place) });
                let connection =
                    Connection::new(listener.serving.clone(), listener.router.clone(), peer, tracker, true);
                tokio::spawn(listener.serve(&self.local, connection, stream));
            }
            Err(excess) => {
                tracing::debug!(target: "rikki::server", %peer, "connection refused: {excess:?}");
                let Ok(refusal) = self.local.refusals.clone().try_acquire_owned() else { return };
                let tracker = Tracker::new(Held { _alive: self.alive.clone(), _place: None });
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
    _alive: Alive,
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
    use crate::http;

    /// In bytes; a connection that has not been upgraded owns this from its first moment.
    #[tokio::test]
    async fn a_plain_connection_has_no_room_for_tls() {
        let (_server, draining) = http::draining();
        let serving = Arc::new(Serving::new(Default::default(), Default::default(), Default::default(), draining));
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
