//! The byte stream below an upgraded connection, as bare as it can be had.
//!
//! hyper hides it in a box. Under our server and under `axum::serve` the TCP, Unix or TLS stream can be taken out
//! again, so that reads and writes go to it directly; under anything else the box itself serves.

use std::fmt;

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
#[cfg(feature = "tls")]
use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use crate::stream::Io;
#[cfg(feature = "tls")]
use crate::tls::TlsStream;

/// What was found below, and what hyper had read of it already.
#[derive(Debug)]
pub enum Transport {
    /// Bare TCP.
    Tcp(TcpStream, Bytes),
    /// A bare Unix socket.
    #[cfg(unix)]
    Unix(UnixStream, Bytes),
    /// Bare TLS on TCP.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<ServerConnection>>, Bytes),
    /// What the server in front has, whatever that is.
    Other(Other),
}

/// A stream of any kind: handlers have one type of task for all of these.
pub struct Other {
    io: Box<dyn Io>,
    read_ahead: Bytes,
}

impl Other {
    /// One that is as bare as it can be had.
    pub fn new(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, read_ahead: Bytes) -> Self {
        Self { io: Box::new(io), read_ahead }
    }

    /// The stream, and what was read ahead of it.
    pub fn into_parts(self) -> (Box<dyn Io>, Bytes) {
        (self.io, self.read_ahead)
    }
}

impl fmt::Debug for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Other").field("read_ahead", &self.read_ahead.len()).finish_non_exhaustive()
    }
}

impl From<Upgraded> for Transport {
    fn from(upgraded: Upgraded) -> Self {
        let upgraded = match take::<TcpStream>(upgraded) {
            Ok((stream, read_ahead)) => return Self::Tcp(stream, read_ahead),
            Err(upgraded) => upgraded,
        };
        #[cfg(unix)]
        let upgraded = match take::<UnixStream>(upgraded) {
            Ok((stream, read_ahead)) => return Self::Unix(stream, read_ahead),
            Err(upgraded) => upgraded,
        };
        #[cfg(feature = "tls")]
        let upgraded = match take::<tokio_rustls::server::TlsStream<TcpStream>>(upgraded) {
            Ok((stream, read_ahead)) => return Self::Tls(Box::new(stream.into()), read_ahead),
            Err(upgraded) => upgraded,
        };
        Self::Other(Other::new(TokioIo::new(upgraded), Bytes::new()))
    }
}

impl Transport {
    /// The stream as one type for all, and what was read ahead.
    pub(super) fn into_boxed(self) -> (Box<dyn Io>, Bytes) {
        match self {
            Self::Tcp(io, read_ahead) => (Box::new(io), read_ahead),
            #[cfg(unix)]
            Self::Unix(io, read_ahead) => (Box::new(io), read_ahead),
            #[cfg(feature = "tls")]
            Self::Tls(io, read_ahead) => (io, read_ahead),
            Self::Other(other) => other.into_parts(),
        }
    }
}

/// Takes a stream of type `T` out of hyper's box, also out of the one that hyper-util's `auto` builder puts around it.
pub fn take<T>(upgraded: Upgraded) -> Result<(T, Bytes), Upgraded>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let upgraded = match upgraded.downcast::<TokioIo<T>>() {
        Ok(parts) => return Ok((parts.io.into_inner(), parts.read_buf)),
        Err(upgraded) => upgraded,
    };
    auto::upgrade::downcast::<TokioIo<T>>(upgraded).map(|parts| (parts.io.into_inner(), parts.read_buf))
}
