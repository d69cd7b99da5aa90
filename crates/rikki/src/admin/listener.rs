//! The listener of its own: what is shown where, and how much it may cost.

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{any, get};

use super::guard::Guard;
use super::{Admin, commands, faces, page};
use crate::server::{ListenUrl, Reach};
use crate::{Server, StartError};

/// Connections at a time. A scraper has one or two, and so has each open page.
const CONNECTIONS: usize = 64;

/// Requests of one address in a second: some pages and scrapers, of which each asks several times.
const RATE: u32 = 100;

/// Whoever has connected says soon what it wants.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

impl Admin {
    /// A server of its own for this, with one thread, 64 connections and 100 requests a second from each address: so a
    /// server that is full or held up can be looked into all the same, and whoever asks too much takes nothing from it.
    ///
    /// At `/` it has a live page for people, which asks for `/status` once a second. What is there goes by where it listens:
    ///
    /// | listener | what it shows |
    /// |---|---|
    /// | a Unix socket, with mode 600 if the URL says none | all of it, and takes [commands](super::Commands) |
    /// | loopback: `localhost`, 127.0.0.0/8, `[::1]` | all of it |
    /// | anything else | `/metrics`, `/healthz` and `/readyz` |
    ///
    /// But for the Unix socket a request has to name an address, `localhost` or a name that was
    /// [allowed](Self::allow_hosts); those of pages of another origin get 403.
    ///
    /// # Errors
    ///
    /// [`StartError::BadUrl`] for what cannot be listened on, `https` and `wss` among it: put a proxy in front.
    pub fn server(&self, url: &str) -> Result<Server, StartError> {
        let listen: ListenUrl = url.parse()?;
        if listen.is_tls() {
            return Err(StartError::BadUrl { url: url.to_owned(), why: "what looks inside speaks no TLS" });
        }
        let mut server = Server::new().workers(1).max_connections(CONNECTIONS).max_request_rate(RATE);
        server = server.head_timeout(HEAD_TIMEOUT).drain_timeout(Duration::from_secs(1)).quietly();
        let (routes, guard) = match listen.reach() {
            Reach::Unix => (looks(self).merge(commands::routes(self)), Guard::new(self, false)),
            Reach::Loopback => (looks(self).merge(commands::nowhere()), Guard::new(self, true)),
            Reach::Open => (faces::probes(self).merge(hidden()), Guard::new(self, true)),
        };
        // The guard judges names, and may be told of others while it runs.
        server = server.allow_host("*");
        Ok(server.merge(routes.layer(guard.layer())).listen(listen.with_mode(0o600).to_string()))
    }
}

/// All there is to see, for people too.
fn looks(admin: &Admin) -> Router {
    faces::all(admin).merge(page::route())
}

/// What is not for strangers says so.
fn hidden() -> Router {
    let told = async || faces::told(StatusCode::FORBIDDEN, "only on loopback or on a Unix socket\n");
    Router::new()
        .route("/", get(told))
        .route("/status", get(told))
        .route("/status/{*rest}", get(told))
        .route("/commands/{*rest}", any(told))
}
