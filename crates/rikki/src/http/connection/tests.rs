//! A connection on streams in memory.

use std::io;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body::Frame;
use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};

use super::*;
use crate::http::serving::AHEAD;
use crate::http::{Draining, Site, draining};

fn connection(router: Router, draining: Draining) -> Connection {
    let site = Site::empty(draining).refusing(router);
    Connection::new(Arc::new(site), ConnectionId::next(), Peer::Unix, Tracker::default(), false)
}

/// In bytes; every connection keeps room for this as long as it lasts.
#[tokio::test]
async fn an_answer_under_way_has_no_room_for_the_request() {
    fn size_of_future<A, F>(_: impl Fn(A) -> F) -> usize {
        size_of::<F>()
    }
    let (_server, draining) = draining();
    let connection = connection(Router::new(), draining);
    let size = size_of_future(|request| connection.answer(request, None));
    assert!(size <= 448, "{size} bytes");
}

/// A stream that gives one byte a read.
struct Dribble {
    bytes: std::vec::IntoIter<u8>,
    waits: bool,
}

impl AsyncRead for Dribble {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Every other read has to wait, so that each byte is looked at before the next one is there.
        self.waits = !self.waits;
        if self.waits {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        buffer.put_slice(self.bytes.next().as_slice());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Dribble {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Socket for Dribble {}

/// The CPU time of this thread that a head of `length` bytes takes, one byte a read.
async fn cost_of_head(length: usize) -> Duration {
    let filler = "x".repeat(length - 60);
    let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Filler: {filler}\r\n\r\n");
    let stream = Dribble { bytes: head.into_bytes().into_iter(), waits: false };
    let asked = Arc::new(AtomicBool::new(false));
    let router = Router::new().fallback({
        let asked = asked.clone();
        move || async move { asked.store(true, Relaxed) }
    });
    let (_server, draining) = draining();
    let connection = connection(router, draining);
    let before = clock_gettime(ClockId::ThreadCPUTime);
    connection.serve_http1(stream).await;
    let after = clock_gettime(ClockId::ThreadCPUTime);
    assert!(asked.load(Relaxed), "the head was whole");
    Duration::try_from(after).unwrap() - Duration::try_from(before).unwrap()
}

/// Parsing all that is there anew with each byte was CVE-2023-43669.
#[tokio::test]
async fn a_dribbling_head_costs_in_proportion_to_its_length() {
    let mut least = [Duration::MAX; 2];
    for _ in 0..3 {
        least[0] = least[0].min(cost_of_head(2 * 1024).await);
        least[1] = least[1].min(cost_of_head(16 * 1024).await);
    }
    // Eight times the bytes: a factor of 8 if it is linear, of 64 if it is quadratic.
    assert!(least[1] < least[0] * 24, "2 KiB took {:?}, 16 KiB {:?}", least[0], least[1]);
}

#[tokio::test]
async fn who_has_made_room_is_not_answered_by_the_application() {
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (_server, draining) = draining();
    let mut connection = connection(Router::new().fallback(async || "answered"), draining);
    connection.has_place = true;
    let serving = connection.serving.clone();
    let (mut client, stream) = tokio::io::duplex(1024);
    let mut served = Box::pin(connection.serve_http1(stream));
    client.write_all(REQUEST).await.unwrap();
    assert!((&mut served).now_or_never().is_none());
    client.write_all(REQUEST).await.unwrap();
    assert!(serving.send_idle_away(), "it idles");
    let mut answers = String::new();
    let read = async { client.read_to_string(&mut answers).await.unwrap() };
    tokio::join!(served, read);
    let told = answers.split("HTTP/1.1 ").map(|answer| answer.get(..3).unwrap_or_default()).collect::<Vec<_>>();
    assert_eq!(told, ["", "200", "503"], "{answers}");
    assert!(answers.contains("connection: close\r\n"), "{answers}");
}

const BLOCK: usize = 128 * 1024;

/// A body without end, in blocks as those of files.
struct Endless(Arc<AtomicUsize>);

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.fetch_add(BLOCK, Relaxed);
        Poll::Ready(Some(Ok(Frame::data(vec![0; BLOCK].into()))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_holds_little() {
    let taken = Arc::new(AtomicUsize::new(0));
    let router = Router::new().fallback({
        let taken = taken.clone();
        move || async move { Body::new(Endless(taken)) }
    });
    let (mut client, stream) = tokio::io::duplex(1024);
    client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let (_server, draining) = draining();
    let served = connection(router, draining).serve_http1(stream);
    // The clock goes on when there is nothing else to do.
    assert!(tokio::time::timeout(Duration::from_secs(1), served).await.is_err());
    let taken = taken.load(Relaxed);
    assert!((1..=AHEAD + BLOCK).contains(&taken), "{taken} bytes");
}
