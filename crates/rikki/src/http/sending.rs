//! Files that the system sends, on plain TCP and HTTP/1: what hyper writes stands for pieces of them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};

use axum::response::Response;
use rikki_files::internal::{Pieces, Sendable, out_of_step};
use rustix::net::SendFlags;
use tokio::io::{AsyncWrite, Interest};
use tokio::net::TcpStream;

use super::watch::Socket;

/// What a connection has the system send; nothing on any other than plain TCP.
#[derive(Clone, Debug, Default)]
pub(super) struct Sending(Option<Pieces>);

impl Sending {
    pub(super) fn on<S: Socket>(socket: S) -> (S, Self) {
        let pieces = socket.tcp().filter(|_| *IS_HARMLESS).map(|_| Pieces::default());
        (socket, Self(pieces))
    }

    /// Has the content of an answer sent by the system, if it is a file and nothing comes between it and hyper.
    pub(super) fn take_on(&self, response: &mut Response) {
        if let Self(Some(pieces)) = self {
            Sendable::send_by(pieces, response);
        }
    }

    pub(super) fn poll_write<I: AsyncWrite + Unpin>(
        &self,
        io: &mut I,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // hyper writes so what it has copied: if pieces are to be sent, then so is what stands for them.
        if self.0.as_ref().is_some_and(|pieces| !pieces.is_empty()) {
            return Poll::Ready(Err(out_of_step()));
        }
        Pin::new(io).poll_write(cx, bytes)
    }

    /// Writes what comes first: bytes as they are, or the piece that they stand for.
    pub(super) fn poll_write_vectored<I: AsyncWrite + Socket + Unpin>(
        &self,
        io: &mut I,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self(Some(pieces)) = self else { return Pin::new(io).poll_write_vectored(cx, slices) };
        let bytes = match pieces.in_front(slices)? {
            all if all == slices.len() => return Pin::new(io).poll_write_vectored(cx, slices),
            in_front => slices.get(..in_front).unwrap_or_default(),
        };
        let Some(tcp) = io.tcp() else { return Poll::Ready(Err(out_of_step())) };
        match bytes {
            // A head, say: it goes into one packet with what follows at once.
            [head] if !head.is_empty() => {
                let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
                poll_when_writable(tcp, cx, || Ok(rustix::net::send(tcp, head, flags)?))
            }
            bytes if bytes.iter().any(|bytes| !bytes.is_empty()) => Pin::new(io).poll_write_vectored(cx, bytes),
            _ => poll_when_writable(tcp, cx, || pieces.send(tcp)),
        }
    }
}

fn poll_when_writable(
    tcp: &TcpStream,
    cx: &mut Context<'_>,
    mut write: impl FnMut() -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(tcp.poll_write_ready(cx))?;
        match tcp.try_io(Interest::WRITABLE, &mut write) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            written => return Poll::Ready(written),
        }
    }
}

/// Whether a client that is gone is no more than an error. A program may let the signal of a broken pipe end it, which
/// this way of sending, unlike others, cannot keep the system from giving. Programs in Rust ignore it unless they do
/// something about that.
static IS_HARMLESS: LazyLock<bool> =
    LazyLock::new(|| std::fs::read_to_string("/proc/self/status").is_ok_and(|status| does_not_end_by_signal(&status)));

