//! What the echo servers have in common, so that they differ in their library alone: one thread, TCP_NODELAY, TLS
//! from rustls, mimalloc, a line that tells the port. Each serves as its library's own examples do.

use std::error::Error;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;

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

/// An echo server on one connection.
pub trait Echo: 'static {
    /// Answers the upgrade request and then every message with itself, until the end.
    fn serve(io: impl Io) -> impl Future<Output = Result<()>> + Send + 'static;
}

/// Serves on a free port of loopback, with TLS if the argument `--tls` is given.
///
/// # Errors
///
/// What keeps the server from starting.
pub fn run<E: Echo>() -> Result<()> {
    let tls = if std::env::args().any(|word| word == "--tls") { Some(acceptor()?) } else { None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        announce(listener.local_addr()?.port())?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            match &tls {
                // How a connection ends is the load generator's business: it checks what it gets.
                None => drop(tokio::spawn(E::serve(stream))),
                Some(tls) => drop(tokio::spawn(serve_tls::<E>(tls.clone(), stream))),
            }
        }
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

async fn serve_tls<E: Echo>(tls: TlsAcceptor, stream: TcpStream) -> Result<()> {
    E::serve(tls.accept(stream).await?).await
}

fn acceptor() -> Result<TlsAcceptor> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    Ok(Arc::new(config).into())
}
