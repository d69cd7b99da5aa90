//! One accepted connection: HTTP/1.1 until it ends, is upgraded, or the server has drained.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tower_service::Service as _;

use crate::ws::Context;

/// What a request head may cost and how long it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) max_head: usize,
    pub(crate) max_headers: usize,
    pub(crate) head_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_head: 16 * 1024, max_headers: 100, head_timeout: Duration::from_secs(10) }
    }
}

/// What a server is about to do with its connections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Phase {
    Serving,
    /// Requests are finished, no new ones taken.
    Draining,
}

/// What all connections of a listener share.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    pub(crate) router: Router,
    pub(crate) settings: Settings,
    pub(crate) context: Context,
    pub(crate) phase: watch::Receiver<Phase>,
}

impl Serving {
    /// Serves HTTP/1.1 on a TCP or TLS stream.
    pub(crate) async fn serve_http1(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        peer: SocketAddr,
    ) {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.settings.head_timeout);
        builder.max_header_size(self.settings.max_head);
        // Setting it at all makes hyper allocate for each request.
        if self.settings.max_headers != Settings::default().max_headers {
            builder.max_headers(self.settings.max_headers);
        }
        let mut phase = self.phase.clone();
        let service = service_fn(|request| self.answer(request, peer));
        let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let mut connection = pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = draining(&mut phase) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        log_end(peer, result);
    }

    /// Lets the application answer, if the request names a host that it may.
    pub(super) async fn answer(
        &self,
        request: http::Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response, Infallible> {
        let (mut parts, body) = request.into_parts();
        let Context { guard, listener, .. } = &self.context;
        if let Err(refused) = guard.check_host(*listener, &parts) {
            tracing::warn!(target: "rikki::http", %peer, "request refused: {refused}");
            return Ok(refused.response().map(Body::from));
        }
        parts.extensions.insert(ConnectInfo(peer));
        parts.extensions.insert(self.context.clone());
        self.router.clone().call(Request::from_parts(parts, Body::new(body))).await
    }
}

/// Waits until the server drains; that its handle is gone means the same.
pub(crate) async fn draining(phase: &mut watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| *phase == Phase::Draining).await;
}

pub(super) fn log_end(peer: SocketAddr, result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(target: "rikki::http", %peer, "connection ended: {error}");
    }
}
