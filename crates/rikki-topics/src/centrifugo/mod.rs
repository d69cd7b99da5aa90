//! Topics for clients of Centrifugo: its protocol in JSON, over WebSockets.
//!
//! A channel is a topic. The protocol is another way to say what the URL of a topic and callbacks say: rings, places in
//! them, presence and bounds are the same. `command` reads what a client sends, `reply` writes what it is sent, `data`
//! turns payloads into JSON and `code` has the numbers; `client` is polled by the connection, `acting` and `subscribing`
//! do what is asked for, `rule` asks the application.

mod acting;
mod calls;
mod client;
mod code;
mod command;
mod data;
mod handler;
mod reply;
mod rule;
mod seat;
mod subscribing;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::routing::{MethodRouter, any};
use rikki_ws::{Endpoint, Upgrade};

use crate::topics::Topics;
use crate::url::Denied;
use handler::Clients;
pub(crate) use reply::pushed;
pub use rule::{Admitted, Call, CallError, Shown};

/// What is said of the server, as Centrifugo says it of itself.
const VERSION: &str = concat!("rikki ", env!("CARGO_PKG_VERSION"));

type Rule = dyn Fn(&Shown<'_>) -> Result<Admitted, Denied> + Send + Sync;
type Rpc = dyn Fn(Call) -> Pin<Box<dyn Future<Output = Result<String, CallError>> + Send>> + Send + Sync;

/// Topics for clients of Centrifugo.
#[derive(Clone)]
#[must_use]
pub struct Centrifugo {
    settings: Settings,
    endpoint: Option<Endpoint>,
}

/// What all clients are served by.
#[derive(Clone)]
struct Settings {
    topics: Topics,
    rule: Option<Arc<Rule>>,
    rpc: Option<Arc<Rpc>>,
    ping: Duration,
    pong: Duration,
}

impl Centrifugo {
    /// These topics, as channels.
    pub fn new(topics: &Topics) -> Self {
        let (ping, pong) = (Duration::from_secs(25), Duration::from_secs(10));
        let settings = Settings { topics: topics.clone(), rule: None, rpc: None, ping, pong };
        Self { settings, endpoint: None }
    }

    /// Sets who is let in.
    pub fn authorize(mut self, rule: impl Fn(&Shown<'_>) -> Result<Admitted, Denied> + Send + Sync + 'static) -> Self {
        self.settings.rule = Some(Arc::new(rule));
        self
    }

    /// Sets what clients may ask the application for.
    pub fn rpc<F>(mut self, rpc: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, CallError>> + Send + 'static,
    {
        self.settings.rpc = Some(Arc::new(move |call| Box::pin(rpc(call))));
        self
    }

    /// Sets how often a client is pinged.
    pub fn ping(mut self, interval: Duration, timeout: Duration) -> Self {
        (self.settings.ping, self.settings.pong) = (interval, timeout);
        self
    }

    /// Sets the configuration and origins of the WebSockets.
    pub fn endpoint(self, endpoint: Endpoint) -> Self {
        Self { endpoint: Some(endpoint), ..self }
    }

    /// The route.
    pub fn route<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        let clients = Arc::new(Clients(Arc::new(self.settings.clone())));
        let endpoint = self.endpoint.clone();
        any(move |request: Request| {
            let upgrade = Upgrade::new(request);
            let upgrade = match &endpoint {
                Some(endpoint) => upgrade.at(endpoint),
                None => upgrade,
            };
            let response = upgrade.on_upgrade_with(clients.clone());
            async move { response }
        })
    }
}

impl fmt::Debug for Centrifugo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { topics, ping, pong, .. } = &self.settings;
        f.debug_struct("Centrifugo")
            .field("topics", topics)
            .field("ping", ping)
            .field("pong", pong)
            .finish_non_exhaustive()
    }
}

/// How many whole seconds a token is good for, as a client is told: at least one.
fn seconds(ttl: Duration) -> u64 {
    ttl.as_secs().max(1)
}

/// What the fuzzer needs.
#[allow(unreachable_pub, reason = "exported under another name")]
pub mod internal {
    /// Whether a line is a command.
    #[must_use]
    pub fn is_command(line: &str) -> bool {
        super::command::Command::parse(line).is_ok()
    }

    /// What a text is as a value of JSON.
    #[must_use]
    pub fn value(text: &str) -> String {
        super::data::of_text(text).into_owned()
    }
}
