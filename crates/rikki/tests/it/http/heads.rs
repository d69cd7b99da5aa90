//! The limits of request heads over HTTP/2.

use std::time::{Duration, Instant};

use axum::routing::get as on_get;
use rikki::Server;

use super::frames::{END_HEADERS, END_STREAM, Frames, HEADERS, block, frame, get};
use crate::wire::Running;

/// `:status: 200`, and its name with "431" in Huffman's code
/// (<https://www.rfc-editor.org/rfc/rfc7541#appendix-A>).
const OK: &[u8] = &[0x88];
const TOO_MANY: &[u8] = &[0x48, 0x83, 0x69, 0x90, 0xff];

#[tokio::test]
async fn number_of_header_fields() {
    let server = Running::start(Server::new().route("/", on_get(async || "ok"))).await;
    // As many as over HTTP/1.1, where the host is one of them.
    for (count, expected) in [(1, OK), (100, OK), (101, TOO_MANY), (300, TOO_MANY)] {
        let names: Vec<String> = (0..count).map(|number| format!("x{number}")).collect();
        let fields: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "y")).collect();
        let mut connection = Frames::connect(&server, &[]).await;
        let block = block("localhost", "/", &fields);
        connection.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)).await;
        let answer = connection.next_of(HEADERS).await.unwrap();
        assert!(answer.payload.starts_with(expected), "{count} fields: {:02x?}", answer.payload);
    }
}

/// Half a head, half a frame, and frames of a head without an end.
#[tokio::test]
async fn slow_heads_are_cut() {
    let timeout = Duration::from_millis(300);
    let server = Running::start(Server::new().head_timeout(timeout).route("/", on_get(async || "ok"))).await;
    let block = block("localhost", "/", &[]);
    let head = frame(HEADERS, END_STREAM, 3, &block);
    let all = get(3, "localhost", "/");
    for unfinished in [&all[..1], &all[..8], &all[..15], &head] {
        let mut connection = Frames::connect(&server, &[]).await;
        // Whoever has asked before may be silent for longer.
        connection.send(&get(1, "localhost", "/")).await;
        assert!(connection.next_of(HEADERS).await.is_some());
        tokio::time::sleep(2 * timeout).await;
        let since = Instant::now();
        connection.send(unfinished).await;
        while connection.next().await.is_some() {}
        assert!(since.elapsed() >= timeout - Duration::from_millis(50), "{:?}", since.elapsed());
    }
    let mut connection = Frames::connect(&server, &[]).await;
    connection.send(&get(1, "localhost", "/")).await;
    assert!(connection.next_of(HEADERS).await.is_some());
    connection.send(&head).await;
    // However often a frame comes.
    let dribble = async {
        while connection.try_send(&frame(9, 0, 3, b"")).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    crate::wire::soon("the end", dribble).await;
}
