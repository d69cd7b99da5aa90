//! Files that the system sends, on plain TCP and HTTP/1: what hyper writes stands for pieces of them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};

use axum::response::Response;
use rikki_files::internal::{Pieces, Sendable, out_of_step};
use rustix::net::SendFlags;
use tokio::io::{AsyncWrite, Interest};
use tokio::net::TcpStream;

use super::watch::Socket;

/// What a connection has the system send; nothing on any other than plain TCP.
#[derive(Clone, Debug, Default)]
pub(super) struct Sending(Option<Pieces>);

impl Sending {
    pub(super) fn on(socket: &impl Socket) -> Self {
        Self(socket.tcp().filter(|_| *IS_HARMLESS).map(|_| Pieces::default()))
    }

    /// Has the content of an answer sent by the system, if it is a file and nothing comes between it and hyper.
    pub(super) fn take_on(&self, response: &mut Response) {
        if let Self(Some(pieces)) = self {
            Sendable::send_by(pieces, response);
        }
    }

    pub(super) fn poll_write<I: AsyncWrite + Unpin>(
        &self,
        io: &mut I,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // hyper writes so what it has copied: if pieces are to be sent, then so is what stands for them.
        if self.0.as_ref().is_some_and(|pieces| !pieces.is_empty()) {
            return Poll::Ready(Err(out_of_step()));
        }
        Pin::new(io).poll_write(cx, bytes)
    }

    /// Writes what comes first: bytes as they are, or the piece that they stand for.
    pub(super) fn poll_write_vectored<I: AsyncWrite + Socket + Unpin>(
        &self,
        io: &mut I,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self(Some(pieces)) = self else { return Pin::new(io).poll_write_vectored(cx, slices) };
        let bytes = match pieces.in_front(slices)? {
            all if all == slices.len() => return Pin::new(io).poll_write_vectored(cx, slices),
            in_front => slices.get(..in_front).unwrap_or_default(),
        };
        let Some(tcp) = io.tcp() else { return Poll::Ready(Err(out_of_step())) };
        match bytes {
            // A head, say: it goes into one packet with what follows at once.
            [head] if !head.is_empty() => {
                let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
                poll_when_writable(tcp, cx, || Ok(rustix::net::send(tcp, head, flags)?))
            }
            bytes if bytes.iter().any(|bytes| !bytes.is_empty()) => Pin::new(io).poll_write_vectored(cx, bytes),
            _ => poll_when_writable(tcp, cx, || pieces.send(tcp)),
        }
    }
}

fn poll_when_writable(
    tcp: &TcpStream,
    cx: &mut Context<'_>,
    mut write: impl FnMut() -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(tcp.poll_write_ready(cx))?;
        match tcp.try_io(Interest::WRITABLE, &mut write) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            written => return Poll::Ready(written),
        }
    }
}

/// Whether a client that is gone is no more than an error. A program may let the signal of a broken pipe end it, which
/// this way of sending, unlike others, cannot keep the system from giving. Programs in Rust ignore it unless they do
/// something about that.
static IS_HARMLESS: LazyLock<bool> =
    LazyLock::new(|| std::fs::read_to_string("/proc/self/status").is_ok_and(|status| does_not_end_by_signal(&status)));

/// Reads the masks of [proc(5)](https://man7.org/linux/man-pages/man5/proc_pid_status.5.html): signals that are ignored,
/// and those that are caught.
fn does_not_end_by_signal(status: &str) -> bool {
    const SIGPIPE: u32 = 13;
    let masks = status.lines().filter_map(|line| line.strip_prefix("SigIgn:").or_else(|| line.strip_prefix("SigCgt:")));
    masks.filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok()).any(|mask| mask & (1 << (SIGPIPE - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signal_of_a_broken_pipe_is_looked_for() {
        let check = |status: &str, expected: bool| assert_eq!(does_not_end_by_signal(status), expected, "{status}");
        check("Name:\trikki\nSigBlk:\t0000000000001000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000440\n", false);
        check("SigIgn:\t0000000000001000\nSigCgt:\t0000000000000000\n", true);
        check("SigIgn:\t0000000000000000\nSigCgt:\t0000000000001440\n", true);
        check("", false);
        assert!(*IS_HARMLESS, "as in any test");
    }
}
