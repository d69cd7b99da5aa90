//! Sockets that listen, on TCP or at a path.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

#[cfg(unix)]
use super::unix::{self, SocketFile};
use super::{Detached, Peer, Stream};

/// A socket that listens and belongs to no runtime yet.
#[derive(Debug)]
pub(crate) enum Listening {
    Tcp(std::net::TcpListener),
    #[cfg(unix)]
    Unix(SocketFile, std::os::unix::net::UnixListener),
}

/// One that a runtime accepts on.
#[derive(Debug)]
pub(crate) enum Accepting {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(SocketFile, UnixListener),
}

impl Listening {
    #[cfg(unix)]
    pub(crate) fn unix(path: &std::path::Path, mode: Option<u32>, backlog: i32) -> io::Result<Self> {
        unix::listen(path, mode, backlog).map(|(file, socket)| Self::Unix(file, socket))
    }

    /// `None` for one that is no place in a network.
    pub(crate) fn local_addr(&self) -> io::Result<Option<SocketAddr>> {
        match self {
            Self::Tcp(socket) => socket.local_addr().map(Some),
            #[cfg(unix)]
            Self::Unix(..) => Ok(None),
        }
    }

    /// Gives it to the runtime of this thread.
    pub(crate) fn attach(self) -> io::Result<Accepting> {
        Ok(match self {
            Self::Tcp(socket) => Accepting::Tcp(TcpListener::from_std(socket)?),
            #[cfg(unix)]
            Self::Unix(file, socket) => Accepting::Unix(file, UnixListener::from_std(socket)?),
        })
    }
}

impl Accepting {
    /// # Cancel safety
    ///
    /// Nothing is accepted unless it is given.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, address) = socket.accept().await?;
                // Linux lets it inherit this from the socket that listens.
                #[cfg(not(target_os = "linux"))]
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Peer::Ip(address)))
            }
            #[cfg(unix)]
            Self::Unix(_, socket) => {
                let (stream, _) = socket.accept().await?;
                unix::prepare(&stream)?;
                Ok((Stream::Unix(stream), Peer::Unix))
            }
        }
    }

    /// Stops listening, and gives those that have connected before to `take`, as many as that at most.
    pub(crate) fn finish(self, most: usize, mut take: impl FnMut(Detached, Peer)) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => {
                let socket = socket.into_std()?;
                for _ in 0..most {
                    let Ok((stream, address)) = socket.accept() else { break };
                    if stream.set_nonblocking(true).is_ok() {
                        take(Detached::Tcp(stream), address.into());
                    }
                }
            }
            #[cfg(unix)]
            Self::Unix(file, socket) => {
                let socket = socket.into_std()?;
                // From here on nobody finds it, so that the last has come.
                drop(file);
                for _ in 0..most {
                    let Ok((stream, _)) = socket.accept() else { break };
                    if stream.set_nonblocking(true).is_ok() && unix::prepare(&stream).is_ok() {
                        take(Detached::Unix(stream), Peer::Unix);
                    }
                }
            }
        }
        Ok(())
    }
}
