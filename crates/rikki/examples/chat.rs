//! A chat with rooms: who may come in, who is there, what was said before, and who reads too slowly.
//!
//! ```text
//! cargo run --package rikki --example chat
//! ```
//!
//! Try: open <http://localhost:8000> in two tabs, with the tokens `ada-7c1f` and `grace-90b2`. From a terminal, connect to
//! `ws://localhost:8000/rooms/kitchen` with the header `Authorization: Bearer ada-7c1f`; what is sent is said. How many
//! there are is told at <http://localhost:8000/stats>.

use std::error::Error;
use std::io::{Write as _, stdout};
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::{StatusCode, header, request::Parts};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};
use rikki::Server;
use rikki::topics::{BadName, From, Identity, PresenceMode, Subscribe, SubscribeOptions};
use rikki::topics::{TopicConfig, Topics, TopicsConfig};
use rikki::ws::{CloseCode, Config, ContextHandler, Endpoint, Message, Opening, Socket, Upgrade};
use serde_json::json;

/// How many messages who joins gets of those that were said before.
const HISTORY: usize = 50;

/// Tokens and whose they are. An application looks for the hash of a token in its database, and may await the answer: then
/// neither how long a comparison takes nor who reads that tells what a token is.
const USERS: [(&str, &str); 2] = [("ada-7c1f", "Ada"), ("grace-90b2", "Grace")];

/// What each request is answered with. Clones are the same.
#[derive(Clone)]
struct App {
    topics: Topics,
    chat: Endpoint<Chat>,
}

/// Who asks: the owner of the token that the request has. Pages have no header for a WebSocket, and put it into the URL:
/// as logs may have that, it should not last. Were there more in it than letters, digits and `-`, it would come escaped.
struct User(&'static str);

impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = header.and_then(|value| value.strip_prefix("Bearer "));
        let query = || parts.uri.query()?.split('&').find_map(|pair| pair.strip_prefix("token="));
        let token = bearer.or_else(query).unwrap_or_default();
        match USERS.iter().find(|(known, _)| *known == token) {
            Some((_, name)) => Ok(Self(name)),
            None => Err((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], "who?\n").into_response()),
        }
    }
}

/// Where a connection is, and who has it.
struct Seat {
    /// The topic of the room.
    room: String,
    user: &'static str,
}

async fn join(State(app): State<App>, Path(room): Path<String>, User(user): User, upgrade: Upgrade) -> Response {
    let room = format!("rooms/{room}");
    match app.topics.config(&room) {
        Some(_) => upgrade.serve_with(&app.chat, Seat { room, user }),
        None => (StatusCode::NOT_FOUND, "no room can have this name\n").into_response(),
    }
}

struct Chat(Topics);

impl ContextHandler for Chat {
    type Context = Seat;
    type State = Seat;

    /// In an envelope come what was said, who comes and goes, and, for who reads too slowly, how many messages are missing.
    fn open(&self, socket: &mut Socket<'_>, _: &Opening, seat: Seat) -> Seat {
        let _ = socket.send(json!({ "you": seat.user }).to_string());
        let options = SubscribeOptions::from(From::Last(HISTORY)).envelope(true);
        let options = options.identity(Identity::user(seat.user)).presence(true);
        if let Err(error) = socket.subscribe_with(&self.0, &seat.room, options) {
            let _ = socket.close(CloseCode::TRY_AGAIN_LATER, &error.to_string());
        }
        seat
    }

    fn message(&self, seat: &mut Seat, socket: &mut Socket<'_>, message: Message<'_>) {
        let Some(text) = message.as_text() else {
            let _ = socket.close(CloseCode::UNSUPPORTED_DATA, "text alone can be said");
            return;
        };
        let said = json!({ "user": seat.user, "text": text }).to_string();
        if let Err(error) = self.0.publish(&seat.room, said).detach() {
            let _ = socket.send(json!({ "error": error.to_string() }).to_string());
        }
    }
}

async fn stats(State(app): State<App>) -> impl IntoResponse {
    // The rooms are the one pattern that there is.
    let rooms = app.topics.counters().into_iter().next().unwrap_or_default();
    let stats = json!({
        "rooms": rooms.topics, "people": rooms.subscribers, "messages": rooms.published, "missed": rooms.missed,
    });
    ([(header::CONTENT_TYPE, "application/json")], stats.to_string())
}

/// The server, without a listener.
pub(crate) fn server() -> Result<Server, BadName> {
    let day = Duration::from_secs(24 * 60 * 60);
    let rooms = TopicConfig::default().history(HISTORY).age(day).presence(PresenceMode::Members);
    let topics = Topics::new(TopicsConfig::default().topic("rooms/*", rooms)?.others(None));
    let chat = Endpoint::new(Chat(topics.clone())).config(Config::default().max_message_size(4096));
    let server = Server::new().topics(&topics);
    let routes = Router::new()
        .route("/", get(|| async { Html(include_str!("chat.html")) }))
        .route("/rooms/{room}", any(join))
        .route("/stats", get(stats))
        .with_state(App { topics, chat });
    Ok(server.merge(routes))
}

fn main() -> Result<(), Box<dyn Error>> {
    writeln!(stdout(), "Starting a chat on http://localhost:8000")?;
    Ok(server()?.listen("http://localhost:8000").run()?)
}
