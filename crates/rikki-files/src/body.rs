//! The content of a file as a response body, one block at a time.

use std::fs::File;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::blocks::{Block, Blocks};
use super::pieces::{self, Sendable};
use super::read::is_at_hand;
use super::stores::Place;
use super::wait::{Unmet, Wait};
use super::waits::Waits;
use rikki_limits::Seldom;

/// Exactly as many bytes of a file as its head has announced.
///
/// What is in memory already is read where the body is polled, when it is asked for and not before; anything else on
/// the blocking pool, one block ahead where nothing else can be. A file that has grown in the meantime is cut there.
/// One that has been truncated ends the body with an error, so that the connection is cut short and the client sees
/// that the response is incomplete (RFC 9112, section 8).
pub(super) struct FileBody {
    open: Arc<Open>,
    /// Whether it is bytes that stand for pieces.
    sendable: Sendable,
    blocks: Arc<Blocks>,
    waits: Arc<Waits>,
    /// Where the last byte to be sent ends.
    end: u64,
    /// Bytes that have not been handed out yet, a block that is in hand or being read included.
    remaining: u64,
    state: State,
    /// Whether it can be told if reading would wait. Another file may lie on another file system.
    tells: bool,
}

/// A file that is open until its content is sent.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) file: Arc<File>,
    pub(super) _place: Option<Arc<Place>>,
}

enum State {
    Idle,
    Ready(Bytes),
    Reading(Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send>>),
    Done,
}

impl FileBody {
    /// What ends at `end` of a file, with `remaining` bytes in all, of which `first` have been read.
    pub(super) fn new(
        open: Open,
        blocks: Arc<Blocks>,
        waits: Arc<Waits>,
        first: Option<Block>,
        end: u64,
        remaining: u64,
    ) -> Self {
        let state = first.map_or(State::Idle, |first| State::Ready(first.into_bytes()));
        let (open, sendable) = (Arc::new(open), Sendable::default());
        Self { open, sendable, blocks, waits, end, remaining, state, tells: true }
    }

    /// What makes it bytes that stand for pieces.
    pub(super) fn sendable(&self) -> Sendable {
        self.sendable.clone()
    }

    /// The next piece, if the system is to send it and would not have to wait for it.
    fn piece(&mut self, offset: u64) -> Result<Bytes, Unmet> {
        let pieces = self.sendable.pieces().ok_or(Unmet::WouldWait)?;
        let length = pieces::first_of(self.remaining);
        is_at_hand(&self.open.file, offset, length)?;
        Ok(pieces.add(&self.open, offset, length))
    }

    /// Begins to read the next block. Most of the time it is there at once.
    fn read(&mut self) -> io::Result<State> {
        let offset = self.end.saturating_sub(self.remaining);
        if let Ok(piece) = self.piece(offset) {
            return Ok(State::Ready(piece));
        }
        let mut block = self.blocks.take(self.remaining);
        match block.fill(&self.open.file, offset, Wait::No) {
            Ok(()) => return Ok(State::Ready(block.into_bytes())),
            Err(Unmet::WouldWait) => {}
            Err(Unmet::MayWait) => self.tells = false,
            Err(Unmet::Failed(error)) => return Err(error),
        }
        Ok(self.read_waiting(block))
    }

    fn read_waiting(&self, mut block: Block) -> State {
        let open = Arc::clone(&self.open);
        let offset = self.end.saturating_sub(self.remaining);
        let reading = self.waits.work(move |_| {
            block.fill(&open.file, offset, Wait::Yes).map_err(Unmet::into_error)?;
            Ok(block.into_bytes())
        });
        State::Reading(Box::pin(self.waits.in_time(reading)))
    }

