//! Topics over real sockets: callbacks that join and leave, slow readers, drains, other runtimes.

mod url;

use rikki::Server;
use rikki::topics::{Subscribe, TopicConfig, Topics, TopicsConfig};
use rikki::ws::{Handler, Message, Opening, Socket};

use crate::talk::{Talk, frame};
use crate::wire::{BOTH, Running};

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

fn text(text: &str) -> Vec<u8> {
    frame(0x81, text)
}
