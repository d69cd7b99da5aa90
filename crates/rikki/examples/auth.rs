//! Who may open a WebSocket: judged before the upgrade, and known to the handler after it.
//!
//! ```text
//! cargo run --package rikki --example auth
//! ```
//!
//! Try: `rikki connect --header "Authorization: Bearer 42" ws://localhost:8000/room`, and the same without the header.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use rikki::Server;
use rikki::ws::{Handler, Message, Opening, Socket, Upgrade};

/// What the application knows of a client.
#[derive(Clone)]
struct User {
    name: String,
}

/// An application asks its database here, and may await the answer.
async fn user(headers: &HeaderMap) -> Option<User> {
    let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    (token == "42").then(|| User { name: "Rikki".to_owned() })
}

async fn room(upgrade: Upgrade) -> Response {
    match user(upgrade.headers()).await {
        Some(user) => upgrade.attach(user).on_upgrade_with(Arc::new(Room)),
        None => (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], "who are you?\n").into_response(),
    }
}

struct Room;

impl Handler for Room {
    type State = Option<User>;

    fn open(&self, _: &mut Socket<'_>, opening: &Opening) -> Option<User> {
        opening.extensions().get().cloned()
    }

    fn message(&self, user: &mut Option<User>, socket: &mut Socket<'_>, message: Message<'_>) {
        let name = user.as_ref().map_or("somebody", |user| &user.name);
        // Full or closed: the client does not read, or has gone.
        let _ = socket.send(format!("{name} says: {message:?}"));
    }
}

fn main() -> Result<(), rikki::StartError> {
    Server::new().route("/room", any(room)).listen("http://localhost:8000").run()
}
