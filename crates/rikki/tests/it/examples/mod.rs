//! The examples that people copy, each against its own server.

mod chat;
mod stats;
mod ticker;
mod upload;

use std::time::Duration;

use crate::talk::{Frame, Talk, frame};
use crate::wire::{Running, Via, soon};

/// Sends one request with a body, on a connection of its own; returns the status, and what is said.
async fn request(server: &Running, head: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut talk = Talk::connect(server, Via::Tcp).await;
    talk.send([format!("{head}Host: localhost\r\n\r\n").as_bytes(), body].concat()).await;
    answer(&mut talk).await
}

/// The same without a body, and an answer of any length.
async fn get(server: &Running, path: &str) -> (u16, Vec<u8>) {
    let mut talk = Talk::connect(server, Via::Tcp).await;
    talk.send(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")).await;
    let status = talk.head().await[9..12].parse().unwrap();
    (status, talk.text().await.into_bytes())
}

/// The next answer of a connection.
async fn answer(talk: &mut Talk) -> (u16, Vec<u8>) {
    let head = talk.head().await;
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.parse().unwrap());
    (head[9..12].parse().unwrap(), talk.bytes(length).await)
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    soon(what, waiting).await;
}

fn text(text: &str) -> Vec<u8> {
    frame(0x81, text)
}

/// A message that is JSON.
fn json(frame: &Frame) -> serde_json::Value {
    assert_eq!(frame.first, 0x81, "{frame:?}");
    serde_json::from_slice(&frame.payload).unwrap()
}
