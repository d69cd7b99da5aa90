use rikki::topics::Topics;
use serde_json::Value;

use super::{get, json, text, until};
use crate::talk::Talk;
use crate::wire::{Running, Via};

#[path = "../../../examples/ticker.rs"]
#[allow(dead_code, reason = "it has a `main` of its own")]
mod example;

async fn start() -> (Topics, Running) {
    let topics = example::topics().unwrap();
    let server = Running::start(example::server(&topics)).await;
    (topics, server)
}

fn publish(topics: &Topics, symbol: &str, price: f64) {
    example::publish(topics, symbol, price).unwrap();
}

/// Symbol and price of the next message.
async fn quote(talk: &mut Talk) -> (String, f64) {
    quoted(&json(&talk.frame().await.unwrap()))
}

fn quoted(message: &Value) -> (String, f64) {
    assert!(message["time"].is_u64(), "{message}");
    (message["symbol"].as_str().expect("a quote").to_owned(), message["price"].as_f64().unwrap())
}

#[tokio::test]
async fn a_client_has_the_symbols_that_it_asks_for() {
    let (topics, server) = start().await;
    publish(&topics, "EUR", 1.0);
    publish(&topics, "EUR", 1.25);
    let mut talk = Talk::open(&server, Via::Tcp, "/prices").await;
    // The newest, at once.
    talk.send(text("EUR")).await;
    assert_eq!(quote(&mut talk).await, ("EUR".to_owned(), 1.25));
    talk.send(text("GBP  EUR XXX")).await;
    assert_eq!(talk.next().await, r#"text({"error":"there is no such topic"})"#.replace('"', "\\\""));
    publish(&topics, "GBP", 2.0);
    assert_eq!(quote(&mut talk).await, ("GBP".to_owned(), 2.0));
    publish(&topics, "JPY", 3.0);
    talk.send(text("-EUR")).await;
    until("it has left", async || topics.counters().iter().map(|topic| topic.subscribers).sum::<u64>() == 1).await;
    publish(&topics, "EUR", 1.5);
    publish(&topics, "GBP", 2.5);
    assert_eq!(quote(&mut talk).await, ("GBP".to_owned(), 2.5));
}

/// By server-sent events, and once.
#[tokio::test]
async fn each_symbol_has_a_url() {
    let (topics, server) = start().await;
    publish(&topics, "CHF", 1.5);
    let (status, body) = get(&server, "/prices/CHF").await;
    let read: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, read["messages"].as_array().unwrap().len()), (200, 1));
    assert_eq!(get(&server, "/prices/XXX").await.0, 404);
    let mut events = Talk::connect(&server, Via::Tcp).await;
    events.send("GET /prices/CHF HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n").await;
    assert!(events.head().await.contains("text/event-stream"));
    for price in [1.5, 1.75] {
        publish(&topics, "CHF", price);
        let expected = format!("data: {{\"symbol\":\"CHF\",\"price\":{price:.4},\"time\":");
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(&expected) {
            seen.extend(events.bytes(1).await);
        }
    }
}

/// Who does not read is not behind by more than what is on its way: then the newest price comes, and no gap.
#[tokio::test]
async fn who_reads_slowly_skips_to_the_newest() {
    /// So many bytes of prices are more than the buffers of both systems hold.
    const MANY: u32 = (14 << 20) / 50;
    let (topics, server) = start().await;
    let mut slow = Talk::open(&server, Via::Tcp, "/prices").await;
    slow.send(text("EUR")).await;
    until("it is subscribed", async || topics.counters().iter().any(|topic| topic.subscribers == 1)).await;
    for count in 1..=MANY {
        publish(&topics, "EUR", f64::from(count));
        // The connection is served in between.
        if count % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let (mut last, mut got) = (0.0, 0);
    while last < f64::from(MANY) {
        let (_, price) = quote(&mut slow).await;
        assert!(price > last, "{price} behind {last}");
        (last, got) = (price, got + 1);
    }
    assert!(got < MANY / 2, "{got} of {MANY}");
    assert!(topics.counters().iter().map(|topic| topic.ring_bytes).sum::<u64>() < 10_000);
}
