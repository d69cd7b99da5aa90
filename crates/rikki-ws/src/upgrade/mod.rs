//! From an HTTP request to a WebSocket: the server's side of the opening handshake
//! ([RFC 6455 section 4.2](https://www.rfc-editor.org/rfc/rfc6455#section-4.2)).

mod accept;
pub(crate) mod handover;
mod judged;
mod refused;
mod sent;
pub(crate) mod transport;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::response::Response;
use http::request::Parts;
use http::{Extensions, HeaderMap, Method, Uri};
use hyper::upgrade::OnUpgrade;
use rikki_proto::handshake::{InvalidSubprotocol, Subprotocol};
use tracing::Span;

use super::context::ContextHandler;
use super::endpoint::Endpoint;
use super::group::Group;
use super::handler::Handler;
#[cfg(doc)]
use super::opening::Opening;
use super::origins::{BadOrigin, Origins};
use super::serving::{self, Termination};
use super::stream::WebSocket;
use super::trace::Trace;

pub use accept::AcceptError;
use handover::{Agreed, Context};
use judged::Ready;
pub use refused::foreign;
use refused::{Trouble, log_trouble, unsupported};
use transport::Transport;

/// An extractor for WebSocket endpoints in any axum application.
///
/// The handshake is judged when [`on_upgrade`](Self::on_upgrade) is called: a request that breaks a rule of RFC 6455,
/// or comes from a page of another origin, is answered with a refusal that says why, and the connection is closed.
///
/// Whoever is not to have a WebSocket gets another response, before anything is upgraded: the method, path, query,
/// headers, cookies and address are there to judge by, and what is learned of the client can be
/// [attached](Self::attach) for a [`Handler`].
///
/// Under rikki's own server what has been set for all of its WebSockets applies; under `axum::serve` the defaults do,
/// with one bound on the memory of all connections of the process, unless the upgrade is [at](Self::at) an endpoint.
///
/// ```
/// use axum::response::Response;
/// use axum::{Router, routing::any};
/// use futures_util::{SinkExt, StreamExt};
///
/// async fn chat(upgrade: rikki_ws::Upgrade) -> Response {
///     upgrade.on_upgrade(|mut socket| async move {
///         while let Some(Ok(message)) = socket.next().await {
///             if socket.send(message).await.is_err() {
///                 break;
///             }
///         }
///     })
/// }
///
/// let app: Router = Router::new().route("/chat", any(chat));
/// ```
#[derive(Debug)]
#[must_use = "nothing is upgraded until `on_upgrade` is called"]
pub struct Upgrade {
    parts: Box<Parts>,
    on_upgrade: Option<OnUpgrade>,
    context: Context,
    /// In place of those of the context.
    subprotocols: Option<Vec<Subprotocol>>,
    /// Beside those of the context.
    origins: Origins,
    /// Beside those of the endpoint.
    groups: Vec<Group>,
    /// The span of the user that the connection is to run in.
    span: Option<Span>,
}

impl Upgrade {
    /// The upgrade that a request asks for, as the extractor finds it.
    pub fn new(request: Request) -> Self {
        Self::from_parts(Box::new(request.into_parts().0))
    }

    fn from_parts(mut parts: Box<Parts>) -> Self {
        let on_upgrade = parts.extensions.remove();
        let context = parts.extensions.remove::<Context>().unwrap_or_default();
        let (subprotocols, origins, groups, span) = Default::default();
        Self { parts, on_upgrade, context, subprotocols, origins, groups, span }
    }

