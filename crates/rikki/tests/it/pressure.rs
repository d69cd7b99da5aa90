//! Clients that send too much, too slowly or without reading: what a connection costs stays bounded.

use std::time::{Duration, Instant};

use rikki::Server;
use rikki::ws::{Config, Message, Socket};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::talk::{Talk, close, frame, header};
use crate::wire::{BOTH, RUNS, Running, soon};

/// Sends `input` in every delivery over TCP and TLS to a server with `settings`, and expects these frames.
async fn check(settings: Config, input: &[u8], expected: &str) {
    let server = Running::echo(Server::new().websocket_config(settings)).await;
    for (via, delivery) in RUNS {
        let mut bystander = Talk::open(&server, via, "/echo").await;
        let mut talk = Talk::open(&server, via, "/echo").await;
        talk.stream.deliver(input, delivery).await.unwrap();
        assert_eq!(talk.rest().await, expected, "{via:?} {delivery:?}");
        bystander.echo("still here").await;
    }
}

/// Fragments of next to nothing, with a limit of 100 in every delivery.
#[tokio::test]
async fn tiny_fragments() {
    let few = || Config::default().max_fragments(100);
    let fragments = |payload: &str, count| [frame(0x01, payload), frame(0x00, payload).repeat(count)].concat();
    let end = [frame(0x80, ""), close(1000, "")].concat();
    check(few(), &fragments("", 100), "close(1008)").await;
    check(few(), &fragments("a", 100), "close(1008)").await;
    check(few(), &[fragments("a", 98), end.clone()].concat(), "text(99 x a) close(1000)").await;
    check(few(), &[fragments("a", 99), end].concat(), "close(1008)").await;
}

/// Fragments of next to nothing, with the default limit and ten times as many fragments as it allows.
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

/// Messages that are begun and not ended have a bound together; who sends small ones, or whole ones, is not refused for
/// that.
#[tokio::test]
async fn unfinished_messages_of_all_connections() {
    const LARGE: usize = 60_000;
    let settings = Config::default().max_message_size(LARGE);
    let server = Running::echo(Server::new().websocket_config(settings).message_memory(LARGE * 3 / 2)).await;
    let large = || frame(0x01, [b'a'; LARGE]);
    for via in BOTH {
        let mut first = Talk::open(&server, via, "/echo").await;
        let mut second = Talk::open(&server, via, "/echo").await;
        let mut small = Talk::open(&server, via, "/echo").await;
        first.send([large(), frame(0x89, "taken")].concat()).await;
        assert_eq!(first.next().await, "pong(taken)");
        // The oldest gives way to the latest.
        second.send([large(), frame(0x89, "taken")].concat()).await;
        assert_eq!(second.next().await, "pong(taken)");
        assert_eq!(first.rest().await, "close(1013)");
        small.send(frame(0x01, [b'a'; 16_000])).await;
        small.send(frame(0x80, "")).await;
        assert_eq!(small.next().await, "text(16000 x a)");
        // What is ended leaves its room to others.
        second.send(frame(0x80, "")).await;
        assert_eq!(second.next().await, "text(60000 x a)");
        small.send([large(), frame(0x80, "")].concat()).await;
        assert_eq!(small.next().await, "text(60000 x a)");
    }
    assert_eq!(server.handle.counters().closed_memory, 2);
}

/// Of a message in fragments the sum counts, and it is judged on the header of the fragment that goes beyond.
#[tokio::test]
async fn an_endless_message() {
    let small = || Config::default().max_message_size(1000);
    let parts = [frame(0x01, [b'a'; 400]), frame(0x00, [b'a'; 400])].concat();
    let header = |length| [header(0x00, length), vec![0; 4]].concat();
    check(small(), &[parts.clone(), header(201)].concat(), "close(1009)").await;
    let fits = [parts, frame(0x80, [b'a'; 200]), close(1000, "")].concat();
    check(small(), &fits, "text(1000 x a) close(1000)").await;

    let server = Running::echo(Server::new()).await;
    for via in BOTH {
        let mut talk = Talk::open(&server, via, "/echo").await;
        talk.send(frame(0x02, "")).await;
        talk.send(frame(0x00, vec![0; 64 * 1024]).repeat(64)).await;
        talk.send(frame(0x89, "alive")).await;
        assert_eq!(talk.next().await, "pong(alive)");
        talk.send(header(1)).await;
        assert_eq!(talk.rest().await, "close(1009)", "{via:?}");
    }
}

