//! Accepting: one task for each listening socket, on the runtime of the only worker, or on one of its own from which
//! connections are dealt out to the workers in turn.

use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

#[cfg(feature = "tls")]
use super::certificates::Certificates;
use super::door::{self, Arrival, Door};
use super::drain::Watch;
use super::event_loop::EventLoop;
use super::queue::{OVERDUE, Queues};
use super::url::BACKLOG;
use crate::http::{Current, Draining};
use crate::net::{Accepting, Listening, Peer, Stream};
use rikki_limits::Seldom;

/// How long accepting pauses when the process is out of descriptors or memory, or no worker has room.
const BACK_OFF: Duration = Duration::from_millis(500);

/// Sockets that listen, and what their connections share.
pub(super) type Sockets = Vec<(Listening, Arc<Current>)>;

/// Where connections go.
#[derive(Clone)]
pub(super) enum Destination {
    /// In at the door of the worker that accepts: no other thread has to wake for them.
    Own(Arc<Door>),
    /// To each worker in turn.
    Workers { queues: Arc<Queues<Arrival>>, turn: usize },
}

/// Accepts on each socket, by a task of the runtime, until the server drains.
pub(super) fn start(
    runtime: &Runtime,
    sockets: Sockets,
    destination: Destination,
    draining: &Draining,
) -> io::Result<JoinSet<()>> {
    let _inside = runtime.enter();
    let mut accepting = JoinSet::new();
    for (socket, listener) in sockets {
        accepting.spawn(accept(socket.attach()?, listener, destination.clone(), draining.clone()));
    }
    Ok(accepting)
}

/// Whoever has connected when the server drains is accepted too: closing a socket resets those that wait in its queue.
async fn accept(socket: Accepting, listener: Arc<Current>, mut destination: Destination, draining: Draining) {
    {
        let mut draining = pin!(draining.begun());
        // Kept from turn to turn, so that connections that keep coming do not put it off.
        let mut look_again = interval(OVERDUE);
        look_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (stream, peer) = tokio::select! {
                accepted = next(&socket) => accepted,
                _ = look_again.tick(), if destination.is_waited_for() => {
                    destination.deal_again();
                    continue;
                }
                () = &mut draining => break,
            };
            tokio::select! {
                // First, since a drain drops only what there is no room for.
                biased;
                () = destination.take(stream, peer, &listener) => {}
                () = &mut draining => break,
            }
        }
    }
    // No more than the queue holds, on Linux one above its backlog: others have come since. Until this ends, the thread
    // closes no WebSocket and sees no deadline. What cannot be taken back from the runtime is closed.
    let _ = socket.finish(BACKLOG as usize + 1, |stream, peer| {
        let _full = destination.try_take(Arrival { stream, peer, listener: listener.clone() });
    });
}

