//! HTTP/2 on a TLS stream: its limits, and how it ends.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use http::{Request, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::config::Limits;
use super::connection::{Connection, GIVEN_AWAY, log_end};
use super::draining::Draining;
use super::heads::HeadIo;
use super::idle::Waiting;
use super::linger::LINGER;
use super::outgoing::{Given, Outgoing};
use super::pace::PacedIo;
use super::refusal::later;
use super::sending::Sending;
use super::serving::Serving;
use super::stream::{PacedStreams, Pieces, Streams};
use super::watch::Socket;

/// Streams of a connection at a time: as many as browsers use.
const STREAMS: u32 = 100;

/// How many streams a connection has when memory is scarce; more are answered with 503.
const STREAMS_WHEN_SCARCE: u32 = 10;

/// How much hyper takes ahead for each, in bytes, where there is room.
const SEND_BUFFER: usize = 64 * 1024;

/// How much of request bodies a connection takes ahead of the application, in bytes.
const RECEIVED: u32 = 256 * 1024;

/// What a connection that begins when memory is scarce may receive unasked, in bytes: it cannot be less
/// ([RFC 9113 section 6.9.2](https://www.rfc-editor.org/rfc/rfc9113#section-6.9.2)).
const RECEIVED_WHEN_SCARCE: u32 = 65_535;

/// What a stream costs beside its head, in bytes: its tasks, and what hyper and the application keep of it.
const STREAM: usize = 4 * 1024;

/// What a field of its head costs beside its text, in bytes.
const FIELD: usize = 96;

/// How many requests of a connection are refused until the client is told to go away. HTTP/1.1 closes with the first;
/// browsers share a connection of HTTP/2 between the names of a certificate.
const REFUSALS: u32 = 10;

/// Silent connections are pinged, as WebSockets are.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

impl Connection {
    pub(super) async fn serve_http2(self, stream: impl AsyncRead + AsyncWrite + Socket + Send + Unpin + 'static) {
        let Serving { config, shared, terms, draining, .. } = &*self.serving;
        let (rate, counts) = (config.limits.body_rate(), terms.live.counts.clone());
        let memory = terms.live.http2.clone();
        let outgoing = Arc::new(Outgoing::new(memory.clone()));
        let streams = Arc::new(Streams::new(outgoing.clone()));
        let builder = self.serving.http2(PacedStreams { rate, counts: counts.clone(), streams: streams.clone() });
        let (draining, id, peer) = (draining.clone(), self.id, self.peer);
        let Limits { head_timeout, keep_alive, max_requests, .. } = config.limits;
        let waiting = Waiting::new(&shared.idling, self.has_place, keep_alive, head_timeout, Sending::default());
        let waiting = Arc::new(waiting);
        let served = Arc::new(self);
        let service = {
            let (streams, waiting) = (streams.clone(), waiting.clone());
            service_fn(move |request| {
                let (opened, open) = streams.opened();
                waiting.idles(false);
                if opened >= max_requests {
                    streams.go_away();
                }
                let (served, streams) = (served.clone(), streams.clone());
                let given = Given::new(outgoing.clone());
                let declined = served.serving.decline(opened, open, &waiting);
                let mut charge = memory.share();
                charge.set(cost(&request));
                async move {
                    let response = served.answer(request, declined).await;
                    if served.refused() >= REFUSALS {
                        streams.go_away();
                    }
                    response.map(|response| response.map(|body| Pieces::new(body, given, charge)))
                }
            })
        };
        let stream = HeadIo::new(PacedIo::new(stream, rate, counts), head_timeout);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        // hyper has no deadline for the preface and the first request.
        let silent = async {
            tokio::time::sleep(head_timeout).await;
            if streams.has_any() {
                std::future::pending::<()>().await;
            }
        };
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = silent => return,
            () = goes_away(&draining, &streams, &waiting, keep_alive) => {
                // GOAWAY: https://www.rfc-editor.org/rfc/rfc9113#section-6.8
                connection.as_mut().graceful_shutdown();
                // Whoever has its place is there already.
                let time = if waiting.leaves() { head_timeout.min(LINGER) } else { head_timeout };
                tokio::select! {
                    result = connection => result,
                    () = streams.overstay(STREAMS, time) => {
                        let (id, what) = (id.get(), "connection cut: it stays in spite of GOAWAY");
                        tracing::debug!(target: "rikki::http", id, %peer, "{what}");
                        return;
                    }
                }
            }
        };
        log_end(id, peer, result);
    }
}

/// Waits until the client has to be told to go.
async fn goes_away(draining: &Draining, streams: &Streams, waiting: &Waiting, keep_alive: Duration) {
    tokio::select! {
        () = draining.begun() => {}
        () = streams.must_go_away() => {}
        () = streams.idle(waiting, keep_alive) => {}
        () = waiting.must_leave() => {}
    }
}

impl Serving {
    /// The answer to a stream that is one too many, by how many the connection has opened and how many of them are
    /// open.
    fn decline(&self, opened: u32, open: u32, waiting: &Waiting) -> Option<Response> {
        let Self { config, terms, .. } = self;
        let why = if waiting.leaves() {
            GIVEN_AWAY
        } else if opened > config.limits.max_requests.saturating_add(STREAMS) {
            "the connection has carried as many requests as it may\n"
        } else if open > STREAMS_WHEN_SCARCE && terms.live.http2.is_spent() {
            terms.live.counts.refused_streams.up();
            "there is no memory for as many requests on a connection\n"
        } else {
            return None;
        };
        // https://www.rfc-editor.org/rfc/rfc9110#section-15.6.4
        Some(later(StatusCode::SERVICE_UNAVAILABLE, why))
    }
}

impl Serving {
    fn http2(&self, streams: PacedStreams) -> http2::Builder<PacedStreams> {
        let scarce = self.terms.live.http2.is_spent();
        let received = if scarce { RECEIVED_WHEN_SCARCE } else { RECEIVED };
        let mut builder = http2::Builder::new(streams);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(if scarce { STREAMS_WHEN_SCARCE } else { STREAMS })
            .initial_connection_window_size(received)
            .initial_stream_window_size(received)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(u32::try_from(self.config.limits.max_head).unwrap_or(u32::MAX))
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        builder
    }
}

/// What a request costs while it is answered, in bytes.
fn cost(request: &Request<Incoming>) -> usize {
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD);
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let body = request.body().size_hint().upper().unwrap_or(u64::MAX).min(RECEIVED.into());
    STREAM + target + fields.sum::<usize>() + body as usize
}