/// How much comes of a message is judged, and not how often.
#[tokio::test]
async fn a_slow_message() {
    let timeout = Duration::from_millis(400);
    let settings = Config::default().min_payload_rate(1_000_000, timeout);
    let server = Running::echo(Server::new().websocket_config(settings)).await;
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

/// While the peer does not read, only the latest ping is remembered.
#[tokio::test]
async fn pings_without_reading() {
    const PINGS: u32 = 20_000;
    let (seen, mut mark) = mpsc::unbounded_channel();
    let mark_or_echo = move |socket: &mut Socket<'_>, message: Message<'_>| match message {
        Message::Text(_) => seen.send(()).unwrap(),
        Message::Binary(_) => socket.send(message).unwrap(),
    };
    // So much may wait that the server goes on reading while it cannot write.
    let settings = Config::default().write_queue(64 * 1024 * 1024);
    let server = Running::start(Server::new().websocket_config(settings).websocket("/echo", mark_or_echo)).await;
    for via in BOTH {
        let mut talk = Talk::open(&server, via, "/echo").await;
        talk.send(frame(0x82, vec![0; 2 * 1024 * 1024]).repeat(8)).await;
        let flood: Vec<u8> = (0..PINGS).flat_map(|count| frame(0x89, format!("{count:0>125}"))).collect();
        talk.send(flood).await;
        // The server has read them all.
        talk.send(frame(0x81, "mark")).await;
        soon("the mark", mark.recv()).await.unwrap();
        for _ in 0..8 {
            assert_eq!(talk.next().await, "binary(2097152 x \\x00)");
        }
        assert_eq!(talk.next().await, format!("pong({:0>125})", PINGS - 1), "{via:?}");
        talk.send(close(1000, "")).await;
        assert_eq!(talk.rest().await, "close(1000)", "{via:?}");
    }
}

/// A server that cannot write does not read either; when it can, nothing is missing.
#[tokio::test]
async fn echo_without_reading() {
    const SIZE: usize = 64 * 1024;
    const MOST: usize = 1024;
    let server = Running::echo(Server::new()).await;
    for via in BOTH {
        let mut bystander = Talk::open(&server, via, "/echo").await;
        let mut talk = Talk::open(&server, via, "/echo").await;
        let mut sent = Vec::new();
        // Of 64 MiB the kernel's buffers and the queue take a part.
        let mut rest = Vec::new();
        while rest.is_empty() {
            assert!(sent.len() < MOST, "{via:?}: all {MOST} messages were taken");
            sent.push(sent.len() as u8);
            rest = frame(0x82, vec![sent.len() as u8 - 1; SIZE]);
            while write_some(&mut talk, &mut rest, Duration::from_secs(1)).await {}
        }
        bystander.echo("still here").await;

        let mut received = Vec::new();
        while received.len() < sent.len() {
            // Writing goes on only as fast as reading does.
            write_some(&mut talk, &mut rest, Duration::from_millis(1)).await;
            let echoed = talk.frame().await.expect("all echoes");
            assert_eq!((echoed.first, echoed.payload.len()), (0x82, SIZE));
            let first = echoed.payload[0];
            assert!(echoed.payload.iter().all(|byte| *byte == first));
            received.push(first);
        }
        assert_eq!(received, sent, "{via:?}");
        talk.echo("and on").await;
    }
}

/// Writes from the front of `rest` if the connection takes something within `patience`; whether to go on.
async fn write_some(talk: &mut Talk, rest: &mut Vec<u8>, patience: Duration) -> bool {
    if rest.is_empty() {
        let _ = tokio::time::timeout(patience, talk.stream.flush()).await;
        return false;
    }
    let Ok(written) = tokio::time::timeout(patience, talk.stream.write(rest)).await else { return false };
    rest.drain(..written.unwrap());
    true
}
