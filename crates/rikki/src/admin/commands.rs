//! What an operator may have done, on a Unix socket alone: no page reaches one, and its mode says who may.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Weak};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{any, post};
use rikki_limits::Excerpt;
use tokio::task::spawn_blocking;

use super::{Admin, faces};
use crate::Handle;
use crate::server::Running;
use crate::ws::CloseCode;
use crate::ws::internal::spread;

/// What the argument of a command may have, in bytes.
const LONGEST: usize = 4 * 1024;

/// What may be done by command: a drain, and what an application adds to that.
pub struct Commands {
    running: Weak<Running>,
    reload: Option<Reloads>,
    filter: Option<Filters>,
}

type Reloads = Arc<dyn Fn() -> Result<Vec<String>, String> + Send + Sync>;
type Filters = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

impl Commands {
    /// Those of a server that runs, which they do not keep running.
    #[must_use]
    pub fn new(server: &Handle) -> Self {
        Self { running: Arc::downgrade(&server.0), reload: None, filter: None }
    }

    /// How settings are read again, on a thread for blocking work: what of them needs a restart, or why they stay as they
    /// are.
    #[must_use]
    pub fn reload(self, reload: impl Fn() -> Result<Vec<String>, String> + Send + Sync + 'static) -> Self {
        Self { reload: Some(Arc::new(reload)), ..self }
    }

    /// How another filter of the log is set, or why it cannot be.
    #[must_use]
    pub fn log_filter(self, filter: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self { filter: Some(Arc::new(filter)), ..self }
    }
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commands").finish_non_exhaustive()
    }
}

/// Where commands are taken.
pub(super) fn routes(admin: &Admin) -> Router {
    let admin = admin.clone();
    let run = async move |Path(name): Path<String>, body: Body| run(&admin, &name, body).await;
    Router::new().route("/commands/{name}", post(run))
}

/// Where they are not.
pub(super) fn nowhere() -> Router {
    let told = async || {
        faces::told(StatusCode::FORBIDDEN, "commands are taken on a Unix socket alone: listen on unix:PATH for them\n")
    };
    Router::new().route("/commands/{*rest}", any(told))
}

/// What a command has come to.
type Done = Result<String, (StatusCode, String)>;

async fn run(admin: &Admin, name: &str, body: Body) -> Response {
    let done = match to_bytes(body, LONGEST).await.map(|body| String::from_utf8(body.into())) {
        Ok(Ok(argument)) => execute(admin, name, argument.trim()).await,
        Ok(Err(_)) => Err((StatusCode::BAD_REQUEST, "the argument is not UTF-8".to_owned())),
        Err(_) => Err((StatusCode::PAYLOAD_TOO_LARGE, format!("an argument has {LONGEST} bytes at most"))),
    };
    match done {
        Ok(text) => {
            tracing::info!(target: "rikki::admin", command = name, "done: {text}");
            faces::told(StatusCode::OK, text + "\n")
        }
        Err((status, why)) => faces::told(status, why + "\n"),
    }
}

async fn execute(admin: &Admin, name: &str, argument: &str) -> Done {
    let Some(commands) = admin.0.commands.get() else {
        return Err((StatusCode::SERVICE_UNAVAILABLE, "the server is starting".to_owned()));
    };
    match name {
        "reload" => reload(commands).await,
        "log" => set_filter(commands, argument),
        "close" => close(admin, argument),
        "drain" if argument.is_empty() => drain(commands),
        "drain" => drain_endpoint(admin, commands, argument),
        "undrain" => undrain(admin, argument),
        _ => Err((StatusCode::NOT_FOUND, "the commands are close, drain, log, reload and undrain".to_owned())),
    }
}

