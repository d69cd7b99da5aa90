//! TLS in front of HTTP, and HTTP/2 where the client chooses it by ALPN.
//!
//! The protocol is never guessed from the first bytes, because guessing has no deadline.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::connection::{Connection, Serving, Settings, draining, log_end};
use super::linger::LINGER;
use super::pace::PacedIo;
use super::stream::{PacedStreams, Pieces, Streams};

/// Bounds of an HTTP/2 connection: as many streams as browsers use, and little memory for each.
const H2_STREAMS: u32 = 100;
const H2_SEND_BUFFER: usize = 64 * 1024;
/// How many requests of a connection are refused until the client is told to go away. HTTP/1.1 closes with the first;
/// browsers share a connection of HTTP/2 between the names of a certificate.
const H2_REFUSALS: u32 = 10;
/// Silent HTTP/2 connections are pinged, as WebSockets are.
const H2_PING_INTERVAL: Duration = Duration::from_secs(30);
const H2_PING_TIMEOUT: Duration = Duration::from_secs(10);

impl Connection {
    /// Serves a TLS connection; the handshake has the time of a request head.
    pub(crate) async fn serve_tls(self, acceptor: TlsAcceptor, stream: TcpStream) {
        let Serving { settings, phase, .. } = &*self.serving;
        let (mut phase, peer) = (phase.clone(), self.peer);
        let mut handshake = pin!(acceptor.accept(stream));
        let handshake = tokio::select! {
            handshake = timeout(settings.head_timeout, handshake.as_mut()) => handshake,
            // Cutting it in the middle would reset the connection; a client that is silent is not waited for long.
            () = draining(&mut phase) => timeout(LINGER, handshake).await,
        };
        let stream = match handshake {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(target: "rikki::http", %peer, "TLS handshake failed: {error}");
                return;
            }
            Err(_) => {
                tracing::debug!(target: "rikki::http", %peer, "TLS handshake took too long");
                return;
            }
        };
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            self.serve_http2(stream).await;
        } else {
            self.serve_http1(stream).await;
        }
    }

    async fn serve_http2(self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let Serving { settings, terms, phase, .. } = &*self.serving;
        let (rate, counts) = (settings.body_rate, terms.settings.counts.clone());
        let streams = Arc::<Streams>::default();
        let builder = settings.http2(PacedStreams { rate, counts: counts.clone(), streams: streams.clone() });
        let (mut phase, peer) = (phase.clone(), self.peer);
        let head_timeout = settings.head_timeout;
        let max_requests = settings.max_requests;
        let enough = Arc::new(Notify::new());
        let served = Arc::new(self);
        let service = {
            let (streams, enough) = (streams.clone(), enough.clone());
            service_fn(move |request| {
                let last = streams.opened() >= max_requests;
                let (served, enough) = (served.clone(), enough.clone());
                async move {
                    let response = served.answer(request).await;
                    if last || served.refused() >= H2_REFUSALS {
                        enough.notify_one();
                    }
                    response.map(|response| response.map(Pieces::new))
                }
            })
        };
        let mut connection = pin!(builder.serve_connection(TokioIo::new(PacedIo::new(stream, rate, counts)), service));
        // hyper has no deadline for the preface and the first request.
        let silent = async {
            tokio::time::sleep(head_timeout).await;
            if streams.has_any() {
                std::future::pending::<()>().await;
            }
        };
        let goes_away = async {
            tokio::select! {
                () = draining(&mut phase) => {}
                () = enough.notified() => {}
            }
        };
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = silent => return,
            () = goes_away => {
                // GOAWAY: https://www.rfc-editor.org/rfc/rfc9113#section-6.8
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    result = connection => result,
                    () = streams.overstay(H2_STREAMS, head_timeout) => {
                        tracing::debug!(target: "rikki::http", %peer, "connection cut: it stays in spite of GOAWAY");
                        return;
                    }
                }
            }
        };
        log_end(peer, result);
    }
}

impl Settings {
    fn http2(&self, streams: PacedStreams) -> http2::Builder<PacedStreams> {
        let mut builder = http2::Builder::new(streams);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(H2_STREAMS)
            .max_send_buf_size(H2_SEND_BUFFER)
            .max_header_list_size(u32::try_from(self.max_head).unwrap_or(u32::MAX))
            .keep_alive_interval(H2_PING_INTERVAL)
            .keep_alive_timeout(H2_PING_TIMEOUT);
        builder
    }
}
