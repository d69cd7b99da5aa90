//! What a send has answered with `Ok` arrives, in the order in which it was accepted and before the Close.

mod property;

use std::time::Duration;

use axum::routing::any;
use futures_util::{SinkExt, StreamExt};
use rikki::Server;
use rikki::ws::{CloseCode, Config, Message, Overflow, Socket, Upgrade, WebSocket};
use tokio::sync::mpsc;

use crate::recorder::Recorder;
use crate::talk::{Talk, close, frame};
use crate::wire::{BOTH, Running, Via, soon};

/// A server whose `/` is served by the async face with `serve`.
async fn serving<F, Fut>(server: Server, serve: F) -> Running
where
    F: Fn(WebSocket) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), rikki::ws::Error>> + Send + 'static,
{
    Running::start(server.route("/", any(async move |upgrade: Upgrade| upgrade.on_upgrade(serve)))).await
}

#[tokio::test]
async fn a_drain_sends_what_is_queued_first() {
    for window in [Duration::ZERO, Duration::from_millis(300)] {
        let (recorder, mut calls) = Recorder::new();
        let server = Running::start(Server::new().drain_window(window).websocket("/record", recorder)).await;
        let mut talks = Vec::new();
        let mut senders = Vec::new();
        for _ in 0..100 {
            talks.push(Talk::open(&server, Via::Tcp, "/record").await);
            senders.push(calls.opened().await.1);
        }
        for sender in &senders {
            sender.send("bye").unwrap();
        }
        let down = tokio::spawn(async move { server.handle.shutdown().await });
        let mut arrived = 0;
        for mut talk in talks {
            let mut next = talk.next().await;
            if next == "text(bye)" {
                arrived += 1;
                next = talk.next().await;
            }
            assert_eq!(next, "close(1001)");
            talk.send(close(1001, "")).await;
            assert_eq!(talk.rest().await, "");
        }
        assert_eq!(arrived, 100, "with a window of {window:?}");
        soon("the end", down).await.unwrap();
    }
}

#[tokio::test]
async fn dropping_a_websocket_sends_what_its_senders_were_promised() {
    let server = serving(Server::new(), async |mut socket: WebSocket| {
        let sender = socket.sender().unwrap();
        sender.send("taken").unwrap();
        Ok(())
    })
    .await;
    for via in BOTH {
        let mut talk = Talk::open(&server, via, "/").await;
        assert_eq!((talk.next().await, talk.next().await), ("text(taken)".to_owned(), "close(1000)".to_owned()));
    }
}

#[tokio::test]
async fn the_sink_keeps_the_order_of_acceptance() {
    let server = serving(Server::new(), async |mut socket: WebSocket| {
        let sender = socket.sender().unwrap();
        sender.send("A").unwrap();
        socket.send("B").await.unwrap();
        sender.send("C").unwrap();
        socket.flush().await.unwrap();
        socket.next().await.unwrap().unwrap();
        sender.send("D").unwrap();
        socket.close().await.unwrap();
        assert!(sender.send("E").is_err());
        Ok(())
    })
    .await;
    for via in BOTH {
        let mut talk = Talk::open(&server, via, "/").await;
        for expected in ["text(A)", "text(B)", "text(C)"] {
            assert_eq!(talk.next().await, expected);
        }
        talk.send(frame(0x81, "go on")).await;
        assert_eq!(talk.next().await, "text(D)");
        assert_eq!(talk.next().await, "close(1000)");
    }
}

#[tokio::test]
async fn a_callback_keeps_the_order_of_acceptance() {
    let server = Server::new().websocket("/", |socket: &mut Socket<'_>, _: Message<'_>| {
        let sender = socket.sender();
        sender.send("1").unwrap();
        socket.send("2").unwrap();
        sender.send("3").unwrap();
        socket.ping(b"4").unwrap();
        sender.send("5").unwrap();
        socket.close(CloseCode(4000), "6").unwrap();
    });
    let server = Running::start(server).await;
    for via in BOTH {
        let mut talk = Talk::open(&server, via, "/").await;
        talk.send([frame(0x81, "go"), close(1000, "")].concat()).await;
        assert_eq!(talk.rest().await, "text(1) text(2) text(3) ping(4) text(5) close(4000)");
    }
}

/// A question and the Close in one segment: the answer is accepted before the Close is seen.
#[tokio::test]
async fn an_answer_by_a_sender_goes_before_the_answer_to_a_close() {
    let server = Server::new().websocket("/", |socket: &mut Socket<'_>, _: Message<'_>| {
        socket.sender().send("answer").unwrap();
    });
    let server = Running::start(server).await;
    for via in BOTH {
        let mut talk = Talk::open(&server, via, "/").await;
        talk.send([frame(0x81, "question"), close(1000, "")].concat()).await;
        assert_eq!(talk.rest().await, "text(answer) close(1000)");
    }
}