/// Reads the masks of [proc(5)](https://man7.org/linux/man-pages/man5/proc_pid_status.5.html): signals that are ignored,
/// and those that are caught.
fn does_not_end_by_signal(status: &str) -> bool {
    const SIGPIPE: u32 = 13;
    let masks = status.lines().filter_map(|line| line.strip_prefix("SigIgn:").or_else(|| line.strip_prefix("SigCgt:")));
    masks.filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok()).any(|mask| mask & (1 << (SIGPIPE - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::Duration;

    use axum::body::Body;
    use bytes::Bytes;
    use http_body::Frame;
    use hyper::body::Incoming;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use proptest::prelude::*;
    use rikki_files::Files;
    use rikki_files::internal::Place;
    use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
    use tokio::net::TcpListener;

    use super::*;
    use crate::http::idle::Waiting;
    use crate::http::pace::{MinRate, PacedIo};
    use crate::net::Stream;

    #[test]
    fn the_signal_of_a_broken_pipe_is_looked_for() {
        let check = |status: &str, expected: bool| assert_eq!(does_not_end_by_signal(status), expected, "{status}");
        check("SigBlk:\t0000000000001000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000440\n", false);
        check("SigIgn:\t0000000000001000\nSigCgt:\t0000000000000000\n", true);
        check("SigIgn:\t0000000000000000\nSigCgt:\t0000000000001440\n", true);
        check("", false);
        assert!(*IS_HARMLESS, "as in any test");
    }

    /// What somebody does to a body that stands for pieces of a file, or to what is written.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Abuse {
        None,
        Copy,
        /// Cuts each frame there.
        Split(usize),
        /// Leaves out the beginning, or the end.
        Advance(usize),
        Truncate(usize),
        /// Sends each frame twice.
        Twice,
        /// Takes a frame and sends none of it.
        Drop,
        /// The stream copies all that is written into one buffer.
        Flatten,
        /// The stream passes on so many slices at a time.
        Slices(usize),
        /// The stream cuts the last slice to so many bytes.
        Cut(usize),
    }

    fn abuses() -> impl Strategy<Value = Abuse> {
        let length = || 1..200_000_usize;
        prop_oneof![
            3 => Just(Abuse::None),
            1 => Just(Abuse::Copy),
            1 => length().prop_map(Abuse::Split),
            1 => length().prop_map(Abuse::Advance),
            1 => length().prop_map(Abuse::Truncate),
            1 => Just(Abuse::Twice),
            1 => Just(Abuse::Drop),
            1 => Just(Abuse::Flatten),
            1 => (1..3_usize).prop_map(Abuse::Slices),
            1 => length().prop_map(Abuse::Cut),
        ]
    }

    /// A file, of whose bytes none is 0 as those of the region are.
    struct Folder(PathBuf);

    const LENGTH: usize = 700_000;

    fn content() -> Vec<u8> {
        (0..LENGTH).map(|index| (index % 251) as u8 + 1).collect()
    }

    impl Folder {
        fn new() -> Self {
            // On a disk, which the folder for temporary files may not be.
            let path = std::env::current_exe().unwrap().with_extension(format!("{}.files", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join("file"), content()).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn abused(body: Body, abuse: Abuse) -> Body {
        use futures_util::{StreamExt as _, stream};
        let pieces = move |bytes: Bytes| -> Vec<Bytes> {
            let at = |length: usize| length.min(bytes.len());
            match abuse {
                Abuse::Copy => vec![Bytes::copy_from_slice(&bytes)],
                Abuse::Split(length) => vec![bytes.slice(..at(length)), bytes.slice(at(length)..)],
                Abuse::Advance(length) => vec![bytes.slice(at(length)..)],
                Abuse::Truncate(length) => vec![bytes.slice(..at(length))],
                Abuse::Twice => vec![bytes.clone(), bytes],
                Abuse::Drop => Vec::new(),
                _ => vec![bytes],
            }
        };
        let frames = body.into_data_stream().flat_map(move |bytes| stream::iter(bytes.map(pieces).unwrap()));
        Body::new(http_body_util::StreamBody::new(frames.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)))))
    }

    /// What is between hyper and the stream of a connection.
    struct Between(PacedIo<Stream>, Abuse);

    impl AsyncRead for Between {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, into)
        }
    }

    impl AsyncWrite for Between {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, bytes)
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let mut slices = slices.to_vec();
            match self.1 {
                Abuse::Slices(most) => slices.truncate(most),
                Abuse::Cut(length) => {
                    let last = slices.pop().unwrap();
                    let cut = last.len().min(length);
                    slices.push(IoSlice::new(&last[..cut]));
                    return Pin::new(&mut self.0).poll_write_vectored(cx, &slices);
                }
                _ => {}
            }
            Pin::new(&mut self.0).poll_write_vectored(cx, &slices)
        }

        fn is_write_vectored(&self) -> bool {
            self.1 != Abuse::Flatten
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    /// All that a client receives that asks for the file twice on a connection, with so little room in between.
    async fn received(files: Files, abuse: Abuse, room: u32) -> Vec<u8> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(room).unwrap();
        let mut client = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        let (tcp, _) = listener.accept().await.unwrap();
        socket2::SockRef::from(&tcp).set_send_buffer_size(room as usize).unwrap();
        let (stream, sending) = Sending::on(Stream::Tcp(tcp));
        let rate = MinRate { window: Duration::from_secs(20), bytes_per_second: 500 };
        let hour = Duration::from_secs(3600);
        let waiting = Waiting::new(&Arc::default(), false, hour, hour, sending.clone());
        let io = PacedIo::new(stream, rate, Arc::default()).telling(waiting.reading());
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            let (files, sending) = (files.clone(), sending.clone());
            async move {
                let place = Place::of_server(&mut request);
                let mut response = files.respond_at(request, place, true).await;
                sending.take_on(&mut response);
                Ok::<_, Infallible>(match abuse {
                    Abuse::None | Abuse::Flatten | Abuse::Slices(_) | Abuse::Cut(_) => response,
                    _ => response.map(|body| abused(body, abuse)),
                })
            }
        });
        let served = http1::Builder::new().serve_connection(TokioIo::new(Between(io, abuse)), service);
        let asked = async {
            let request = "GET /file HTTP/1.1\r\nHost: localhost\r\n";
            client.write_all(format!("{request}\r\n{request}Connection: close\r\n\r\n").as_bytes()).await.unwrap();
            let mut received = Vec::new();
            // An end that is a reset is one too.
            let _ = client.read_to_end(&mut received).await;
            received
        };
        tokio::join!(served, asked).1
    }

    /// Whatever is done to what stands for pieces, a client gets the file, or a part of it and then the end.
    #[test]
    fn nobody_receives_what_stands_for_a_piece() {
        let folder = Folder::new();
        let files = Files::new(&folder.0).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let content = content();
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(96));
        let cases = (abuses(), prop_oneof![Just(32 * 1024_u32), Just(1 << 20)]);
        let check = |(abuse, room): (Abuse, u32)| {
            let received = runtime.block_on(received(files.clone(), abuse, room));
            prop_assert!(!received.contains(&0), "bytes of the region after {} others", received.len());
            let mut rest = &received[..];
            let mut whole = 0;
            while let Some(at) = rest.windows(4).position(|window| window == b"\r\n\r\n") {
                prop_assert!(rest.starts_with(b"HTTP/1.1 200 OK\r\n"));
                let body = &rest[at + 4..];
                let length = body.len().min(LENGTH);
                prop_assert!(body[..length] == content[..length], "another body");
                whole += usize::from(length == LENGTH);
                rest = &body[length..];
            }
            let expected = match abuse {
                Abuse::None => Some(2),
                Abuse::Copy | Abuse::Drop | Abuse::Twice | Abuse::Flatten => Some(0),
                // It may be a change and none, such as a cut at the end.
                _ => None,
            };
            prop_assert_eq!(whole, expected.unwrap_or(whole), "whole answers");
            Ok(())
        };
        runner.run(&cases, check).unwrap();
    }
}
