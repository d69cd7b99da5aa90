//! How the server is reached: TCP, by way of a proxy, or a Unix socket; and TLS over that.

use std::net::SocketAddr;
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::Arc;

use http::Uri;
#[cfg(feature = "tls")]
use rustls::InvalidMessage;
#[cfg(feature = "tls")]
use rustls_pki_types::ServerName;
#[cfg(test)]
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
#[cfg(test)]
use tokio::sync::mpsc::UnboundedSender;
#[cfg(feature = "tls")]
use tokio::task::spawn_blocking;
#[cfg(feature = "tls")]
use tokio_rustls::{TlsConnector, client};

#[cfg(feature = "tls")]
use super::ClientTls;
use super::opening::is_scheme;
#[cfg(not(feature = "tls"))]
use super::opening::without_credentials;
use super::proxy::{Environment, Proxy};
use super::{Builder, ConnectError};
use crate::stream::Io;
#[cfg(feature = "tls")]
use crate::tls::TlsStream;

/// What is connected to.
#[derive(Clone, Debug, Default)]
pub(super) enum Route {
    /// The host of the URL.
    #[default]
    Direct,
    Proxy(Proxy),
    /// A proxy or none, as the environment has it for the URL.
    Environment(Arc<Environment>),
    #[cfg(unix)]
    Unix(PathBuf),
    /// A pair in memory of so many bytes, of which the test takes the other half.
    #[cfg(test)]
    Memory(usize, UnboundedSender<DuplexStream>),
}

/// Whom the URL means.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    /// An address of IPv6 without brackets.
    pub(super) host: &'a str,
    pub(super) port: u16,
}

impl<'a> Target<'a> {
    pub(super) fn new(uri: &'a Uri, default_port: u16) -> Self {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        Self { host, port: uri.port_u16().unwrap_or(default_port) }
    }

    /// A connection to it. Small messages are not to wait for the acknowledgement of those before them.
    pub(super) async fn connect(self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect((self.host, self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Builder {
    /// A stream that the request may be sent on, and whose it is.
    pub(super) async fn reach(&self, uri: &Uri) -> Result<(Box<dyn Io>, Option<SocketAddr>), ConnectError> {
        let proxy = match &self.route {
            Route::Direct => None,
            #[cfg(test)]
            Route::Memory(..) => None,
            Route::Proxy(proxy) => Some(proxy),
            Route::Environment(environment) => environment.proxy_for(uri)?,
            #[cfg(unix)]
            Route::Unix(path) => {
                let stream = UnixStream::connect(path).await;
                let stream = stream.map_err(|source| ConnectError::UnixSocket { path: path.clone(), source })?;
                return Ok((self.secured(uri, stream).await?, None));
            }
        };
        #[cfg(test)]
        if let Route::Memory(size, server) = &self.route {
            let (ours, theirs) = tokio::io::duplex(*size);
            server.send(theirs).map_err(|_| ConnectError::TimedOut)?;
            return Ok((Box::new(ours), None));
        }
        let target = Target::new(uri, if is_scheme(uri, "wss") { 443 } else { 80 });
        let stream = match proxy {
            Some(proxy) => proxy.connect(target).await?,
            None => target.connect().await.map_err(|source| {
                let (host, port) = (target.host.to_owned(), target.port);
                ConnectError::Unreachable { host, port, source }
            })?,
        };
        let peer = stream.peer_addr().ok();
        // The stream of our own is one over TCP.
        #[cfg(feature = "tls")]
        if is_scheme(uri, "wss") {
            let stream = self.secure(uri, stream).await?;
            return Ok((Box::new(TlsStream::from(stream)), peer));
        }
        Ok((self.secured(uri, stream).await?, peer))
    }

    /// The stream itself, or TLS over it if that is what the URL says.
    pub(super) async fn secured<S: Io + 'static>(&self, uri: &Uri, stream: S) -> Result<Box<dyn Io>, ConnectError> {
        if !is_scheme(uri, "wss") {
            return Ok(Box::new(stream));
        }
        #[cfg(feature = "tls")]
        let secured = Ok(Box::new(self.secure(uri, stream).await?) as Box<dyn Io>);
        #[cfg(not(feature = "tls"))]
        let secured =
            Err(ConnectError::BadUrl { url: without_credentials(&self.url), why: "TLS needs the feature `tls`" });
        secured
    }

    #[cfg(feature = "tls")]
    async fn secure<S: Io>(&self, uri: &Uri, stream: S) -> Result<client::TlsStream<S>, ConnectError> {
        let host = Target::new(uri, 443).host;
        let tls = match &self.tls {
            Some(tls) => tls.clone(),
            // Reads files.
            None => spawn_blocking(ClientTls::system).await.map_err(|error| ConnectError::Http(error.into()))??,
        };
        let failed = |source: std::io::Error| match source.get_ref().and_then(|error| error.downcast_ref()) {
            // What came does not begin as TLS does.
            Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => ConnectError::SpeaksNoTls,
            _ => ConnectError::TlsHandshake { host: host.to_owned(), source },
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(std::io::Error::other(error)))?;
        TlsConnector::from(tls.client_config()).connect(name, stream).await.map_err(failed)
    }
}
