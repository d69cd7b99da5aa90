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
#[cfg(test)]
mod tests;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::routing::{MethodRouter, any};
use rikki_limits::{Budget, Share};
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

/// Topics for clients of [Centrifugo](https://centrifugal.dev), which need not be changed: its protocol in JSON, over a
/// WebSocket.
///
/// A channel is a topic of the same name, and what one of them publishes, subscribers by any [URL](crate::TopicUrl) or
/// callback get as well. It belongs at `/connection/websocket`, where those clients look for it.
///
/// A text that is JSON is what `data` of a publication is, and any other text a string there; bytes are
/// `{"base64":…}`. What a client publishes becomes a text: the JSON as it was sent.
///
/// | command | what is particular here |
/// |---|---|
/// | `connect` | `data`, `name` and `version` are for the [rule](Self::authorize); `subs` says where to go on with what the server subscribes to |
/// | `subscribe` | always `recoverable` and `positioned`; `offset` is where it begins, and `publications` are those behind that: as many as go into a reply, and the others follow. With [`TopicConfig::last`](crate::TopicConfig::last) that is the last one for newcomers. Where a position is not known any more it begins with what comes next, or, with `flag` 2, fails. With `join_leave` it is told who comes and goes |
/// | `unsubscribe`, `ping` | |
/// | `publish` | without a rule where [`TopicConfig::publish`](crate::TopicConfig::publish) says so |
/// | `presence`, `presence_stats` | where the topic knows its [members](crate::PresenceMode), or how many they are |
/// | `history` | all that the topic gives to newcomers, or, `since` a position, has behind or before it; a `limit` of 0 or none asks for the position alone, one below 0 for all |
/// | `rpc` | asks the [application](Self::rpc) |
/// | `refresh`, `sub_refresh` | another token, where there is a rule |
///
/// `delta`, `tf` and what is not known are passed over. The number of a client, by which others see it, is that of a
/// [`Member`](crate::Member). The server pings; one that does not answer is closed.
///
/// # Errors
///
/// Those of Centrifugo: 100 (to be tried again: no memory or no room is left, or the broker is away), 102, 103, 105,
/// 106 (too many subscriptions for one [connection](crate::TopicsConfig::max_subscriptions_per_connection), or more
/// than the topic takes), 107, 108, 109 and 110 (a token has expired), 112 (the position is gone). One of a client who
/// is subscribed, and behind whom the topic has gone on, is told by `unsubscribe` with 2500, upon which clients subscribe
/// anew; with [`Policy::Latest`](crate::Policy::Latest) it goes on with the latest, and with
/// [`Policy::Close`](crate::Policy::Close) its connection is closed. A subscription whose token has expired ends
/// with 2501.
///
/// # Closes
///
/// Clients come back after 1001 and 1012 (a drain), 1013 (no memory), 3004 (a [rule](Self::authorize) has panicked),
/// 3005 (the token has expired), 3008 (too slow), 3010 (the same, of a subscription that the server has made) and 3012
/// (no answer to a ping); not after 1009 (more than one message may have), 3500 (a bad token), 3501 (a command that makes
/// no sense, or one before `connect`), 3502 (no `connect` within 15 seconds), 3503 (it sends
/// [faster](rikki_ws::Config::max_message_rate) or slower than it may), 3506 (a binary message), 3507 (not allowed) and
/// 3508 (a `send`, for which there is no callback).
///
/// # Limits
///
/// A frame may have what a [message](rikki_ws::Config::max_message_size) may. As long as not all of it is answered,
/// nothing else is read of that client, and it counts in the [memory of topics](crate::TopicsConfig::memory), of which all
/// clients together may have a quarter for that: so whoever does not read holds one read, a frame, and one reply. That
/// has about 512 KiB at most of publications or members beside a last one, and a client asks for the rest. 16 calls of a
/// client are under way at a time, for 60 seconds at most, and what they were given counts there too. JSON in a message
/// that is deeper than 128 levels is a string. Memory: about 500 bytes a client beside its WebSocket, and 250 a
/// subscription.
///
/// ```
/// use axum::Router;
/// use rikki_topics::{Centrifugo, TopicConfig, Topics, TopicsConfig};
///
/// let config = TopicsConfig::default().topic("chat", TopicConfig::default().publish(true))?;
/// let clients = Centrifugo::new(&Topics::new(config));
/// let app: Router = Router::new().route("/connection/websocket", clients.route());
/// # Ok::<(), rikki_topics::BadName>(())
/// ```
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
    /// For what all clients have sent and is still to be answered.
    input: Arc<Budget>,
}

