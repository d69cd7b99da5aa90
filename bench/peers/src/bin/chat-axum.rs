//! The chat of rikki's example on axum's own WebSockets, with what its users take for it: a split, tokio's broadcast, and
//! a deque for what was said.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use axum::extract::{FromRequestParts, Path, State, WebSocketUpgrade};
use axum::http::{StatusCode, header, request::Parts};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use futures_util::{SinkExt as _, StreamExt as _};
use peers::{ROOM_SIZE, Result};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

const HISTORY: usize = 50;
const USERS: [(&str, &str); 2] = [("ada-7c1f", "Ada"), ("grace-90b2", "Grace")];

#[derive(Clone, Default)]
struct App(Arc<Shared>);

#[derive(Default)]
struct Shared {
    rooms: Mutex<HashMap<String, Arc<Room>>>,
    people: AtomicU64,
    messages: AtomicU64,
    missed: AtomicU64,
}

struct Room {
    said: broadcast::Sender<Utf8Bytes>,
    /// Locked whenever something is said, so that who comes has it once.
    history: Mutex<VecDeque<Utf8Bytes>>,
}

struct User(&'static str);

impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Self, Response> {
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

impl Room {
    /// Tells everybody there something that is not kept.
    fn tell(&self, what: &Value) {
        // Nobody may be there.
        let _ = self.said.send(what.to_string().into());
    }

    fn say(&self, user: &str, text: &str) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64);
        let said: Utf8Bytes = json!({ "user": user, "text": text, "time": time }).to_string().into();
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        if history.len() == HISTORY {
            history.pop_front();
        }
        history.push_back(said.clone());
        let _ = self.said.send(said);
    }

    fn enter(&self) -> (Vec<Utf8Bytes>, broadcast::Receiver<Utf8Bytes>) {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        (history.iter().cloned().collect(), self.said.subscribe())
    }
}

impl App {
    fn room(&self, name: String) -> Arc<Room> {
        let mut rooms = self.0.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Room { said: broadcast::Sender::new(ROOM_SIZE), history: Mutex::default() });
        rooms.entry(name).or_insert_with(new).clone()
    }

    async fn serve(self, room: Arc<Room>, user: &'static str, socket: WebSocket) {
        let (history, mut said) = room.enter();
        self.0.people.fetch_add(1, Relaxed);
        room.tell(&json!({ "joined": user }));
        let (mut sender, mut receiver) = socket.split();
        let app = self.clone();
        let sending = tokio::spawn(async move {
            for said in history {
                if sender.send(Message::Text(said)).await.is_err() {
                    return;
                }
            }
            loop {
                let text = match said.recv().await {
                    Ok(text) => text,
                    Err(RecvError::Lagged(missed)) => {
                        app.0.missed.fetch_add(missed, Relaxed);
                        json!({ "missed": missed }).to_string().into()
                    }
                    Err(RecvError::Closed) => return,
                };
                if sender.send(Message::Text(text)).await.is_err() {
                    return;
                }
            }
        });
        while let Some(Ok(message)) = receiver.next().await {
            match message {
                Message::Text(text) => {
                    self.0.messages.fetch_add(1, Relaxed);
                    room.say(user, &text);
                }
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Binary(_) | Message::Close(_) => break,
            }
        }
        sending.abort();
        self.0.people.fetch_sub(1, Relaxed);
        room.tell(&json!({ "left": user }));
    }
}

async fn join(
    State(app): State<App>,
    Path(room): Path<String>,
    User(user): User,
    upgrade: WebSocketUpgrade,
) -> Response {
    let room = app.room(room);
    upgrade.max_message_size(4096).on_upgrade(move |socket| app.serve(room, user, socket))
}

async fn stats(State(App(shared)): State<App>) -> impl IntoResponse {
    let rooms = shared.rooms.lock().unwrap_or_else(PoisonError::into_inner).len();
    let [people, messages, missed] =
        [&shared.people, &shared.messages, &shared.missed].map(|count| count.load(Relaxed));
    let stats = json!({ "rooms": rooms, "people": people, "messages": messages, "missed": missed });
    ([(header::CONTENT_TYPE, "application/json")], stats.to_string())
}

fn main() -> Result<()> {
    let routes = Router::new().route("/rooms/{room}", any(join)).route("/stats", get(stats));
    peers::run_axum(routes.with_state(App::default()), std::future::pending())
}
