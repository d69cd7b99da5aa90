//! Who may open a WebSocket: judged before the upgrade, and known to the handler after it.
//!
//! ```text
//! cargo run --package rikki --example auth
//! ```
//!
//! Try: `rikki connect --header "Authorization: Bearer 42" ws://localhost:8000/room`, and the same without the header.

use std::sync::LazyLock;

use axum::extract::FromRequestParts;
use axum::http::{StatusCode, header, request::Parts};
use axum::response::Response;
use axum::routing::any;
use rikki::Server;
use rikki::ws::{ContextHandler, Endpoint, Message, Opening, Socket, Upgrade};

static ROOM: LazyLock<Endpoint<Room>> = LazyLock::new(|| Endpoint::new(Room));

/// What the application knows of a client: an extractor, as for any other route.
struct User {
    name: String,
}

impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = (StatusCode, [(header::HeaderName, &'static str); 1], &'static str);

    /// An application asks its database here, and may await the answer.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let field = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        match field.and_then(|field| field.strip_prefix("Bearer ")) {
            Some("42") => Ok(Self { name: "Rikki".to_owned() }),
            _ => Err((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], "who are you?\n")),
        }
    }
}

async fn room(user: User, upgrade: Upgrade) -> Response {
    upgrade.serve_with(&ROOM, user)
}

struct Room;

impl ContextHandler for Room {
    type Context = User;
    type State = User;

    fn open(&self, _: &mut Socket<'_>, _: &Opening, user: User) -> User {
        user
    }

    fn message(&self, user: &mut User, socket: &mut Socket<'_>, message: Message<'_>) {
        // Full or closed: the client does not read, or has gone.
        let _ = socket.send(format!("{} says: {message:?}", user.name));
    }
}

fn main() -> Result<(), rikki::StartError> {
    Server::new().route("/room", any(room)).listen("http://localhost:8000").run()
}
