//! What one handshake goes by, from its first byte on.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server};

#[cfg(feature = "acme")]
use super::acme::{Challenges, PROTOCOL};
use super::store::Store;

/// Why a handshake failed, and the stream, on which the client has been told.
pub(crate) type Failed = (io::Error, TcpStream);

/// What is shown now, and to whom.
pub(crate) struct Handshake {
    config: Arc<ServerConfig>,
    /// Where a name is being proven, which is seldom so.
    #[cfg(feature = "acme")]
    challenges: Option<Challenges>,
}

impl Handshake {
    pub(super) fn new(store: &Store) -> Self {
        Self {
            config: store.config(),
            #[cfg(feature = "acme")]
            challenges: store.managed().map(|managed| managed.challenges.clone()).filter(Challenges::are_any),
        }
    }

    pub(crate) async fn accept(self, stream: TcpStream) -> Result<server::TlsStream<TcpStream>, Failed> {
        #[cfg(feature = "acme")]
        if let Some(challenges) = self.challenges {
            return Box::pin(challenged(&challenges, self.config, stream)).await;
        }
        TlsAcceptor::from(self.config).accept(stream).into_fallible().await
    }

    /// Whether the handshake was all: the client has seen what proves a name.
    #[cfg_attr(not(feature = "acme"), expect(unused_variables, reason = "no name is ever proven"))]
    pub(crate) fn was_all(stream: &server::TlsStream<TcpStream>) -> bool {
        #[cfg(feature = "acme")]
        return stream.get_ref().1.alpn_protocol() == Some(PROTOCOL);
        #[cfg(not(feature = "acme"))]
        false
    }
}

/// Reads what the client offers before it is decided what it is shown.
#[cfg(feature = "acme")]
async fn challenged(
    challenges: &Challenges,
    usual: Arc<ServerConfig>,
    stream: TcpStream,
) -> Result<server::TlsStream<TcpStream>, Failed> {
    let mut acceptor = tokio_rustls::LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
    match (&mut acceptor).await {
        Ok(start) => {
            let config = challenges.find(&start.client_hello()).unwrap_or(usual);
            start.into_stream(config).into_fallible().await
        }
        // It has the stream as long as it has not read what the client offers.
        Err(error) => match acceptor.take_io() {
            Some(stream) => Err((error, stream)),
            None => std::future::pending().await,
        },
    }
}
