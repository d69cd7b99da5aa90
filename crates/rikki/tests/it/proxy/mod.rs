//! By way of proxies: the PROXY protocol, and what requests say of those who sent them.

mod forwarded;
mod headers;

use std::time::Duration;

use axum::routing::get;
use rikki::{Counters, Peer, Server};

use crate::wire::Running;

/// One that tells who asks, and has an echo.
fn server() -> Server {
    Server::new()
        .route("/who", get(async |peer: Peer| peer.to_string()))
        .websocket("/echo", |socket: &mut rikki::ws::Socket<'_>, message: rikki::ws::Message<'_>| socket.send(message))
}

/// Waits until the server has counted what is expected.
async fn counted(server: &Running, expected: impl Fn(Counters) -> bool) {
    let counting = async {
        while !expected(server.handle.counters()) {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(5), counting).await.is_err() {
        panic!("{:?}", server.handle.counters());
    }
}
