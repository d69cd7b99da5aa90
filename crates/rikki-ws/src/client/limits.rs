//! What connecting may take.

use std::time::Duration;

use rikki_limits::Limit;

use super::{Builder, Mistake};
use crate::Config;

rikki_limits::limits! {
    /// The limits of a client beside those of its WebSocket.
    #[derive(Clone, Debug, PartialEq)]
    pub(super) struct Limits, setters of Builder by with_limits;

    pub(super) connect_timeout: Duration {
        name: "connect-timeout", unit: Time, default: "10s",
        meaning: "Longest wait for the connection",
        detail: ", from the look-up of the name to the answer of the server",
        setter: connect_timeout(Duration),
    }
}

impl Builder {
    /// The limits of a client, those of its [`Config`] included, which [`set`](Self::set) sets by name.
    pub fn limits() -> impl Iterator<Item = &'static Limit> {
        Limits::LIMITS.iter().chain(Config::limits())
    }

    /// Sets a limit by its name, as a person writes it: `connect-timeout` to `5s`.
    ///
    /// A name that no limit has, and what is no value for it, are an error of [`connect`](Self::connect).
    pub fn set(mut self, name: &str, text: &str) -> Self {
        let set = self.limits.set_limit(name, text).and_then(|is_ours| match is_ours {
            true => Ok(None),
            false => self.config.clone().set(name, text).map(Some),
        });
        match set {
            Ok(Some(config)) => return self.config(config),
            Ok(None) => {}
            Err(error) => self.note(Mistake::Limit(error)),
        }
        self
    }

    fn with_limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }
}