async fn reload(commands: &Commands) -> Done {
    let Some(reload) = commands.reload.clone() else { return Err(unknown()) };
    match spawn_blocking(move || reload()).await {
        Ok(Ok(needs_restart)) if needs_restart.is_empty() => Ok("the settings have been reloaded".to_owned()),
        Ok(Ok(needs_restart)) => {
            let what: Vec<_> = needs_restart.iter().map(|what| format!("this takes a restart: {what}")).collect();
            Ok(format!("the settings have been reloaded\n{}", what.join("\n")))
        }
        Ok(Err(why)) => Err((StatusCode::CONFLICT, format!("the settings stay as they are: {why}"))),
        Err(_) => Err((StatusCode::CONFLICT, "the settings stay as they are: reading them has panicked".to_owned())),
    }
}

fn set_filter(commands: &Commands, filter: &str) -> Done {
    let Some(set) = &commands.filter else { return Err(unknown()) };
    set(filter).map_err(|why| (StatusCode::BAD_REQUEST, why))?;
    Ok(format!("the log has {filter} from now on"))
}

fn drain(commands: &Commands) -> Done {
    match commands.running.upgrade() {
        Some(running) => {
            running.begin_drain();
            Ok("the server drains".to_owned())
        }
        None => Err(stopped()),
    }
}

/// Closes one WebSocket: its id, and a code where that is another than 1008.
fn close(admin: &Admin, argument: &str) -> Done {
    let expected =
        || (StatusCode::BAD_REQUEST, "write the id of a WebSocket, and a code if it is another than 1008".to_owned());
    let mut words = argument.split_ascii_whitespace();
    let id: u64 = words.next().and_then(|id| id.parse().ok()).ok_or_else(expected)?;
    let code = words.next().map_or(Ok(CloseCode::POLICY_VIOLATION), |code| code.parse().map(CloseCode));
    let code = code.ok().filter(|_| words.next().is_none()).ok_or_else(expected)?;
    if !code.may_be_sent() {
        return Err((StatusCode::BAD_REQUEST, format!("no Close can have the code {}", code.0)));
    }
    match admin.0.monitor.close_websocket(id, code) {
        true => Ok(format!("the WebSocket {id} is closed with {}", code.0)),
        false => Err((StatusCode::NOT_FOUND, format!("no WebSocket that is open has the id {id}"))),
    }
}

/// Lets nobody in at an endpoint, and closes who is there, in random order over the window of a drain.
fn drain_endpoint(admin: &Admin, commands: &Commands, endpoint: &str) -> Done {
    let Some(running) = commands.running.upgrade() else { return Err(stopped()) };
    let ids = admin.0.monitor.close_endpoint(endpoint, true).ok_or_else(|| no_endpoint(admin, endpoint))?;
    let (code, window) = running.drain_plan();
    let (monitor, count) = (admin.0.monitor.clone(), ids.len());
    let random = RandomState::new();
    let mut ids = ids;
    ids.sort_by_cached_key(|id| random.hash_one(id));
    tokio::spawn(async move {
        let (size, pause) = spread(ids.len(), window);
        for some in ids.chunks(size) {
            some.iter().for_each(|id| _ = monitor.close_websocket(*id, code));
            tokio::time::sleep(pause).await;
        }
    });
    Ok(format!("nobody is let in at {endpoint}, and {count} WebSockets are closed with {}", code.0))
}

fn undrain(admin: &Admin, endpoint: &str) -> Done {
    admin.0.monitor.close_endpoint(endpoint, false).ok_or_else(|| no_endpoint(admin, endpoint))?;
    Ok(format!("WebSockets are let in at {endpoint}"))
}

fn no_endpoint(admin: &Admin, endpoint: &str) -> (StatusCode, String) {
    let mut known: Vec<_> = admin.0.monitor.endpoints().into_iter().map(|meters| meters.endpoint).collect();
    known.dedup();
    let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
    let endpoint = Excerpt::of(endpoint);
    (StatusCode::NOT_FOUND, format!("no WebSocket has been opened at {endpoint}; those where some were: {known}"))
}

fn stopped() -> (StatusCode, String) {
    (StatusCode::GONE, "the server has stopped".to_owned())
}

fn unknown() -> (StatusCode, String) {
    (StatusCode::NOT_IMPLEMENTED, "this server does not have the command".to_owned())
}
