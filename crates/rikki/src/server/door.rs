//! The door of a worker: where a connection gets its place and is served, or is told that there is none.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::admission::{Admission, Place};
use super::drain::Alive;
#[cfg(feature = "tls")]
use crate::http::Handshakes;
use crate::http::{Connection, Serving};
use crate::net::{Detached, Peer, Stream};
use crate::ws;
use crate::ws::internal::Tracker;
use rikki_limits::Seldom;

/// How many connections without a place are told so at a time, by each worker, and for how long. Beyond them they are
/// cut, which costs nothing.
const REFUSALS: usize = 64;
const REFUSAL_TIME: Duration = Duration::from_secs(2);

/// A connection on its way from the acceptor to a worker.
pub(super) struct Arrival {
    pub(super) stream: Detached,
    pub(super) peer: Peer,
    pub(super) listener: Arc<Listener>,
}

/// What the connections of a listener share.
pub(super) struct Listener {
    /// What answers the requests of those that are let in.
    pub(super) router: Router,
    pub(super) serving: Arc<Serving>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<crate::tls::ServerTls>,
}

/// Where connections enter a worker.
pub(super) struct Door {
    admission: Arc<Admission>,
    local: Local,
    alive: Alive,
}

impl Door {
    /// The one of a worker, which the connections that come in keep alive.
    pub(super) fn new(admission: Arc<Admission>, alive: Alive) -> Self {
        Self { admission, local: Local::default(), alive }
    }

    /// Lets in what another thread has accepted.
    pub(super) fn enter(&self, arrival: Arrival) {
        let Arrival { stream, peer, listener } = arrival;
        match stream.attach() {
            Ok(stream) => self.admit(stream, peer, &listener),
            Err(error) => log_dropped(peer, &error),
        }
    }

    /// Serves a connection, or tells it that there is no place for it.
    pub(super) fn admit(&self, stream: Stream, peer: Peer, listener: &Listener) {
        match self.admission.admit(peer, || listener.serving.send_idle_away()) {
            Ok(place) => {
                let tracker = Tracker::new(Belongings { _alive: self.alive.clone(), _place: Some(place) });
                let connection =
                    Connection::new(listener.serving.clone(), listener.router.clone(), peer, tracker, true);
                tokio::spawn(listener.serve(&self.local, connection, stream));
            }
            Err(excess) => {
                tracing::debug!(target: "rikki::server", %peer, "connection refused: {excess:?}");
                let Ok(refusal) = self.local.refusals.clone().try_acquire_owned() else { return };
                let tracker = Tracker::new(Belongings { _alive: self.alive.clone(), _place: None });
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

/// What goes when a connection does, whatever has become of it.
#[derive(Debug)]
struct Belongings {
    _alive: Alive,
    /// Its place among the connections that the server takes, if it has one.
    _place: Option<Place>,
}

impl ws::internal::Tracked for Belongings {}

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
                Ok(tcp) => {
                    return Box::pin(connection.serve_tls(tls.server_config().into(), local.handshakes.clone(), tcp));
                }
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
