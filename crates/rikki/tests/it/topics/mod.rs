//! Topics over real sockets: callbacks that join and leave, slow readers, drains, other runtimes.

mod centrifugo;
mod slow;
mod url;

use std::future::IntoFuture;

use axum::Router;
use axum::routing::any;
use futures_util::StreamExt;
use rikki::Server;
use rikki::topics::{From, Subscribe, TopicConfig, Topics, TopicsConfig, Update};
use rikki::ws::{Error, Handler, Message, Opening, Socket, Upgrade, WebSocket};
use tokio::net::TcpListener;

use crate::talk::{Talk, close, frame, upgrade};
use crate::wire::{BOTH, Running, Via};

/// Everybody is in one room, and what one sends goes to all; `/leave` leaves it, `/join` joins again.
struct Room(Topics);

impl Handler for Room {
    type State = ();

    fn open(&self, socket: &mut Socket<'_>, _: &Opening) {
        socket.subscribe(&self.0, "room").unwrap();
        socket.send("welcome").unwrap();
    }

    fn message(&self, (): &mut (), socket: &mut Socket<'_>, message: Message<'_>) {
        match message.as_text() {
            Some("/leave") => {
                let left = socket.unsubscribe(&self.0, "room");
                socket.send(if left { "left" } else { "not there" }).unwrap();
            }
            Some("/join") => {
                let joined = socket.subscribe(&self.0, "room");
                socket.send(format!("{joined:?}")).unwrap();
            }
            _ => self.0.publish("room", message.into_owned()).detach().unwrap(),
        }
    }
}

fn room(topics: &Topics) -> Server {
    Server::new().topics(topics).websocket("/room", Room(topics.clone()))
}

#[tokio::test]
async fn a_room() {
    let config = TopicsConfig::default().topic("room", TopicConfig::default().history(10)).unwrap();
    let topics = Topics::new(config);
    let server = Running::start(room(&topics).workers(2)).await;
    for via in BOTH {
        let mut all = Vec::new();
        for _ in 0..4 {
            let mut talk = Talk::open(&server, via, "/room").await;
            assert_eq!(talk.next().await, "text(welcome)");
            all.push(talk);
        }
        all[0].send(text("hello")).await;
        topics.publish("room", vec![7; 20_000]).await.unwrap();
        for talk in &mut all {
            let mut got = [talk.next().await, talk.next().await];
            got.sort();
            assert_eq!(got, ["binary(20000 x \\x07)", "text(hello)"]);
        }
        let mut gone = all.pop().unwrap();
        gone.send(text("/join")).await;
        assert_eq!(gone.next().await, "text(Err(Already))");
        for said in ["text(left)", "text(not there)"] {
            gone.send(text("/leave")).await;
            assert_eq!(gone.next().await, said);
        }
        topics.publish("room", "without one").await.unwrap();
        for talk in &mut all {
            assert_eq!(talk.next().await, "text(without one)");
        }
        gone.send(text("/join")).await;
        assert_eq!(gone.next().await, "text(Ok(()))");
        gone.send(text("again")).await;
        assert_eq!(gone.next().await, "text(again)");
    }
    let counters = &topics.counters()[0];
    assert_eq!((counters.published, counters.pattern.as_str()), (8, "room"));
    server.handle.shutdown().await;
    assert_eq!(topics.counters()[0].subscribers, 0);
}

/// What is compressed is kept with its message, and counted: it is made once, and with one window once.
#[tokio::test]
async fn compresses_once_for_all() {
    let topics = Topics::new(TopicsConfig::default());
    let server = Running::start(room(&topics).workers(2)).await;
    let mut all = Vec::new();
    for _ in 0..8 {
        let mut talk = Talk::connect(&server, Via::Tcp).await;
        talk.send(upgrade("/room", "Sec-WebSocket-Extensions: permessage-deflate\r\n")).await;
        assert!(talk.head().await.contains("permessage-deflate"));
        assert_eq!(talk.next().await, "text(welcome)");
        all.push(talk);
    }
    let [memory, ..] = topics.budgets();
    for number in 1..=3 {
        let before = memory.used();
        topics.publish("room", "three words here ".repeat(100 * number)).await.unwrap();
        let first = all[0].frame().await.unwrap();
        assert!(first.first == 0xc1 && first.payload.len() < 100, "{first:?}");
        let counted = memory.used() - before;
        for talk in &mut all[1..] {
            assert_eq!(talk.frame().await.as_ref(), Some(&first));
        }
        // The same as with one who has got it.
        assert_eq!(memory.used() - before, counted);
        let forms = counted - 1700 * number - first.payload.len();
        assert!(forms < 250 + 200, "{forms} bytes beside the message and what it is compressed to");
    }
    drop(all);
    server.handle.shutdown().await;
}

