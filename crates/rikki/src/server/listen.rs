//! What is said of one listener: where it is, and what limits are its own.

use rikki_limits::{BadLimit, Limit};

use super::{ListenUrl, Server, StartError};
use crate::{http, ws};

/// A [`ListenUrl`], with limits that differ from the server's.
///
/// They take the place of what [`Server`] has for all listeners. What is over all connections of a server, such as
/// [`memory`](Server::memory) and [`max_connections`](Server::max_connections), is none of them, and an
/// [`Endpoint`](ws::Endpoint) with a configuration of its own has that on every listener. With a `max-request-rate` of
/// its own an address is counted there by itself.
///
/// ```
/// use rikki::{Listen, Server};
///
/// let public = Listen::new("http://0.0.0.0:8000").set("max-message", "64KiB")?.set("keep-alive", "15s")?;
/// let server = Server::new().listen("http://localhost:9000").listen(public);
/// # Ok::<(), rikki::BadLimit>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    pub(super) url: String,
    limits: Vec<(&'static Limit, String)>,
}

impl Listen {
    /// One with the limits of the server. What cannot be listened on is an error of [`Server::start`].
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), limits: Vec::new() }
    }

    /// The limits that a listener can have of its own: those of requests and of WebSockets.
    pub fn limits() -> impl Iterator<Item = &'static Limit> {
        let of_all = |limit: &&Limit| limit.name == "http2-memory";
        http::Limits::LIMITS.iter().filter(move |limit| !of_all(limit)).chain(ws::Config::limits())
    }

    /// Sets a limit by its name, as a person writes it: `max-head` to `64KiB`, `keep-alive` to `30s`.
    ///
    /// # Errors
    ///
    /// [`BadLimit`], if no listener has a limit of this name or this is no value for it.
    pub fn set(mut self, name: &str, text: &str) -> Result<Self, BadLimit> {
        let limit = Self::limits().find(|limit| limit.name == name);
        let limit = limit.ok_or_else(|| BadLimit::Unknown(name.to_owned()))?;
        self.limits.push((limit, text.to_owned()));
        self.apply(&mut http::Limits::default(), &mut ws::Config::default())?;
        Ok(self)
    }

    fn apply(&self, requests: &mut http::Limits, websockets: &mut ws::Config) -> Result<(), BadLimit> {
        for (limit, text) in &self.limits {
            let _is_known = requests.set_limit(limit.name, text)? || websockets.set_any(limit.name, text)?;
        }
        requests.check_limits()?;
        websockets.check()
    }
}

impl From<&str> for Listen {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

impl From<&String> for Listen {
    fn from(url: &String) -> Self {
        Self::new(url)
    }
}

impl From<String> for Listen {
    fn from(url: String) -> Self {
        Self::new(url)
    }
}

/// A listener as it will be, judged.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) url: ListenUrl,
    pub(super) http: http::Config,
    pub(super) websockets: ws::Config,
    /// Whether addresses are counted on it by itself.
    pub(super) has_own_rate: bool,
}

impl Server {
    /// What a listener will be like.
    pub(super) fn plan(&self, listen: &Listen) -> Result<Planned, StartError> {
        let url: ListenUrl = listen.url.parse()?;
        if url.is_tls() && !self.has_certificate() {
            return Err(StartError::NoCertificate { url: listen.url.clone() });
        }
        let (mut http, mut websockets) = (self.http.clone(), self.websockets.clone());
        listen.apply(&mut http.limits, &mut websockets)?;
        let has_own_rate = listen.limits.iter().any(|(limit, _)| limit.name == "max-request-rate");
        Ok(Planned { url, http, websockets, has_own_rate })
    }
}