    /// The method of the request: GET, if the handshake is to succeed.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.parts.method
    }

    /// The path and query of the request.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.parts.uri
    }

    /// The header fields of the request, cookies among them.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// The address of the peer, where the server provides axum's `ConnectInfo`; rikki's own does, but for
    /// peers on a Unix socket, which have none.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        peer_addr(&self.parts)
    }

    /// Attaches what is known of the client, such as its user, for the handler to find in [`Opening::extensions`].
    pub fn attach<T: Clone + Send + Sync + 'static>(mut self, state: T) -> Self {
        self.parts.extensions.insert(state);
        self
    }

    /// Runs the callbacks or the task of the connection in `span`, as long as it lasts; default none.
    ///
    /// Where somebody logs at the level `debug` for the target `rikki::ws`, there is one span more, below this, called
    /// `websocket`, with the [`id`](crate::ConnectionId) of the connection, the address of its peer, the path, and
    /// `trace_id` and `parent_id` where the request has a valid `traceparent`
    /// ([W3C Trace Context](https://www.w3.org/TR/trace-context/)); that it has opened and closed are events of that
    /// level, with the id. Where nobody does, nothing is kept of these.
    ///
    /// Memory: what the subscriber keeps of the span, and about 200 bytes, for as long as the connection lasts. A span
    /// of the level `info`, such as one for each request, is kept by every idle connection that it is given to.
    ///
    /// ```
    /// use axum::response::Response;
    /// use rikki_ws::Upgrade;
    ///
    /// async fn chat(upgrade: Upgrade) -> Response {
    ///     let span = tracing::info_span!("chat", user = 42);
    ///     upgrade.span(span).on_upgrade(|socket| async move { drop(socket) })
    /// }
    /// ```
    pub fn span(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// Serves this connection by the configuration, subprotocols, origins and [`Live`](crate::Live) of an endpoint.
    ///
    /// Those that it does not set are the server's, but for the configuration, which is always its own.
    /// [`protocols`](Self::protocols) and [`any_origin`](Self::any_origin) go before its own, whatever the order of calls.
    /// Its handler is not used: [`serve`](Self::serve) does that.
    ///
    /// ```
    /// use std::sync::LazyLock;
    ///
    /// use axum::response::Response;
    /// use rikki_ws::{Config, Endpoint, Upgrade};
    ///
    /// static CHAT: LazyLock<Endpoint> =
    ///     LazyLock::new(|| Endpoint::default().config(Config::default().max_message_size(4096)));
    ///
    /// async fn chat(upgrade: Upgrade) -> Response {
    ///     upgrade.at(&CHAT).on_upgrade(|socket| async move { drop(socket) })
    /// }
    /// ```
    pub fn at<H>(mut self, endpoint: &Endpoint<H>) -> Self {
        self.context.terms = endpoint.terms(&self.context.terms);
        self
    }

    /// Sets the subprotocols that are spoken here, the preferred one first; default those of the endpoint or of the
    /// server, or none. The first that the client offers is agreed on.
    ///
    /// # Errors
    ///
    /// A name is no token: [section 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1).
    pub fn protocols(mut self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, InvalidSubprotocol> {
        self.subprotocols = Some(names.into_iter().map(|name| name.as_ref().parse()).collect::<Result<_, _>>()?);
        Ok(self)
    }

    /// Lets pages of any origin open WebSockets here: for endpoints that know their users by other means than cookies.
    ///
    /// Without it, a page must come from the host and port that the request names, or from an origin that the endpoint
    /// or the server allows.
    pub fn any_origin(mut self) -> Self {
        self.origins.allow_any();
        self
    }

    /// Lets pages of another origin open a WebSocket here, as [`Endpoint::allow_origin`] does, beside those that the
    /// endpoint or the server allows. May be repeated.
    ///
    /// # Errors
    ///
    /// No header field can have that value.
    ///
    /// ```
    /// use axum::response::Response;
    /// use rikki_ws::{BadOrigin, Upgrade};
    ///
    /// async fn chat(upgrade: Upgrade) -> Response {
    ///     let origins = ["https://app.example", "https://staging.app.example:8443"];
    ///     let allowed = origins.iter().try_fold(upgrade, |upgrade, origin| upgrade.allow_origin(origin));
    ///     allowed.unwrap().on_upgrade(|socket| async move { drop(socket) })
    /// }
    /// ```
    pub fn allow_origin(mut self, origin: &str) -> Result<Self, BadOrigin> {
        self.origins.allow_origin(origin)?;
        Ok(self)
    }

    /// Lets pages of those origins open a WebSocket here that `judge` takes, as [`Endpoint::allow_origin_if`] does.
    pub fn allow_origin_if(mut self, judge: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.origins.allow_origin_if(judge);
        self
    }

    /// Lets the WebSocket be a member of `group`, from before its first callback or its task's first step until its
    /// connection is over, beside those of the endpoint. May be repeated, for several groups.
    ///
    /// Whoever waits for the group to be [closed](Group::closed) waits from when the handshake is agreed on.
    pub fn group(mut self, group: &Group) -> Self {
        self.groups.push(group.clone());
        self
    }

    /// Answers the handshake and runs `serve` on the WebSocket, as a task of its own.
    ///
    /// Header fields can be added to the response, as in `([("x-session", "42")], upgrade.on_upgrade(serve))`. If the
    /// handshake is refused or answered with another response, or the client goes away before it is answered, `serve`
    /// is not called.
    ///
    /// Another server than rikki's own does not say what it has sent. There the body of this response tells, so a layer
    /// has to leave it there, and a body that it puts around it has to pass `is_end_stream` on, as those of tower-http do
    /// but for `ResponseBodyTimeoutLayer`: else no WebSocket starts, and the log says so. And nobody may give this response
    /// another status there, as `(StatusCode::FORBIDDEN, response)` does, since its client could have a WebSocket behind
    /// that: to refuse, make another response.
    ///
    /// The future may end with an error, as functions that use `?` do: see [`Termination`]. The WebSocket is then
    /// closed with 1011 instead of 1000, if it is dropped at that moment, as it is by the functions that own it.
    pub fn on_upgrade<F, Fut>(self, serve: F) -> Response
    where
        F: FnOnce(WebSocket) -> Fut + Send + 'static,
        Fut: Future<Output: Termination> + Send + 'static,
    {
        self.answer(nothing, move |transport, ready| {
            let (io, ahead) = transport.into_boxed();
            let (id, live, span) = (ready.trace.id, ready.terms.live.clone(), ready.trace.span.clone());
            let (socket, opening) = ready.into_socket(io, &ahead);
            let peer = opening.peer_addr();
            Trace::spawn(span, async move { serving::serve(serve(socket), id, peer, live).await });
        })
    }

    /// Answers the handshake and serves the WebSocket with the callbacks of `handler`, as a task of its own.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use axum::response::Response;
    /// use rikki_ws::{Message, Socket, Upgrade};
    ///
    /// async fn echo(upgrade: Upgrade) -> Response {
    ///     upgrade.on_upgrade_with(Arc::new(|socket: &mut Socket, message: Message<'_>| socket.send(message)))
    /// }
    /// ```
    pub fn on_upgrade_with<H: Handler>(self, handler: Arc<H>) -> Response {
        self.on_accepted_with(handler, nothing)
    }

    /// As [`on_upgrade_with`](Self::on_upgrade_with), and attaches what `accepted` does when the handshake has been
    /// judged and before the client is told: nothing of that is done for one that is refused.
    #[doc(hidden)]
    pub fn on_accepted_with<H: Handler>(self, handler: Arc<H>, accepted: impl FnOnce(&mut Extensions)) -> Response {
        self.start_with(handler, (), accepted)
    }

    /// Answers the handshake and serves the WebSocket with the callbacks of `endpoint`, by its configuration.
    pub fn serve<H: Handler>(self, endpoint: &Endpoint<H>) -> Response {
        self.at(endpoint).on_upgrade_with(endpoint.handler().clone())
    }

    /// Answers the handshake and serves the WebSocket with the callbacks of `endpoint`, which open with `context`: see
    /// [`ContextHandler`].
    pub fn serve_with<H: ContextHandler>(self, endpoint: &Endpoint<H>, context: H::Context) -> Response {
        self.at(endpoint).start_with(endpoint.handler().clone(), context, nothing)
    }

    fn start_with<H: ContextHandler>(
        self,
        handler: Arc<H>,
        context: H::Context,
        accepted: impl FnOnce(&mut Extensions),
    ) -> Response {
        self.answer(accepted, move |transport, ready| match transport {
            Transport::Tcp(io, ahead) => ready.spawn(handler, context, io, &ahead),
            #[cfg(unix)]
            Transport::Unix(io, ahead) => ready.spawn(handler, context, io, &ahead),
            #[cfg(feature = "tls")]
            Transport::Tls(io, ahead) => ready.spawn(handler, context, io, &ahead),
            Transport::Other(other) => {
                let (io, ahead) = other.into_parts();
                ready.spawn(handler, context, io, &ahead);
            }
        })
    }

    fn answer(
        mut self,
        attach: impl FnOnce(&mut Extensions),
        start: impl FnOnce(Transport, Ready) + Send + 'static,
    ) -> Response {
        let (on_upgrade, request) = (self.on_upgrade.take(), self.context.request.take());
        let tracker = std::mem::take(&mut self.context.tracker);
        let (mut judged, mut response) = match self.judge() {
            Ok(judged) => judged,
            Err(refusal) => return *refusal,
        };
        let Some(on_upgrade) = on_upgrade else { return unsupported(judged.id) };
        attach(&mut judged.opening.parts.extensions);
        let id = judged.id;
        let agreed = Agreed::new(on_upgrade, move |transport, tracker| start(transport, judged.begin(tracker)));
        let Some(request) = request else {
            let sent = sent::watch(&mut response);
            tokio::spawn(async move {
                match sent.await {
                    Ok(()) => agreed.finish(id, tracker, Transport::from).await,
                    Err(_) => log_trouble(Trouble::Unsent, id),
                }
            });
            return response;
        };
        if !agreed.attach_to(&mut response, request) {
            log_trouble(Trouble::Answered, id);
        }
        response
    }
}

impl<S: Sync> FromRequestParts<S> for Upgrade {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::from_parts(Box::new(parts.clone())))
    }
}

