//! The byte stream below an upgraded connection, as bare as it can be had.
//!
//! hyper hides it in a box. Under our server and under `axum::serve` the TCP or TLS stream can be taken out again, so
//! that reads and writes go to it directly; under anything else the box itself serves.

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;

#[cfg(feature = "tls")]
pub(crate) type TlsStream = tokio_rustls::server::TlsStream<TcpStream>;

/// What was found below, and what hyper had read of it already.
#[derive(Debug)]
pub(super) enum Transport {
    Tcp(TcpStream, Bytes),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream>, Bytes),
    Other(TokioIo<Upgraded>),
}

impl From<Upgraded> for Transport {
    fn from(upgraded: Upgraded) -> Self {
        let upgraded = match take::<TcpStream>(upgraded) {
            Ok((stream, read_ahead)) => return Self::Tcp(stream, read_ahead),
            Err(upgraded) => upgraded,
        };
        #[cfg(feature = "tls")]
        let upgraded = match take::<TlsStream>(upgraded) {
            Ok((stream, read_ahead)) => return Self::Tls(Box::new(stream), read_ahead),
            Err(upgraded) => upgraded,
        };
        Self::Other(TokioIo::new(upgraded))
    }
}

/// Takes a stream of type `T` out of hyper's box, or out of the one that hyper-util's `auto` builder puts around that.
fn take<T>(upgraded: Upgraded) -> Result<(T, Bytes), Upgraded>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
{
    let upgraded = match upgraded.downcast::<TokioIo<T>>() {
        Ok(parts) => return Ok((parts.io.into_inner(), parts.read_buf)),
        Err(upgraded) => upgraded,
    };
    auto::upgrade::downcast::<TokioIo<T>>(upgraded).map(|parts| (parts.io.into_inner(), parts.read_buf))
}