fn text(text: &str) -> Vec<u8> {
    frame(0x81, text)
}

/// Subscribes to what each message names.
struct Greedy(Topics);

impl Handler for Greedy {
    type State = ();

    fn open(&self, _: &mut Socket<'_>, _: &Opening) {}

    fn message(&self, (): &mut (), socket: &mut Socket<'_>, message: Message<'_>) {
        let joined = socket.subscribe(&self.0, message.as_text().unwrap());
        socket.send(joined.map_or_else(|error| error.to_string(), |()| "ok".to_owned())).unwrap();
    }
}

#[tokio::test]
async fn a_client_that_subscribes_without_end() {
    let topics = Topics::new(TopicsConfig::default().max_subscriptions_per_connection(100));
    let server = Running::start(Server::new().websocket("/greedy", Greedy(topics.clone()))).await;
    let mut greedy = Talk::open(&server, BOTH[0], "/greedy").await;
    for start in (0..100_000).step_by(1000) {
        let names = start..start + 1000;
        let sent: Vec<_> = names.clone().flat_map(|n| text(&format!("topic {n}"))).collect();
        greedy.send(sent).await;
        for n in names {
            let expected = if n < 100 { "ok" } else { "the connection has as many subscriptions as it may have" };
            assert_eq!(greedy.next().await, format!("text({expected})"), "{n}");
        }
    }
    let mut bystander = Talk::open(&server, BOTH[0], "/greedy").await;
    bystander.send(text("topic 7")).await;
    assert_eq!(bystander.next().await, "text(ok)");
    assert_eq!(topics.counters()[0].topics, 100, "what was refused has made no topic");
    // Each of them comes.
    for n in [0, 99, 7] {
        topics.publish(&format!("topic {n}"), n.to_string()).await.unwrap();
        assert_eq!(greedy.next().await, format!("text({n})"));
    }
    assert_eq!(bystander.next().await, "text(7)");
    greedy.send(close(1000, "")).await;
    assert_eq!(greedy.rest().await, "close(1000)");
    bystander.send(text("topic 8")).await;
    assert_eq!(bystander.next().await, "text(ok)");
    assert_eq!(topics.counters()[0].subscribers, 2);
}

/// Under another server, on a runtime that steals work: callbacks, and a stream beside the socket's.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn under_axum_serve() {
    let topics = Topics::new(TopicsConfig::default());
    let endpoint = rikki::ws::Endpoint::new(Room(topics.clone()));
    let callbacks = any(async move |upgrade: Upgrade| upgrade.serve(&endpoint));
    let of_streams = topics.clone();
    let streams = any(async move |upgrade: Upgrade| upgrade.on_upgrade(move |socket| both(socket, of_streams.clone())));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/callbacks", callbacks).route("/streams", streams);
    tokio::spawn(axum::serve(listener, router).into_future());
    let mut all = Vec::new();
    for n in 0..40 {
        let path = if n % 2 == 0 { "/callbacks" } else { "/streams" };
        let mut talk = Talk::open_at(address, path).await;
        assert_eq!(talk.next().await, "text(welcome)");
        all.push(talk);
    }
    for n in 0..50 {
        let said = format!("{n}");
        all[n % 40].send(text(&said)).await;
        for talk in &mut all {
            assert_eq!(talk.next().await, format!("text({said})"));
        }
    }
}

/// What comes from either is handed to the other.
async fn both(mut socket: WebSocket, topics: Topics) -> Result<(), Error> {
    let mut room = topics.subscribe("room", From::Now).unwrap();
    socket.send("welcome").await?;
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(message) => _ = topics.publish("room", message?).await.unwrap(),
                None => return Ok(()),
            },
            Some(update) = room.next() => if let Update::Message(message) = update {
                socket.send(message.message).await?;
            },
        }
    }
}
