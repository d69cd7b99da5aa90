//! How much a connection may do before others have their turn: a poll of hyper goes on as long as the socket does, and
//! its runtime looks at the other sockets only after that.

use std::task::{Context, Poll};

/// What is read in turn, in bytes; a last read goes beyond it. Frames of HTTP/2 may be of 13 bytes and cost a
/// microsecond each, and so may requests behind each other.
pub(super) const READ: usize = 4 * 1024;

/// What is written in turn, in bytes; a last write goes beyond it.
const WRITTEN: usize = 64 * 1024;

/// What a connection has left of its turn.
#[derive(Debug, Default)]
pub(super) struct Turn {
    read: usize,
    written: usize,
}

impl Turn {
    /// Pending if the turn is over; it is this task's turn again when others have had theirs.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        poll(&mut self.read, READ, cx)
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        poll(&mut self.written, WRITTEN, cx)
    }

    pub(super) fn read(&mut self, bytes: usize) {
        self.read += bytes;
    }

    pub(super) fn written(&mut self, bytes: usize) {
        self.written += bytes;
    }
}

fn poll(done: &mut usize, most: usize, cx: &mut Context<'_>) -> Poll<()> {
    if *done < most {
        return Poll::Ready(());
    }
    *done = 0;
    cx.waker().wake_by_ref();
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::Waker;
    use std::time::Duration;

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, repeat, sink};

    use super::super::pace::{MinRate, PacedIo};
    use super::*;

    /// A socket that is always ready may not keep its task at work for ever.
    #[test]
    fn a_turn_ends() {
        const PIECE: usize = 1024;
        const MANY: usize = 1 << 20;
        let rate = MinRate { window: Duration::from_secs(1), bytes_per_second: 1 };
        let io = tokio::io::join(repeat(b'x'), sink());
        let mut paced = PacedIo::new(io, rate, Arc::default());
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            let mut buffer = [0; PIECE];
            let mut read = || Pin::new(&mut paced).poll_read(&mut cx, &mut ReadBuf::new(&mut buffer)).is_ready();
            let read = (0..MANY / PIECE).take_while(|_| read()).count() * PIECE;
            let mut write = || Pin::new(&mut paced).poll_write(&mut cx, &[0; PIECE]).is_ready();
            let written = (0..MANY / PIECE).take_while(|_| write()).count() * PIECE;
            assert_eq!((read, written), (READ, WRITTEN));
        }
    }
}
