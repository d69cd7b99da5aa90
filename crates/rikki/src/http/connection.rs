//! One accepted connection: HTTP/1.1 until it ends, is upgraded, or the server has drained.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{Entry, HeaderName};
use http::request::Parts;
use http::{HeaderValue, StatusCode, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::access::Access;
use super::answering::{Answering, panicked};
use super::caller::Caller;
use super::config::Config;
use super::framing;
use super::guard::KnownHost;
use super::idle::Waiting;
use super::linger;
use super::pace::{PacedBody, PacedIo};
use super::persistence::{is_endless, is_kept_alive, may_stay_unread};
use super::refusal::{later, refuse_host};
use super::sending::Sending;
use super::serving::Serving;
use super::site::Current;
use super::unreadable;
use super::upgraded;
use super::watch::Socket;
use crate::net::Peer;
#[cfg(feature = "tls")]
use crate::tls::ClientCertificate;
use crate::ws;
use crate::ws::ConnectionId;
#[cfg(feature = "tls")]
use crate::ws::internal::closing;
use crate::ws::internal::{Agreed, Public, Tracker};

/// What a request is told that comes when its connection has just made room for another.
pub(super) const GIVEN_AWAY: &str = "the connection has made room for another\n";

/// A connection of HTTP, from its first byte to its last or to an upgrade.
#[derive(Debug)]
pub(crate) struct Connection {
    /// As things were when it began.
    pub(super) serving: Arc<Serving>,
    site: Arc<Current>,
    pub(super) id: ConnectionId,
    pub(super) peer: Peer,
    /// Whether the peer may be a proxy, which is believed what it says of others as long as it is trusted.
    may_be_proxy: bool,
    pub(super) tracker: Tracker,
    /// Whether it is one of those that the server takes.
    pub(super) has_place: bool,
    /// What the client has shown, where it has to.
    #[cfg(feature = "tls")]
    pub(super) client: Option<ClientCertificate>,
    known_host: KnownHost,
    /// A WebSocket that is to have the connection.
    websocket: Mutex<Option<Agreed>>,
    /// How many requests have come on it.
    requests: AtomicU32,
    /// How many of them, of HTTP/2, were refused: with an answer after which HTTP/1.1 closes.
    refused: AtomicU32,
}

impl Connection {
    /// One that begins now.
    pub(crate) fn new(site: Arc<Current>, id: ConnectionId, peer: Peer, tracker: Tracker, has_place: bool) -> Self {
        let serving = site.now().serving.clone();
        let (known_host, websocket, requests, refused) = Default::default();
        Self {
            serving,
            site,
            id,
            peer,
            may_be_proxy: true,
            tracker,
            has_place,
            #[cfg(feature = "tls")]
            client: None,
            known_host,
            websocket,
            requests,
            refused,
        }
    }

    /// Believes nothing that its requests say of others, unless the peer may be a proxy.
    pub(crate) fn believe(self, may_be_proxy: bool) -> Self {
        Self { may_be_proxy, ..self }
    }

    /// How many of its requests were refused.
    #[cfg(feature = "tls")]
    pub(super) fn refused(&self) -> u32 {
        self.refused.load(Relaxed)
    }

    /// Serves HTTP/1.1 on a TCP or TLS stream.
    pub(crate) async fn serve_http1(self, stream: impl AsyncRead + AsyncWrite + Socket + Send + Unpin + 'static) {
        let Serving { http1, config, shared, terms, draining, .. } = &*self.serving;
        let limits = &config.limits;
        // By value: what has been borrowed keeps its room in the future.
        let (stream, sending) = Sending::on(stream);
        let waiting = Waiting::new(&shared.idling, self.has_place, limits.keep_alive, limits.head_timeout, sending);
        let service = service_fn(|request| {
            let waiting = &waiting;
            // It was there before hyper looked at the deadline: its connection has no place any more.
            let declined = waiting.leaves().then(|| later(StatusCode::SERVICE_UNAVAILABLE, GIVEN_AWAY));
            let answer = self.answer(request, declined);
            let answered = |mut response: Response| {
                waiting.is_endless(is_endless(&response));
                waiting.sending().take_on(&mut response);
                response
            };
            async move { answer.await.map(answered) }
        });
        let stream = PacedIo::new(stream, limits.body_rate(), terms.live.counts.clone());
        let stream = TokioIo::new(stream.telling(waiting.reading()));
        let mut connection = http1.clone().timer(waiting.timer()).serve_connection(stream, service).with_upgrades();
        let result = tokio::select! {
            // First, since most are upgraded or ended before there is anything to wait for.
            biased;
            result = &mut connection => result,
            () = draining.begun_and_read() => {
                Pin::new(&mut connection).graceful_shutdown();
                (&mut connection).await
            }
        };
        let error = log_end(self.id, self.peer, result);
        if let Some(parts) = connection.into_parts() {
            let mut io = parts.io.into_inner();
            // Boxed, since a connection would have room for this as long as it lasts.
            match (io.take_own_answer(), error) {
                (Some(status), Some(error)) => {
                    terms.live.counts.refused_heads.up();
                    let request = self.requests.load(Relaxed).saturating_add(1);
                    let caller = Caller { id: self.id, request, peer: self.peer };
                    let answer = unreadable::refuse(status, &error, &parts.read_buf, config, caller);
                    Box::pin(linger::answer(io, answer)).await;
                }
                // It has taken its last answer long ago.
                (None, Some(_)) if waiting.leaves() => Box::pin(linger::end(io)).await,
                _ => Box::pin(linger::close(io)).await,
            }
        }
        drop(waiting);
        // What hyper has of the connection is gone, so this waits for nothing.
        let websocket = self.websocket().take();
        if let Some(agreed) = websocket {
            agreed.finish(self.id, self.tracker.clone(), upgraded::take).await;
        }
    }

    /// Lets the application answer, unless the request is `declined` or names a host that it may not.
    ///
    /// Not an `async fn`, whose future would have room for the request several times, for as long as the connection
    /// lasts.
    pub(super) fn answer(
        &self,
        request: http::Request<Incoming>,
        declined: Option<Response>,
    ) -> impl Future<Output = Result<Response, Infallible>> {
        let (serving, router) = self.as_it_is_now();
        let anew = KnownHost::default();
        let known_host = if Arc::ptr_eq(&serving, &self.serving) { &self.known_host } else { &anew };
        let Serving { config, shared, terms, .. } = &*serving;
        let (mut parts, body) = request.into_parts();
        let version = parts.version;
        let upgrade =
            parts.extensions.get::<OnUpgrade>().map(|upgrade| (upgrade.clone(), Arc::<AtomicBool>::default()));
        let (client, public) = self.client(&serving, &parts);
        let request = self.requests.fetch_add(1, Relaxed).saturating_add(1);
        let caller = Caller { id: self.id, request, peer: client };
        let access = config.access_log.then(|| Box::new(Access::new(&parts, caller)));
        let reader = config.added.reader(&parts);
        let is_last = framing::is_last(&parts) || request >= config.limits.max_requests;
        let goes_on = is_kept_alive(&parts);
        let unread = may_stay_unread(&parts, &body).then(Arc::<AtomicBool>::default);
        let too_often = || {
            let refused = shared.frequency.as_ref()?.refuse(caller)?;
            terms.live.counts.refused_requests.up();
            Some(refused)
        };
        let counts = &terms.live.counts;
        let misread = || framing::refuse(&parts, config.limits.max_headers).inspect(|_| counts.refused_heads.up());
        let declined = declined.or_else(|| self.misdirected(&serving)).or_else(misread).or_else(too_often);
        let mut answering = if let Some(declined) = declined {
            Answering::Known(declined)
        } else if let Err(refused) = known_host.check(&terms.guard, terms.listener, public.as_deref(), &parts) {
            Answering::Known(refuse_host(&serving, caller, &refused))
        } else if let Some(preflight) = config.added.preflight(&parts) {
            Answering::Known(preflight)
        } else {
            client.tell(&mut parts.extensions);
            #[cfg(feature = "tls")]
            if let Some(client) = &self.client {
                parts.extensions.insert(client.clone());
            }
            let (listener, tracker, id) = (terms.listener, self.tracker.clone(), Some(self.id));
            let terms = terms.websockets.clone();
            let request = upgrade.as_ref().map(|(_, is_agreed)| Arc::downgrade(is_agreed));
            parts.extensions.insert(ws::internal::Context { terms, listener, public, tracker, id, request });
            Answering::routed(router, Request::from_parts(parts, pace(&serving, body, unread.clone())), caller)
        };
        async move {
            let answer = poll_fn(|cx| answering.poll(cx)).await;
            // Made anew, since its id would have room a second time.
            let caller = Caller { id: self.id, request, peer: client };
            let mut response = answer.unwrap_or_else(|| panicked(caller));
            serving.config.added.add_to(&mut response, reader);
            if let Some(access) = access {
                access.log(&response);
            }
            // Then hyper ends the connection, and the client is to know.
            let is_last = is_last || unread.is_some_and(|read| !read.load(Relaxed));
            self.set_connection(&serving, version, is_last, goes_on, &mut response);
            if let Some((upgrade, is_agreed)) = upgrade {
                self.hand_over(&mut response, &is_agreed, upgrade, caller);
            }
            Ok(response)
        }
    }

    /// By what a request is judged that comes now, and what answers it.
    fn as_it_is_now(&self) -> (Arc<Serving>, Router) {
        let site = self.site.now();
        (site.serving.clone(), site.router.clone())
    }

    /// The answer to a request on a connection whose client was asked for no certificate, or for one of others, than it
    /// would be now.
    #[cfg(feature = "tls")]
    fn misdirected(&self, serving: &Serving) -> Option<Response> {
        let is_other = serving.terms.authorities != self.serving.terms.authorities;
        // https://www.rfc-editor.org/rfc/rfc9110#section-15.5.20
        is_other.then(|| closing(StatusCode::MISDIRECTED_REQUEST, "connect anew: who may connect has changed\n"))
    }

    #[cfg(not(feature = "tls"))]
    fn misdirected(&self, _: &Serving) -> Option<Response> {
        None
    }

    /// From whom a request is, and what they have asked for where a proxy tells that.
    fn client(&self, serving: &Serving, request: &Parts) -> (Peer, Option<Arc<Public>>) {
        let Config { forwarding, trust, .. } = &serving.config;
        if !self.may_be_proxy || !trust.has_peer(self.peer) {
            return (self.peer, None);
        }
        let (client, public) = forwarding.read(trust, &request.headers, self.peer);
        (client, (public != Public::default()).then(|| Arc::new(public)))
    }

    /// Says whether the connection goes on.
    fn set_connection(
        &self,
        serving: &Serving,
        version: Version,
        is_last: bool,
        goes_on: bool,
        response: &mut Response,
    ) {
        if version == Version::HTTP_2 {
            // https://www.rfc-editor.org/rfc/rfc9113#section-8.2.2: connection-specific fields are not for HTTP/2.
            if response
                .headers_mut()
                .remove(header::CONNECTION)
                .is_some_and(|value| value.as_bytes().starts_with(b"close"))
            {
                self.refused.fetch_add(1, Relaxed);
            }
            response.headers_mut().remove(header::UPGRADE);
            return;
        }
        let is_said = response.headers().get(header::CONNECTION).is_some_and(|value| value == "close");
        // An upgrade ends HTTP here anyway, and its `Connection` has to name it.
        if response.status() == StatusCode::SWITCHING_PROTOCOLS || is_said {
            return;
        }
        let Serving { draining, .. } = serving;
        if is_last {
            response.headers_mut().append(header::CONNECTION, HeaderValue::from_static("close"));
        } else if let Some(keep_alive) = &self.serving.keep_alive
            && goes_on
            && !draining.has_begun()
            && let Entry::Vacant(connection) = response.headers_mut().entry(header::CONNECTION)
        {
            // The field has to be named there: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
            connection.insert(HeaderValue::from_static("keep-alive"));
            response.headers_mut().insert(KEEP_ALIVE, keep_alive.clone());
        }
    }

    /// Keeps the WebSocket that an answer starts. Whatever became of the one that the handshake gave: only that one
    /// does.
    fn hand_over(&self, response: &mut Response, is_agreed: &Arc<AtomicBool>, upgrade: OnUpgrade, caller: Caller) {
        if let Some(agreed) = Agreed::take_from(response, is_agreed) {
            let before = self.websocket().replace(agreed);
            drop(before); // without the lock: it has what the application has attached
        } else if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            self.close_after(upgrade);
        } else if is_agreed.load(Relaxed) {
            upgraded::log_replaced(caller);
        }
    }

    fn websocket(&self) -> MutexGuard<'_, Option<Agreed>> {
        self.websocket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes a connection on which an upgrade was asked for and refused: at its end hyper hands the stream over all
    /// the same, and does not shut it down.
    fn close_after(&self, upgrade: OnUpgrade) {
        let tracker = self.tracker.clone();
        tokio::spawn(async move {
            // An error means that the stream is not handed over, or that a later request asked again.
            if let Ok(upgraded) = upgrade.await {
                linger::close(TokioIo::new(upgraded)).await;
            }
            drop(tracker);
        });
    }
}

fn pace(serving: &Serving, body: Incoming, read: Option<Arc<AtomicBool>>) -> Body {
    if body.is_end_stream() {
        return Body::empty();
    }
    let Serving { config, terms, .. } = serving;
    Body::new(PacedBody::new(body, config.limits.body_rate(), terms.live.counts.clone(), read))
}

/// How long the next request is waited for, in seconds: <https://www.rfc-editor.org/rfc/rfc2068#section-19.7.1.1>.
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

pub(super) fn log_end(id: ConnectionId, peer: Peer, result: hyper::Result<()>) -> Option<hyper::Error> {
    let log = |error: &_| tracing::debug!(target: "rikki::http", id = id.get(), %peer, "connection ended: {error}");
    result.inspect_err(log).err()
}

#[cfg(test)]
mod tests;
