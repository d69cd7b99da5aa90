//! The door of a worker: where a connection gets its place and is served, or is told that there is none.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::admission::{Admission, Excess, Place};
use super::drain::Alive;
use super::proxied::{Client, Unproxied};
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
    /// Whether each says from whom it is, before anything else.
    pub(super) is_proxied: bool,
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
    pub(super) fn enter(self: &Arc<Self>, arrival: Arrival) {
        let Arrival { stream, peer, listener } = arrival;
        match stream.attach() {
            Ok(stream) => self.admit(stream, peer, &listener),
            Err(error) => log_dropped(peer, &error),
        }
    }

    /// Serves a connection, or tells it that there is no place for it.
    pub(super) fn admit(self: &Arc<Self>, stream: Stream, peer: Peer, listener: &Arc<Listener>) {
        if listener.is_proxied {
            return self.admit_proxied(stream, peer, listener);
        }
        match self.admission.admit(peer, || listener.serving.send_idle_away()) {
            Ok(place) => self.serve(place, stream, listener.believed(peer), listener),
            Err(excess) => self.refuse(|| self.refusal(excess, stream, listener.believed(peer), listener)),
        }
    }

    /// The same for one that has to say first from whom it is. It has a place meanwhile, and the time of a request head;
    /// one of the address that it names is taken when it has, so that nobody is served without.
    fn admit_proxied(self: &Arc<Self>, mut stream: Stream, peer: Peer, listener: &Arc<Listener>) {
        if !listener.serving.trust().believes(peer) {
            listener.serving.counts().accepted.up();
            return listener.log_unproxied(peer, Unproxied::Stranger);
        }
        let (door, listener) = (self.clone(), listener.clone());
        match self.admission.admit_unnamed(|| listener.serving.send_idle_away()) {
            Ok(mut place) => drop(tokio::spawn(async move {
                let client = match listener.client(peer, &mut stream).await {
                    Ok(client) => client,
                    Err(why) => return listener.log_unproxied(peer, why),
                };
                match door.admission.name(&mut place, client.peer) {
                    Ok(()) => door.serve(place, stream, client, &listener),
                    Err(excess) => {
                        drop(place);
                        door.refuse(|| door.refusal(excess, stream, client, &listener));
                    }
                }
            })),
            Err(excess) => self.refuse(|| async move {
                match listener.client(peer, &mut stream).await {
                    Ok(client) => door.refusal(excess, stream, client, &listener).await,
                    Err(why) => listener.log_unproxied(peer, why),
                }
            }),
        }
    }

    fn serve(&self, place: Place, stream: Stream, client: Client, listener: &Listener) {
        let tracker = Tracker::new(Belongings { _alive: self.alive.clone(), _place: Some(place) });
        let Client { peer, is_proxy } = client;
        let connection = Connection::new(listener.serving.clone(), listener.router.clone(), peer, tracker, true);
        tokio::spawn(listener.serve(&self.local, connection.believe(is_proxy), stream));
    }

    /// Lets a client be told that there is no place, unless many are.
    fn refuse<F: Future<Output = ()> + Send + 'static>(&self, tell: impl FnOnce() -> F) {
        let Ok(refusal) = self.local.refusals.clone().try_acquire_owned() else { return };
        let told = timeout(REFUSAL_TIME, tell());
        tokio::spawn(async move {
            // Whether the client has listened makes no difference.
            let _ = told.await;
            drop(refusal);
        });
    }

    fn refusal(&self, excess: Excess, stream: Stream, client: Client, listener: &Listener) -> Served {
        let Client { peer, is_proxy } = client;
        tracing::debug!(target: "rikki::server", %peer, "connection refused: {excess:?}");
        let tracker = Tracker::new(Belongings { _alive: self.alive.clone(), _place: None });
        let connection = Connection::new(listener.serving.clone(), excess.router(), peer, tracker, false);
        listener.serve(&self.local, connection.believe(is_proxy), stream)
    }
}

/// A connection that is served to its end.
type Served = Pin<Box<dyn Future<Output = ()> + Send>>;

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
    fn serve(&self, local: &Local, connection: Connection, stream: Stream) -> Served {
        #[cfg(feature = "tls")]
        let stream = match &self.tls {
            None => stream,
            // Nobody stands between the two ends of a Unix socket.
            Some(tls) => match stream.into_tcp() {
                Ok(tcp) => {
                    return Box::pin(connection.serve_tls(tls.handshake(), local.handshakes.clone(), tcp));
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
            is_proxied: false,
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
