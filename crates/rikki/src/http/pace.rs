//! How slowly a body may move: a client that sends or takes almost nothing would hold its connection for ever.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use hyper::body::{Bytes, Incoming};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::idle::Reading;
use super::turn::Turn;
use super::unreadable::OwnAnswer;
use super::watch::{Socket, Watch};
use crate::counters::Counts;

/// How much has to move while it is waited for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MinRate {
    /// In each of these, of waiting; time in which nobody waits for the client does not count.
    pub(crate) window: Duration,
    pub(crate) bytes_per_second: u32,
}

impl MinRate {
    fn least(self) -> u64 {
        // At least something.
        (u64::from(self.bytes_per_second) * self.window.as_millis() as u64 / 1000).max(1)
    }

    /// How long so many bytes may take, the wait for the first of them included.
    #[cfg(feature = "tls")]
    pub(super) fn longest(self, bytes: usize) -> Duration {
        let seconds = (bytes as u64).checked_div(self.bytes_per_second.into()).unwrap_or(0);
        self.window + Duration::from_secs(seconds)
    }
}

/// One direction of a connection, or one body, held to a rate.
#[derive(Debug)]
struct Pace {
    rate: MinRate,
    counts: Arc<Counts>,
    /// In the window under way.
    moved: u64,
    waited: Duration,
    waiting_since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
    given_up: bool,
}

impl Pace {
    fn new(rate: MinRate, counts: Arc<Counts>) -> Self {
        Self { rate, counts, moved: 0, waited: Duration::ZERO, waiting_since: None, alarm: None, given_up: false }
    }

    /// Something has moved: nobody waits now.
    fn moved(&mut self, bytes: usize) {
        self.moved += bytes as u64;
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
    }

    /// To be called when there is nothing to do but wait: an error if that has lasted too long for what has moved.
    fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let left = self.rate.window.saturating_sub(self.waited);
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(left)));
            if self.waiting_since.is_none() {
                let now = Instant::now();
                if self.waited.is_zero() {
                    // What went before the first wait filled buffers, and tells nothing of the client.
                    self.moved = 0;
                }
                self.waiting_since = Some(now);
                alarm.as_mut().reset(now + left);
            }
            ready!(alarm.as_mut().poll(cx));
            if self.moved < self.rate.least() {
                // Once: whoever goes on, to shut down in good order, is told again.
                if !std::mem::replace(&mut self.given_up, true) {
                    self.counts.closed_slow.up();
                }
                let text = "the client is too slow for the minimum rate of bodies";
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            (self.moved, self.waited, self.waiting_since) = (0, Duration::ZERO, None);
        }
    }
}

/// The body of a request, which fails if it comes too slowly.
#[derive(Debug)]
pub(super) struct PacedBody {
    body: Incoming,
    pace: Pace,
    /// Told when it has been read to its end.
    read: Option<Arc<AtomicBool>>,
}

