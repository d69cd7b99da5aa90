//! How a connection ends: closing it over unread bytes would reset it, and could destroy an answer on its way
//! ([RFC 9112 section 9.6](https://www.rfc-editor.org/rfc/rfc9112#section-9.6)).

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

/// How long input is discarded at the end of a connection, until the client has closed it too.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// How much is discarded with one read, in bytes.
const DISCARDED: usize = 4096;

/// Ends a connection of which nothing is on its way: its client sends nothing, as far as is known.
pub(super) async fn end(mut io: impl AsyncWrite + Unpin) {
    let _ = tokio::time::timeout(LINGER, poll_fn(|cx| Pin::new(&mut io).poll_shutdown(cx))).await;
}

/// Sends the last answer, and closes as [`close`] does. How long the client may take is for `io` to say.
pub(super) async fn answer(mut io: impl AsyncRead + AsyncWrite + Unpin, answer: Vec<u8>) {
    // A client that is gone has no use for it.
    if io.write_all(&answer).await.is_ok() && io.flush().await.is_ok() {
        close(io).await;
    }
}

/// Shuts down writing and discards input until the client has shut down too, for a second at most.
pub(super) async fn close(mut io: impl AsyncRead + AsyncWrite + Unpin) {
    let discard = async {
        poll_fn(|cx| Pin::new(&mut io).poll_shutdown(cx)).await?;
        let mut discarded = vec![0; DISCARDED];
        loop {
            let mut buffer = ReadBuf::new(&mut discarded);
            poll_fn(|cx| Pin::new(&mut io).poll_read(cx, &mut buffer)).await?;
            if buffer.filled().is_empty() {
                return io::Result::Ok(());
            }
        }
    };
    // A client that is gone, or does not end, has been waited for long enough.
    let _ = tokio::time::timeout(LINGER, discard).await;
}
