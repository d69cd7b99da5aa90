//! Reading from the stream: into the thread's buffer, or straight into a large message.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::{Budget, Driver};

impl<I: AsyncRead + AsyncWrite + Unpin> Driver<I> {
    /// Reads once and says how many bytes: those that are not in `buffer` have got to where they stay.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        budget: &mut Budget,
    ) -> Poll<io::Result<usize>> {
        // A rate is judged by what is parsed, and not only at the end of a message.
        let most = if self.rate.is_some() { 0 } else { budget.payload };
        let io = &mut self.io;
        if let Some(read) = self.connection.fill_payload(most, |mut room| pin!(io.read_buf(&mut room)).poll(cx)) {
            return read.map_ok(|count| {
                budget.payload -= count;
                count
            });
        }
        ready!(Pin::new(io).poll_read(cx, buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}
