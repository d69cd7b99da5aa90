//! How much a server takes on, and how long it takes to end.

use std::time::Duration;

use rikki_limits::{BadLimit, Limit};

use super::Server;
use crate::{http, ws};

rikki_limits::limits! {
    /// The limits of a server as a whole.
    #[derive(Clone, Debug, PartialEq)]
    pub(crate) struct Limits, setters of Server by with_limits;

    pub(crate) memory: Option<usize> {
        name: "memory", unit: Size, default: ["half of the control group's, but for the number of connections"],
        meaning: "Memory of the whole server",
        detail: ", split into what of it is not set itself: an eighth each for unfinished messages, unsent data \
                 and reading files, a sixteenth each for compressed messages, HTTP/2 and topics, a 32nd for small files, a fifth for \
                 compressing files, a quarter for connections",
        /// The budgets and limits that it is split into may be set before or after: see [`Memory`](crate::Memory).
        /// Without it each is what it says of itself, and less where the control group of the process has a limit: then
        /// all of them share half of that, and the number of connections stays what it is.
        ///
        /// What the application holds is not among it, nor are folders that are no [`mount`](Self::mount) of the
        /// server. The bounds of WebSockets are those of [`websocket_config`](Self::websocket_config).
        setter: memory(usize),
    }
    pub(crate) max_connections: Option<usize> {
        name: "max-connections", unit: Count, default: "16384",
        meaning: "Most connections at a time",
        detail: ", WebSockets included; one more takes the place of the one that has idled longest between requests, \
                 or gets 503; fewer where the system lets the process open fewer files, which is said at the start",
        /// At least 1. Who is answered with 503 is told `Retry-After`; if there are many of them, they are cut.
        ///
        /// The system bounds descriptors too: where those run out first, accepting pauses until one is free. A program
        /// should raise its soft limit of them (1,024 on most systems) to the hard one, as the command of this project
        /// does.
        setter: max_connections(usize),
    }
    pub(crate) max_connections_per_address: Option<u32> {
        name: "max-per-address", unit: Count, default: none,
        meaning: "Most connections from one address", detail: "; more get 429",
        /// At least 1, and an address is a network of 64 bits for IPv6. All clients of a reverse proxy share its
        /// address, so there is none by default, which is `None`. Who is answered with 429 is told `Retry-After`; if
        /// there are many of them, they are cut.
        setter: max_connections_per_address(impl Into<Option<u32>>),
    }
    pub(crate) drain_window: Duration {
        name: "drain-window", unit: TimeOrZero, default: "1s",
        meaning: "Time over which a shutdown is spread", detail: ": WebSockets are closed in random order",
        /// So clients do not all come back at the same moment. At most half of
        /// [`drain_timeout`](Self::drain_timeout); zero for all at once.
        setter: drain_window(Duration),
    }
    pub(crate) drain_timeout: Duration {
        name: "drain-timeout", unit: TimeOrZero, default: "8s",
        meaning: "Longest shutdown", detail: " after SIGINT or SIGTERM, until what is left is cut",
        /// Docker waits 10 s.
        setter: drain_timeout(Duration),
    }
}

impl Server {
    /// Every limit of a server but those of its folders, which [`set`](Self::set) sets by name.
    pub fn limits() -> impl Iterator<Item = &'static Limit> {
        let http = Limits::LIMITS.iter().chain(http::Limits::LIMITS);
        http.chain(ws::Config::limits()).chain(ws::internal::Budgets::LIMITS)
    }

    /// Sets a limit by its name, as a person writes it: `max-head` to `64KiB`, `keep-alive` to `30s`. Those of a
    /// WebSocket are set as in the [configuration](Self::websocket_config) that there is by then.
    ///
    /// A name that no limit has, and what is no value for it, are an error of [`start`](Self::start).
    pub fn set(mut self, name: &str, text: &str) -> Self {
        match self.set_any(name, text) {
            Ok(true) => {}
            Ok(false) => self.note(BadLimit::Unknown(name.to_owned()).into()),
            Err(error) => self.note(error.into()),
        }
        self
    }

    fn set_any(&mut self, name: &str, text: &str) -> Result<bool, BadLimit> {
        Ok(self.limits.set_limit(name, text)?
            || self.http.limits.set_limit(name, text)?
            || self.websocket_budgets.set_limit(name, text)?
            || self.websockets.set_any(name, text)?)
    }

    /// Whether each limit can be what it has been set to.
    pub(super) fn check_limits(&self) -> Result<(), BadLimit> {
        self.limits.check_limits()?;
        self.http.limits.check_limits()?;
        self.websocket_budgets.check_limits()?;
        self.websockets.check()
    }
}
