//! Foreign implementations on the other end, each as a client of our server and as a server of our client.
//!
//! A [`Peer`] is one of them. A conversation has two halves, ours and theirs, and [`converse`] holds it over TCP and
//! TLS and with the roles swapped; what is said is in `conversations`.

mod conversations;
mod fastwebsockets;
mod sockudo;
mod tap;
mod tungstenite;

use std::sync::Arc;

use axum::routing::any;
use rikki::Server;
use rikki::client::{Builder, ClientTls};
use rikki::ws::{Config, Upgrade, WebSocket};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio::sync::mpsc::unbounded_channel;
use tokio_rustls::TlsAcceptor;

use crate::wire::{BOTH, Running, Via, soon};
use tap::{Log, Tap};

/// What a foreign WebSocket sends and receives.
#[derive(Clone, Debug, PartialEq)]
enum Event {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// A Close frame: its code and reason, if it had any.
    Close(Option<(u16, String)>),
    /// The end of the connection.
    End,
}

/// A foreign WebSocket. What it is asked to do works, or the test fails.
trait Peer: Sized {
    /// Opens a WebSocket as a client. The request goes to `/` on localhost.
    async fn connect(stream: Tap, via: Via) -> Self;

    /// Answers the opening handshake as a server.
    async fn accept(stream: Tap) -> Self;

    /// Sends and flushes. [`Event::End`] cannot be sent.
    async fn send(&mut self, event: Event);

    /// Sends a text in fragments, with a ping after the first; says whether it can.
    async fn send_fragments(&mut self, pieces: &[&str], ping: &[u8]) -> bool;

    /// Sends a final continuation frame that continues nothing.
    async fn break_the_rules(&mut self);

    /// Receives the next message or control frame. Pings are answered on the way, and some implementations do not tell
    /// of control frames.
    async fn next(&mut self) -> Event;
}

/// Holds a conversation with `P` over each transport in either role. The server goes last: it lets the client's half
/// end.
async fn converse<P, Ours>(settings: Config, ours: fn(WebSocket) -> Ours, theirs: impl AsyncFn(P, Log))
where
    P: Peer,
    Ours: Future<Output = ()> + Send + 'static,
{
    for via in BOTH {
        with_their_client(via, settings.clone(), ours, &theirs).await;
        with_their_server(via, settings.clone(), ours, &theirs).await;
    }
}

async fn with_their_client<P, Ours>(
    via: Via,
    settings: Config,
    ours: fn(WebSocket) -> Ours,
    theirs: &impl AsyncFn(P, Log),
) where
    P: Peer,
    Ours: Future<Output = ()> + Send + 'static,
{
    let (ended, mut end) = unbounded_channel();
    let endpoint = any(async move |upgrade: Upgrade| {
        upgrade.on_upgrade(async move |socket| {
            ours(socket).await;
            ended.send(()).unwrap();
        })
    });
    let server = Running::start(Server::new().websocket_config(settings).route("/", endpoint)).await;
    let (stream, log) = Tap::new(server.connect(via).await);
    let peer = soon("their handshake", P::connect(stream, via)).await;
    theirs(peer, log).await;
    soon("our half", end.recv()).await.expect("our half panicked: see above");
}

async fn with_their_server<P, Ours>(
    via: Via,
    settings: Config,
    ours: fn(WebSocket) -> Ours,
    theirs: &impl AsyncFn(P, Log),
) where
    P: Peer,
    Ours: Future<Output = ()> + Send + 'static,
{
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scheme = if via == Via::Tls { "wss" } else { "ws" };
    let url = format!("{scheme}://localhost:{}/", listener.local_addr().unwrap().port());
    let builder = Builder::new(url).tls(ClientTls::ca_pem(made.cert.pem()).unwrap()).config(settings);
    let accept = async {
        let (tcp, _) = listener.accept().await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let (stream, log) = match via {
            Via::Tcp => Tap::new(tcp),
            Via::Tls => Tap::new(acceptor(&made).accept(tcp).await.unwrap()),
        };
        (P::accept(stream).await, log)
    };
    let (connected, (peer, log)) = soon("both handshakes", async { tokio::join!(builder.connect(), accept) }).await;
    let (socket, _) = connected.unwrap();
    let ours = tokio::spawn(ours(socket));
    theirs(peer, log).await;
    soon("our half", ours).await.unwrap();
}

fn acceptor(made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(rikki::ws::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    Arc::new(config).into()
}
