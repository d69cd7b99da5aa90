//! What a request may cost and how long it may take.

use std::sync::Arc;
use std::time::Duration;

use super::added::Added;
use super::forwarded::Forwarding;
use super::frequency::Frequency;
use super::idle::Idling;
use super::pace::MinRate;
use crate::Server;
use crate::net::Networks;
use rikki_limits::{Hint, Hints};

/// How a server answers requests: plain data.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    pub(crate) limits: Limits,
    pub(crate) access_log: bool,
    /// Whether each message of WebSockets is logged.
    pub(crate) message_log: bool,
    pub(crate) added: Arc<Added>,
    /// Who is believed what they say of others.
    pub(crate) trust: Arc<Networks>,
    /// Where they say it in requests.
    pub(crate) forwarding: Forwarding,
    /// Who is answered, if not everybody.
    pub(crate) peers: Option<Arc<Networks>>,
    pub(crate) hints: Wording,
}

/// How the settings are written that would let in what is refused: as methods of [`Server`], unless a command has
/// flags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wording(pub(crate) Hints);

impl Default for Wording {
    fn default() -> Self {
        Self(|Hint { setting, value, .. }| {
            let method = setting.replace('-', "_");
            match value {
                Some(value) => format!("Server::{method}({value:?})"),
                None => format!("Server::{method}"),
            }
        })
    }
}

/// What the connections of a server know of one another; clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared {
    pub(crate) idling: Arc<Idling>,
    pub(crate) frequency: Option<Arc<Frequency>>,
}

impl Shared {
    /// The same where an address may ask so often; what is known of it goes on with what was known before, if it might
    /// ask as often then.
    pub(crate) fn with_rate(&self, limits: &Limits, before: Option<&Self>) -> Self {
        let frequency = limits.max_request_rate.map(|per_second| {
            let before = before.and_then(|before| before.frequency.as_ref());
            let known = before.filter(|frequency| frequency.per_second() == per_second);
            known.cloned().unwrap_or_else(|| Arc::new(Frequency::new(per_second)))
        });
        Self { idling: self.idling.clone(), frequency }
    }

    /// This, if addresses are counted apart from how they are there.
    pub(crate) fn unlike(&self, other: &Self) -> Option<&Self> {
        let is_same = match (&self.frequency, &other.frequency) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (own, _) => own.is_none(),
        };
        (!is_same).then_some(self)
    }
}

impl Limits {
    pub(crate) fn body_rate(&self) -> MinRate {
        MinRate { window: self.body_window, bytes_per_second: self.min_body_rate }
    }
}

/// hyper keeps a place in a map for each allowed header field, and the map, which has 32,768 and uses three in four of
/// them, panics beyond this many.
const MAX_HEADERS: u64 = 24_576;

rikki_limits::limits! {
    /// The limits of HTTP.
    #[derive(Clone, Debug, PartialEq)]
    pub(crate) struct Limits, setters of Server by with_http;

    pub(crate) max_requests: u32 {
        name: "max-requests", unit: Count, default: "10000",
        meaning: "Most requests on a connection", detail: ", which is then closed",
        /// It is closed as after `Connection: close`, or with GOAWAY, and the client connects anew. A client of HTTP/2
        /// that does not acknowledge that is cut after 100 more requests, or after
        /// [`head_timeout`](Self::head_timeout).
        setter: max_requests(u32),
    }
    pub(crate) http2_memory: Option<usize> {
        name: "http2-memory", unit: Size, default: "64MiB",
        meaning: "Memory for streams of HTTP/2",
        detail: ": their requests and what is to be sent to them, over all connections; beyond it each holds 16 KiB at \
                 a time, and more than 10 of its streams get 503",
        /// It counts whatever is to be sent and is not written yet, whatever the bodies are of. A connection holds at
        /// most 256 KiB of that, and 16 KiB more for each stream, while there is enough. What the application makes
        /// before it is sent, such as a body that is one large string, is its own. What clients send is not counted
        /// before it is asked for: at most 256 KiB a connection.
        #[cfg(feature = "tls")]
        setter: http2_memory(usize),
    }
    pub(crate) max_request_rate: Option<u32> {
        name: "max-request-rate", unit: Count, default: none,
        meaning: "Most requests from one address in a second", detail: ", and at once; more get 429",
        /// Upgrades to WebSockets are requests, and an address is a network of 64 bits for IPv6. All clients of a
        /// reverse proxy share its address, so there is none by default, which is `None`. Who is answered with 429 is
        /// told `Retry-After`, and the connection is closed. 65,536 addresses are remembered.
        setter: max_request_rate(impl Into<Option<u32>>),
    }
    pub(crate) max_head: usize {
        name: "max-head", unit: Size, default: "16KiB",
        meaning: "Largest request head", detail: ", else 431",
        setter: max_head(usize),
    }
    pub(crate) max_headers: usize {
        name: "max-headers", unit: Count, default: "100", most: MAX_HEADERS,
        meaning: "Most headers in a request", detail: ", else 431; at most 24,576",
        setter: max_headers(usize),
    }
    pub(crate) head_timeout: Duration {
        name: "head-timeout", unit: Time, default: "10s",
        meaning: "Longest wait for a request head", detail: ", or for a TLS handshake, then the connection is closed",
        setter: head_timeout(Duration),
    }
    pub(crate) keep_alive: Duration {
        name: "keep-alive", unit: Time, default: "75s",
        meaning: "Longest silence between requests",
        detail: ", which `Keep-Alive` tells clients of HTTP/1; one of HTTP/2 that has no stream open is told to go \
                 away; keep it above the one of a proxy in front",
        /// Common proxies' pools have 60 s. It is told if it is a second or more. A connection of HTTP/2 idles while it
        /// has no stream open, and is pinged every 30 s.
        ///
        /// Where [`max_connections`](Self::max_connections) are open, the one that has idled longest gives its place to
        /// a new one.
        setter: keep_alive(Duration),
    }
    pub(crate) min_body_rate: u32 {
        name: "min-body-rate", unit: Size, default: "500B",
        meaning: "Least of a body in a second", detail: " of waiting for the client",
    }
    pub(crate) body_window: Duration {
        name: "body-window", unit: Time, default: "20s",
        meaning: "Time over which a body is judged", detail: ", as to how fast it moves",
    }
}
