//! Memory for HTTP/2: what its streams cost, and what they have given to be sent and is not written yet, counted for
//! each connection and in all.
//!
//! hyper takes up to 64 KiB ahead for each of 100 streams. Here a piece is given only where there is room for it,
//! whatever the body is of. Where memory is scarce a connection has room for little, one stream after the other; so
//! each goes on, and all of them together hold no more than the limit and that little.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use hyper::body::{Buf, Bytes};
use rikki_limits::{Budget, Share};

/// What a connection may hold, in bytes, beside one piece of each stream: more than a socket takes at once.
const OF_CONNECTION: usize = 256 * 1024;

/// How much a connection may have to send where memory is scarce, in bytes.
const OF_CONNECTION_WHEN_SCARCE: usize = 16 * 1024;

/// The least that is given at once then, in bytes: frames of a few bytes cost more than they bring.
const LEAST: usize = 4 * 1024;

/// What the streams of a connection have given.
#[derive(Debug)]
pub(super) struct Outgoing {
    memory: Arc<Budget>,
    held: AtomicUsize,
    /// Streams that wait for room.
    waiting: Mutex<VecDeque<Waker>>,
}

impl Outgoing {
    pub(super) fn new(memory: Arc<Budget>) -> Self {
        Self { memory, held: AtomicUsize::new(0), waiting: Mutex::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.load(Relaxed) == 0
    }

    fn give_back(&self, bytes: usize) {
        let held = self.held.fetch_sub(bytes, Relaxed) - bytes;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // One that is woken and gone wakes no other: at the latest when nothing is held all of them look again.
        let woken = if held == 0 { waiting.len() } else { 1.min(waiting.len()) };
        let woken: Vec<Waker> = waiting.drain(..woken).collect();
        drop(waiting);
        woken.into_iter().for_each(Waker::wake);
    }
}

/// What one stream has given.
#[derive(Debug)]
pub(super) struct Given {
    outgoing: Arc<Outgoing>,
    held: AtomicUsize,
}

impl Given {
    pub(super) fn new(outgoing: Arc<Outgoing>) -> Self {
        Self { outgoing, held: AtomicUsize::new(0) }
    }

    /// How long the next piece may be, in bytes, when there is room for it.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>, longest: usize) -> Poll<usize> {
        if let Some(room) = self.room(longest) {
            return Poll::Ready(room);
        }
        let mut waiting = self.outgoing.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have been made before the lock was held.
        if let Some(room) = self.room(longest) {
            return Poll::Ready(room);
        }
        if !waiting.iter().any(|other| other.will_wake(cx.waker())) {
            waiting.push_back(cx.waker().clone());
        }
        Poll::Pending
    }

    fn room(&self, longest: usize) -> Option<usize> {
        let held = self.outgoing.held.load(Relaxed);
        if self.outgoing.memory.is_spent() {
            let room = OF_CONNECTION_WHEN_SCARCE.saturating_sub(held).min(longest);
            return Some(room).filter(|room| *room >= LEAST);
        }
        // A stream of which the client takes nothing must not keep others from theirs.
        (held + longest <= OF_CONNECTION || self.held.load(Relaxed) == 0).then_some(longest)
    }

    /// Counts a piece until it has been written.
    pub(super) fn piece(self: &Arc<Self>, bytes: Bytes) -> Piece {
        let counted = bytes.len();
        for held in [&self.held, &self.outgoing.held] {
            held.fetch_add(counted, Relaxed);
        }
        let mut share = self.outgoing.memory.share();
        share.set(counted);
        Piece { bytes, share, given: self.clone() }
    }
}

/// A part of a body.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    share: Share,
    given: Arc<Given>,
}

impl Drop for Piece {
    fn drop(&mut self) {
        let Self { share, given, .. } = self;
        let counted = share.held();
        given.held.fetch_sub(counted, Relaxed);
        // Before anybody is woken who looks.
        share.set(0);
        given.outgoing.give_back(counted);
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt as _;

    use super::*;

    const PIECE: usize = 16 * 1024;

    fn give(given: &Arc<Given>) -> Option<Piece> {
        let room = poll_fn(|cx| given.poll_room(cx, PIECE)).now_or_never()?;
        Some(given.piece(vec![0; room].into()))
    }

    #[test]
    fn streams_have_what_there_is_room_for() {
        let memory = Arc::new(Budget::new("http2-memory", 1 << 20));
        let outgoing = Arc::new(Outgoing::new(memory.clone()));
        let streams: Vec<_> = (0..100).map(|_| Arc::new(Given::new(outgoing.clone()))).collect();
        // One takes all that there is for a connection; the others have a piece each all the same, as far as memory
        // goes.
        let mut pieces: Vec<Piece> = std::iter::from_fn(|| give(&streams[0])).collect();
        assert_eq!(pieces.len() * PIECE, OF_CONNECTION);
        pieces.extend(streams[1..].iter().filter_map(give));
        assert_eq!(memory.used(), 1 << 20);
        // Then nobody has more, but for a connection that has nothing yet.
        assert!(streams.iter().all(|stream| give(stream).is_none()));
        let other = Arc::new(Given::new(Arc::new(Outgoing::new(memory.clone()))));
        let little: Vec<Piece> = std::iter::from_fn(|| give(&other)).collect();
        assert_eq!(little.iter().map(|piece| piece.share.held()).sum::<usize>(), OF_CONNECTION_WHEN_SCARCE);
        drop((pieces, little));
        assert_eq!((memory.used(), outgoing.is_empty()), (0, true));
        assert!(streams.iter().all(|stream| give(stream).is_some()));
    }

    #[tokio::test]
    async fn whoever_waits_for_room_is_woken() {
        let outgoing = Arc::new(Outgoing::new(Arc::new(Budget::new("http2-memory", 0))));
        let (one, other) = (Arc::new(Given::new(outgoing.clone())), Arc::new(Given::new(outgoing)));
        let piece = give(&one).unwrap();
        let waits = tokio::spawn(async move { poll_fn(|cx| other.poll_room(cx, PIECE)).await });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        drop(piece);
        assert_eq!(waits.await.unwrap(), PIECE);
    }
}
