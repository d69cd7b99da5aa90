//! Whatever happens, what was accepted arrives in order before the Close, or is counted: both faces and both roles,
//! senders on other threads, every policy, every way to end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::routing;
use futures_util::{SinkExt, StreamExt};
use proptest::collection::vec;
use proptest::prelude::*;
use rikki::ws::{CloseCode, Config, Message, Overflow, SendError, Sender, Socket, Upgrade, WebSocket};
use rikki::{Counters, Server, client};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{self, Error};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use crate::wire::soon;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Face {
    Callbacks,
    Async,
    /// A client, async too.
    Client,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A message of so many bytes by the connection's own task.
    Send(usize),
    /// The same by a `Sender` of that task.
    BySender(usize),
    Flush,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Close,
    SenderClose,
    Drop,
    Drain,
    /// By the peer, when it has read so many messages.
    Peer(usize),
}

#[derive(Clone, Debug)]
struct Case {
    face: Face,
    overflow: Overflow,
    write_queue: usize,
    steps: Vec<Step>,
    /// Threads with a `Sender`: how many messages of how many bytes each sends.
    threads: Vec<(usize, usize)>,
    end: End,
    /// The peer reads nothing until all steps are done, or have got stuck.
    waits: bool,
}

fn case() -> impl Strategy<Value = Case> {
    let size = || prop_oneof![Just(0usize), 1usize..200, 10_000usize..40_000];
    let step =
        prop_oneof![3 => size().prop_map(Step::Send), 2 => size().prop_map(Step::BySender), 1 => Just(Step::Flush)];
    let overflow = prop_oneof![
        Just(Overflow::Pause),
        Just(Overflow::Close),
        Just(Overflow::DropNewest),
        Just(Overflow::DropOldest)
    ];
    let end = prop_oneof![
        Just(End::Close),
        Just(End::SenderClose),
        Just(End::Drop),
        Just(End::Drain),
        (0usize..20).prop_map(End::Peer)
    ];
    (
        prop_oneof![Just(Face::Callbacks), Just(Face::Async), Just(Face::Client)],
        overflow,
        prop_oneof![Just(1usize), Just(1000), Just(64 * 1024), Just(1024 * 1024)],
        vec(step, 0..60),
        vec((1usize..80, size()), 0..3),
        end,
        proptest::bool::ANY,
    )
        .prop_map(|(face, overflow, write_queue, steps, threads, end, waits)| Case {
            face,
            overflow,
            write_queue,
            steps,
            threads,
            end,
            waits,
        })
}

/// What was accepted, by source: 0 is the connection's own task.
#[derive(Clone, Default)]
struct AcceptedMessages(Arc<Mutex<BTreeMap<usize, Vec<usize>>>>);

impl AcceptedMessages {
    fn note<E>(&self, source: usize, number: usize, sent: &Result<(), E>) {
        if sent.is_ok() {
            self.0.lock().unwrap().entry(source).or_default().push(number);
        }
    }
}

fn text(source: usize, number: usize, size: usize) -> String {
    format!("{source} {number} {}", "x".repeat(size))
}

/// What the two ends of a case share.
#[derive(Clone)]
struct Run {
    case: Arc<Case>,
    accepted: AcceptedMessages,
    /// Told when all steps are done: the sender to ask in the end, and the threads to wait for.
    done: mpsc::UnboundedSender<(Sender, Vec<JoinHandle<()>>)>,
}

impl Run {
    fn start_threads(&self, sender: &Sender) -> Vec<JoinHandle<()>> {
        let start = |(index, (count, size)): (usize, &(usize, usize))| {
            let (run, sender, source, count, size) = (self.clone(), sender.clone(), index + 1, *count, *size);
            thread::spawn(move || {
                for number in 0..count {
                    let mut sent = sender.send(text(source, number, size));
                    // For a while: the end may come while the queue is full.
                    for _ in 0..100 {
                        if sent == Err(SendError::Full) {
                            thread::yield_now();
                            sent = sender.send(text(source, number, size));
                        }
                    }
                    run.accepted.note(source, number, &sent);
                }
            })
        };
        self.case.threads.iter().enumerate().map(start).collect()
    }

