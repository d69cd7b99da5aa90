//! A running server and raw connections to it, over TCP and TLS; everything has a deadline.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rikki::ws::{Message, Socket};
use rikki::{Handle, Server, ServerTls};
use rustls::{ALL_VERSIONS, ClientConfig};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

/// No step of a test takes longer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Awaits one step of a test.
pub(crate) async fn soon<F: Future>(what: &str, step: F) -> F::Output {
    match tokio::time::timeout(DEADLINE, step).await {
        Ok(output) => output,
        Err(_) => panic!("took longer than {DEADLINE:?}: {what}"),
    }
}

/// How a client reaches the server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Via {
    Tcp,
    Tls,
}

/// Both ways, for loops.
pub(crate) const BOTH: [Via; 2] = [Via::Tcp, Via::Tls];

/// How the bytes of a vector are cut.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Delivery {
    Whole,
    Bytewise,
    /// Into random pieces of 1 to 16 bytes, the same in every run.
    Random,
}

/// Every delivery over every transport.
pub(crate) const RUNS: [(Via, Delivery); 6] = [
    (Via::Tcp, Delivery::Whole),
    (Via::Tcp, Delivery::Bytewise),
    (Via::Tcp, Delivery::Random),
    (Via::Tls, Delivery::Whole),
    (Via::Tls, Delivery::Bytewise),
    (Via::Tls, Delivery::Random),
];

/// A server that listens on TCP and on TLS.
pub(crate) struct Running {
    pub(crate) handle: Handle,
    client: Arc<ClientConfig>,
    certificate: String,
}

/// One worker accepts itself, several have it done for them.
pub(crate) const WORKERS: [usize; 2] = [1, 2];

impl Running {
    /// Starts `server` on two free ports, with two workers.
    pub(crate) async fn start(server: Server) -> Self {
        Self::start_on(2, server).await
    }

    pub(crate) async fn start_on(workers: usize, server: Server) -> Self {
        let tls = ServerTls::self_signed(["localhost", "127.0.0.1"]).unwrap();
        let certificate = tls.certificate_pem().unwrap().to_owned();
        Self::start_with(server.workers(workers), tls, &certificate).await
    }

    /// The same with a certificate of its own, which clients are to trust.
    pub(crate) async fn start_with(server: Server, tls: ServerTls, certificate: &str) -> Self {
        let client = client_config(certificate);
        let server = server.tls(tls).listen("http://127.0.0.1:0").listen("https://127.0.0.1:0");
        Self { handle: server.start().await.unwrap(), client, certificate: certificate.to_owned() }
    }

    /// What a client of the library needs to trust this server.
    pub(crate) fn trust(&self) -> rikki::client::ClientTls {
        rikki::client::ClientTls::ca_pem(&self.certificate).unwrap()
    }

    /// Starts `server` with an endpoint `/echo` that answers every message with itself.
    pub(crate) async fn echo(server: Server) -> Self {
        Self::start(server.websocket("/echo", |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message)))
            .await
    }

    pub(crate) fn address(&self, via: Via) -> SocketAddr {
        self.handle.local_addrs()[via as usize]
    }

    /// Connects, with a TLS handshake where there is one that chooses HTTP/1.1.
    pub(crate) async fn connect(&self, via: Via) -> Stream {
        self.connect_with(via, b"http/1.1").await
    }

    pub(crate) async fn connect_with(&self, via: Via, alpn: &[u8]) -> Stream {
        self.connect_proxied(via, alpn, b"").await
    }

    /// The same behind a header of the PROXY protocol, which comes before TLS.
    pub(crate) async fn connect_proxied(&self, via: Via, alpn: &[u8], header: &[u8]) -> Stream {
        let mut tcp = soon("connecting", TcpStream::connect(self.address(via))).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp.write_all(header).await.unwrap();
        match via {
            Via::Tcp => Stream::Tcp(tcp),
            Via::Tls => {
                let mut config = ClientConfig::clone(&self.client);
                config.alpn_protocols = vec![alpn.to_vec()];
                let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
                let name = ServerName::try_from("localhost").unwrap();
                let stream = soon("the TLS handshake", connector.connect(name, tcp)).await.unwrap();
                assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn));
                Stream::Tls(Box::new(stream))
            }
        }
    }
}

/// A client's configuration that trusts this certificate alone.
fn client_config(pem: &str) -> Arc<ClientConfig> {
    Arc::new(testkit::trusting(pem, ALL_VERSIONS).with_no_client_auth())
}

/// A client's end of a connection.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// The TCP connection, whatever is spoken on it.
    pub(crate) fn tcp(&mut self) -> &mut TcpStream {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(_) => panic!("not a TCP connection"),
            Self::Tls(stream) => stream.get_mut().0,
        }
    }

    /// The socket, whatever is spoken on it.
    pub(crate) fn socket(&mut self) -> &mut (dyn AsyncRead + Send + Unpin) {
        match self {
            Self::Unix(stream) => stream,
            other => other.tcp(),
        }
    }

    /// Writes `bytes` in the pieces that `delivery` says, each with a write of its own.
    pub(crate) async fn deliver(&mut self, bytes: &[u8], delivery: Delivery) -> io::Result<()> {
        let mut rest = bytes;
        let mut random: u32 = 0x2545_f491;
        while !rest.is_empty() {
            let length = match delivery {
                Delivery::Whole => rest.len(),
                Delivery::Bytewise => 1,
                Delivery::Random => {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    1 + (random >> 28) as usize
                }
            };
            let (piece, after) = rest.split_at(length.min(rest.len()));
            self.write_all(piece).await?;
            self.flush().await?;
            rest = after;
        }
        Ok(())
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
