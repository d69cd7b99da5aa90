//! What the servers have in common, so that they differ in their library alone: one thread, TCP_NODELAY, TLS from
//! rustls, mimalloc, a line that tells the port. Each serves as its library's own examples do.

use std::convert::Infallible;
use std::error::Error;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use clap::Parser;
use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{CertifiedKey, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The allocator that rikki's binary uses too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Any failure; it ends one connection or the start of the server.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A connection, with or without TLS.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// What a library's server does on one connection. The end of the connection, however it comes, ends the future.
pub trait Library: 'static {
    /// What passes messages from one connection to all.
    type Room: Clone + Send + 'static;

    /// Answers every message with itself.
    fn echo(io: impl Io) -> impl Future<Output = Result<()>> + Send + 'static;

    /// The same with permessage-deflate at level 1 and without context takeover, if the library can do it.
    fn deflate(io: impl Io) -> impl Future<Output = Result<()>> + Send + 'static {
        drop(io);
        std::future::ready(Err("this library does not compress".into()))
    }

    fn room() -> Self::Room;

    /// Sends every message that comes to all connections.
    fn push(io: impl Io, room: Self::Room) -> impl Future<Output = Result<()>> + Send + 'static;
}

/// How many messages a receiver may be behind in a broadcast; the load is never so far ahead.
pub const ROOM_SIZE: usize = 1024;

/// How often a ticker has a new price, of one symbol after another.
pub const PRICE_EVERY: Duration = Duration::from_millis(10);

/// Which service a server offers.
#[derive(Clone)]
enum Service<R> {
    Echo,
    Deflate,
    Push(R),
}

/// A WebSocket server on a free port of loopback, which it prints: an echo unless told otherwise.
#[derive(Parser)]
struct Options {
    /// What one client sends comes to all
    #[arg(long, conflicts_with = "deflate")]
    push: bool,
    /// Compress at level 1, without context takeover
    #[arg(long)]
    deflate: bool,
    /// A certificate of its own
    #[arg(long)]
    tls: bool,
}

/// Serves on a free port of loopback what the command line asks for.
///
/// # Errors
///
/// What keeps the server from starting.
pub fn run<L: Library>() -> Result<()> {
    let options = Options::parse();
    let tls = if options.tls { Some(acceptor()?) } else { None };
    let service = if options.push {
        Service::Push(L::room())
    } else if options.deflate {
        Service::Deflate
    } else {
        Service::Echo
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        announce(listener.local_addr()?.port())?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // How a connection ends is the load generator's business: it checks what it gets.
            match &tls {
                None => serve::<L>(stream, &service),
                Some(tls) => drop(tokio::spawn(serve_tls::<L>(tls.clone(), stream, service.clone()))),
            }
        }
    })
}

/// Serves an application on rikki with one worker, on a free port of loopback.
///
/// # Errors
///
/// What keeps the server from starting.
pub fn run_rikki(server: rikki::Server) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let handle = server.listen("ws://127.0.0.1:0").workers(1).start().await?;
        announce(handle.local_addrs().first().ok_or("no listener")?.port())?;
        Ok(handle.run().await?)
    })
}

/// Serves an application on axum's own server on one thread, on a free port of loopback, and does `beside` meanwhile.
///
/// # Errors
///
/// What keeps the server from starting.
pub fn run_axum(routes: Router, beside: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        announce(listener.local_addr()?.port())?;
        tokio::spawn(beside);
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        Ok(axum::serve(listener, routes).await?)
    })
}

/// Tells whoever started this server where it listens.
///
/// # Errors
///
/// When standard output is closed.
pub fn announce(port: u16) -> Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening {port}")?;
    Ok(stdout.flush()?)
}

fn serve<L: Library>(io: impl Io, service: &Service<L::Room>) {
    match service {
        Service::Echo => drop(tokio::spawn(L::echo(io))),
        Service::Deflate => drop(tokio::spawn(L::deflate(io))),
        Service::Push(room) => drop(tokio::spawn(L::push(io, room.clone()))),
    }
}

async fn serve_tls<L: Library>(tls: TlsAcceptor, stream: TcpStream, service: Service<L::Room>) -> Result<()> {
    serve::<L>(tls.accept(stream).await?, &service);
    Ok(())
}

/// A certificate for `localhost` by which no other vouches, and its key: ECDSA on P-256, as rikki makes it.
///
/// # Errors
///
/// When none can be made.
pub fn certificate() -> Result<CertifiedKey<KeyPair>> {
    Ok(rcgen::generate_simple_self_signed(["localhost".to_owned()])?)
}

/// Serves one answer to whatever is asked, by hyper and nothing else.
///
/// # Errors
///
/// When the connection ends in another way than HTTP knows.
pub async fn serve_rest(io: impl Io) -> Result<()> {
    let rest = |_| async {
        let mut response = Response::new(Full::new(Bytes::from_static(b"{\"result\": 123}\n")));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok::<_, Infallible>(response)
    };
    Ok(http1::Builder::new().serve_connection(TokioIo::new(io), service_fn(rest)).await?)
}

/// Accepts TLS as a [`certificate`] of its own allows.
///
/// # Errors
///
/// When there is no certificate.
pub fn acceptor() -> Result<TlsAcceptor> {
    let made = certificate()?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    Ok(Arc::new(config).into())
}
