//! Streams of HTTP/2: how many there are, and those whose client takes nothing of the response while their connection
//! moves.
//!
//! hyper asks a body for one piece ahead, and for the next when flow control had room for that one
//! ([RFC 9113 section 5.2](https://www.rfc-editor.org/rfc/rfc9113#section-5.2)). So a body that has given a piece and
//! was not asked again waits for the client, and one that was asked and has nothing yet is waited for itself.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use http_body::{Frame, SizeHint};
use hyper::body::Bytes;
use hyper::rt::Executor;
use rikki_limits::Share;
use tokio::sync::Notify;
use tokio::task_local;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::idle::Waiting;
use super::outgoing::{Given, Outgoing, Piece};
use super::pace::MinRate;
use crate::counters::Counts;

/// What a body gives at once at most, in bytes: the payload of a frame
/// ([section 4.2](https://www.rfc-editor.org/rfc/rfc9113#section-4.2)), which hyper would cut it into anyway.
const PIECE: usize = 16_384;

/// How often it is looked whether a client that does not go has taken all that was left.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What the body of a stream did last while the stream was polled.
#[derive(Clone, Copy)]
enum Last {
    NotAsked,
    HadNothing,
    Gave(usize),
}

task_local! {
    /// How the body tells the task that runs its stream, with hyper between them.
    static LAST: Cell<Last>;
}

/// To be called by a body, whoever polls it.
fn did(last: Last) {
    let _ = LAST.try_with(|told| told.set(last));
}

/// The streams of a connection.
#[derive(Debug)]
pub(super) struct Streams {
    /// How many streams the client has opened so far.
    opened: AtomicU32,
    open: AtomicU32,
    /// One of the two has changed.
    changed: Notify,
    enough: Notify,
    outgoing: Arc<Outgoing>,
}

impl Streams {
    pub(super) fn new(outgoing: Arc<Outgoing>) -> Self {
        let (opened, open, changed, enough) = Default::default();
        Self { opened, open, changed, enough, outgoing }
    }

    /// Counts a stream that the client has opened and that is about to be run; gives how many it has opened, and how
    /// many are open with it.
    pub(super) fn opened(&self) -> (u32, u32) {
        self.changed.notify_one();
        (self.opened.fetch_add(1, Relaxed) + 1, self.open.load(Relaxed) + 1)
    }

    /// The client has had enough.
    pub(super) fn go_away(&self) {
        self.enough.notify_one();
    }

    pub(super) async fn must_go_away(&self) {
        self.enough.notified().await;
    }

    pub(super) fn has_any(&self) -> bool {
        self.opened.load(Relaxed) > 0
    }

    /// Waits until the client has opened a stream and then had none open for so long. Tells `waiting` whether it idles.
    pub(super) async fn idle(&self, waiting: &Waiting, longest: Duration) {
        while !self.has_any() {
            self.changed.notified().await;
        }
        loop {
            let idles = self.open.load(Relaxed) == 0;
            waiting.idles(idles);
            if !idles {
                self.changed.notified().await;
            } else if timeout(longest, self.changed.notified()).await.is_err() {
                return;
            }
        }
    }

    /// Waits until a client that was told to go away has overstayed: it has opened more streams than may have been on
    /// their way, or one after the `time` that it has to take notice, or has none any more by then. Whoever has
    /// acknowledged can open none, and is let go by hyper when all have ended
    /// ([RFC 9113 section 6.8](https://www.rfc-editor.org/rfc/rfc9113#section-6.8)).
    pub(super) async fn overstay(&self, on_their_way: u32, time: Duration) {
        let told = self.opened.load(Relaxed);
        let in_time = async {
            while self.opened.load(Relaxed).wrapping_sub(told) <= on_their_way {
                self.changed.notified().await;
            }
        };
        if timeout(time, in_time).await.is_ok() {
            return;
        }
        let told = self.opened.load(Relaxed);
        while self.opened.load(Relaxed) == told && (self.open.load(Relaxed) > 0 || !self.outgoing.is_empty()) {
            // Nobody tells that all is written.
            let _ = timeout(LOOK_AGAIN, self.changed.notified()).await;
        }
    }
}

