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
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::sync::atomic::AtomicUsize;
    use std::task::{Context, Poll};
    use std::time::Duration;

    use bytes::Bytes;
    use futures_util::FutureExt as _;
    use http_body::Frame;
    use rustix::time::{ClockId, clock_gettime};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};

    use super::*;
    use crate::http::serving::AHEAD;
    use crate::http::{Draining, Site, draining};

    fn connection(router: Router, draining: Draining) -> Connection {
        let site = Site::empty(draining).refusing(router);
        Connection::new(Arc::new(site), ConnectionId::next(), Peer::Unix, Tracker::default(), false)
    }

    /// In bytes; every connection keeps room for this as long as it lasts.
    #[tokio::test]
    async fn an_answer_under_way_has_no_room_for_the_request() {
        fn size_of_future<A, F>(_: impl Fn(A) -> F) -> usize {
            size_of::<F>()
        }
        let (_server, draining) = draining();
        let connection = connection(Router::new(), draining);
        let size = size_of_future(|request| connection.answer(request, None));
        assert!(size <= 448, "{size} bytes");
    }

    /// A stream that gives one byte a read.
    struct Dribble {
        bytes: std::vec::IntoIter<u8>,
        waits: bool,
    }

    impl AsyncRead for Dribble {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            // Every other read has to wait, so that each byte is looked at before the next one is there.
            self.waits = !self.waits;
            if self.waits {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            buffer.put_slice(self.bytes.next().as_slice());
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Dribble {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl Socket for Dribble {}

    /// The CPU time of this thread that a head of `length` bytes takes, one byte a read.
    async fn cost_of_head(length: usize) -> Duration {
        let filler = "x".repeat(length - 60);
        let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Filler: {filler}\r\n\r\n");
        let stream = Dribble { bytes: head.into_bytes().into_iter(), waits: false };
        let asked = Arc::new(AtomicBool::new(false));
        let router = Router::new().fallback({
            let asked = asked.clone();
            move || async move { asked.store(true, Relaxed) }
        });
        let (_server, draining) = draining();
        let connection = connection(router, draining);
        let before = clock_gettime(ClockId::ThreadCPUTime);
        connection.serve_http1(stream).await;
        let after = clock_gettime(ClockId::ThreadCPUTime);
        assert!(asked.load(Relaxed), "the head was whole");
        Duration::try_from(after).unwrap() - Duration::try_from(before).unwrap()
    }

    /// Parsing all that is there anew with each byte was CVE-2023-43669.
    #[tokio::test]
    async fn a_dribbling_head_costs_in_proportion_to_its_length() {
        let mut least = [Duration::MAX; 2];
        for _ in 0..3 {
            least[0] = least[0].min(cost_of_head(2 * 1024).await);
            least[1] = least[1].min(cost_of_head(16 * 1024).await);
        }
        // Eight times the bytes: a factor of 8 if it is linear, of 64 if it is quadratic.
        assert!(least[1] < least[0] * 24, "2 KiB took {:?}, 16 KiB {:?}", least[0], least[1]);
    }

    #[tokio::test]
    async fn who_has_made_room_is_not_answered_by_the_application() {
        const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let (_server, draining) = draining();
        let mut connection = connection(Router::new().fallback(async || "answered"), draining);
        connection.has_place = true;
        let serving = connection.serving.clone();
        let (mut client, stream) = tokio::io::duplex(1024);
        let mut served = Box::pin(connection.serve_http1(stream));
        client.write_all(REQUEST).await.unwrap();
        assert!((&mut served).now_or_never().is_none());
        client.write_all(REQUEST).await.unwrap();
        assert!(serving.send_idle_away(), "it idles");
        let mut answers = String::new();
        let read = async { client.read_to_string(&mut answers).await.unwrap() };
        tokio::join!(served, read);
        let told = answers.split("HTTP/1.1 ").map(|answer| answer.get(..3).unwrap_or_default()).collect::<Vec<_>>();
        assert_eq!(told, ["", "200", "503"], "{answers}");
        assert!(answers.contains("connection: close\r\n"), "{answers}");
    }

    const BLOCK: usize = 128 * 1024;

    /// A body without end, in blocks as those of files.
    struct Endless(Arc<AtomicUsize>);

    impl http_body::Body for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.fetch_add(BLOCK, Relaxed);
            Poll::Ready(Some(Ok(Frame::data(vec![0; BLOCK].into()))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_holds_little() {
        let taken = Arc::new(AtomicUsize::new(0));
        let router = Router::new().fallback({
            let taken = taken.clone();
            move || async move { Body::new(Endless(taken)) }
        });
        let (mut client, stream) = tokio::io::duplex(1024);
        client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let (_server, draining) = draining();
        let served = connection(router, draining).serve_http1(stream);
        // The clock goes on when there is nothing else to do.
        assert!(tokio::time::timeout(Duration::from_secs(1), served).await.is_err());
        let taken = taken.load(Relaxed);
        assert!((1..=AHEAD + BLOCK).contains(&taken), "{taken} bytes");
    }
}
