//! The content of a file as a response body: large blocks, read on the blocking pool, one block ahead at most.

use std::fs::File;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

/// How much is read at once, in bytes. A body holds one such block while the one before it is being sent.
pub(super) const BLOCK: usize = 128 * 1024;

/// Exactly as many bytes of a file as its head has announced.
///
/// A file that has grown in the meantime is cut there. One that has been truncated ends the body with an error, so
/// that the connection is cut short and the client sees that the response is incomplete (RFC 9112, section 8).
pub(super) struct FileBody {
    /// Bytes that have not been handed out yet, a block that is in hand or being read included.
    remaining: u64,
    state: State,
}

enum State {
    Ready(File, Bytes),
    Reading(JoinHandle<io::Result<(File, Bytes)>>),
    Done,
}

impl FileBody {
    /// Takes the file with its first block, as [`read_block`] has read it from a file of `length` bytes.
    pub(super) fn new(file: File, first: Bytes, length: u64) -> Self {
        Self { remaining: length, state: State::Ready(file, first) }
    }

    fn advance(&mut self, file: File, block: Bytes) -> Bytes {
        self.remaining = self.remaining.saturating_sub(block.len() as u64);
        let remaining = self.remaining;
        if remaining > 0 {
            self.state = State::Reading(spawn_blocking(move || {
                let block = read_block(&file, remaining)?;
                Ok((file, block))
            }));
        }
        block
    }
}

/// Reads the next block of a file of which `remaining` bytes are left. Blocks.
pub(super) fn read_block(mut file: &File, remaining: u64) -> io::Result<Bytes> {
    let length = usize::try_from(remaining).map_or(BLOCK, |remaining| remaining.min(BLOCK));
    let mut block = vec![0; length];
    file.read_exact(&mut block).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the file was truncated while it was sent"),
        _ => error,
    })?;
    Ok(block.into())
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let read = match &mut self.state {
            State::Reading(reading) => ready!(Pin::new(reading).poll(cx)).unwrap_or_else(|error| Err(error.into())),
            state => match std::mem::replace(state, State::Done) {
                State::Ready(file, block) => Ok((file, block)),
                _ => return Poll::Ready(None),
            },
        };
        self.state = State::Done;
        Poll::Ready(Some(match read {
            Ok((file, block)) => Ok(Frame::data(self.advance(file, block))),
            Err(error) => {
                tracing::warn!(%error, remaining = self.remaining, "a file could not be sent to its end");
                Err(error)
            }
        }))
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
    use std::io::{Seek, Write};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http_body_util::BodyExt;

    use super::*;

    /// A file without a name that holds `length` bytes, and a body that has announced `announced`.
    fn fixture(length: usize, announced: usize) -> (File, FileBody) {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rikki-body-{}-{count}", std::process::id()));
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write_all(&content(length)).unwrap();
        file.rewind().unwrap();
        let first = read_block(&file, announced as u64).unwrap();
        (file.try_clone().unwrap(), FileBody::new(file, first, announced as u64))
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
    async fn reads_one_block_ahead_at_most() {
        let (mut file, mut body) = fixture(6 * BLOCK, 6 * BLOCK);
        for taken in 1..=6 {
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), BLOCK);
            // The two handles share their position.
            assert!(file.stream_position().unwrap() <= (taken + 1) * BLOCK as u64);
        }
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_truncated_file_ends_the_body_with_an_error() {
        let (file, mut body) = fixture(4 * BLOCK, 4 * BLOCK);
        file.set_len(2 * BLOCK as u64 + 1).unwrap();
        for _ in 0..2 {
            assert!(body.frame().await.unwrap().is_ok());
        }
        assert_eq!(body.frame().await.unwrap().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(body.frame().await.is_none());
    }
}
