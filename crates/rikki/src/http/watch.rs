//! Clients that go away while they are answered.
//!
//! hyper reads nothing in that time, since a client may have ended its half of TCP when it had sent all: it is answered
//! whole, as a request is never over by the end of what is sent
//! ([RFC 9112 section 6.3](https://www.rfc-editor.org/rfc/rfc9112#section-6.3)). That nobody is there any more, a
//! reset, is looked for here, so that nothing is done for them.

use std::io;
use std::pin::Pin;
#[cfg(feature = "tls")]
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{Interest, Ready};
use tokio::time::{Instant, Sleep, sleep};

use crate::net::Stream;
#[cfg(feature = "tls")]
use crate::ws::tls::TlsStream;

/// How often it is looked for where input that nobody reads, or its end, would hide what comes after.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long a client that has ended its half is answered while nothing is written to it: it may be gone, and only what
/// is written would show that.
const HALF_CLOSED: Duration = Duration::from_secs(30);

/// A stream, with the socket below it; nothing is ever told of one that has none.
pub(crate) trait Socket {
    /// Whether there is something to read, the end included. Where there is not, the next that happens wakes the task.
    fn poll_read_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    /// What the system has told of the socket so far.
    fn poll_ready(&self, _: Interest, _: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        Poll::Pending
    }

    /// It itself, if it is one of TCP and what is written to it is sent as it is.
    #[cfg(all(feature = "files", target_os = "linux"))]
    fn tcp(&self) -> Option<&tokio::net::TcpStream> {
        None
    }
}

impl Socket for Stream {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_read_ready(self, cx)
    }

    fn poll_ready(&self, interest: Interest, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        Self::poll_ready(self, interest, cx)
    }

    #[cfg(all(feature = "files", target_os = "linux"))]
    fn tcp(&self) -> Option<&tokio::net::TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Unix(_) => None,
        }
    }
}

#[cfg(feature = "tls")]
impl<C> Socket for TlsStream<C> {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_read_ready(cx)
    }

    fn poll_ready(&self, interest: Interest, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        pin!(self.tcp().ready(interest)).poll(cx)
    }
}

/// In memory, for tests.
#[cfg(any(test, feature = "client"))]
impl Socket for tokio::io::DuplexStream {}

#[cfg(test)]
impl<R, W> Socket for tokio::io::Join<R, W> {}

/// Watches the socket of a connection in each round in which it is not read from.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Whether whoever reads waits for input, in this round.
    pub(super) reads: bool,
    /// What has to be looked at by a clock.
    hidden: Option<Box<Hidden>>,
}

#[derive(Debug)]
struct Hidden {
    alarm: Pin<Box<Sleep>>,
    /// Since when the client has sent all, and nothing was written.
    idle_since: Option<Instant>,
}

impl Watch {
    /// Something was written.
    pub(super) fn wrote(&mut self) {
        if let Some(hidden) = &mut self.hidden {
            hidden.idle_since = None;
        }
    }

    /// To be called at the end of each round, when there is nothing to write. A stream that `is_endless` ends when the
    /// client has sent all: by then it has closed the page that showed it.
    ///
    /// # Errors
    ///
    /// When the connection was reset, or its client has sent all and may be gone.
    pub(super) fn look(&mut self, cx: &mut Context<'_>, socket: &impl Socket, is_endless: bool) -> io::Result<()> {
        if std::mem::take(&mut self.reads) {
            return Ok(());
        }
        // Where there is no input, the next thing that happens wakes the task.
        if socket.poll_read_ready(cx)?.is_pending() {
            return Ok(());
        }
        let all = Interest::READABLE | Interest::WRITABLE | Interest::ERROR;
        let Poll::Ready(ready) = socket.poll_ready(all, cx) else { return Ok(()) };
        let ready = ready?;
        if ready.is_error() || ready.is_write_closed() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        // Such a client has nothing to wait for but what may never come.
        if is_endless && ready.is_read_closed() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the client has left a stream without an end"));
        }
        let hidden = self
            .hidden
            .get_or_insert_with(|| Box::new(Hidden { alarm: Box::pin(sleep(LOOK_EVERY)), idle_since: None }));
        hidden.look_again(cx, ready.is_read_closed())
    }
}

impl Hidden {
    fn look_again(&mut self, cx: &mut Context<'_>, has_ended: bool) -> io::Result<()> {
        if has_ended && self.idle_since.get_or_insert_with(Instant::now).elapsed() >= HALF_CLOSED {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the client has sent all, and nothing is sent to it"));
        }
        if self.alarm.as_mut().poll(cx).is_ready() {
            self.alarm.as_mut().reset(Instant::now() + LOOK_EVERY);
            // Polled once more, so that it wakes.
            let _ = self.alarm.as_mut().poll(cx);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Both ends of a connection.
    async fn pair() -> (TcpStream, Stream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, Stream::Tcp(listener.accept().await.unwrap().0))
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_sent_all_may_be_gone() {
        let (mut client, server) = pair().await;
        client.shutdown().await.unwrap();
        poll_fn(|cx| server.poll_read_ready(cx)).await.unwrap();
        let mut watch = Watch::default();
        let started = Instant::now();
        let mut wrote = false;
        let ended = poll_fn(|cx| {
            // A write in between shows that it is there.
            if !wrote && started.elapsed() >= Duration::from_secs(20) {
                wrote = true;
                watch.wrote();
            }
            watch.look(cx, &server, false).map_or_else(Poll::Ready, |()| Poll::Pending)
        });
        assert_eq!(ended.await.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 50);
    }
}
