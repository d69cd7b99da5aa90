//! TLS in front of HTTP, which is HTTP/2 where the client chooses it by ALPN.
//!
//! The protocol is never guessed from the first bytes, because guessing has no deadline.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use rikki_limits::Count;
use rustls::ProtocolVersion;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::task::yield_now;
use tokio_rustls::server;

use super::connection::Connection;
use super::linger;
use crate::counters::TlsCounts;
use crate::tls::{ClientCertificate, Failed, Handshake};
use crate::ws::tls::TlsStream;

impl Connection {
    /// Serves a TLS connection; the handshake has the time of a request head.
    pub(crate) async fn serve_tls(mut self, handshake: Handshake, turn: Handshakes, stream: TcpStream) {
        let peer = self.peer;
        let handshake = self.serving.in_time(shake_hands(turn, handshake, stream)).await;
        let counts = &self.serving.counts().handshakes;
        let stream = match handshake {
            Some(Ok(stream)) => stream,
            Some(Err((error, stream))) => {
                cause(counts, &error).up();
                tracing::debug!(target: "rikki::http", %peer, "TLS handshake failed: {error}");
                // What the client has sent on would reset the connection, and destroy the alert on its way.
                return linger::close(stream).await;
            }
            None => {
                counts.timeout.up();
                tracing::debug!(target: "rikki::http", %peer, "TLS handshake took too long");
                return;
            }
        };
        if Handshake::was_all(&stream) {
            return linger::close(stream).await;
        }
        match stream.get_ref().1.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => counts.tls12.up(),
            _ => counts.tls13.up(),
        }
        let stream = TlsStream::from(stream);
        let shown = stream.session().peer_certificates().and_then(<[_]>::first);
        self.client = shown.and_then(ClientCertificate::read);
        if stream.session().alpn_protocol() == Some(b"h2") {
            self.serve_http2(stream).await;
        } else {
            self.serve_http1(stream).await;
        }
    }
}

/// Where a handshake is counted that failed with this.
fn cause<'c>(counts: &'c TlsCounts, error: &io::Error) -> &'c Count {
    use rustls::Error;
    match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
        Some(Error::InvalidMessage(_) | Error::InappropriateMessage { .. }) => &counts.no_tls,
        Some(Error::PeerIncompatible(_)) => &counts.incompatible,
        Some(Error::NoCertificatesPresented | Error::InvalidCertificate(_)) => &counts.client_certificate,
        Some(Error::AlertReceived(_)) => &counts.alert,
        Some(_) => &counts.other,
        None if error.kind() == io::ErrorKind::InvalidData => &counts.no_tls,
        None => &counts.gone,
    }
}

/// Whose handshake goes on, of those of a worker: a signature takes a processor for milliseconds, and a thousand of
/// them would hold up what else the thread has to do for seconds.
#[derive(Clone, Debug)]
pub(crate) struct Handshakes(Arc<Semaphore>);

impl Default for Handshakes {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// A handshake that shares its thread with others: whoever comes first goes one step, then the thread does what else
/// there is to do and looks at its sockets. Nobody waits for a client that has its turn.
async fn in_turn(
    turn: Handshakes,
    handshake: impl Future<Output = Result<server::TlsStream<TcpStream>, Failed>>,
) -> Result<server::TlsStream<TcpStream>, Failed> {
    let mut handshake = pin!(handshake);
    let woken = Arc::<Woken>::default();
    let waker = Waker::from(woken.clone());
    loop {
        // It is never closed.
        let permit = turn.0.acquire().await;
        let step = handshake.as_mut().poll(&mut Context::from_waker(&waker));
        yield_now().await;
        drop(permit);
        match step {
            Poll::Ready(ended) => return ended,
            Poll::Pending => woken.0.notified().await,
        }
    }
}

async fn shake_hands(
    turn: Handshakes,
    handshake: Handshake,
    mut stream: TcpStream,
) -> Result<server::TlsStream<TcpStream>, Failed> {
    // The first byte of TLS says that a handshake follows: https://www.rfc-editor.org/rfc/rfc8446#section-5.1
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(_) if first[0].is_ascii_alphabetic() => {
            let _ = stream.write_all(SPEAKS_TLS).await;
            Err((io::Error::new(io::ErrorKind::InvalidData, "the client speaks HTTP without TLS"), stream))
        }
        _ => in_turn(turn, handshake.accept(stream)).await,
    }
}

const SPEAKS_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 45\r\n\
    connection: close\r\n\r\n\
    this port speaks TLS: use wss:// or https://\n";

/// Remembers that the socket has more for a handshake.
#[derive(Default)]
struct Woken(Notify);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}
