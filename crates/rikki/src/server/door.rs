//! The door of a worker: where a connection gets its place and is served, or is told that there is none.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::admission::{Admission, Excess, Place};
use super::drain::Alive;
use super::proxied::{self, Client, Unproxied};
#[cfg(feature = "tls")]
use crate::http::Handshakes;
use crate::http::{Connection, Current, Serving, Site};
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
    pub(super) listener: Arc<Current>,
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
    pub(super) fn admit(self: &Arc<Self>, stream: Stream, peer: Peer, listener: &Arc<Current>) {
        let site = listener.now();
        if !site.serving.lets_in(peer) {
            return log_stranger(&site.serving, peer);
        }
        if site.is_proxied {
            return self.admit_proxied(stream, peer, listener);
        }
        match self.admission.admit(peer, site.serving.transport(), || site.serving.send_idle_away()) {
            Ok(place) => self.serve(place, stream, Client::direct(peer), listener),
            Err(excess) => self.refuse(|| self.refusal(excess, stream, Client::direct(peer), listener)),
        }
    }

    /// The same for one that has to say first from whom it is. It has a place meanwhile, and the time of a request head;
    /// one of the address that it names is taken when it has, so that nobody is served without.
    fn admit_proxied(self: &Arc<Self>, mut stream: Stream, peer: Peer, listener: &Arc<Current>) {
        let site = listener.now();
        if !site.serving.trust().has_peer(peer) {
            site.serving.counts().accepted.up();
            return proxied::log(&site.serving, peer, Unproxied::Stranger);
        }
        let (door, listener, serving) = (self.clone(), listener.clone(), site.serving.clone());
        match self.admission.admit_unnamed(site.serving.transport(), || site.serving.send_idle_away()) {
            Ok(mut place) => drop(tokio::spawn(async move {
                let client = match proxied::client(&serving, peer, &mut stream).await {
                    Ok(client) => client,
                    Err(why) => return proxied::log(&serving, peer, why),
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
                match proxied::client(&serving, peer, &mut stream).await {
                    Ok(client) => door.refusal(excess, stream, client, &listener).await,
                    Err(why) => proxied::log(&serving, peer, why),
                }
            }),
        }
    }

    fn serve(&self, place: Place, stream: Stream, client: Client, listener: &Arc<Current>) {
        let tracker = Tracker::new(Belongings { _alive: self.alive.clone(), _place: Some(place) });
        let Client { peer, may_be_proxy } = client;
        let connection = Connection::new(listener.clone(), peer, tracker, true);
        tokio::spawn(serve(&listener.now(), &self.local, connection.believe(may_be_proxy), stream));
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

    fn refusal(&self, excess: Excess, stream: Stream, client: Client, listener: &Current) -> Served {
        let Client { peer, may_be_proxy } = client;
        tracing::debug!(target: "rikki::server", %peer, "connection refused: {excess:?}");
        let tracker = Tracker::new(Belongings { _alive: self.alive.clone(), _place: None });
        let site = listener.now();
        let connection = Connection::new(Arc::new(site.refusing(excess.router())), peer, tracker, false);
        serve(&site, &self.local, connection.believe(may_be_proxy), stream)
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

/// Counts and logs somebody who is not answered.
fn log_stranger(serving: &Serving, peer: Peer) {
    static LINES: Seldom = Seldom::new();
    let counts = serving.counts();
    counts.accepted.up();
    counts.refused_peers.up();
    if let Some(left_out) = LINES.turn(()) {
        tracing::warn!(target: "rikki::server", %peer, left_out, "connection refused: it comes from another network");
    }
}

pub(super) fn log_dropped(peer: Peer, error: &io::Error) {
    static LINES: Seldom = Seldom::new();
    if let Some(left_out) = LINES.turn(()) {
        tracing::warn!(target: "rikki::server", %peer, left_out, "connection dropped: {error}");
    }
}

/// Boxed, since spawning and ending a task copy its future several times; and apart, since a plain connection would
/// have six times its size otherwise, for as long as it lasts.
#[cfg_attr(not(feature = "tls"), expect(unused_variables, reason = "without TLS there are no handshakes"))]
fn serve(site: &Site, local: &Local, connection: Connection, stream: Stream) -> Served {
    #[cfg(feature = "tls")]
    let stream = match &site.tls {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;

    /// In bytes; a connection that has not been upgraded owns this from its first moment.
    #[tokio::test]
    async fn a_plain_connection_has_no_room_for_tls() {
        let (_server, draining) = http::draining();
        let current = Arc::new(Current::new(Site::empty(draining)));
        let socket = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let stream = tokio::net::TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
        let connection = Connection::new(current.clone(), Peer::Unix, Tracker::default(), false);
        let served = serve(&current.now(), &Local::default(), connection, Stream::Tcp(stream));
        let size = size_of_val(&*served);
        assert!(size <= 2112, "{size} bytes");
    }
}