impl PacedBody {
    pub(super) fn new(body: Incoming, rate: MinRate, counts: Arc<Counts>, read: Option<Arc<AtomicBool>>) -> Self {
        Self { body, pace: Pace::new(rate, counts), read }
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Self { body, pace, read } = self.get_mut();
        match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some(read) = read
                    && (frame.is_none() || body.is_end_stream())
                {
                    read.store(true, Relaxed);
                }
                let length = |frame: &Frame<Bytes>| frame.data_ref().map_or(0, Bytes::len);
                pace.moved(frame.as_ref().and_then(|frame| frame.as_ref().ok()).map_or(0, length));
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => pace.poll_too_slow(cx).map(|error| Some(Err(error.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The stream below HTTP, on which writing fails if the client takes too little of what is sent, or is gone.
#[derive(Debug)]
pub(crate) struct PacedIo<I> {
    io: I,
    pace: Pace,
    turn: Turn,
    watch: Watch,
    /// Who is told of what is read.
    reading: Option<Reading>,
    own_answer: OwnAnswer,
}

impl<I> PacedIo<I> {
    pub(super) fn new(io: I, rate: MinRate, counts: Arc<Counts>) -> Self {
        let (turn, watch, own_answer) = Default::default();
        Self { io, pace: Pace::new(rate, counts), turn, watch, reading: None, own_answer }
    }

    pub(super) fn telling(self, reading: Reading) -> Self {
        Self { reading: Some(reading), ..self }
    }

    /// The status of an answer that hyper gave by itself and that was kept back. What is written from now on is not.
    pub(super) fn take_own_answer(&mut self) -> Option<StatusCode> {
        self.reading = None;
        std::mem::take(&mut self.own_answer).status()
    }

    fn keeps_back(&mut self, bytes: &[u8]) -> bool {
        let awaits_head = self.reading.as_ref().is_some_and(Reading::awaits_head);
        self.own_answer.keeps_back(awaits_head, bytes)
    }

    pub(crate) fn into_inner(self) -> I {
        self.io
    }
}

impl<I: Unpin> PacedIo<I> {
    fn pace<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match poll {
            Poll::Ready(Ok(done)) => {
                self.pace.moved(bytes(&done));
                Poll::Ready(Ok(done))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.pace.poll_too_slow(cx).map(Err),
        }
    }
}

impl<I: Unpin> PacedIo<I> {
    fn wrote(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = poll {
            self.turn.written(bytes);
            self.watch.wrote();
        }
        self.pace(cx, poll, |written| *written)
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for PacedIo<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { io, turn, watch, reading, .. } = self.get_mut();
        watch.reads = true;
        ready!(turn.poll_read(cx));
        let before = buffer.filled().len();
        ready!(Pin::new(io).poll_read(cx, buffer))?;
        watch.reads = false;
        turn.read(buffer.filled().len() - before);
        if let Some(reading) = reading {
            reading.read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Socket + Unpin> AsyncWrite for PacedIo<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.keeps_back(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(this.turn.poll_write(cx));
        let poll = match &this.reading {
            Some(reading) => reading.sending().poll_write(&mut this.io, cx, bytes),
            None => Pin::new(&mut this.io).poll_write(cx, bytes),
        };
        this.wrote(cx, poll)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.own_answer.flushed();
        let poll = Pin::new(&mut this.io).poll_flush(cx);
        if poll.is_ready() {
            let is_endless = this.reading.as_ref().is_some_and(Reading::is_endless);
            this.watch.look(cx, &this.io, is_endless)?;
        }
        this.pace(cx, poll, |()| 0)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Another answer is to come.
        if this.own_answer.status().is_some() {
            return Poll::Ready(Ok(()));
        }
        let poll = Pin::new(&mut this.io).poll_shutdown(cx);
        this.pace(cx, poll, |()| 0)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.keeps_back(pieces.first().map_or(&[], |piece| piece)) {
            return Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()));
        }
        ready!(this.turn.poll_write(cx));
        let poll = match &this.reading {
            Some(reading) => reading.sending().poll_write_vectored(&mut this.io, cx, pieces),
            None => Pin::new(&mut this.io).poll_write_vectored(cx, pieces),
        };
        this.wrote(cx, poll)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::timeout;

    use super::*;

    /// Bytes move after so many seconds of waiting each, then none: the client is given up after `expected` seconds.
    async fn check(moves: &[(u64, usize)], expected: u64) {
        let rate = MinRate { window: Duration::from_secs(20), bytes_per_second: 500 };
        let mut pace = Pace::new(rate, Arc::default());
        let started = Instant::now();
        for &(wait, bytes) in moves {
            if wait > 0 {
                let wait = timeout(Duration::from_secs(wait), poll_fn(|cx| pace.poll_too_slow(cx)));
                assert!(wait.await.is_err(), "{moves:?}");
            }
            pace.moved(bytes);
        }
        poll_fn(|cx| pace.poll_too_slow(cx)).await;
        assert_eq!(started.elapsed().as_secs(), expected, "{moves:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_moves_in_a_window_of_waiting_is_judged() {
        check(&[], 20).await;
        check(&[(10, 9_999)], 20).await;
        check(&[(10, 5_000), (9, 5_000)], 40).await;
        check(&[(10, 10_000), (20, 10_000), (20, 9_999)], 60).await;
        // As much as buffers hold, before anybody waits.
        check(&[(0, 1 << 20)], 20).await;
        check(&[(0, 1 << 20), (19, 10_000)], 40).await;
    }
}
