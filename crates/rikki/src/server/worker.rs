//! One thread of the server: a single-threaded runtime that serves its connections from the first byte to the last.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch};

use crate::http::{Phase, Serving, draining};
use crate::ws::{Clock, CloseCode, Tracker};

/// How many accepted connections may wait for a worker.
const QUEUE: usize = 256;

/// Threads for blocking work, such as reading files, for each worker.
const BLOCKING_THREADS: usize = 16;

/// A connection on its way from the acceptor to a worker.
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) listener: Arc<Listener>,
}

/// What the connections of a listener share.
pub(super) struct Listener {
    pub(super) serving: Serving,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<tokio_rustls::TlsAcceptor>,
}

/// The acceptor's and the handle's end of a worker.
pub(super) struct Worker {
    pub(super) queue: mpsc::Sender<Accepted>,
    /// Yields when the worker has drained.
    pub(super) drained: oneshot::Receiver<()>,
    /// Held by the worker's thread until its runtime is gone.
    pub(super) thread: thread::JoinHandle<()>,
}

/// Starts a worker. It drains when `phase` says so or its sender is gone, and keeps its runtime until `release` is
/// closed: the connections of one worker may use what lives on another.
pub(super) fn start(
    index: usize,
    phase: watch::Receiver<Phase>,
    release: watch::Receiver<()>,
    drain_timeout: Duration,
) -> io::Result<Worker> {
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
    let (queue, accepted) = mpsc::channel(QUEUE);
    let (done, drained) = oneshot::channel();
    let thread = thread::Builder::new().name(format!("rikki-{index}")).spawn(move || {
        runtime.block_on(work(accepted, phase, release, drain_timeout, done));
        // Without waiting for blocking work that may hang, such as a read from a dead disk.
        runtime.shutdown_background();
    })?;
    Ok(Worker { queue, drained, thread })
}

async fn work(
    mut accepted: mpsc::Receiver<Accepted>,
    mut phase: watch::Receiver<Phase>,
    mut release: watch::Receiver<()>,
    drain_timeout: Duration,
    done: oneshot::Sender<()>,
) {
    let clock = Clock::current();
    let (tracker, mut all_gone) = Tracker::new();
    loop {
        tokio::select! {
            Some(accepted) = accepted.recv() => serve(accepted, tracker.clone()),
            () = draining(&mut phase) => break,
        }
    }
    clock.drain(CloseCode::GOING_AWAY);
    // The queue ends when the acceptor has closed its sockets, which it does at once.
    while let Some(accepted) = accepted.recv().await {
        serve(accepted, tracker.clone());
    }
    drop(tracker);
    if tokio::time::timeout(drain_timeout, all_gone.recv()).await.is_err() {
        tracing::warn!(target: "rikki::server", "drain deadline passed: the connections that are left are cut");
    }
    let _ = done.send(());
    let _ = release.changed().await;
}

fn serve(accepted: Accepted, tracker: Tracker) {
    let Accepted { stream, peer, listener } = accepted;
    let stream = match tokio::net::TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!(target: "rikki::server", %peer, "connection dropped: {error}");
            return;
        }
    };
    let mut serving = listener.serving.clone();
    serving.context.tracker = tracker;
    #[cfg(feature = "tls")]
    if let Some(tls) = listener.tls.clone() {
        tokio::spawn(serving.serve_tls(tls, stream, peer));
        return;
    }
    tokio::spawn(serving.serve_http1(stream, peer));
}
