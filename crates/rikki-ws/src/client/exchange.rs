//! One HTTP request for a stream, by an upgrade or by CONNECT, and that stream when it was granted.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};

use super::ConnectError;
use crate::stream::Io;

/// What a response head may have, in bytes and in fields.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 100;

/// How much of the text of a refusal is kept, in bytes.
const MAX_REFUSAL: usize = 4 * 1024;

/// How long that text is waited for: the status says more than it does, and must not be lost over it.
const REFUSAL_TIME: Duration = Duration::from_secs(1);

/// A stream that was granted, as it is behind the response.
pub(super) struct Answer<I> {
    pub(super) response: Response<()>,
    pub(super) io: I,
    /// What was read behind the response.
    pub(super) read_ahead: Bytes,
}

/// What a WebSocket begins with.
pub(super) fn is_switching(status: StatusCode) -> bool {
    status == StatusCode::SWITCHING_PROTOCOLS
}

/// Sends `request` and reads the response, which becomes an error if its status is not one that grants the stream.
pub(super) async fn exchange<I: Io>(
    io: I,
    request: Request<Empty<Bytes>>,
    is_granted: fn(StatusCode) -> bool,
) -> Result<Answer<I>, ConnectError> {
    let mut builder = http1::Builder::new();
    builder.max_headers(MAX_HEADERS).max_header_size(MAX_HEAD);
    let io = ReadOn { io, broken: None };
    let (mut sender, connection) = builder.handshake(TokioIo::new(io)).await.map_err(ConnectError::http)?;
    let mut wire = Wire { connection, ended: false };
    let mut sending = pin!(sender.send_request(request));
    let response = poll_fn(|cx| {
        let wire = wire.poll(cx);
        // An answer counts, however the connection goes on.
        match (sending.as_mut().poll(cx), wire) {
            (Poll::Ready(Ok(response)), _) => Poll::Ready(Ok(response)),
            (_, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
            (answer, _) => answer.map_err(ConnectError::http),
        }
    })
    .await;
    let response = match response {
        Ok(response) => response,
        Err(error) => {
            let read = wire.connection.into_parts().read_buf;
            return Err(if read.starts_with(TLS_ALERT) { ConnectError::SpeaksTls } else { error });
        }
    };
    if !is_granted(response.status()) {
        return Err(refusal(&mut wire, response).await);
    }
    poll_fn(|cx| wire.poll(cx)).await?;
    let parts = wire.connection.into_parts();
    Ok(Answer { response: response.map(drop), io: parts.io.into_inner().io, read_ahead: parts.read_buf })
}

/// How the answer of a server begins that expects TLS: <https://www.rfc-editor.org/rfc/rfc8446#section-5.1>.
const TLS_ALERT: &[u8] = &[21, 3];

/// A stream that is read on when nothing can be written to it any more: what the server has said before that, such as
/// an alert of TLS or a refusal, tells more than the failure does.
struct ReadOn<I> {
    io: I,
    broken: Option<io::Error>,
}

impl<I> ReadOn<I> {
    /// What was to be written is gone, which comes to light when there is nothing to read.
    fn keep<T>(&mut self, result: Poll<io::Result<T>>, done: T) -> Poll<io::Result<T>> {
        match result {
            Poll::Ready(Err(error)) => {
                self.broken.get_or_insert(error);
                Poll::Ready(Ok(done))
            }
            other => other,
        }
    }
}

impl<I: Io> AsyncRead for ReadOn<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        match self.broken.take().filter(|_| buffer.filled().len() == before) {
            Some(error) => Poll::Ready(Err(error)),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl<I: Io> AsyncWrite for ReadOn<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.keep(written, bytes.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.keep(flushed, ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// hyper's connection, which has to be polled for anything to move, and not again when it has ended.
struct Wire<I: Io> {
    connection: Connection<TokioIo<ReadOn<I>>, Empty<Bytes>>,
    ended: bool,
}

impl<I: Io> Wire<I> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        let end = ready!(self.connection.poll_without_shutdown(cx));
        self.ended = true;
        Poll::Ready(end.map_err(ConnectError::http))
    }
}

/// What the server said instead of 101, with the beginning of its text.
async fn refusal<I: Io>(wire: &mut Wire<I>, response: Response<Incoming>) -> ConnectError {
    let (parts, mut body) = response.into_parts();
    if parts.status.is_redirection()
        && let Some(location) = parts.headers.get(header::LOCATION)
    {
        let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
        return ConnectError::Redirected { status: parts.status, location };
    }
    let mut text = Vec::new();
    let deadline = Instant::now() + REFUSAL_TIME;
    while text.len() < MAX_REFUSAL {
        let frame = poll_fn(|cx| {
            // How the connection ends is told by the body.
            let _ = wire.poll(cx);
            Pin::new(&mut body).poll_frame(cx)
        });
        match timeout_at(deadline, frame).await {
            Ok(Some(Ok(frame))) => text.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            // Half a text is better than none.
            Ok(Some(Err(_)) | None) | Err(_) => break,
        }
    }
    text.truncate(MAX_REFUSAL);
    ConnectError::Refused(Box::new(Response::from_parts(parts, text.into())))
}
