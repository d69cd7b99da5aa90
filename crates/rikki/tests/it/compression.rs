//! permessage-deflate over real sockets: what is agreed on, what is compressed, and what it may cost.

use rikki::Server;
use rikki::ws::{Compression, Config, Message, Socket};
use rikki_proto::deflate::{Compression as Deflate, Compressor, Decompressor, SCRATCH_SIZE};

use crate::talk::{Talk, close, frame, upgrade};
use crate::wire::{BOTH, Delivery, RUNS, Running, Via, soon};

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

fn deflate(payload: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    Compressor::new(Deflate::default()).compress(payload, &mut compressed);
    compressed
}

fn inflate(payload: &[u8]) -> Vec<u8> {
    let (mut decompressor, mut inflated) = (Decompressor::new(), Vec::new());
    let mut scratch = [0; SCRATCH_SIZE];
    let sink = |output: &[u8]| {
        inflated.extend_from_slice(output);
        Ok(())
    };
    decompressor.push(payload, &mut scratch, usize::MAX - 1, sink).unwrap();
    decompressor.finish(&mut scratch).unwrap();
    inflated
}

/// Opens a connection with an offer; returns what the server answered to it.
async fn open(server: &Running, via: Via, offer: &str) -> (Talk, Option<String>) {
    let mut talk = Talk::connect(server, via).await;
    talk.send(upgrade("/echo", offer)).await;
    let head = talk.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let agreed = head.lines().find_map(|line| line.strip_prefix("sec-websocket-extensions: ").map(str::to_owned));
    (talk, agreed)
}

#[tokio::test]
async fn agrees_with_who_offers_it() {
    const BOTH_FORGET: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let server = Running::echo(Server::new()).await;
    for (offer, expected) in [
        ("", None),
        (OFFER, Some(BOTH_FORGET.to_owned())),
        (
            "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10\r\n",
            Some(format!("{BOTH_FORGET}; server_max_window_bits=10")),
        ),
        ("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=8\r\n", None),
        ("Sec-WebSocket-Extensions: x-webkit-deflate-frame\r\n", None),
    ] {
        assert_eq!(open(&server, Via::Tcp, offer).await.1, expected, "{offer}");
    }
    let mut talk = Talk::connect(&server, Via::Tcp).await;
    talk.send(upgrade("/echo", "Sec-WebSocket-Extensions: permessage-deflate; =\r\n")).await;
    let head = talk.head().await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");

    let off = Running::echo(Server::new().websocket_config(Config::default().compression(None))).await;
    let (mut talk, agreed) = open(&off, Via::Tcp, OFFER).await;
    assert_eq!(agreed, None);
    talk.send(frame(0xc1, deflate(b"Hello"))).await;
    assert_eq!(talk.rest().await, "close(1002)");
}

#[tokio::test]
async fn echoes_compressed_messages() {
    let server = Running::echo(Server::new()).await;
    let long = r#"{"key": "value", "list": [1, 2, 3]} "#.repeat(100);
    let parts = deflate(long.as_bytes());
    let (first, last) = parts.split_at(parts.len() / 2);
    let bytes = [
        frame(0xc1, deflate(b"Hello")),
        frame(0x41, first),
        frame(0x89, "between"),
        frame(0x80, last),
        frame(0xc2, deflate(long.as_bytes())),
        frame(0x81, &long),
        close(1000, ""),
    ]
    .concat();
    for (via, delivery) in RUNS {
        let (mut talk, _) = open(&server, via, OFFER).await;
        talk.stream.deliver(&bytes, delivery).await.unwrap();
        assert_eq!(talk.next().await, "text(Hello)", "too short to be compressed");
        assert_eq!(talk.next().await, "pong(between)");
        for first in [0xc1, 0xc2, 0xc1] {
            let frame = talk.frame().await.unwrap();
            assert!(frame.first == first && frame.payload.len() < 200, "{:#x}", frame.first);
            assert_eq!(inflate(&frame.payload), long.as_bytes());
        }
        assert_eq!(talk.rest().await, "close(1000)");
    }
}

#[tokio::test]
async fn a_bomb_ends_in_1009_and_others_go_on() {
    let server = Running::echo(Server::new()).await;
    let (mut bystander, _) = open(&server, Via::Tcp, OFFER).await;
    let bomb = frame(0xc2, deflate(&vec![0; 64 << 20]));
    assert!(bomb.len() < 1 << 20);
    for via in BOTH {
        let (mut talk, _) = open(&server, via, OFFER).await;
        talk.stream.deliver(&bomb, Delivery::Whole).await.unwrap();
        assert_eq!(talk.rest().await, "close(1009)");
        bystander.echo("still here").await;
    }
}

/// There is memory to decompress one message at a time, which is enough for all: none holds it while it arrives.
#[tokio::test]
async fn messages_that_have_begun_do_not_keep_others_from_being_decompressed() {
    let server = Running::echo(Server::new().compression_memory(1)).await;
    let message = frame(0xc1, deflate(b"Hello"));
    let (begun, rest) = message.split_at(message.len() - 1);
    let mut holders = Vec::new();
    for _ in 0..20 {
        let (mut holder, _) = open(&server, Via::Tcp, OFFER).await;
        holder.send([frame(0x89, ""), begun.to_vec()].concat()).await;
        assert_eq!(holder.next().await, "pong()");
        holders.push(holder);
    }
    let (mut other, _) = open(&server, Via::Tcp, OFFER).await;
    other.send(&message).await;
    assert_eq!(other.next().await, "text(Hello)");
    for mut holder in holders {
        holder.send(rest).await;
        assert_eq!(holder.next().await, "text(Hello)");
    }
}