/// What of the memory of topics that may be: others are to publish all the same.
const INPUT: usize = 4;

impl Settings {
    /// What is taken of by what is still to be answered.
    fn budgets(&self) -> [&Arc<Budget>; 2] {
        let memory = self.topics.memory();
        self.input.set_most(memory.most() / INPUT);
        [memory, &self.input]
    }

    /// Room for so much of what a client has sent, as long as it is held; `None` where there is none.
    fn hold(&self, bytes: usize) -> Option<[Share; 2]> {
        let [memory, input] = self.budgets();
        Some([memory.take(bytes)?, input.take(bytes)?])
    }
}

impl Centrifugo {
    /// These topics, as channels.
    pub fn new(topics: &Topics) -> Self {
        let (ping, pong) = (Duration::from_secs(25), Duration::from_secs(10));
        let input = Arc::new(Budget::new("centrifugo-input", usize::MAX));
        let settings = Settings { topics: topics.clone(), rule: None, rpc: None, ping, pong, input };
        Self { settings, endpoint: None }
    }

    /// Sets who is let in: `rule` gets what a client [shows](Shown) and says whom it is let in as, for how long and what it
    /// may do, or why not. Default everybody, to what is [open to all](crate::TopicConfig::publish).
    ///
    /// It is asked when a client connects, and for each other token that it shows: one for the connection, when that
    /// expires, or one for a topic. [`Denied::expired`](crate::Denied::expired) has a client get another token and come
    /// back; after the others it does not. It runs on the thread that serves the connection, so it must not block; if it
    /// panics, that connection is closed and no other.
    ///
    /// ```
    /// use rikki_topics::{Admitted, Centrifugo, Denied, Identity, Topics, TopicsConfig};
    ///
    /// let clients = Centrifugo::new(&Topics::new(TopicsConfig::default())).authorize(|shown| match shown.token {
    ///     "s3cret" => Ok(Admitted::new(Identity::user("ada")).may(|_, _| Ok(()))),
    ///     _ => Err(Denied::unauthorized("a token is needed")),
    /// });
    /// ```
    pub fn authorize(mut self, rule: impl Fn(&Shown<'_>) -> Result<Admitted, Denied> + Send + Sync + 'static) -> Self {
        self.settings.rule = Some(Arc::new(rule));
        self
    }

    /// Sets what answers `rpc` of clients: with JSON, or any text, which becomes a string. Default nothing, which is
    /// error 108.
    ///
    /// Each call is a task of its own, which ends when the client is gone; one that panics, or takes longer
    /// than 60 seconds, is error 100.
    ///
    /// ```
    /// use rikki_topics::{CallError, Centrifugo, Topics, TopicsConfig};
    ///
    /// let clients = Centrifugo::new(&Topics::new(TopicsConfig::default())).rpc(|call| async move {
    ///     match &*call.method {
    ///         "echo" => Ok(call.data),
    ///         _ => Err(CallError::new(404, "there is no such method")),
    ///     }
    /// });
    /// ```
    pub fn rpc<F>(mut self, rpc: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, CallError>> + Send + 'static,
    {
        self.settings.rpc = Some(Arc::new(move |call| Box::pin(rpc(call))));
        self
    }

    /// Sets after how long a client is pinged, and how long its answer may take; default 25 and 10 seconds. Clients are
    /// told whole seconds, at least one, and give the server up about 10 seconds after a ping that does not come.
    pub fn ping(mut self, interval: Duration, timeout: Duration) -> Self {
        (self.settings.ping, self.settings.pong) = (interval, timeout);
        self
    }

    /// Sets the configuration and origins of the WebSockets. Default those of the server in front.
    pub fn endpoint(self, endpoint: Endpoint) -> Self {
        Self { endpoint: Some(endpoint), ..self }
    }

    /// The route, for `/connection/websocket` or wherever else clients are told to look.
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
