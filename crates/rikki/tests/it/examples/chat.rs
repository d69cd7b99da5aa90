use rikki::Server;
use serde_json::{Value, json};

use super::{get, text};
use crate::talk::{Talk, upgrade};
use crate::wire::{Running, Via};

#[path = "../../../examples/chat.rs"]
#[allow(dead_code, reason = "it has a `main` of its own")]
mod example;

const ADA: &str = "ada-7c1f";
const GRACE: &str = "grace-90b2";

fn server() -> Server {
    example::server().unwrap()
}

/// Somebody in a room.
struct Guest(Talk);

impl Guest {
    async fn enter(server: &Running, room: &str, token: &str) -> Self {
        Self(Talk::open(server, Via::Tcp, &format!("/rooms/{room}?token={token}")).await)
    }

    async fn say(&mut self, words: &str) {
        self.0.send(text(words)).await;
    }

    /// What comes next.
    async fn next(&mut self) -> Value {
        super::json(&self.0.frame().await.unwrap())
    }

    /// Who says the next message, and what; what else comes is passed over.
    async fn heard(&mut self) -> [String; 2] {
        let said = self.until("data").await;
        let said: Value = serde_json::from_str(said.as_str().unwrap()).unwrap();
        ["user", "text"].map(|name| said[name].as_str().unwrap().to_owned())
    }

    /// The next of what there are several kinds of.
    async fn until(&mut self, kind: &str) -> Value {
        loop {
            if let Some(value) = self.next().await.get_mut(kind) {
                return value.take();
            }
        }
    }
}

