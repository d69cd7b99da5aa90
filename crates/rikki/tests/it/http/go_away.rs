//! HTTP/2 clients that stay when they are told to go.

use std::time::Duration;

use axum::routing::get as on_get;
use rikki::Server;

use super::frames::{Frames, GO_AWAY, HEADERS, get};
use crate::talk::Talk;
use crate::wire::{Running, Via, soon};

/// How many requests may have been on their way when a client was told.
const STREAMS: usize = 100;

fn site() -> Server {
    Server::new().route("/", on_get(async || "ok"))
}

/// `:status: 200`, with which an answer begins (<https://www.rfc-editor.org/rfc/rfc7541#appendix-A>).
const OK: u8 = 0x88;

/// Asks one request after the other until the server ends the connection; gives how many it has answered, before
/// GOAWAY and in all.
async fn ask_on(server: &Running, host: &str, most: usize) -> (usize, usize) {
    let mut connection = Frames::connect(server, &[]).await;
    let (mut told, mut answered) = (None, 0);
    for stream in (0..most as u32).map(|index| 2 * index + 1) {
        if !connection.try_send(&get(stream, host, "/")).await {
            break;
        }
        let answer = loop {
            match connection.next().await {
                Some(frame) if frame.kind == GO_AWAY => told = told.or(Some(answered)),
                Some(frame) if frame.kind == HEADERS && frame.stream == stream => {
                    break frame.payload[0] == OK || host != "localhost";
                }
                Some(_) => {}
                None => break false,
            }
        };
        if !answer {
            break;
        }
        answered += 1;
    }
    (told.unwrap_or(usize::MAX), answered)
}

/// <https://www.rfc-editor.org/rfc/rfc9113#section-6.8>
#[tokio::test]
async fn whoever_asks_on_after_go_away_is_cut() {
    let server = Running::start(site().max_requests(20)).await;
    let (told, answered) = ask_on(&server, "localhost", 1000).await;
    assert!((19..=20).contains(&told), "told after {told} answers");
    assert!(answered <= 20 + STREAMS, "{answered} requests were answered, of a limit of 20");
}

/// HTTP/1.1 closes with the first refusal; a browser may have a request for another name on its way.
#[tokio::test]
async fn whoever_is_refused_again_and_again_is_told_to_go() {
    let server = Running::start(site()).await;
    let (told, answered) = ask_on(&server, "evil.test", 1000).await;
    assert!((9..=10).contains(&told), "told after {told} refusals");
    // And before the tenth is answered.
    assert!(answered <= 12 + STREAMS, "{answered} requests were refused");
}

/// One that neither acknowledges it nor asks.
#[tokio::test]
async fn whoever_stays_after_go_away_is_cut() {
    let server = Running::start(site().max_requests(1).head_timeout(Duration::from_millis(300))).await;
    let mut connection = Frames::connect(&server, &[]).await;
    connection.send(&get(1, "localhost", "/")).await;
    assert!(connection.next_of(GO_AWAY).await.is_some());
    while connection.next().await.is_some() {}
}

/// PINGs alone keep nobody; a request that is answered does.
#[tokio::test]
async fn whoever_asks_for_nothing_is_told_to_go() {
    let keep_alive = Duration::from_millis(100);
    let slow = on_get(async move || tokio::time::sleep(keep_alive * 4).await);
    let server = site().route("/slow", slow).keep_alive(keep_alive).head_timeout(Duration::from_millis(500));
    let server = Running::start(server).await;
    let mut connection = Frames::connect(&server, &[]).await;
    connection.send(&get(1, "localhost", "/slow")).await;
    let first = connection.next_of_any(&[HEADERS, GO_AWAY]).await;
    assert_eq!(first.map(|frame| frame.kind), Some(HEADERS), "it was answered");
    assert!(connection.next_of(GO_AWAY).await.is_some());
    while connection.next().await.is_some() {}
}

#[tokio::test]
async fn whoever_asks_for_nothing_gives_its_place_to_another() {
    let server = Running::start(site().max_connections(1)).await;
    let mut connection = Frames::connect(&server, &[]).await;
    connection.send(&get(1, "localhost", "/")).await;
    assert!(connection.next_of(HEADERS).await.is_some());
    // It may not have noticed yet that the stream has ended.
    let come = async {
        loop {
            let mut new = Talk::connect(&server, Via::Tcp).await;
            new.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            if new.head().await.starts_with("HTTP/1.1 200 ") {
                break new;
            }
        }
    };
    let _new = soon("a place", come).await;
    assert_eq!(server.handle.counters().replaced_idle, 1);
    assert!(connection.next_of(GO_AWAY).await.is_some());
    // What comes all the same has no place.
    connection.send(&get(3, "localhost", "/")).await;
    let answer = connection.next_of(HEADERS).await;
    assert!(answer.is_some_and(|answer| answer.stream == 3 && answer.payload[0] != OK));
    while connection.next().await.is_some() {}
}
