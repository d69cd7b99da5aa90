//! The callback face: each callback once, panics contained, queues bounded, pushes from other threads.

use std::thread;

use rikki::Server;
use rikki::ws::{Config, Message, SendError, Socket};

use crate::recorder::Recorder;
use crate::talk::{Talk, close, frame, hex, upgrade};
use crate::wire::{BOTH, Running, soon};

#[tokio::test]
async fn each_callback_once() {
    let (recorder, mut calls) = Recorder::new();
    let server = Running::start(Server::new().protocols(["chat"]).websocket("/record", recorder)).await;
    for via in BOTH {
        // Two connections have two states.
        let mut first = Talk::open(&server, via, "/record?first").await;
        let peer = first.stream.tcp().local_addr().unwrap();
        assert_eq!(calls.opened().await.0, format!("/record?first none {peer}"));
        let mut second = Talk::connect(&server, via).await;
        second.send(upgrade("/record", "Sec-WebSocket-Protocol: chat\r\n")).await;
        second.head().await;
        let peer = second.stream.tcp().local_addr().unwrap();
        assert_eq!(calls.opened().await.0, format!("/record chat {peer}"));
        for count in 0..3 {
            first.echo(&count.to_string()).await;
        }
        second.echo("hello").await;

        first.send(close(4000, "bye")).await;
        assert_eq!(first.rest().await, "close(4000)");
        assert_eq!(calls.closed().await, (3, "4000 \"bye\" fine".to_owned()));
        second.send(frame(0x88, "")).await;
        assert_eq!(second.rest().await, "close()");
        assert_eq!(calls.closed().await, (1, "1005 \"\" fine".to_owned()));
    }
    server.handle.shutdown().await;
    calls.end().await;
}

#[tokio::test]
async fn ends_that_are_not_normal() {
    let (recorder, mut calls) = Recorder::new();
    let server = Running::start(Server::new().websocket("/record", recorder)).await;
    for via in BOTH {
        let mut talk = Talk::open(&server, via, "/record").await;
        calls.opened().await;
        talk.send(hex("81 05 48656c6c6f")).await;
        assert_eq!(talk.rest().await, "close(1002)");
        let (count, how) = calls.closed().await;
        assert!(count == 0 && how.starts_with("1002 \"\" Protocol("), "{how}");

        let mut talk = Talk::open(&server, via, "/record").await;
        calls.opened().await;
        talk.send(hex("81 ff 7fffffffffffffff 00000000")).await;
        assert_eq!(talk.rest().await, "close(1009)");
        let (_, how) = calls.closed().await;
        assert!(how.starts_with("1009 \"\" Limit("), "{how}");

        // TCP ends without a Close.
        let mut talk = Talk::open(&server, via, "/record").await;
        calls.opened().await;
        talk.echo("hello").await;
        drop(talk);
        let (count, how) = calls.closed().await;
        assert!(count == 1 && how.starts_with("1006 \"\" Io("), "{how}");
    }
    server.handle.shutdown().await;
    calls.end().await;
}

/// What had been sent before the callback that panics arrives, and what it had sent itself does not.
#[tokio::test]
async fn a_panic_ends_one_connection() {
    let (recorder, mut calls) = Recorder::new();
    let server = Running::start(Server::new().websocket("/record", recorder)).await;
    for via in BOTH {
        let mut bystander = Talk::open(&server, via, "/record").await;
        calls.opened().await;
        let mut talk = Talk::open(&server, via, "/record").await;
        calls.opened().await;
        // In one write, and so most likely in one read.
        talk.send([frame(0x81, "before"), frame(0x81, "panic"), frame(0x81, "after")].concat()).await;
        assert_eq!(talk.rest().await, "text(before) close(1011)");
        assert_eq!(calls.closed().await, (2, "1011 \"\" HandlerPanicked".to_owned()));
        bystander.echo("still here").await;
        drop(bystander);
        calls.closed().await;

        // A connection whose `open` panics has no state to close.
        let mut talk = Talk::connect(&server, via).await;
        talk.send(upgrade("/record", "X-Panic: now\r\n")).await;
        assert!(talk.head().await.starts_with("HTTP/1.1 101 "));
        assert_eq!(talk.next().await, "close(1011)");
        calls.opened().await;
        talk.send(close(1011, "")).await;
        assert_eq!(talk.rest().await, "");
    }
    server.handle.shutdown().await;
    assert_eq!(server.handle.counters().lost_messages, 2, "each answer that was taken back");
    calls.end().await;
}