fn dedicated(compression: Compression) -> Server {
    Server::new().websocket_config(Config::default().compression(compression.threshold(1)))
}

/// Not the same in two places, and no shorter when compressed.
fn noise(length: u32) -> Vec<u8> {
    (0..length).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

#[tokio::test]
async fn with_context_takeover_messages_refer_to_earlier_ones() {
    let server = Running::echo(dedicated(Compression::dedicated())).await;
    let json = br#"{"event": "price", "symbol": "RIKK", "bid": 101.25, "ask": 101.5}"#;
    for (via, delivery) in RUNS {
        let (mut talk, agreed) = open(&server, via, OFFER).await;
        assert_eq!(agreed.as_deref(), Some("permessage-deflate"));
        let (mut compressor, mut lengths) = (Compressor::new(Deflate::default()), Vec::new());
        let mut decompressor = Decompressor::new();
        for payload in [&json[..], json, b"", &noise(200), json, json] {
            let mut compressed = Vec::new();
            compressor.compress(payload, &mut compressed);
            talk.stream.deliver(&frame(0xc2, compressed), delivery).await.unwrap();
            let answer = talk.frame().await.unwrap();
            if payload.is_empty() || payload == noise(200) {
                assert_eq!((answer.first, &*answer.payload), (0x82, payload), "nothing would be gained");
                continue;
            }
            assert_eq!(answer.first, 0xc2);
            let mut inflated = Vec::new();
            let sink = |output: &[u8]| {
                inflated.extend_from_slice(output);
                Ok(())
            };
            let mut scratch = [0; SCRATCH_SIZE];
            decompressor.push(&answer.payload, &mut scratch, 10_000, sink).unwrap();
            decompressor.finish(&mut scratch).unwrap();
            assert_eq!(inflated, payload);
            lengths.push(answer.payload.len());
        }
        let [first, second, after_noise, last] = lengths[..] else { panic!("{lengths:?}") };
        assert!(second < first / 4 && last < first / 4, "{lengths:?}");
        assert_eq!(after_noise, first, "what was not sent compressed is not referred to, nor what came before it");
    }
}

#[tokio::test]
async fn either_side_of_context_takeover_can_be_declined() {
    let server = Running::echo(dedicated(Compression::dedicated().window_bits(10).unwrap())).await;
    for (offered, agreed) in [
        ("", "permessage-deflate"),
        ("; server_no_context_takeover", "permessage-deflate; server_no_context_takeover"),
        ("; client_no_context_takeover", "permessage-deflate; client_no_context_takeover"),
        ("; server_max_window_bits=12", "permessage-deflate; server_max_window_bits=10"),
    ] {
        let offer = format!("Sec-WebSocket-Extensions: permessage-deflate{offered}\r\n");
        let (mut talk, answer) = open(&server, Via::Tcp, &offer).await;
        assert_eq!(answer.as_deref(), Some(agreed));
        let mut lengths = Vec::new();
        for _ in 0..2 {
            // By itself: whoever may refer to earlier messages need not.
            talk.send(frame(0xc1, deflate(&[b'x'; 300]))).await;
            lengths.push(talk.frame().await.unwrap().payload.len());
        }
        let remembers = !agreed.contains("server_no_context_takeover");
        assert_eq!(lengths[1] < lengths[0], remembers, "{agreed}: {lengths:?}");
    }
}

#[tokio::test]
async fn connections_beyond_the_memory_go_without() {
    // 330 KiB each: for one, not for two.
    let server = Running::echo(dedicated(Compression::dedicated()).compression_memory(500_000)).await;
    let (mut first, agreed) = open(&server, Via::Tcp, OFFER).await;
    assert!(agreed.is_some());
    let (mut second, agreed) = open(&server, Via::Tcp, OFFER).await;
    assert_eq!(agreed, None);
    second.echo("plain").await;
    first.send(close(1000, "")).await;
    assert_eq!(first.rest().await, "close(1000)");
    drop(first);
    // The server notices the end in its own time.
    soon("the memory of a closed connection", async {
        while open(&server, Via::Tcp, OFFER).await.1.is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_can_be_left_uncompressed() {
    let answer = |socket: &mut Socket<'_>, _: Message<'_>| {
        let secret = "x".repeat(500);
        socket.send_uncompressed(secret.as_str())?;
        socket.sender().send_uncompressed(secret.clone())?;
        socket.sender().send(secret)
    };
    for compression in [Compression::shared(), Compression::dedicated()] {
        let server = Running::start(dedicated(compression).websocket("/", answer)).await;
        let mut talk = Talk::connect(&server, Via::Tcp).await;
        talk.send(upgrade("/", OFFER)).await;
        talk.head().await;
        talk.send(frame(0x81, "go")).await;
        let mut frames = Vec::new();
        for _ in 0..3 {
            let frame = talk.frame().await.unwrap();
            frames.push((frame.first, frame.payload.len() == 500));
        }
        assert_eq!(frames, [(0x81, true), (0x81, true), (0xc1, false)]);
    }
}
