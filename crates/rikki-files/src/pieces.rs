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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::File;
    use std::path::PathBuf;

    use super::*;

    /// A file that can be read, and one to append to.
    struct Files(PathBuf);

    impl Files {
        fn new(name: &str, content: &[u8]) -> (Self, Arc<Open>, File) {
            let path = std::env::temp_dir().join(format!("rikki-pieces-{name}-{}", std::process::id()));
            std::fs::write(&path, content).unwrap();
            let open = Open { file: Arc::new(File::open(&path).unwrap()), _place: None };
            let copy = path.with_extension("copy");
            let appended = File::options().append(true).create(true).open(&copy).unwrap();
            (Self(path), Arc::new(open), appended)
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
            let _ = std::fs::remove_file(self.0.with_extension("copy"));
        }
    }

    #[test]
    fn what_is_written_has_to_hold_all_that_stands_for_pieces() {
        let (_files, open, _) = Files::new("check", b"content");
        let pieces = Pieces::default();
        let check = |written: &[&[u8]], expected: Option<usize>| {
            let slices: Vec<_> = written.iter().map(|bytes| IoSlice::new(bytes)).collect();
            assert_eq!(
                pieces.in_front(&slices).ok(),
                expected,
                "{:?}",
                slices.iter().map(|s| s.len()).collect::<Vec<_>>()
            );
        };
        check(&[], Some(0));
        check(&[b"head", b"body"], Some(2));
        // Of another connection, or of a piece that has been sent.
        check(&[b"head", REGION.get(..5).unwrap()], None);
        let (first, second) = (pieces.add(&open, 0, 5), pieces.add(&open, 5, 2));
        check(&[b"head", &first, &second], Some(1));
        check(&[&first, b"between", &second, b"end"], Some(0));
        check(&[b"head", b"", &first, b"", &second], Some(2));
        check(&[b"head", &first], None);
        check(&[b"head", &second], None);
        check(&[b"head", &second, &first], None);
        check(&[b"head", &first, &second, &second], None);
        check(&[b"head", &first[1..], &second], None);
        check(&[b"head", &first[..4], &second], None);
        check(&[b"head", &first[..2], &first[2..], &second], None);
        let copied = first.to_vec();
        check(&[b"head", &copied, &second], None);
        check(&[b"head", b"body"], None);
        check(&[], None);
    }

    /// `sendfile` does not append: <https://man7.org/linux/man-pages/man2/sendfile.2.html>.
    #[test]
    fn what_the_system_does_not_send_is_copied() {
        let content: Vec<u8> = (0..3 * COPIED).map(|index| (index % 251) as u8).collect();
        let (files, open, appended) = Files::new("copy", &content);
        let (pieces, sendable) = (Pieces::default(), Sendable::default());
        sendable.0.set(pieces.clone()).unwrap();
        let length = content.len() - 10;
        let stands_for = pieces.add(&open, 3, length);
        assert!(sendable.pieces().is_some());
        let mut sent = 0;
        while !pieces.is_empty() {
            sent += pieces.send(&appended).unwrap();
            assert!(pieces.is_empty() || pieces.in_front(&[IoSlice::new(&stands_for[sent..])]).is_ok());
        }
        assert!(std::fs::read(files.0.with_extension("copy")).unwrap() == content[3..3 + length]);
        assert!(sendable.pieces().is_none(), "what comes then is read");
        // One that ends before.
        pieces.add(&open, content.len() as u64, 1);
        assert_eq!(pieces.send(&appended).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