/// Counts a stream as open until it is dropped. hyper also runs what it passes on for a CONNECT that was answered with
/// 2xx, which nobody has opened.
struct Open(Arc<Streams>);

impl Open {
    fn new(streams: Arc<Streams>) -> Self {
        streams.open.fetch_add(1, Relaxed);
        Self(streams)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
        self.0.changed.notify_one();
    }
}

/// Runs the streams of a connection, each until it has ended or its client is too slow for the rate.
#[derive(Clone, Debug)]
pub(super) struct PacedStreams {
    pub(super) rate: MinRate,
    pub(super) counts: Arc<Counts>,
    pub(super) streams: Arc<Streams>,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for PacedStreams {
    fn execute(&self, stream: F) {
        let Self { rate, counts, streams } = self.clone();
        let open = Open::new(streams);
        let run = async move {
            let _open = open;
            let mut stream = pin!(stream);
            let (mut alarm, mut waits) = (None::<Pin<Box<Sleep>>>, false);
            poll_fn(|cx| {
                did(Last::NotAsked);
                if stream.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                match LAST.with(Cell::get) {
                    Last::NotAsked => {}
                    Last::HadNothing => waits = false,
                    Last::Gave(bytes) => {
                        let due = Instant::now() + rate.longest(bytes);
                        alarm.get_or_insert_with(|| Box::pin(sleep_until(due))).as_mut().reset(due);
                        waits = true;
                    }
                }
                let Some(alarm) = alarm.as_mut().filter(|_| waits) else { return Poll::Pending };
                ready!(alarm.as_mut().poll(cx));
                counts.closed_slow.up();
                Poll::Ready(())
            })
            .await;
            // A stream that is dropped before its end is reset.
        };
        tokio::spawn(LAST.scope(Cell::new(Last::NotAsked), run));
    }
}

/// The body of a response, in pieces for which there is room.
#[derive(Debug)]
pub(super) struct Pieces {
    body: Body,
    rest: Bytes,
    given: Arc<Given>,
    /// What the stream itself costs.
    _stream: Share,
}

impl Pieces {
    pub(super) fn new(body: Body, given: Given, stream: Share) -> Self {
        Self { body, rest: Bytes::new(), given: Arc::new(given), _stream: stream }
    }
}

impl http_body::Body for Pieces {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        let Self { body, rest, given, .. } = self.get_mut();
        did(Last::HadNothing);
        // Before the body is asked, which may have to read the next of a file.
        let room = ready!(given.poll_room(cx, PIECE));
        if rest.is_empty() {
            match ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => *rest = data,
                Some(Ok(Err(frame))) => {
                    return Poll::Ready(frame.into_trailers().ok().map(|trailers| Ok(Frame::trailers(trailers))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let piece = rest.split_to(rest.len().min(room));
        did(Last::Gave(piece.len()));
        Poll::Ready(Some(Ok(Frame::data(given.piece(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // hyper asks before the first piece.
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rikki_limits::Budget;

    #[tokio::test]
    async fn what_runs_without_having_been_opened_is_not_counted_twice() {
        let memory = Arc::new(Budget::new("http2-memory", 1 << 20));
        let streams = Arc::new(Streams::new(Arc::new(Outgoing::new(memory))));
        let rate = MinRate { window: Duration::from_secs(1), bytes_per_second: 1 };
        let executor = PacedStreams { rate, counts: Arc::default(), streams: streams.clone() };
        assert_eq!(streams.opened(), (1, 1));
        executor.execute(std::future::ready(()));
        // The tunnel of a CONNECT.
        executor.execute(std::future::ready(()));
        while Arc::strong_count(&streams) > 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(streams.opened(), (2, 1));
    }
}