/// The next connection. Trouble of this process is waited out, that of a single connection passed over.
async fn next(socket: &Accepting) -> (Stream, Peer) {
    loop {
        match socket.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
                static LINES: Seldom<ErrorKind> = Seldom::new();
                if let Some(left_out) = LINES.turn(error.kind()) {
                    tracing::error!(target: "rikki::server", left_out, "cannot accept: {error}");
                }
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// Whether the connection failed before it was accepted, which says nothing about the server.
fn is_the_peers(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, InvalidInput, NotConnected};
    matches!(
        error.kind(),
        // A socket that was reset at once refuses options with "invalid argument" on some systems.
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | InvalidInput | NotConnected
    )
}

impl Destination {
    /// Hands a connection over; waits if there is no room for it.
    async fn take(&mut self, stream: Stream, peer: Peer, listener: &Arc<Current>) {
        if let Self::Own(door) = self {
            return door.admit(stream, peer, listener);
        }
        // Off this runtime, so that a worker's can have it.
        let stream = match stream.detach() {
            Ok(stream) => stream,
            Err(error) => return door::log_dropped(peer, &error),
        };
        let mut accepted = Arrival { stream, peer, listener: listener.clone() };
        while let Err(back) = self.try_take(accepted) {
            accepted = back;
            tokio::time::sleep(BACK_OFF).await;
        }
    }

    /// Takes a connection without waiting: if there is no room, it is given back.
    fn try_take(&mut self, accepted: Arrival) -> Result<(), Arrival> {
        match self {
            Self::Own(door) => door.enter(accepted),
            Self::Workers { queues, turn } => {
                *turn = (*turn + 1) % queues.len().max(1);
                return queues.deal(accepted, *turn);
            }
        }
        Ok(())
    }

    /// Whether a worker has connections that it has not come for yet.
    fn is_waited_for(&self) -> bool {
        matches!(self, Self::Workers { queues, .. } if queues.is_any_waiting())
    }

    /// Gives others what was dealt to a worker that does not come for it.
    fn deal_again(&self) {
        if let Self::Workers { queues, .. } = self {
            queues.deal_again();
        }
    }
}

/// Accepts for several workers, on a thread of its own, until the server drains, and then watches the workers do so.
pub(super) struct Acceptor {
    pub(super) sockets: Sockets,
    pub(super) queues: Queues<Arrival>,
    pub(super) draining: Draining,
    pub(super) watch: Watch,
    #[cfg(feature = "tls")]
    pub(super) certificates: Certificates,
}

impl Acceptor {
    /// The token is given when the drain is over.
    pub(super) fn start(self) -> io::Result<(CancellationToken, EventLoop)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let Self { sockets, queues, draining, watch, .. } = self;
        let queues = Arc::new(queues);
        let destination = Destination::Workers { queues: queues.clone(), turn: 0 };
        let mut accepting = start(&runtime, sockets, destination, &draining)?;
        #[cfg(feature = "acme")]
        runtime.spawn(self.certificates.renew());
        #[cfg(feature = "tls")]
        runtime.spawn(self.certificates.watch());
        let event_loop = EventLoop::of(&runtime);
        let over = CancellationToken::new();
        let report = over.clone().drop_guard();
        thread::Builder::new().name("rikki-accept".to_owned()).spawn(move || {
            runtime.block_on(async {
                draining.begun().await;
                let deadline = watch.begin();
                while accepting.join_next().await.is_some() {}
                // The workers are told when the sockets are closed, which is at once.
                drop(queues);
                watch.finish(deadline).await;
                drop(report);
            });
            // A look at files may hang.
            runtime.shutdown_background();
        })?;
        Ok((over, event_loop))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::super::queue::Command;
    use super::*;
    use crate::http::{self, Site};
    use crate::net::Owner;
    use crate::server::queue::Queue;

    fn listener(draining: Draining) -> Current {
        Current::new(Site::empty(draining))
    }

    #[tokio::test]
    async fn connections_that_keep_coming_do_not_put_off_dealing_again() {
        let (_server, draining) = http::draining();
        let listener = Arc::new(listener(draining.clone()));
        let socket = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let (comes, stuck) = <(Arc<Queue<Arrival>>, Arc<Queue<Arrival>>)>::default();
        let queues = Arc::new(Queues::new(vec![comes.clone(), stuck]));
        let coming = async {
            let mut clients = Vec::new();
            loop {
                clients.push(TcpStream::connect(address).await.unwrap());
                // Less than what a worker may take.
                tokio::time::sleep(OVERDUE / 5).await;
                let first = clients[0].local_addr().unwrap();
                while let Some(Command::Connection(accepted)) = comes.next().now_or_never() {
                    if accepted.peer == Peer::Ip(first) {
                        return;
                    }
                }
            }
        };
        // It deals the first to the second.
        let accepting = accept(
            Accepting::Tcp(socket, Owner::server()),
            listener,
            Destination::Workers { queues, turn: 0 },
            draining,
        );
        tokio::select! {
            () = accepting => panic!("it does not drain"),
            dealt = tokio::time::timeout(OVERDUE * 60, coming) => assert!(dealt.is_ok(), "it waits for a stuck worker"),
        }
    }

    #[tokio::test]
    async fn whoever_is_accepted_as_a_drain_begins_is_not_dropped() {
        // What is looked at first when both are there is a matter of chance.
        for _ in 0..30 {
            let (server, draining) = http::draining();
            let listener = listener(draining.clone());
            let socket = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let address = socket.local_addr().unwrap();
            let queue = Arc::<Queue<Arrival>>::default();
            let queues = Arc::new(Queues::new(vec![queue.clone()]));
            let destination = Destination::Workers { queues, turn: 0 };
            let mut accepting =
                pin!(accept(Accepting::Tcp(socket, Owner::server()), Arc::new(listener), destination, draining));
            assert!((&mut accepting).now_or_never().is_none());
            let _client = std::net::TcpStream::connect(address).unwrap();
            // The runtime looks at its sockets before this goes on.
            tokio::task::yield_now().await;
            server.now();
            accepting.await;
            assert!(matches!(queue.next().await, Command::Connection(_)));
        }
    }
}
