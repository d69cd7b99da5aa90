//! A byte stream that keeps what goes through it, so that a test sees the frames below an implementation.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Their end of a connection.
pub(super) struct Tap {
    stream: Box<dyn Duplex>,
    log: Log,
}

/// What went through a [`Tap`].
#[derive(Clone, Default)]
pub(super) struct Log {
    read: Arc<Mutex<Vec<u8>>>,
    written: Arc<Mutex<Vec<u8>>>,
}

/// A frame, unmasked: its first byte and its payload.
#[derive(Debug, PartialEq)]
pub(super) struct Frame {
    pub(super) first: u8,
    pub(super) payload: Vec<u8>,
}

impl Tap {
    pub(super) fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> (Self, Log) {
        let log = Log::default();
        (Self { stream: Box::new(stream), log: log.clone() }, log)
    }
}

impl Log {
    /// The frames that we have sent, as far as the peer has read them.
    pub(super) fn ours(&self) -> Vec<Frame> {
        frames(&self.read.lock().unwrap())
    }

    /// The frames that the peer has sent.
    pub(super) fn theirs(&self) -> Vec<Frame> {
        frames(&self.written.lock().unwrap())
    }
}

/// The whole frames behind the head of a handshake.
fn frames(bytes: &[u8]) -> Vec<Frame> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("the head of a handshake") + 4;
    let mut rest = &bytes[head..];
    let mut frames = Vec::new();
    while let Some((frame, after)) = parse(rest) {
        frames.push(frame);
        rest = after;
    }
    frames
}

fn parse(bytes: &[u8]) -> Option<(Frame, &[u8])> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match second & 0x7f {
        126 => rest.split_first_chunk().map(|(length, rest)| (u16::from_be_bytes(*length).into(), rest))?,
        127 => rest.split_first_chunk().map(|(length, rest)| (u64::from_be_bytes(*length), rest))?,
        short => (short.into(), rest),
    };
    let (key, rest) = if second & 0x80 == 0 { (&[0; 4], rest) } else { rest.split_first_chunk()? };
    let (payload, rest) = rest.split_at_checked(length.try_into().unwrap())?;
    let payload = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    Some((Frame { first, payload }, rest))
}

impl AsyncRead for Tap {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.log.read.lock().unwrap().extend_from_slice(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let length = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.log.written.lock().unwrap().extend_from_slice(&bytes[..length]);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