/// Attaches nothing.
fn nothing(_: &mut Extensions) {}

fn peer_addr(request: &Parts) -> Option<SocketAddr> {
    request.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;
    use crate::terms::Terms;
    use crate::{Config, Live};

    fn upgrade(context: Option<&Context>) -> Upgrade {
        let mut request = Request::new(Body::empty());
        request.extensions_mut().extend(
            context
                .map(|context| {
                    let mut extensions = Extensions::new();
                    extensions.insert(context.clone());
                    extensions
                })
                .unwrap_or_default(),
        );
        Upgrade::new(request)
    }

    /// Bounds over all connections hold for nothing if each has its own.
    #[test]
    fn connections_of_another_server_share_what_bounds_them() {
        let terms = |upgrade: Upgrade| upgrade.context.terms;
        assert!(Arc::ptr_eq(&terms(upgrade(None)), &terms(upgrade(None))));
        let endpoint = Endpoint::default().config(Config::default().max_fragments(3));
        let [one, other] = [0, 1].map(|_| terms(upgrade(None).at(&endpoint)));
        assert!(Arc::ptr_eq(&one, &other), "made ready once");
        assert!(one.live.is(&Live::process()));
        let live = Live::new();
        assert!(terms(upgrade(None).at(&endpoint.live(&live))).live.is(&live));
    }

    #[test]
    fn under_our_own_server_it_counts() {
        let live = Live::new();
        let context = Context { terms: Arc::new(Terms::new(&Config::default(), &live)), ..Context::default() };
        let endpoint = Endpoint::default();
        let [one, other] = [0, 1].map(|_| upgrade(Some(&context)).at(&endpoint.clone()).context.terms);
        assert!(Arc::ptr_eq(&one, &other), "made ready once for all clones");
        assert!(one.live.is(&live));
        // Behind a second one too.
        assert!(upgrade(None).at(&endpoint).context.terms.live.is(&Live::process()));
    }
}
