//! Silence: who is pinged, who stays, and who is dropped.

use std::time::{Duration, Instant};

use rikki::Server;
use rikki::ws::{CloseCode, Config};
use tokio::net::TcpSocket;

use crate::recorder::Recorder;
use crate::talk::{Talk, frame};
use crate::wire::{BOTH, Running, Via};

const INTERVAL: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_millis(400);

fn impatient(server: Server) -> Server {
    server.websocket_config(Config::default().ping_interval(INTERVAL).pong_timeout(PATIENCE))
}

#[tokio::test]
async fn who_answers_stays() {
    let server = Running::echo(impatient(Server::new())).await;
    for via in BOTH {
        let mut talk = Talk::open(&server, via, "/echo").await;
        let since = Instant::now();
        for _ in 0..4 {
            assert_eq!(talk.next().await, "ping()");
            talk.send(frame(0x8a, "")).await;
        }
        assert!(since.elapsed() >= 4 * INTERVAL, "{:?}", since.elapsed());
        talk.echo("still here").await;
    }
}

/// Anything that arrives is an answer.
#[tokio::test]
async fn who_talks_stays() {
    let server = Running::echo(impatient(Server::new())).await;
    for via in BOTH {
        let mut talk = Talk::open(&server, via, "/echo").await;
        for _ in 0..4 {
            assert_eq!(talk.next().await, "ping()");
            talk.echo("no pong, but not mute").await;
        }
    }
}

#[tokio::test]
async fn who_is_mute_is_dropped() {
    let (recorder, mut calls) = Recorder::new();
    let server = Running::start(impatient(Server::new()).websocket("/record", recorder)).await;
    for via in BOTH {
        let mut talk = Talk::open(&server, via, "/record").await;
        calls.opened().await;
        let since = Instant::now();
        assert_eq!(talk.next().await, "ping()");
        assert_eq!(calls.closed().await, (0, "1006 \"\" TimedOut(Pong)".to_owned()));
        assert!(since.elapsed() >= INTERVAL + PATIENCE, "{:?}", since.elapsed());
        talk.gone().await;
    }
}

/// Writing that makes no progress, however much of it there is.
#[tokio::test]
async fn who_does_not_read_is_dropped() {
    let settings = Config::default().write_queue(64 * 1024 * 1024).write_timeout(PATIENCE);
    let (recorder, mut calls) = Recorder::new();
    let server = Running::start(Server::new().websocket_config(settings).websocket("/record", recorder)).await;
    for via in BOTH {
        let talk = Talk::open(&server, via, "/record").await;
        let (_, sender) = calls.opened().await;
        let since = Instant::now();
        sender.send(vec![0; 32 * 1024 * 1024]).unwrap();
        assert_eq!(calls.closed().await, (0, "1006 \"\" TimedOut(Write)".to_owned()));
        assert!(since.elapsed() >= PATIENCE, "{:?}", since.elapsed());
        drop(talk);
    }
}

/// Much may be held for a peer that has taken much in a moment. Where it goes on slowly, what it takes of that counts,
/// though nothing can be written meanwhile.
#[tokio::test]
async fn who_was_fast_may_be_slow() {
    const LENGTH: usize = 1 << 20;
    const PATIENCE: Duration = Duration::from_secs(1);
    let settings = Config::default().write_queue(64 * LENGTH).write_timeout(PATIENCE);
    let (recorder, mut calls) = Recorder::new();
    let server = Running::start(Server::new().websocket_config(settings).websocket("/record", recorder)).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut talk = Talk::from(socket.connect(server.address(Via::Tcp)).await.unwrap());
    talk.upgrade("/record").await;
    let (_, sender) = calls.opened().await;
    for _ in 0..3 {
        sender.send(vec![1; LENGTH]).unwrap();
        talk.bytes(10 + LENGTH).await;
    }
    // Less in all than what could show by a write.
    sender.send(vec![2; 8 * LENGTH]).unwrap();
    let mut left = 10 + 8 * LENGTH;
    for _ in 0..25 {
        tokio::time::sleep(PATIENCE / 10).await;
        left -= talk.bytes(20 * 1024).await.len();
    }
    talk.bytes(left).await;
    // It takes nothing more.
    let since = Instant::now();
    sender.send(vec![3; 32 * LENGTH]).unwrap();
    assert_eq!(calls.closed().await, (0, "1006 \"\" TimedOut(Write)".to_owned()));
    assert!(since.elapsed() >= PATIENCE && since.elapsed() < 3 * PATIENCE, "{:?}", since.elapsed());
    drop(talk);
}

#[tokio::test]
async fn who_does_not_answer_a_close_is_dropped() {
    let (recorder, mut calls) = Recorder::new();
    let settings = Config::default().close_timeout(PATIENCE);
    let server = Running::start(Server::new().websocket_config(settings).websocket("/record", recorder)).await;
    for via in BOTH {
        let mut talk = Talk::open(&server, via, "/record").await;
        let (_, sender) = calls.opened().await;
        let since = Instant::now();
        sender.close(CloseCode(4000), "bye").unwrap();
        assert_eq!(talk.next().await, "close(4000)");
        // Until it has answered, its messages are heard.
        talk.send(frame(0x81, "one moment")).await;
        assert_eq!(calls.closed().await, (1, "1006 \"\" TimedOut(Close)".to_owned()));
        assert!(since.elapsed() >= PATIENCE, "{:?}", since.elapsed());
        talk.gone().await;
    }
}