#[tokio::test]
async fn a_task_that_only_sends_learns_of_the_close() {
    let (ended, mut seen) = mpsc::unbounded_channel();
    let server = serving(Server::new(), move |mut socket: WebSocket| {
        let ended = ended.clone();
        async move {
            let mut interval = tokio::time::interval(Duration::from_millis(10));
            while socket.send("tick").await.is_ok() {
                interval.tick().await;
            }
            ended.send(socket.closed().map(|closed| closed.code)).unwrap();
            Ok(())
        }
    })
    .await;
    for via in BOTH {
        let mut talk = Talk::open(&server, via, "/").await;
        assert_eq!(talk.next().await, "text(tick)");
        talk.send(close(4000, "enough")).await;
        let rest = talk.rest().await;
        assert!(rest.ends_with("close(4000)"), "{rest}");
        assert_eq!(soon("the end of the task", seen.recv()).await.unwrap(), Some(CloseCode(4000)));
    }
}

const HISTORY: usize = 50;

/// As much as passes the write queue three times.
fn history() -> impl Iterator<Item = String> {
    (0..HISTORY).map(|number| format!("{number} {}", "x".repeat(1000)))
}

/// The numbers of the entries that come until the Close.
async fn entries(talk: &mut Talk) -> Vec<usize> {
    let mut numbers = Vec::new();
    loop {
        let frame = talk.frame().await.unwrap();
        if frame.first != 0x81 {
            assert_eq!(frame.describe(), "close(4000)");
            return numbers;
        }
        let text = String::from_utf8(frame.payload).unwrap();
        numbers.push(text.split_once(' ').unwrap().0.parse().unwrap());
    }
}

#[tokio::test]
async fn a_burst_in_one_callback_passes_the_queue_of_a_peer_that_reads() {
    for overflow in [Overflow::Pause, Overflow::Close, Overflow::DropNewest, Overflow::DropOldest] {
        let settings = Config::default().write_queue(16 * 1024).overflow(overflow);
        let server =
            Server::new().websocket_config(settings).websocket("/", |socket: &mut Socket<'_>, _: Message<'_>| {
                for entry in history() {
                    socket.send(entry).unwrap();
                }
                socket.close(CloseCode(4000), "").unwrap();
            });
        let server = Running::start(server).await;
        for via in BOTH {
            let mut talk = Talk::open(&server, via, "/").await;
            talk.send(frame(0x81, "go")).await;
            assert_eq!(entries(&mut talk).await, (0..HISTORY).collect::<Vec<_>>(), "{overflow:?} {via:?}");
        }
    }
}

/// How the task of a WebSocket ends is how the WebSocket does.
#[tokio::test]
async fn the_end_of_a_task_is_told_and_counted() {
    type Failure = Box<dyn std::error::Error + Send + Sync>;
    let serve = async |mut socket: WebSocket| -> Result<(), Failure> {
        let sender = socket.sender().unwrap();
        // The end of the connection itself is an error here.
        let message = socket.next().await.ok_or("the peer has closed")??;
        sender.send("taken")?;
        match message.as_text().unwrap() {
            "fine" => Ok(()),
            "panic" => panic!("as asked for"),
            "refused" => Ok(sender.ping(&[0; 126])?),
            text => Err(std::io::Error::other(text.to_owned()).into()),
        }
    };
    let endpoint = any(async move |upgrade: Upgrade| upgrade.on_upgrade(serve));
    let server = Running::start(Server::new().route("/", endpoint)).await;
    let counts = || {
        let counters = server.handle.counters();
        (counters.closed_errors, counters.closed_panics)
    };
    let mut expected = (0, 0);
    for via in BOTH {
        for (text, code, errors, panics) in
            [("fine", 1000, 0, 0), ("no database", 1011, 1, 0), ("refused", 1011, 1, 0), ("panic", 1011, 0, 1)]
        {
            let mut talk = Talk::open(&server, via, "/").await;
            talk.send(frame(0x81, text)).await;
            assert_eq!(talk.next().await, "text(taken)");
            assert_eq!(talk.next().await, format!("close({code})"), "{text}");
            talk.send(close(code, "")).await;
            assert_eq!(talk.rest().await, "");
            expected = (expected.0 + errors, expected.1 + panics);
            assert_eq!(counts(), expected, "{text}");
        }
        // Those that vanish, and one that breaks the protocol: `?` ends the task, and that is all.
        let mut talk = Talk::open(&server, via, "/").await;
        talk.send([0x81, 0x01, b'x']).await;
        assert_eq!(talk.next().await, "close(1002)");
        drop(talk);
        drop(Talk::open(&server, via, "/").await);
    }
    let gone = async {
        while server.handle.counters().websockets > 0 {
            tokio::task::yield_now().await;
        }
    };
    soon("the end of all", gone).await;
    assert_eq!(counts(), expected);
    // A peer that closes in order is none either, but for what the task makes of it.
    let mut talk = Talk::open(&server, Via::Tcp, "/").await;
    talk.send(close(1000, "")).await;
    assert_eq!(talk.rest().await, "close(1000)");
    let failed = async {
        while counts() != (expected.0 + 1, expected.1) {
            tokio::task::yield_now().await;
        }
    };
    soon("the failure", failed).await;
}