    fn hand_out(&mut self, bytes: Bytes) -> Frame<Bytes> {
        self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
        self.state = match self.remaining {
            0 => State::Done,
            _ if self.tells => State::Idle,
            // One block ahead: it is read while the one before it is sent.
            remaining => self.read_waiting(self.blocks.take(remaining)),
        };
        Frame::data(bytes)
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            let next = match std::mem::replace(&mut self.state, State::Done) {
                State::Idle => self.read(),
                State::Ready(bytes) => return Poll::Ready(Some(Ok(self.hand_out(bytes)))),
                State::Reading(mut reading) => match reading.as_mut().poll(cx) {
                    Poll::Ready(read) => read.map(State::Ready),
                    Poll::Pending => {
                        self.state = State::Reading(reading);
                        return Poll::Pending;
                    }
                },
                State::Done => return Poll::Ready(None),
            };
            match next {
                Ok(state) => self.state = state,
                Err(error) => {
                    static LINES: Seldom = Seldom::new();
                    // Any request for a file on a broken disk, or one that shrinks again and again, comes to this.
                    if let Some(left_out) = LINES.turn(()) {
                        let remaining = self.remaining;
                        tracing::warn!(%error, remaining, left_out, "a file could not be sent to its end");
                    }
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Done)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::super::blocks::{BLOCK, SMALL};
    use super::*;

    /// A file without a name that holds `length` bytes.
    fn file(length: usize) -> Arc<File> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rikki-body-{}-{count}", std::process::id()));
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write_all(&content(length)).unwrap();
        file.into()
    }

    /// A body that has announced so many bytes of a file.
    fn body(file: &Arc<File>, announced: usize, blocks: &Arc<Blocks>) -> FileBody {
        let mut first = blocks.take(announced as u64);
        first.fill(file, 0, Wait::Yes).unwrap();
        let waits = Arc::new(Waits::new(1, Duration::from_secs(60)));
        let open = Open { file: Arc::clone(file), _place: None };
        FileBody::new(open, Arc::clone(blocks), waits, Some(first), announced as u64, announced as u64)
    }

    fn fixture(length: usize, announced: usize) -> (Arc<File>, FileBody) {
        let file = file(length);
        let body = body(&file, announced, &Arc::new(Blocks::new(8 * BLOCK)));
        (file, body)
    }

    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index % 251) as u8).collect()
    }

    #[tokio::test]
    async fn sends_exactly_what_was_announced() {
        for (length, announced) in
            [(1, 1), (BLOCK, BLOCK), (BLOCK + 1, BLOCK + 1), (5 * BLOCK + 7, 5 * BLOCK + 7), (4 * BLOCK, 2 * BLOCK + 3)]
        {
            let (_file, body) = fixture(length, announced);
            assert_eq!(body.size_hint().exact(), Some(announced as u64));
            let sent = body.collect().await.unwrap().to_bytes();
            assert!(sent == content(announced), "{announced} of {length} bytes");
        }
    }

    #[tokio::test]
    async fn where_reading_cannot_tell_whether_it_would_wait() {
        let (_file, mut body) = fixture(5 * BLOCK + 7, 5 * BLOCK + 7);
        body.tells = false;
        assert!(body.collect().await.unwrap().to_bytes() == content(5 * BLOCK + 7));
    }

    #[tokio::test]
    async fn blocks_count_until_they_are_sent() {
        // Of which blocks may have two.
        let blocks = Arc::new(Blocks::new(3 * BLOCK));
        let file = file(4 * BLOCK);
        let mut large = body(&file, 4 * BLOCK, &blocks);
        let mut kept = Vec::new();
        let mut take = async |body: &mut FileBody| {
            let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
            let length = data.len();
            kept.push(data);
            (length, blocks.held())
        };
        assert_eq!(take(&mut large).await, (BLOCK, BLOCK));
        assert_eq!(take(&mut large).await, (BLOCK, 2 * BLOCK));
        // There is no room for another one, but every body goes on.
        assert_eq!(take(&mut large).await, (SMALL, 2 * BLOCK));
        let mut other = body(&file, 4 * BLOCK, &blocks);
        assert_eq!(take(&mut other).await, (SMALL, 2 * BLOCK));
        kept.drain(..2);
        assert_eq!(blocks.held(), 0);
        assert_eq!(other.frame().await.unwrap().unwrap().into_data().unwrap().len(), BLOCK);
        assert_eq!(blocks.held(), 0, "what is sent at once makes room at once");
        drop((large, other));
        assert_eq!(blocks.held(), 0);
    }

    #[tokio::test]
    async fn many_that_are_stalled_stay_within_the_bound() {
        // Of which blocks may have four.
        let blocks = Arc::new(Blocks::new(6 * BLOCK));
        let file = file(4 * BLOCK);
        let mut stalled = Vec::new();
        for _ in 0..100 {
            let mut body = body(&file, 4 * BLOCK, &blocks);
            let frame = body.frame().await.unwrap().unwrap();
            stalled.push((frame.into_data().unwrap(), body));
            assert!(blocks.held() <= 4 * BLOCK);
        }
        let held: usize = stalled.iter().map(|(data, _)| data.len()).sum();
        assert_eq!(held, 4 * BLOCK + 96 * SMALL);
    }

    #[tokio::test]
    async fn reads_nothing_ahead() {
        let (_file, mut body) = fixture(6 * BLOCK, 6 * BLOCK);
        let blocks = Arc::clone(&body.blocks);
        for _ in 0..6 {
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), BLOCK);
            assert_eq!(blocks.held(), 0);
        }
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_truncated_file_ends_the_body_with_an_error() {
        let (file, mut body) = fixture(4 * BLOCK, 4 * BLOCK);
        file.set_len(2 * BLOCK as u64 + 1).unwrap();
        let mut sent = 0;
        let error = loop {
            match body.frame().await.unwrap() {
                Ok(frame) => sent += frame.into_data().unwrap().len(),
                Err(error) => break error,
            }
        };
        assert!(sent <= 2 * BLOCK + 1);
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(body.frame().await.is_none());
    }
}
