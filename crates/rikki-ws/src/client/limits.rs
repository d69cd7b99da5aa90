//! What connecting may take.

use std::time::Duration;

use rikki_limits::{BadLimit, Limit};

use super::Builder;
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
    /// # Errors
    ///
    /// [`BadLimit`], if there is no limit of this name or this is no value for it.
    pub fn set(mut self, name: &str, text: &str) -> Result<Self, BadLimit> {
        if self.limits.set_limit(name, text)? {
            return Ok(self);
        }
        let config = self.config.clone().set(name, text)?;
        Ok(self.config(config))
    }

    fn with_limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }
}
