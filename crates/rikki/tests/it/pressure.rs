//! Clients that send too much, too slowly or without reading: what a connection costs stays bounded.

use std::time::{Duration, Instant};

use rikki::Server;
use rikki::ws::Settings;
use tokio::io::AsyncWriteExt;

use crate::talk::{Talk, close, frame};
use crate::wire::{BOTH, RUNS, Running, soon};

/// Sends `input` in every delivery over TCP and TLS to a server with `settings`, and expects these frames.
async fn check(settings: Settings, input: &[u8], expected: &str) {
    let server = Running::echo(Server::new().websocket_settings(settings)).await;
    for (via, delivery) in RUNS {
        let mut bystander = Talk::open(&server, via, "/echo").await;
        let mut talk = Talk::open(&server, via, "/echo").await;
        talk.stream.deliver(input, delivery).await.unwrap();
        assert_eq!(talk.rest().await, expected, "{via:?} {delivery:?}");
        bystander.echo("still here").await;
    }
}

/// W6, with a limit of 100 in every delivery.
#[tokio::test]
async fn tiny_fragments() {
    let few = || Settings::default().max_fragments(100);
    let fragments = |payload: &str, count| [frame(0x01, payload), frame(0x00, payload).repeat(count)].concat();
    let end = [frame(0x80, ""), close(1000, "")].concat();
    check(few(), &fragments("", 100), "close(1008)").await;
    check(few(), &fragments("a", 100), "close(1008)").await;
    check(few(), &[fragments("a", 98), end.clone()].concat(), "text(99 x a) close(1000)").await;
    check(few(), &[fragments("a", 99), end].concat(), "close(1008)").await;
}

/// W6, with the default limit and ten times as many fragments as it allows.
#[tokio::test]
async fn tiny_fragments_with_the_defaults() {
    let server = Running::echo(Server::new()).await;
    for via in BOTH {
        for payload in ["", "a"] {
            let mut talk = Talk::open(&server, via, "/echo").await;
            talk.send(frame(0x01, payload)).await;
            talk.send(frame(0x00, payload).repeat(16_382)).await;
            // Up to the limit it goes on.
            talk.send(frame(0x89, "alive")).await;
            assert_eq!(talk.next().await, "pong(alive)");
            talk.send(frame(0x00, payload)).await;
            talk.send(frame(0x89, "alive")).await;
            assert_eq!(talk.next().await, "pong(alive)");
            talk.send(frame(0x00, payload).repeat(150_000)).await;
            assert_eq!(talk.rest().await, "close(1008)", "{via:?}");
        }
    }
}

/// W7: the sum counts, and it is judged on the header of the fragment that goes beyond.
#[tokio::test]
async fn an_endless_message() {
    let small = || Settings::default().max_message(1000);
    let mut beyond = frame(0x00, [b'a'; 200]);
    beyond.truncate(8);
    let parts = [frame(0x01, [b'a'; 400]), frame(0x00, [b'a'; 400])].concat();
    check(small(), &[parts.clone(), beyond].concat()[..parts.len() + 8].to_vec(), "text(800 x a)").await;
}

/// W8: the deadline counts from the first byte, however often more arrives.
#[tokio::test]
async fn a_slow_message() {
    let timeout = Duration::from_millis(400);
    let server = Running::echo(Server::new().websocket_settings(Settings::default().message_timeout(timeout))).await;
    for via in BOTH {
        let starts: [Vec<u8>; 4] =
            [frame(0x01, "a"), vec![0x81], frame(0x81, "ab")[..6].to_vec(), frame(0x81, "ab")[..7].to_vec()];
        for start in starts {
            let mut talk = Talk::open(&server, via, "/echo").await;
            talk.echo("in time").await;
            let since = Instant::now();
            talk.send(&start).await;
            assert_eq!(talk.rest().await, "close(1008)", "{via:?} {start:02x?}");
            assert!(since.elapsed() >= timeout, "{:?}", since.elapsed());
        }
        // Pings and bytes that dribble in are no reason to wait longer.
        let mut talk = Talk::open(&server, via, "/echo").await;
        talk.send(frame(0x01, "a")).await;
        let dribble = async {
            loop {
                talk.send(frame(0x89, "")).await;
                talk.send(frame(0x00, "a")).await;
                let next = talk.next().await;
                if next != "pong()" {
                    break next;
                }
            }
        };
        assert_eq!(soon("the deadline", dribble).await, "close(1008)", "{via:?}");
    }
}

