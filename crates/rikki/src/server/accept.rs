//! Accepting: one task for each listening socket, which deals connections out to the workers in turn.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::watch;

use super::worker::{Accepted, Listener};
use crate::http::{Phase, draining};

/// How long accepting pauses when the process is out of descriptors or memory, or no worker has room.
const BACK_OFF: Duration = Duration::from_millis(500);

/// How often the same trouble is logged.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// Accepts until the server drains. Whoever has connected by then is accepted too: closing a socket resets those that
/// wait in its queue.
pub(super) async fn accept(
    socket: TcpListener,
    listener: Arc<Listener>,
    workers: Vec<mpsc::Sender<Accepted>>,
    mut phase: watch::Receiver<Phase>,
) {
    let mut logged: Option<Instant> = None;
    for turn in (0..workers.len()).cycle() {
        let (stream, peer) = tokio::select! {
            accepted = next(&socket, &mut logged) => accepted,
            () = draining(&mut phase) => break,
        };
        let accepted = Accepted { stream, peer, listener: listener.clone() };
        tokio::select! {
            () = deal(accepted, &workers, turn) => {}
            () = draining(&mut phase) => break,
        }
    }
    let Ok(socket) = socket.into_std() else { return };
    while let Ok((stream, peer)) = socket.accept() {
        if stream.set_nonblocking(true).is_ok() {
            let _full = try_deal(Accepted { stream, peer, listener: listener.clone() }, &workers, 0);
        }
    }
}

/// The next connection. Trouble of this process is waited out, that of a single connection passed over.
async fn next(socket: &TcpListener, logged: &mut Option<Instant>) -> (std::net::TcpStream, SocketAddr) {
    loop {
        match socket.accept().await.and_then(prepare) {
            Ok(accepted) => return accepted,
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
                if logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
                    *logged = Some(Instant::now());
                    tracing::error!(target: "rikki::server", "cannot accept: {error}");
                }
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// Takes the stream off this runtime, so that a worker's can have it.
fn prepare((stream, peer): (TcpStream, SocketAddr)) -> io::Result<(std::net::TcpStream, SocketAddr)> {
    // Linux lets it inherit this from the socket that listens.
    #[cfg(not(target_os = "linux"))]
    stream.set_nodelay(true)?;
    Ok((stream.into_std()?, peer))
}

/// Whether the connection failed before it was accepted, which says nothing about the server.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, InvalidInput, NotConnected,
    };
    matches!(
        error.kind(),
        // A socket that was reset at once refuses options with "invalid argument" on some systems.
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | InvalidInput | NotConnected
    )
}

/// Hands a connection to the worker whose turn it is, or to the first with room after it; waits for any if none has.
async fn deal(mut accepted: Accepted, workers: &[mpsc::Sender<Accepted>], turn: usize) {
    while let Err(back) = try_deal(accepted, workers, turn) {
        accepted = back;
        tokio::time::sleep(BACK_OFF).await;
    }
}

/// The same without waiting: gives the connection back if no worker has room.
fn try_deal(mut accepted: Accepted, workers: &[mpsc::Sender<Accepted>], turn: usize) -> Result<(), Accepted> {
    let (before, after) = workers.split_at(turn.min(workers.len()));
    for worker in after.iter().chain(before) {
        accepted = match worker.try_send(accepted) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(accepted) | TrySendError::Closed(accepted)) => accepted,
        };
    }
    Err(accepted)
}
