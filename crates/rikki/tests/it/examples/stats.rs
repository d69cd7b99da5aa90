use serde_json::Value;

use super::{get, text, until};
use crate::talk::Talk;
use crate::wire::{Running, Via};

#[path = "../../../examples/stats.rs"]
#[allow(dead_code, reason = "it has a `main` of its own")]
mod example;

#[tokio::test]
async fn a_page_and_a_program_read_what_is_counted() {
    let server = Running::start(example::server()).await;
    let stats = async || -> Value {
        let (status, body) = get(&server, "/stats").await;
        assert_eq!(status, 200);
        serde_json::from_slice(&body).unwrap()
    };
    let before = stats().await;
    assert_eq!(before["websockets"], 0);
    let mut talk = Talk::open(&server, Via::Tcp, "/echo").await;
    talk.send(text("hello")).await;
    assert_eq!(talk.next().await, "text(hello)");
    let while_open = stats().await;
    assert_eq!((&while_open["websockets"], while_open["accepted"].as_u64()), (&1.into(), Some(3)));
    let connections = &while_open["budgets"]["max-connections"];
    assert!(connections["used"].as_u64().unwrap() >= 2 && connections["most"].as_u64().unwrap() > 2, "{connections}");
    drop(talk);
    until("it is closed", async || stats().await["websockets"] == 0).await;
    let (status, page) = get(&server, "/").await;
    assert!(status == 200 && page.starts_with(b"<!doctype html>"));
}