    /// The steps in one callback.
    fn in_callback(&self, socket: &mut Socket<'_>) {
        let sender = socket.sender();
        let threads = self.start_threads(&sender);
        for (number, step) in self.case.steps.iter().enumerate() {
            match *step {
                Step::Send(size) => self.accepted.note(0, number, &socket.send(text(0, number, size))),
                Step::BySender(size) => self.accepted.note(0, number, &sender.send(text(0, number, size))),
                Step::Flush => {}
            }
        }
        // What has ended before cannot be ended again.
        let _ = match self.case.end {
            End::Close | End::Drop => socket.close(CloseCode::NORMAL, ""),
            End::SenderClose => sender.close(CloseCode::NORMAL, ""),
            End::Drain | End::Peer(_) => Ok(()),
        };
        self.done.send((sender, threads)).unwrap();
    }

    /// The steps in a task.
    async fn in_task(self, mut socket: WebSocket) {
        let sender = socket.sender().unwrap();
        let threads = self.start_threads(&sender);
        for (number, step) in self.case.steps.iter().enumerate() {
            match *step {
                Step::Send(size) => {
                    let sent = socket.feed(text(0, number, size).into()).await;
                    // It has waited for room.
                    assert!(!matches!(sent, Err(rikki::ws::Error::Send(SendError::Full))), "{:?}", self.case);
                    self.accepted.note(0, number, &sent);
                }
                Step::BySender(size) => self.accepted.note(0, number, &sender.send(text(0, number, size))),
                Step::Flush => drop(socket.flush().await),
            }
        }
        match self.case.end {
            End::Close => drop(socket.close().await),
            End::SenderClose => drop(sender.close(CloseCode::NORMAL, "")),
            End::Drop | End::Drain | End::Peer(_) => {}
        }
        self.done.send((sender, threads)).unwrap();
        if self.case.end != End::Drop {
            while let Some(Ok(_)) = socket.next().await {}
        }
    }
}

type Peer = WebSocketStream<TcpStream>;
type Done = mpsc::UnboundedReceiver<(Sender, Vec<JoinHandle<()>>)>;

/// The numbers of what arrives before the Close, by source.
async fn read(mut peer: Peer, case: &Case) -> BTreeMap<usize, Vec<usize>> {
    let mut arrived = BTreeMap::<usize, Vec<usize>>::new();
    let mut left = match case.end {
        End::Peer(messages) => Some(messages),
        _ => None,
    };
    loop {
        let next = match left {
            // There may be fewer.
            Some(1..) => tokio::time::timeout(Duration::from_millis(50), peer.next()).await.ok(),
            Some(0) => None,
            None => Some(soon("a message or the end", peer.next()).await),
        };
        let Some(next) = next else {
            // It may have been cut.
            let _ = peer.send(tungstenite::Message::Close(None)).await;
            left = None;
            continue;
        };
        left = left.map(|left| left - 1);
        match next {
            Some(Ok(tungstenite::Message::Text(text))) => {
                let mut words = text.split(' ');
                let mut number = || words.next().unwrap().parse().unwrap();
                arrived.entry(number()).or_default().push(number());
            }
            Some(Ok(_)) => {}
            None | Some(Err(Error::ConnectionClosed | Error::Io(_) | Error::Protocol(_))) => return arrived,
            Some(Err(error)) => panic!("{error}"),
        }
    }
}

/// Reads until the end, late if the case says so; then waits for the threads. Gives what has arrived, and the sender.
async fn be_the_peer(peer: Peer, case: &Case, mut done: Done) -> (BTreeMap<usize, Vec<usize>>, Sender) {
    let mut ended = None;
    if case.waits {
        // Those that get stuck go on when something is read.
        ended = tokio::time::timeout(Duration::from_millis(20), done.recv()).await.ok().flatten();
    }
    let arrived = read(peer, case).await;
    let (sender, threads) = match ended {
        Some(ended) => ended,
        None => soon("the end of the steps", done.recv()).await.unwrap(),
    };
    for thread in threads {
        tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap();
    }
    (arrived, sender)
}

/// A small window, so that what is not read fills the queue soon.
async fn connect(address: std::net::SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    soon("connecting", socket.connect(address)).await.unwrap()
}

