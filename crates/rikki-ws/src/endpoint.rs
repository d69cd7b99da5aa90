//! What a path is served by: a handler with its configuration, subprotocols and origins.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::config::Config;
use super::group::Group;
use super::live::Live;
use super::origins::{BadOrigin, Origins};
use super::terms::Terms;
use super::{InvalidSubprotocol, Subprotocol};

/// What a path of WebSockets is served by: a handler, a configuration, subprotocols and origins. It is built once, and
/// mounted with `Server::endpoint` or used with `Upgrade::at`.
///
/// What cannot be parsed is told at once, by a `Result`. Limits are judged later: by `Server::start` if it is mounted
/// there, or by [`Config::check`]; under another server one that cannot be is taken for the nearest that can.
///
/// Without a handler, as [`Endpoint::default`] is, it is for [`WebSocket`](super::WebSocket), the stream and sink. Clones
/// are the same endpoint: all of its connections share what is made ready once.
///
/// ```
/// use rikki_ws::{Config, Endpoint, Message, Socket};
///
/// let echo = |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message);
/// let chat = Endpoint::new(echo).config(Config::default().max_message_size(64 << 10)).protocols(["chat"])?;
/// # Ok::<(), rikki_ws::InvalidSubprotocol>(())
/// ```
#[must_use]
pub struct Endpoint<H = ()> {
    handler: Arc<H>,
    config: Arc<Config>,
    /// Where there are none, those of the server in front hold.
    subprotocols: Option<Arc<[Subprotocol]>>,
    origins: Option<Arc<Origins>>,
    groups: Arc<[Group]>,
    live: Option<Live>,
    /// What is ready, for each server in front that there is: its terms, and those that connections have here.
    ready: Arc<Mutex<Vec<Ready>>>,
}

type Ready = (Weak<Terms>, Arc<Terms>);

impl Default for Endpoint {
    fn default() -> Self {
        Self::new(())
    }
}

impl<H> Clone for Endpoint<H> {
    fn clone(&self) -> Self {
        Self {
            handler: self.handler.clone(),
            config: self.config.clone(),
            subprotocols: self.subprotocols.clone(),
            origins: self.origins.clone(),
            groups: self.groups.clone(),
            live: self.live.clone(),
            ready: self.ready.clone(),
        }
    }
}

impl<H> fmt::Debug for Endpoint<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("config", &self.config).finish_non_exhaustive()
    }
}

impl<H> Endpoint<H> {
    /// An endpoint with defaults.
    pub fn new(handler: H) -> Self {
        let (config, subprotocols, origins, groups, live, ready) = Default::default();
        Self { handler: Arc::new(handler), config, subprotocols, origins, groups, live, ready }
    }

    /// Sets limits and deadlines of its connections.
    pub fn config(self, config: Config) -> Self {
        Self { config: Arc::new(config), ready: Arc::default(), ..self }
    }

    /// Sets the subprotocols that are spoken here, the preferred one first; default those of the server in front, or
    /// none. The first that the client offers is agreed on.
    ///
    /// # Errors
    ///
    /// A name is no token: [section 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1).
    pub fn protocols(self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, InvalidSubprotocol> {
        let names = names.into_iter().map(|name| name.as_ref().parse()).collect::<Result<_, _>>()?;
        Ok(Self { subprotocols: Some(names), ready: Arc::default(), ..self })
    }

    /// Lets pages of another origin open WebSockets here: `https://app.example:8443`, `null`, or `*` for all; what
    /// devices and applications send, such as `file://`, is compared byte for byte. May be repeated; those of the
    /// server in front hold here only if there is none.
    ///
    /// # Errors
    ///
    /// No header field can have that value.
    pub fn allow_origin(self, origin: &str) -> Result<Self, BadOrigin> {
        let mut origins = self.origins.as_deref().cloned().unwrap_or_default();
        origins.allow_origin(origin)?;
        Ok(Self { origins: Some(Arc::new(origins)), ready: Arc::default(), ..self })
    }

    /// Lets pages of those origins open WebSockets here that `judge` takes: it is given the field `Origin` as it was sent,
    /// such as `https://app.example:8443` or `null`. May be repeated, and beside [`allow_origin`](Self::allow_origin).
    ///
    /// It runs in each handshake that has such a field, on the thread that serves the connection. Compare whole origins:
    /// `https://app.example.evil.test` begins as `https://app.example` does.
    ///
    /// ```
    /// use rikki_ws::{Endpoint, Message, Socket};
    ///
    /// let echo = |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message);
    /// let tenants = Endpoint::new(echo).allow_origin_if(|origin| {
    ///     origin.strip_prefix("https://").is_some_and(|host| host.ends_with(".app.example"))
    /// });
    /// ```
    pub fn allow_origin_if(self, judge: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        let mut origins = self.origins.as_deref().cloned().unwrap_or_default();
        origins.allow_origin_if(judge);
        Self { origins: Some(Arc::new(origins)), ready: Arc::default(), ..self }
    }

    /// Lets each of its connections be a member of `group`, from before its first callback until it is over. May be
    /// repeated, for several groups.
    ///
    /// ```
    /// use rikki_ws::{Endpoint, Group, Message, Socket};
    ///
    /// let all = Group::new();
    /// let group = all.clone();
    /// let chat = move |_: &mut Socket<'_>, message: Message<'_>| _ = group.send(message);
    /// let endpoint = Endpoint::new(chat).group(&all);
    /// ```
    pub fn group(self, group: &Group) -> Self {
        let groups = self.groups.iter().chain([group]).cloned().collect();
        Self { groups, ready: Arc::default(), ..self }
    }

    /// Counts its connections among those of `live`; default those of our server in front, or else of the process.
    pub fn live(self, live: &Live) -> Self {
        Self { live: Some(live.clone()), ready: Arc::default(), ..self }
    }

    /// Whether each limit can be what it has been set to.
    #[doc(hidden)]
    pub fn check_limits(&self) -> Result<(), rikki_limits::BadLimit> {
        self.config.check()
    }

    pub(super) fn handler(&self) -> &Arc<H> {
        &self.handler
    }

    /// The terms of a connection behind a server with those of its own.
    pub(super) fn terms(&self, server: &Arc<Terms>) -> Arc<Terms> {
        let mut all = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, ready)) = all.iter().find(|(known, _)| known.as_ptr() == Arc::as_ptr(server)) {
            return ready.clone();
        }
        let ready = self.make_ready(server);
        // Of servers that are gone nothing is kept.
        all.retain(|(known, _)| known.strong_count() > 0);
        all.push((Arc::downgrade(server), ready.clone()));
        ready
    }

    fn make_ready(&self, server: &Terms) -> Arc<Terms> {
        let live = self.live.as_ref().unwrap_or(&server.live);
        let subprotocols = self.subprotocols.as_ref().unwrap_or(&server.subprotocols);
        let origins = self.origins.as_ref().unwrap_or(&server.origins);
        let terms = Terms::new(&self.config, live);
        let terms = terms.with_subprotocols(subprotocols.clone()).with_origins(origins.clone());
        Arc::new(terms.with_hints(server.hints).with_watching(server.watching).with_groups(self.groups.clone()))
    }
}
