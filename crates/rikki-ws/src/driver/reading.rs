//! Reading from the stream: into the thread's buffer, or straight into a large message.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::backlog::Unparsed;
use super::turn::{Allowance, Turn};
use super::{Consumer, Driver, Flow};
use crate::clock::NEVER;
use crate::feeds::Extras;

/// What is read at once at least, in bytes, however little may wait to be written.
pub(super) const LEAST_READ: usize = 16 * 1024;

impl<I: AsyncRead + AsyncWrite + Unpin + 'static> Driver<I> {
    /// Reads once, or goes on with the rest of an earlier read, and hands over what is whole.
    pub(super) fn read<C: Consumer>(&mut self, turn: &mut Turn<'_, '_, C>, buffer: &mut [u8]) -> Poll<Flow> {
        if self.line.paused || self.ending.is_shut_by_peer() || self.holds_back(turn) {
            return Poll::Pending;
        }
        if let Some(mut unparsed) = self.unparsed.take() {
            turn.budget.reads -= 1;
            let mut rest = unparsed.bytes.get_mut(unparsed.start..).unwrap_or_default();
            let flow = self.parse(turn, &mut rest);
            let left = rest.len();
            if left > 0 {
                unparsed.start = unparsed.bytes.len() - left;
                self.unparsed = Some(unparsed);
            }
            return Poll::Ready(flow);
        }
        // What was read is kept while the peer has to take something first: not much, where little may wait for it.
        let most = self.terms.mark().max(LEAST_READ).min(buffer.len());
        let mut buffer = ReadBuf::new(buffer.get_mut(..most).unwrap_or_default());
        match ready!(self.poll_read(turn.cx, &mut buffer, &mut turn.budget)) {
            Ok(0) => self.handle_eof(turn),
            Ok(count) => {
                turn.budget.reads -= 1;
                self.read_at = self.now();
                self.pinged_at = NEVER;
                if let Some(rate) = Extras::rate(&mut self.extras) {
                    rate.count_bytes(count, self.read_at);
                }
                let mut input = buffer.filled_mut();
                let flow = self.parse(turn, &mut input);
                if !input.is_empty() {
                    self.unparsed = Some(Unparsed::new(input, &self.terms));
                }
                return Poll::Ready(flow);
            }
            // TLS says so of a peer that ends TCP without a word.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.handle_eof(turn),
            Err(error) => self.lose(turn, error.into()),
        }
        Poll::Ready(Flow::Continue)
    }

    /// Reads once and says how many bytes: those that are not in `buffer` have got to where they stay.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        budget: &mut Allowance,
    ) -> Poll<io::Result<usize>> {
        // A rate is judged by what is parsed, and not only at the end of a message.
        let most = if Extras::rate(&mut self.extras).is_some() { 0 } else { budget.payload };
        let io = &mut self.line.io;
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
