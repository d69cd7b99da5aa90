//! Sockets that listen, on TCP or at a path.

use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::OwnedFd;
#[cfg(unix)]
use std::path::PathBuf;

use socket2::Socket;
#[cfg(unix)]
use socket2::{SockRef, Type};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

#[cfg(unix)]
use super::unix::{self, SocketFile};
use super::{Detached, Peer, Stream};
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::ws::internal::LEAST_AHEAD;

/// A socket that listens and belongs to no runtime yet.
#[derive(Debug)]
pub(crate) enum Listening {
    Tcp(std::net::TcpListener, Owner),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener, Owner),
}

/// One that a runtime accepts on.
#[derive(Debug)]
pub(crate) enum Accepting {
    Tcp(TcpListener, Owner),
    #[cfg(unix)]
    Unix(UnixListener, Owner),
}

/// Who has the socket.
#[derive(Debug)]
pub(crate) enum Owner {
    /// This server alone, with its name in the file system if it has one.
    Server {
        #[cfg(unix)]
        _file: Option<SocketFile>,
    },
    /// Whoever has started the process, too: it lives on, with those that wait in its queue.
    #[cfg(unix)]
    Parent,
}

impl Owner {
    pub(crate) fn server() -> Self {
        Self::Server {
            #[cfg(unix)]
            _file: None,
        }
    }

    fn is_server(&self) -> bool {
        matches!(self, Self::Server { .. })
    }
}

impl Listening {
    #[cfg(unix)]
    pub(crate) fn unix(path: &std::path::Path, mode: Option<u32>, backlog: i32) -> io::Result<Self> {
        unix::listen(path, mode, backlog).map(|(file, socket)| Self::Unix(socket, Owner::Server { _file: Some(file) }))
    }

    /// One that was passed to this process, or why it is none to listen on.
    #[cfg(unix)]
    pub(crate) fn passed(socket: OwnedFd) -> Result<Self, String> {
        let look = SockRef::from(&socket);
        let address = look.local_addr().map_err(|error| format!("it is no socket ({error})"))?;
        let told = |error: io::Error| error.to_string();
        if look.r#type().map_err(told)? != Type::STREAM {
            return Err("it is no stream socket".to_owned());
        }
        #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
        if !look.is_listener().map_err(told)? {
            return Err("it does not listen: it may be a connection, as with Accept=yes".to_owned());
        }
        look.set_cloexec(true).and_then(|()| look.set_nonblocking(true)).map_err(told)?;
        if address.is_unix() {
            return Ok(Self::Unix(socket.into(), Owner::Parent));
        }
        if address.as_socket().is_none() {
            return Err("it is neither of TCP nor a Unix socket".to_owned());
        }
        tune(&look).map_err(told)?;
        Ok(Self::Tcp(socket.into(), Owner::Parent))
    }

    /// `None` for one that is no place in a network.
    pub(crate) fn local_addr(&self) -> io::Result<Option<SocketAddr>> {
        match self {
            Self::Tcp(socket, _) => socket.local_addr().map(Some),
            #[cfg(unix)]
            Self::Unix(..) => Ok(None),
        }
    }

    /// The path of a Unix socket that has one.
    #[cfg(unix)]
    pub(crate) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Tcp(..) => None,
            Self::Unix(socket, _) => socket.local_addr().ok()?.as_pathname().map(PathBuf::from),
        }
    }

    /// Gives it to the runtime of this thread.
    pub(crate) fn attach(self) -> io::Result<Accepting> {
        Ok(match self {
            Self::Tcp(socket, owner) => Accepting::Tcp(TcpListener::from_std(socket)?, owner),
            #[cfg(unix)]
            Self::Unix(socket, owner) => Accepting::Unix(UnixListener::from_std(socket)?, owner),
        })
    }
}

impl Accepting {
    /// # Cancel safety
    ///
    /// Nothing is accepted unless it is given.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(socket, _) => {
                let (stream, address) = socket.accept().await?;
                // Linux lets it inherit this from the socket that listens.
                #[cfg(not(target_os = "linux"))]
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Peer::Ip(address)))
            }
            #[cfg(unix)]
            Self::Unix(socket, _) => {
                let (stream, _) = socket.accept().await?;
                unix::prepare(&stream)?;
                Ok((Stream::Unix(stream), Peer::Unix))
            }
        }
    }

    /// Stops listening, and gives those that have connected before to `take`, as many as that at most: nobody else would
    /// serve them, unless the socket lives on.
    pub(crate) fn finish(self, most: usize, mut take: impl FnMut(Detached, Peer)) -> io::Result<()> {
        match self {
            Self::Tcp(socket, owner) if owner.is_server() => {
                let socket = socket.into_std()?;
                for _ in 0..most {
                    let Ok((stream, address)) = socket.accept() else { break };
                    if stream.set_nonblocking(true).is_ok() {
                        take(Detached::Tcp(stream), address.into());
                    }
                }
            }
            #[cfg(unix)]
            Self::Unix(socket, owner) if owner.is_server() => {
                let socket = socket.into_std()?;
                // From here on nobody finds it, so that the last has come.
                drop(owner);
                for _ in 0..most {
                    let Ok((stream, _)) = socket.accept() else { break };
                    if stream.set_nonblocking(true).is_ok() && unix::prepare(&stream).is_ok() {
                        take(Detached::Unix(stream), Peer::Unix);
                    }
                }
            }
            // Whoever listens there next has them.
            _ => {}
        }
        Ok(())
    }
}

/// What connections inherit from a socket that listens on TCP.
pub(crate) fn tune(socket: &Socket) -> io::Result<()> {
    // Progress of writing is to show in small steps, not when a third of megabytes is free.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_notsent_lowat(LEAST_AHEAD)?;
    // Small frames go out at once. On Linux alone it is inherited, which spares each connection a system call.
    #[cfg(target_os = "linux")]
    socket.set_tcp_nodelay(true)?;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = socket;
    Ok(())
}
