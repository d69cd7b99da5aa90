//! Pieces of files that a server has the system send, from the page cache and without reading them.
//!
//! HTTP puts together what is sent, and knows of bytes in memory alone. So it is given bytes that stand for a piece:
//! those of one region, which nobody reads or writes. [`Pieces`] knows what they stand for on one connection, and
//! whoever writes to its socket finds them by their address. Whatever has come of them on the way, none of them is
//! sent: what is to be written has to hold all that stands for a piece, in its order, and nothing else of the region.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use super::body::Open;
use axum::body::Body;
use bytes::Bytes;
use http::Response;
#[cfg(target_os = "linux")]
use rikki_limits::Seldom;

/// The longest piece, in bytes. It is what the system reads ahead of a file by default, so if its first and last byte
/// are in memory, the others nearly always are.
const MOST: usize = 128 * 1024;

/// Addresses, and no memory: nothing there is touched.
static REGION: LazyLock<&'static [u8]> = LazyLock::new(|| Vec::leak(vec![0; MOST]));

/// The length of the next piece of so many bytes.
pub(super) fn first_of(remaining: u64) -> usize {
    usize::try_from(remaining).map_or(MOST, |remaining| remaining.min(MOST))
}

/// What one connection has the system send, in order.
#[derive(Clone, Debug, Default)]
pub struct Pieces(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    pieces: VecDeque<Piece>,
    /// Whether the system has refused to send a file.
    refused: bool,
}

#[derive(Debug)]
struct Piece {
    open: Arc<Open>,
    offset: u64,
    left: usize,
}

impl Pieces {
    /// Bytes that stand for the next piece of a file, of a length that [`first_of`] has told.
    pub(super) fn add(&self, open: &Arc<Open>, offset: u64, length: usize) -> Bytes {
        let stands_for = REGION.get(..length).unwrap_or(*REGION);
        self.lock().pieces.push_back(Piece { open: Arc::clone(open), offset, left: stands_for.len() });
        Bytes::from_static(stands_for)
    }

    /// How many of `slices`, the first ones, are bytes to be written as they are. What follows them stands for the next
    /// piece.
    ///
    /// # Errors
    ///
    /// When `slices` are not all that is to be written, or somebody has copied what stands for a piece.
    pub fn in_front(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let queue = self.lock();
        let in_front = slices.iter().position(|slice| stands_for_piece(slice)).unwrap_or(slices.len());
        let stand_for = slices.iter().skip(in_front).filter(|slice| stands_for_piece(slice)).map(|slice| slice.len());
        match stand_for.eq(queue.pieces.iter().map(|piece| piece.left)) {
            true => Ok(in_front),
            false => Err(out_of_step()),
        }
    }

    /// Whether nothing is to be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().pieces.is_empty()
    }

    /// Has the system send of the next piece, and tells how much it has.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] if the socket takes nothing now, [`io::ErrorKind::UnexpectedEof`] if the file was
    /// truncated.
    #[cfg(target_os = "linux")]
    pub fn send(&self, socket: impl rustix::fd::AsFd) -> io::Result<usize> {
        let Queue { pieces, refused } = &mut *self.lock();
        let Some(piece) = pieces.front_mut() else { return Err(out_of_step()) };
        let sent = piece.send(socket, refused)?;
        piece.left = piece.left.saturating_sub(sent);
        if sent == 0 {
            static LINES: Seldom = Seldom::new();
            let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the file was truncated while it was sent");
            if let Some(left_out) = LINES.turn(()) {
                tracing::warn!(%error, left_out, "a file could not be sent to its end");
            }
            return Err(error);
        }
        if piece.left == 0 {
            pieces.pop_front();
        }
        Ok(sent)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(target_os = "linux")]
impl Piece {
    /// Sends of the piece, and tells how much; nothing at the end of the file.
    fn send(&mut self, socket: impl rustix::fd::AsFd, refused: &mut bool) -> io::Result<usize> {
        use std::os::unix::fs::FileExt as _;

        use rustix::io::Errno;
        let file = &*self.open.file;
        match rustix::fs::sendfile(&socket, file, Some(&mut self.offset), self.left) {
            // The file system does not have it, or a sandbox does not know it. What is in the queue has to be sent.
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM | Errno::OPNOTSUPP) => *refused = true,
            sent => return Ok(sent?),
        }
        let mut copied = vec![0; self.left.min(COPIED)];
        let read = file.read_at(&mut copied, self.offset)?;
        let Some(copied) = copied.get(..read).filter(|copied| !copied.is_empty()) else { return Ok(0) };
        let sent = rustix::io::write(&socket, copied)?;
        self.offset = self.offset.saturating_add(sent as u64);
        Ok(sent)
    }
}

/// How much is read at once where the system does not send, in bytes.
#[cfg(target_os = "linux")]
const COPIED: usize = 16 * 1024;

/// Said before anything is written, since what is written might be bytes of the region.
#[cold]
pub fn out_of_step() -> io::Error {
    io::Error::other("what stands for a piece of a file is not where it belongs")
}

fn stands_for_piece(slice: &[u8]) -> bool {
    !slice.is_empty() && REGION.as_ptr_range().contains(&slice.as_ptr())
}

/// Goes with an answer whose body may stand for pieces, once it is told for which connection. Without that it has the
/// bytes of the file.
#[derive(Clone, Debug, Default)]
pub struct Sendable(Arc<OnceLock<Pieces>>);

impl Sendable {
    /// Has the body of `response`, which nobody but its connection will look at, stand for pieces, if it may.
    pub fn send_by(pieces: &Pieces, response: &mut Response<Body>) {
        if let Some(Self(told)) = response.extensions_mut().remove() {
            // It is told once.
            let _ = told.set(pieces.clone());
        }
    }

    /// Where pieces are to be added, if they are.
    pub(super) fn pieces(&self) -> Option<&Pieces> {
        self.0.get().filter(|pieces| !pieces.lock().refused)
    }
}
