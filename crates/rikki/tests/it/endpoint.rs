//! Endpoints with configurations of their own on one server, and the view of what all of them hold.

use std::sync::LazyLock;

use axum::routing::{any, get};
use rikki::Server;
use rikki::ws::{Config, Endpoint, Live, Message, Socket, Upgrade};

use crate::talk::{Talk, frame, upgrade};
use crate::wire::{BOTH, Running, Via};

fn echo(socket: &mut Socket<'_>, message: Message<'_>) {
    let _ = socket.send(message);
}

/// Each has its limits, subprotocols and origins; what is not set is the server's.
#[tokio::test]
async fn each_endpoint_has_its_own() {
    let small = Endpoint::new(echo).config(Config::default().max_message_size(3)).protocols(["chat"]).unwrap();
    let open = Endpoint::new(echo).allow_origin("https://app.example").unwrap();
    let server = Server::new().endpoint("/small", small).endpoint("/open", open).websocket("/", echo);
    let config = Config::default().max_message_size(5);
    let server = Running::start(server.websocket_config(config).allow_origin("https://other.example")).await;
    for via in BOTH {
        for (path, longest) in [("/small", 3), ("/", 5), ("/open", 4 << 20)] {
            let mut talk = Talk::open(&server, via, path).await;
            talk.echo(&"x".repeat(longest.min(10))).await;
            if longest < 10 {
                talk.send(frame(0x81, "x".repeat(longest + 1))).await;
                assert_eq!(talk.rest().await, "close(1009)", "{path}");
            }
        }
        for (path, origin, expected) in [
            ("/", "https://other.example", "101"),
            ("/small", "https://other.example", "101"),
            ("/open", "https://other.example", "403"),
            ("/open", "https://app.example", "101"),
            ("/", "https://app.example", "403"),
        ] {
            let mut talk = Talk::connect(&server, via).await;
            let more = format!("Origin: {origin}\r\nSec-WebSocket-Protocol: chat\r\n");
            talk.send(upgrade(path, &more)).await;
            let head = talk.head().await.to_ascii_lowercase();
            assert_eq!(head.split(' ').nth(1), Some(expected), "{path} {origin}");
            let agreed = head.contains("sec-websocket-protocol: chat");
            assert_eq!(agreed, path == "/small", "{path}");
        }
    }
}

/// A static endpoint of the async face counts where the server counts, whichever server that is.
#[tokio::test]
async fn a_monitor_sees_all_endpoints_from_before_the_start() {
    static ENDPOINT: LazyLock<Endpoint> = LazyLock::new(Endpoint::default);
    for _ in 0..2 {
        let live = Live::new();
        let (own, server) = (Endpoint::new(echo).live(&live), Server::new().max_connections(7).queue_memory(1 << 20));
        let monitor = server.monitor();
        assert_eq!(monitor.counters().accepted, 0);
        let told = monitor.clone();
        let stats = get(async move || told.counters().websockets.to_string());
        let held = any(async |upgrade: Upgrade| {
            upgrade.at(&ENDPOINT).on_upgrade(|socket| async move {
                let _socket = socket;
                std::future::pending::<()>().await;
            })
        });
        let server = server.route("/stats", stats).route("/held", held).endpoint("/own", own).websocket("/", echo);
        let server = Running::start(server).await;
        let _held = Talk::open(&server, Via::Tcp, "/held").await;
        let mut plain = Talk::open(&server, Via::Tcp, "/").await;
        let mut own = Talk::open(&server, Via::Tcp, "/own").await;
        plain.echo("there").await;
        own.echo("there").await;
        let mut http = Talk::connect(&server, Via::Tcp).await;
        http.send("GET /stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        assert!(http.text().await.ends_with("\r\n\r\n2"), "the third is counted elsewhere");
        assert_eq!((monitor.counters().websockets, live.counters().websockets), (2, 1));
        assert_eq!(monitor.counters(), server.handle.monitor().counters());
        let budget = |name| monitor.budgets().into_iter().find(|budget| budget.name == name).unwrap();
        assert_eq!((budget("max-connections").most, budget("queue-memory").most), (7, 1 << 20));
        assert!((3..=4).contains(&budget("max-connections").used));
    }
}