/// W17: while the peer does not read, only the latest ping is remembered.
#[tokio::test]
async fn pings_without_reading() {
    const PINGS: u32 = 100_000;
    let server = Running::echo(Server::new()).await;
    for via in BOTH {
        let mut bystander = Talk::open(&server, via, "/echo").await;
        let mut talk = Talk::open(&server, via, "/echo").await;
        shrink_receive_buffer(&mut talk);
        // What the kernel does not take blocks the server's writing, however much is asked for.
        talk.send(frame(0x82, vec![0; 900_000]).repeat(8)).await;
        let mut flood = Vec::new();
        for count in 0..PINGS {
            flood.extend_from_slice(&frame(0x89, format!("{count:0>125}")));
        }
        let _ = (&mut flood, &mut bystander);
        talk.send(flood).await;
        bystander.echo("still here").await;
        talk.send(close(1000, "")).await;
        let mut last = String::new();
        let mut pongs = 0;
        while let Some(frame) = talk.frame().await {
            if frame.first == 0x8a {
                pongs += 1;
                last = String::from_utf8(frame.payload).unwrap();
            }
        }
        assert_eq!(last, format!("{:0>125}", PINGS - 1), "{via:?}");
        assert!(pongs < PINGS, "{via:?}: {pongs}");
    }
}

fn shrink_receive_buffer(talk: &mut Talk) {
    let socket = socket2::SockRef::from(talk.stream.tcp());
    socket.set_recv_buffer_size(4096).unwrap();
}

/// W18: a server that cannot write does not read either; when it can, nothing is missing.
#[tokio::test]
async fn echo_without_reading() {
    const SIZE: usize = 64 * 1024;
    const MOST: usize = 1024;
    let server = Running::echo(Server::new()).await;
    for via in BOTH {
        let mut bystander = Talk::open(&server, via, "/echo").await;
        let mut talk = Talk::open(&server, via, "/echo").await;
        let mut sent = Vec::new();
        // At most 64 MiB would go: the kernel's buffers and the queue hold far less.
        let mut unsent = Vec::new();
        for count in 0..MOST {
            unsent = frame(0x82, vec![count as u8; SIZE]);
            let mut rest = &unsent[..];
            let stalled = loop {
                match tokio::time::timeout(Duration::from_secs(1), talk.stream.write(rest)).await {
                    Ok(written) => rest = &rest[written.unwrap()..],
                    Err(_) => break true,
                }
                if rest.is_empty() {
                    break false;
                }
            };
            sent.push(count as u8);
            if stalled {
                unsent = rest.to_vec();
                break;
            }
            unsent = Vec::new();
        }
        assert!(!unsent.is_empty(), "{via:?}: all {MOST} messages were taken");
        bystander.echo("still here").await;

        let mut received = Vec::new();
        let mut rest = unsent;
        while received.len() < sent.len() {
            // Writing goes on only as fast as reading does.
            if !rest.is_empty() {
                let written = tokio::time::timeout(Duration::from_millis(1), talk.stream.write(&rest)).await;
                if let Ok(written) = written {
                    rest.drain(..written.unwrap());
                }
            }
            let echoed = talk.frame().await.expect("all echoes");
            assert_eq!((echoed.first, echoed.payload.len()), (0x82, SIZE));
            assert!(echoed.payload.iter().all(|byte| *byte == echoed.payload[0]));
            received.push(echoed.payload[0]);
        }
        assert_eq!(received, sent, "{via:?}");
        talk.echo("and on").await;
    }
}