/// A closure that returns what `send` returns asks the client to come again later when the queue is full: when it does
/// not read, and the kernel takes no more for it.
#[tokio::test]
async fn a_full_queue_closes_with_1013() {
    const SIZE: usize = 60_000;
    let flood = |socket: &mut Socket<'_>, _: Message<'_>| -> Result<(), SendError> {
        for _ in 0..10_000 {
            socket.send(&[0; SIZE][..])?;
        }
        Ok(())
    };
    let settings = Config::default().write_queue(1000);
    let server = Running::start(Server::new().websocket_config(settings).websocket("/flood", flood)).await;
    for via in BOTH {
        let mut talk = Talk::open(&server, via, "/flood").await;
        talk.send(frame(0x81, "go")).await;
        let mut messages = 0;
        let end = loop {
            let frame = talk.frame().await.unwrap();
            if frame.first != 0x82 {
                break frame.describe();
            }
            assert_eq!(frame.payload, [0; SIZE]);
            messages += 1;
        };
        assert_eq!(end, "close(1013)");
        assert!((2..10_000).contains(&messages), "{messages}");
        talk.send(close(1013, "")).await;
        assert_eq!(talk.rest().await, "");
    }
}

/// Every message of a thread and every echo arrives, each kind in order.
#[tokio::test]
async fn a_thread_pushes_while_the_client_sends() {
    const COUNT: usize = 2000;
    let (recorder, mut calls) = Recorder::new();
    let server = Running::start(Server::new().websocket("/record", recorder)).await;
    for via in BOTH {
        let mut talk = Talk::open(&server, via, "/record").await;
        let (_, sender) = calls.opened().await;
        let pusher = thread::spawn(move || {
            for number in 0..COUNT {
                while let Err(error) = sender.send(format!("push {number}")) {
                    assert_eq!(error, SendError::Full);
                    thread::yield_now();
                }
            }
            sender.close(rikki::ws::CloseCode(4001), "all pushed").unwrap();
            assert_eq!(sender.send("too late"), Err(SendError::Closed));
        });
        let (mut pushed, mut echoed, mut sent) = (0, 0, 0);
        loop {
            if sent < COUNT && sent <= echoed {
                talk.send(frame(0x81, format!("echo {sent}"))).await;
                sent += 1;
            }
            let next = talk.next().await;
            if next == format!("text(push {pushed})") {
                pushed += 1;
            } else if next == format!("text(echo {echoed})") {
                echoed += 1;
            } else {
                assert_eq!(next, "close(4001)");
                break;
            }
        }
        assert_eq!(pushed, COUNT, "{via:?}");
        talk.send(close(4001, "")).await;
        assert_eq!(talk.rest().await, "");
        assert!(calls.closed().await.1.starts_with("4001 "));
        pusher.join().unwrap();
    }
}

/// A client that does not read fills the queue to its mark and no further; when it reads, all of it is there.
#[tokio::test]
async fn a_sender_is_bounded() {
    const MARK: usize = 256 * 1024;
    const SIZE: usize = 16 * 1024;
    let (recorder, mut calls) = Recorder::new();
    let settings = Config::default().write_queue(MARK);
    let server = Running::start(Server::new().websocket_config(settings).websocket("/record", recorder)).await;
    for via in BOTH {
        let mut talk = Talk::open(&server, via, "/record").await;
        let (_, sender) = calls.opened().await;
        let mut accepted = 0;
        let mut refused = 0;
        // Until the kernel takes no more, there may be room again after a while.
        while refused < 10_000 {
            match sender.send(vec![0; SIZE]) {
                Ok(()) => {
                    accepted += 1;
                    refused = 0;
                }
                Err(error) => {
                    assert_eq!(error, SendError::Full);
                    assert!(sender.queued() < MARK + 2 * SIZE, "{}", sender.queued());
                    refused += 1;
                    tokio::task::yield_now().await;
                }
            }
            assert!(accepted < 64 * 1024 * 1024 / SIZE, "{via:?}: no end");
        }
        assert!(accepted * SIZE >= MARK && !sender.is_closed());
        for _ in 0..accepted {
            assert_eq!(talk.next().await, format!("binary({SIZE} x \\x00)"));
        }
        let room = async {
            while sender.send("room") == Err(SendError::Full) {
                tokio::task::yield_now().await;
            }
        };
        soon("room in the queue", room).await;
        assert_eq!(talk.next().await, "text(room)");

        drop(talk);
        calls.closed().await;
        assert_eq!(sender.send("gone"), Err(SendError::Closed), "{via:?}");
        assert!(sender.is_closed() && sender.queued() < MARK);
    }
}
