//! GraphQL over a WebSocket: queries and subscriptions of async-graphql, by the subprotocol `graphql-transport-ws`.
//!
//! ```text
//! cargo run -- http://localhost:8000
//! ```
//!
//! Then any client of that subprotocol finds it at `ws://localhost:8000/graphql`; `client.mjs` is one, with the package
//! graphql-ws. At SIGTERM each is closed with 1001, whatever it is subscribed to.

use std::error::Error;
use std::future::ready;
use std::io::{Write as _, stdout};
use std::time::Duration;

use async_graphql::http::{ALL_WEBSOCKET_PROTOCOLS, ClientMessage, WebSocket as Conversation, WsMessage};
use async_graphql::{EmptyMutation, Object, Schema, Subscription};
use futures_util::{SinkExt as _, Stream, StreamExt as _, stream};
use rikki::Server;
use rikki::axum::http::StatusCode;
use rikki::axum::response::{IntoResponse as _, Response};
use rikki::axum::routing::any;
use rikki::ws::{self, CloseCode, Upgrade, WebSocket};

struct Query;

#[Object]
impl Query {
    async fn greeting(&self, name: String) -> String {
        format!("Hello, {name}!")
    }
}

struct Updates;

#[Subscription]
impl Updates {
    /// Counts from 1 on, ten times a second, up to a number or for ever.
    async fn count(&self, to: Option<i32>) -> impl Stream<Item = i32> {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        let mut next = 0;
        let counted = stream::poll_fn(move |cx| {
            ticks.poll_tick(cx).map(|_| {
                next += 1;
                Some(next)
            })
        });
        counted.take(to.map_or(usize::MAX, |to| usize::try_from(to).unwrap_or(0)))
    }
}

type Api = Schema<Query, EmptyMutation, Updates>;

/// Agrees on one of the subprotocols of GraphQL; the rest of the handshake is rikki's.
fn open(upgrade: Upgrade, api: Api) -> Response {
    match upgrade.protocols(ALL_WEBSOCKET_PROTOCOLS) {
        Ok(upgrade) => upgrade.on_upgrade(move |socket| serve(socket, api)),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Has async-graphql answer everything that comes, until either side closes.
async fn serve(mut socket: WebSocket, api: Api) -> Result<(), ws::Error> {
    let Some(protocol) = socket.protocol().and_then(|name| name.parse().ok()) else {
        // As graphql-ws says it.
        return socket.close_with(CloseCode(4406), "Subprotocol not acceptable").await;
    };
    let sender = socket.sender();
    let (mut answers, messages) = socket.split();
    // An error ends the stream too.
    let messages = messages.filter_map(|message| ready(message.ok()));
    let messages = messages.map(|message| ClientMessage::from_bytes(message.as_bytes()));
    let mut conversation = Conversation::from_message_stream(api, messages, protocol);
    while let Some(said) = conversation.next().await {
        match (said, &sender) {
            (WsMessage::Text(text), _) => answers.send(text.into()).await?,
            (WsMessage::Close(code, reason), Some(sender)) => sender.close(CloseCode(code), &reason)?,
            (WsMessage::Close(..), None) => return Ok(()),
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://localhost:8000".to_owned());
    let api = Schema::new(Query, EmptyMutation, Updates);
    let graphql = any(move |upgrade: Upgrade| ready(open(upgrade, api.clone())));
    let server = Server::new().route("/graphql", graphql).listen(url.as_str()).start().await?;
    for address in server.local_addrs() {
        writeln!(stdout(), "Serving on ws://{address}/graphql")?;
    }
    Ok(server.run().await?)
}