async fn serve(run: Run, done: Done) -> (BTreeMap<usize, Vec<usize>>, Sender, Option<Counters>) {
    let case = run.case.clone();
    let settings = Config::default().write_queue(case.write_queue).overflow(case.overflow);
    let server = Server::new().websocket_config(settings).drain_window(Duration::ZERO).workers(1);
    let server = match case.face {
        Face::Callbacks => {
            server.websocket("/", move |socket: &mut Socket<'_>, _: Message<'_>| run.in_callback(socket))
        }
        _ => server.route(
            "/",
            routing::any(async move |upgrade: Upgrade| {
                upgrade.on_upgrade(async move |mut socket: WebSocket| {
                    socket.next().await;
                    run.in_task(socket).await;
                })
            }),
        ),
    };
    let handle = server.listen("http://127.0.0.1:0").start().await.unwrap();
    let stream = connect(handle.local_addrs()[0]).await;
    let (mut peer, _) = client_async("ws://localhost/", stream).await.unwrap();
    peer.send("go".into()).await.unwrap();
    if case.end == End::Drain {
        // When all steps are done, or stuck.
        let (forward, forwarded) = mpsc::unbounded_channel();
        let drain = {
            let (handle, mut done) = (handle.clone(), done);
            async move {
                let ended = done.recv().await.unwrap();
                forward.send(ended).unwrap();
                handle.shutdown().await;
            }
        };
        let ((arrived, sender), ()) = tokio::join!(be_the_peer(peer, &case, forwarded), drain);
        return (arrived, sender, Some(handle.counters()));
    }
    let (arrived, sender) = be_the_peer(peer, &case, done).await;
    soon("the end of the server", handle.shutdown()).await;
    (arrived, sender, Some(handle.counters()))
}

async fn be_a_client(run: Run, done: Done) -> (BTreeMap<usize, Vec<usize>>, Sender, Option<Counters>) {
    let case = run.case.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    // On a runtime of its own, with the end of which everything has ended.
    let (finish, finished) = std::sync::mpsc::channel::<()>();
    let client = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(async move {
            let settings = Config::default().write_queue(run.case.write_queue).overflow(run.case.overflow);
            let (socket, _) = client::Builder::new(url).config(settings).connect().await.unwrap();
            run.in_task(socket).await;
        });
        let _ = finished.recv();
    });
    let (stream, _) = soon("a client", listener.accept()).await.unwrap();
    let peer = accept_async(stream).await.unwrap();
    let (arrived, sender) = be_the_peer(peer, &case, done).await;
    drop(finish);
    tokio::task::spawn_blocking(move || client.join().unwrap()).await.unwrap();
    (arrived, sender, None)
}

fn check(mut case: Case) -> Result<(), TestCaseError> {
    // There is nothing to drain, and nothing else that ends it.
    if case.face == Face::Client && case.end == End::Drain {
        case.end = End::Close;
    }
    let (done, seen) = mpsc::unbounded_channel();
    let run = Run { case: Arc::new(case.clone()), accepted: AcceptedMessages::default(), done };
    let accepted = run.accepted.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (arrived, sender, counters) = runtime.block_on(async {
        if case.face == Face::Client { be_a_client(run, seen).await } else { serve(run, seen).await }
    });
    let accepted = accepted.0.lock().unwrap();
    let mut missing = 0;
    for (source, numbers) in &*accepted {
        let arrived = arrived.get(source).map(Vec::as_slice).unwrap_or_default();
        prop_assert!(arrived.is_sorted_by(|a, b| a < b), "in order: {source} {arrived:?}");
        prop_assert!(arrived.iter().all(|number| numbers.contains(number)), "accepted: {source} {arrived:?}");
        missing += (numbers.len() - arrived.len()) as u64;
    }
    prop_assert!(arrived.keys().all(|source| accepted.contains_key(source)));
    // What is cut by policy has been written in part, and is lost with the connection.
    let cut =
        counters.map_or(case.overflow == Overflow::Close && missing > 0, |counters| counters.closed_overflows == 1);
    let may_lose = case.overflow == Overflow::DropOldest || matches!(case.end, End::Peer(_));
    prop_assert!(cut || may_lose || missing == 0, "{missing} are missing");
    prop_assert!(cut || sender.dropped() == missing, "{} are counted of {missing}", sender.dropped());
    if let Some(Counters { lost_messages: lost, dropped_messages: dropped, queued_bytes, .. }) = counters {
        prop_assert_eq!(queued_bytes, 0);
        // Those that were refused are counted as dropped too.
        prop_assert!(lost <= sender.dropped() && sender.dropped() <= lost + dropped, "{lost} lost, {dropped} dropped");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, max_shrink_iters: 40, ..ProptestConfig::default() })]
    #[test]
    fn what_was_accepted_arrives_or_is_counted(case in case()) {
        check(case)?;
    }
}
