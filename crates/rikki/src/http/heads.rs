//! How long a client of HTTP/2 may take for a frame that carries no body, and for all frames of a request head: hyper
//! has no deadline for them, and until they have come it reads nothing else.
//!
//! Frames are passed over here, not read: lengths, kinds and one flag are all that is looked at
//! ([RFC 9113 section 4.1](https://www.rfc-editor.org/rfc/rfc9113#section-4.1)).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::turn::READ;

/// The length of `PRI * HTTP/2.0` and what follows ([section 3.4](https://www.rfc-editor.org/rfc/rfc9113#section-3.4)).
const PREFACE: usize = 24;

const HEADER: usize = 9;

/// Kinds of frames, and the flag that says that a head ends with this one ([section
/// 6](https://www.rfc-editor.org/rfc/rfc9113#section-6)).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// A place in the bytes of a client.
#[derive(Debug)]
struct Place {
    /// How much of the preface or of the frame's payload is to come.
    left: usize,
    /// What has come of the header of the next frame.
    header: [u8; HEADER],
    filled: usize,
    /// Whether the payload is that of a body.
    is_body: bool,
    /// Whether frames of a head are to come.
    is_in_head: bool,
}

impl Place {
    fn start() -> Self {
        Self { left: PREFACE, header: [0; HEADER], filled: 0, is_body: false, is_in_head: false }
    }

    /// Passes over bytes; says whether anything ended in them.
    fn pass(&mut self, mut bytes: &[u8]) -> bool {
        let mut ended = false;
        while !bytes.is_empty() {
            let passed = self.left.min(bytes.len());
            self.left -= passed;
            bytes = bytes.get(passed..).unwrap_or_default();
            for byte in bytes.iter().take(if self.left == 0 { HEADER - self.filled } else { 0 }) {
                if let Some(place) = self.header.get_mut(self.filled) {
                    *place = *byte;
                }
                self.filled += 1;
                bytes = bytes.get(1..).unwrap_or_default();
            }
            if self.filled == HEADER {
                self.enter();
            }
            ended |= !self.is_unfinished();
        }
        ended
    }

    /// Enters the frame whose header has come.
    fn enter(&mut self) {
        let [high, middle, low, kind, flags, ..] = self.header;
        self.left = u32::from_be_bytes([0, high, middle, low]) as usize;
        self.filled = 0;
        self.is_body = kind == DATA;
        match kind {
            HEADERS | CONTINUATION => self.is_in_head = flags & END_HEADERS == 0,
            _ => {}
        }
    }

    fn is_unfinished(&self) -> bool {
        self.filled > 0 || self.is_in_head || (self.left > 0 && !self.is_body)
    }
}

/// A stream on which reading fails if something is unfinished for too long.
#[derive(Debug)]
pub(super) struct HeadIo<I> {
    io: I,
    timeout: Duration,
    place: Place,
    /// For what is unfinished.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<I> HeadIo<I> {
    pub(super) fn new(io: I, timeout: Duration) -> Self {
        Self { io, timeout, place: Place::start(), alarm: None }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for HeadIo<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { io, timeout, place, alarm } = self.get_mut();
        // hyper would take more at once than a turn is long.
        let length = buffer.remaining().min(READ);
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(length));
        if let Poll::Ready(read) = Pin::new(io).poll_read(cx, &mut part) {
            if place.pass(part.filled()) {
                *alarm = None;
            }
            let length = part.filled().len();
            buffer.advance(length);
            return Poll::Ready(read);
        }
        if !place.is_unfinished() {
            return Poll::Pending;
        }
        ready!(alarm.get_or_insert_with(|| Box::pin(sleep(*timeout))).as_mut().poll(cx));
        let text = "the client takes too long for the head of a request, or for another frame";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for HeadIo<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize, kind: u8, flags: u8) -> Vec<u8> {
        let [_, length @ ..] = (length as u32).to_be_bytes();
        [
            &length[..],
            &[kind, flags, 0, 0, 0, 1],
            &vec![0; u32::from_be_bytes([0, length[0], length[1], length[2]]) as usize],
        ]
        .concat()
    }

    /// Whether something is unfinished after the preface and `bytes`, however they are cut.
    #[track_caller]
    fn check(bytes: &[u8], unfinished: bool) {
        let all = [&[0; PREFACE][..], bytes].concat();
        for cut in 0..=all.len() {
            let mut place = Place::start();
            let (first, second) = all.split_at(cut);
            place.pass(first);
            place.pass(second);
            assert_eq!(place.is_unfinished(), unfinished, "{} bytes cut at {cut}", all.len());
        }
    }

    #[test]
    fn heads_and_frames_that_are_not_whole() {
        const SETTINGS: u8 = 4;
        let settings = frame(0, SETTINGS, 0);
        check(b"", false);
        check(&settings, false);
        check(&settings[..1], true);
        check(&settings[..8], true);
        check(&frame(12, SETTINGS, 0), false);
        check(&frame(12, SETTINGS, 0)[..20], true);
        check(&frame(10, HEADERS, END_HEADERS), false);
        check(&frame(10, HEADERS, 0), true);
        check(&frame(0, HEADERS, 0), true);
        check(&[frame(10, HEADERS, 0), frame(5, CONTINUATION, 0)].concat(), true);
        check(&[frame(10, HEADERS, 0), frame(5, CONTINUATION, END_HEADERS)].concat(), false);
        check(&[frame(10, HEADERS, 0), frame(5, CONTINUATION, END_HEADERS)].concat()[..30], true);
        // How long bodies may take is judged elsewhere.
        check(&frame(100, DATA, 0), false);
        check(&frame(100, DATA, 0)[..50], false);
    }
}
