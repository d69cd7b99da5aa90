//! Whether an answer is the one that is sent, under a server that looks into none.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::oneshot;

/// Gives `answer` an empty body that tells when it is sent; one that was dropped instead is an error.
///
/// When hyper writes the head of an answer of HTTP/1.1 it asks the body whether it has an end already; nobody else has a
/// reason to ask that of an answer that is given up. Where nothing was asked no WebSocket starts, though a layer's body
/// may have kept the question to itself: to start one for a client who was refused would be worse. The status is not
/// known here.
pub(super) fn watch(answer: &mut Response) -> oneshot::Receiver<()> {
    let (sent, receiver) = oneshot::channel();
    *answer.body_mut() = Body::new(Watched(Cell::new(Some(sent))));
    receiver
}

struct Watched(Cell<Option<oneshot::Sender<()>>>);

impl Watched {
    fn tell(&self) {
        // Nobody may wait any more.
        let _ = self.0.take().map(|sent| sent.send(()));
    }
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.tell();
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.tell();
        true
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        // Layers and routers ask for this, whatever becomes of the answer.
        hyper::body::SizeHint::with_exact(0)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::HttpBody as _;

    use super::*;

    #[test]
    fn only_what_is_sent_tells_that_it_is() {
        let (mut sent, mut dropped) = (Response::default(), Response::default());
        let (mut tells, mut tells_not) = (watch(&mut sent), watch(&mut dropped));
        assert_eq!((sent.body().size_hint().exact(), dropped.body().size_hint().exact()), (Some(0), Some(0)));
        assert!(tells.try_recv().is_err());
        assert!(sent.map(Body::new).body().is_end_stream());
        assert_eq!(tells.try_recv(), Ok(()));
        drop(dropped);
        assert_eq!(tells_not.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
