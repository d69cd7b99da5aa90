//! The byte stream below a connection that was upgraded, as our own server has put it there.

use hyper::upgrade::Upgraded;
#[cfg(feature = "tls")]
use rustls::ServerConnection;
#[cfg(feature = "client")]
use tokio::io::DuplexStream;

use super::caller::Caller;
use super::pace::PacedIo;
use crate::net::Stream;
#[cfg(feature = "client")]
use crate::ws::internal::Other;
use crate::ws::internal::{Transport, take as take_of};
#[cfg(feature = "tls")]
use crate::ws::tls::TlsStream;
use rikki_limits::Seldom;

/// Takes the bare stream out of what HTTP needs around it. From here on it is known which kind it is: no read or write
/// of a WebSocket has to ask.
pub(super) fn take(upgraded: Upgraded) -> Transport {
    let upgraded = match take_of::<PacedIo<Stream>>(upgraded) {
        Ok((paced, read_ahead)) => {
            return match paced.into_inner() {
                Stream::Tcp(stream) => Transport::Tcp(stream, read_ahead),
                #[cfg(unix)]
                Stream::Unix(stream) => {
                    crate::net::widen(&stream);
                    Transport::Unix(stream, read_ahead)
                }
            };
        }
        Err(upgraded) => upgraded,
    };
    #[cfg(feature = "tls")]
    let upgraded = match take_of::<PacedIo<TlsStream<ServerConnection>>>(upgraded) {
        Ok((paced, read_ahead)) => {
            return Transport::Tls(Box::new(paced.into_inner()), read_ahead);
        }
        Err(upgraded) => upgraded,
    };
    #[cfg(feature = "client")]
    let upgraded = match take_of::<PacedIo<DuplexStream>>(upgraded) {
        Ok((paced, read_ahead)) => return Transport::Other(Other::new(paced.into_inner(), read_ahead)),
        Err(upgraded) => upgraded,
    };
    Transport::from(upgraded)
}

/// The client believes that it has a WebSocket. Without one, a 101 is the application's: it has the stream.
pub(super) fn log_replaced(Caller { id, request, peer }: Caller) {
    static LINES: Seldom = Seldom::new();
    if let Some(left_out) = LINES.turn(()) {
        let what = "no WebSocket: the answer of its handshake was replaced by another 101";
        tracing::warn!(target: "rikki::http", id = id.get(), request, %peer, left_out, "{what}");
    }
}

#[cfg(test)]
mod tests {
    use std::future::IntoFuture;
    use std::time::Duration;

    use axum::Router;
    use axum::extract::Request;
    use axum::routing::any;
    use http::StatusCode;
    use hyper::upgrade::OnUpgrade;
    use hyper_util::rt::TokioIo;
    use hyper_util::service::TowerToHyperService;
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

    use super::*;
    use crate::Server;

    /// What was found below an upgrade, and the bytes behind the request.
    type Found = (&'static str, Vec<u8>);

    async fn look(upgraded: Upgraded) -> Found {
        match take(upgraded) {
            Transport::Tcp(_, ahead) => ("TCP", ahead.to_vec()),
            #[cfg(unix)]
            Transport::Unix(_, ahead) => ("Unix", ahead.to_vec()),
            #[cfg(feature = "tls")]
            Transport::Tls(_, ahead) => ("TLS", ahead.to_vec()),
            Transport::Other(other) => {
                let (mut io, mut ahead) = (other.into_parts().0, vec![0; 5]);
                io.read_exact(&mut ahead).await.unwrap();
                ("other", ahead)
            }
        }
    }

    /// An application that upgrades everything and looks at what it gets.
    fn application() -> (Router, UnboundedReceiver<Found>) {
        let (found, receiver) = mpsc::unbounded_channel();
        let answer = async |request: Request, found: UnboundedSender<Found>| {
            let on_upgrade = request.extensions().get::<OnUpgrade>().cloned().unwrap();
            tokio::spawn(async move { found.send(look(on_upgrade.await.unwrap()).await) });
            (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "websocket")])
        };
        (Router::new().fallback(any(async move |request| answer(request, found).await)), receiver)
    }

    /// Sends an upgrade request and five more bytes in one write.
    async fn check(
        mut client: impl AsyncRead + AsyncWrite + Unpin,
        found: &mut UnboundedReceiver<Found>,
        kind: &'static str,
    ) {
        const REQUEST: &[u8] =
            b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nearly";
        client.write_all(REQUEST).await.unwrap();
        client.flush().await.unwrap();
        let found = tokio::time::timeout(Duration::from_secs(5), found.recv()).await.unwrap();
        assert_eq!(found.unwrap(), (kind, b"early".to_vec()));
    }

    #[tokio::test]
    async fn bare_tcp_under_this_server() {
        let (router, mut found) = application();
        let server = Server::new().merge(router).listen("http://127.0.0.1:0").start().await.unwrap();
        let client = TcpStream::connect(server.local_addrs()[0]).await.unwrap();
        check(client, &mut found, "TCP").await;
    }

    #[tokio::test]
    async fn bare_tcp_under_axum() {
        let (router, mut found) = application();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tokio::spawn(axum::serve(listener, router).into_future());
        check(client, &mut found, "TCP").await;
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn bare_unix_sockets_under_both() {
        let folder = std::env::temp_dir().join(format!("rikki-upgraded-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (ours, theirs) = (folder.join("ours"), folder.join("theirs"));
        let (router, mut found) = application();
        let server = Server::new().merge(router.clone()).listen(format!("unix:{}", ours.display()));
        let _server = server.start().await.unwrap();
        let listener = tokio::net::UnixListener::bind(&theirs).unwrap();
        tokio::spawn(axum::serve(listener, router).into_future());
        for path in [ours, theirs] {
            check(tokio::net::UnixStream::connect(path).await.unwrap(), &mut found, "Unix").await;
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(feature = "tls")]
    #[tokio::test]
    async fn bare_tls_under_this_server() {
        use std::sync::Arc;

        use rustls_pki_types::ServerName;

        let (router, mut found) = application();
        let tls = crate::ServerTls::self_signed(["localhost"]).unwrap();
        let config = testkit::trusting(tls.certificate_pem().unwrap(), rustls::ALL_VERSIONS).with_no_client_auth();
        let server = Server::new().merge(router).tls(tls).listen("https://127.0.0.1:0").start().await.unwrap();
        let tcp = TcpStream::connect(server.local_addrs()[0]).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let client = connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
        check(client, &mut found, "TLS").await;
    }

    #[tokio::test]
    async fn any_stream_under_any_server() {
        let (router, mut found) = application();
        let (client, server) = tokio::io::duplex(1024);
        let service = TowerToHyperService::new(router);
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service);
        tokio::spawn(connection.with_upgrades());
        check(client, &mut found, "other").await;
    }
}