async fn stats(server: &Running) -> Value {
    let (status, body) = get(server, "/stats").await;
    assert_eq!(status, 200);
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn who_has_no_token_stays_outside() {
    let server = Running::start(server()).await;
    let check = async |path: &str, more: &str, status: &str| {
        let mut talk = Talk::connect(&server, Via::Tcp).await;
        talk.send(upgrade(path, more)).await;
        let head = talk.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {more}: {head}");
        assert_eq!(status == "401", head.to_ascii_lowercase().contains("www-authenticate: bearer"), "{head}");
    };
    check("/rooms/kitchen", "", "401").await;
    check("/rooms/kitchen?token=", "", "401").await;
    check("/rooms/kitchen?token=ada", "", "401").await;
    check("/rooms/kitchen?other=ada-7c1f", "", "401").await;
    check("/rooms/kitchen", "Authorization: Basic ada-7c1f\r\n", "401").await;
    check(&format!("/rooms/kitchen?token={ADA}"), "Authorization: Bearer wrong\r\n", "401").await;
    check(&format!("/rooms/kitchen?a=b&token={ADA}"), "", "101").await;
    check("/rooms/kitchen", &format!("Authorization: Bearer {ADA}\r\n"), "101").await;
    check(&format!("/rooms/%0a?token={ADA}"), "", "404").await;
    check(&format!("/rooms/{}?token={ADA}", "x".repeat(250)), "", "404").await;
    let (status, page) = get(&server, "/").await;
    assert!(status == 200 && page.starts_with(b"<!doctype html>"));
}

/// The name of a room is what its path means, however that is spelled.
#[tokio::test]
async fn who_is_there_is_told_to_the_room() {
    let server = Running::start(server()).await;
    let mut ada = Guest::enter(&server, "caf%C3%A9", ADA).await;
    assert_eq!(ada.next().await, json!({ "you": "Ada" }));
    let here = ada.until("presence").await;
    assert_eq!(here["complete"], true);
    let mut grace = Guest::enter(&server, "%63af%c3%a9", GRACE).await;
    loop {
        // Who has come at the same time may be told to be there from the beginning.
        let change = ada.until("presence").await;
        if change["joined"].as_array().unwrap().iter().any(|member| member["user"] == "Grace") {
            assert_eq!((&change["count"], &change["left"]), (&json!(2), &json!([])));
            break;
        }
    }
    grace.say("hello").await;
    let mut elsewhere = Guest::enter(&server, "attic", ADA).await;
    elsewhere.say("nobody else hears this").await;
    assert_eq!(elsewhere.heard().await, ["Ada", "nobody else hears this"]);
    ada.say("hello, \"Grace\"").await;
    for guest in [&mut ada, &mut grace] {
        let mut heard = [guest.heard().await, guest.heard().await];
        heard.sort();
        assert_eq!(heard, [["Ada", "hello, \"Grace\""], ["Grace", "hello"]]);
    }
    let told = stats(&server).await;
    assert_eq!(told, json!({ "rooms": 2, "people": 3, "messages": 3, "missed": 0 }));
    drop(grace);
    let change = ada.until("presence").await;
    assert_eq!((&change["count"], &change["left"][0]["user"]), (&json!(1), &json!("Grace")));
}

#[tokio::test]
async fn who_joins_gets_the_last_fifty() {
    let server = Running::start(server()).await;
    let mut ada = Guest::enter(&server, "kitchen", ADA).await;
    for number in 0..60 {
        ada.say(&number.to_string()).await;
        assert_eq!(ada.heard().await, ["Ada", &number.to_string()]);
    }
    let mut grace = Guest::enter(&server, "kitchen", GRACE).await;
    for number in 10..60 {
        assert_eq!(grace.heard().await, ["Ada", &number.to_string()]);
    }
    grace.say("hello").await;
    assert_eq!(grace.heard().await, ["Grace", "hello"]);
}

#[tokio::test]
async fn what_cannot_be_said_closes() {
    let server = Running::start(server()).await;
    for (sent, code) in [(crate::talk::frame(0x82, "bytes"), 1003), (text(&"x".repeat(4097)), 1009)] {
        let mut ada = Guest::enter(&server, "kitchen", ADA).await;
        ada.0.send(sent).await;
        let end = loop {
            let next = ada.0.next().await;
            if !next.starts_with("text(") {
                break next;
            }
        };
        assert_eq!(end, format!("close({code})"));
    }
    assert_eq!(stats(&server).await["messages"], 0);
}

/// It costs the others nothing, and is told how many messages are missing.
#[tokio::test]
async fn who_reads_too_slowly_is_told() {
    /// More than the buffers of both systems hold, in messages of 4,000 bytes.
    const MANY: usize = (14 << 20) / 4000;
    let server = Running::start(server()).await;
    let mut slow = Guest::enter(&server, "kitchen", GRACE).await;
    slow.until("you").await;
    let mut ada = Guest::enter(&server, "kitchen", ADA).await;
    for number in 0..MANY {
        ada.say(&format!("{number:<4000}")).await;
        assert!(ada.heard().await[1].starts_with(&format!("{number} ")));
    }
    ada.say("the end").await;
    let (mut missed, mut got) = (0, 0);
    loop {
        let next = slow.next().await;
        missed += next["gap"]["missed"].as_u64().unwrap_or(0);
        match next["data"].as_str() {
            Some(said) if said.contains("the end") => break,
            said => got += u64::from(said.is_some()),
        }
    }
    assert!(missed > 0);
    assert_eq!(missed + got, MANY as u64);
    assert_eq!(stats(&server).await["missed"], missed);
}

#[tokio::test]
async fn a_drain_says_goodbye_behind_what_was_said() {
    let server = Running::start(server()).await;
    let mut ada = Guest::enter(&server, "kitchen", ADA).await;
    let mut grace = Guest::enter(&server, "kitchen", GRACE).await;
    grace.until("you").await;
    ada.say("the last word").await;
    ada.heard().await;
    let guests = async {
        assert_eq!(grace.heard().await, ["Ada", "the last word"]);
        for guest in [&mut ada, &mut grace] {
            loop {
                match guest.0.next().await.as_str() {
                    "close(1001)" => break,
                    told => assert!(told.starts_with("text({\"presence\":"), "{told}"),
                }
            }
            guest.0.send(crate::talk::close(1001, "")).await;
        }
    };
    tokio::join!(server.handle.shutdown(), guests);
}
