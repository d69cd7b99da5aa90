//! TLS in front of HTTP, which is HTTP/2 where the client chooses it by ALPN.
//!
//! The protocol is never guessed from the first bytes, because guessing has no deadline.

use std::pin::pin;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::connection::{Connection, Serving, draining};
use super::linger::LINGER;

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
}
