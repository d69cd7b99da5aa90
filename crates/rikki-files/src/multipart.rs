//! Several ranges of a file as one body, `multipart/byteranges`:
//! <https://www.rfc-editor.org/rfc/rfc9110#section-14.6>.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::vec;

use axum::Error;
use axum::body::Body;
use bytes::Bytes;
use http::HeaderValue;
use http_body::{Body as _, Frame, SizeHint};

use super::range::content_range;
use super::source::Source;
use super::wait::Unmet;
use super::waits::Waits;

/// Sends one part after the other: nothing of a part is read before the one in front of it was sent.
pub(super) struct Multipart {
    source: Arc<Source>,
    waits: Arc<Waits>,
    boundary: String,
    parts: vec::IntoIter<(Bytes, Range<u64>)>,
    /// What ends the document; empty once it was sent.
    end: Bytes,
    /// Bytes that have not been handed out yet.
    remaining: u64,
    state: State,
}

enum State {
    /// Between two parts, or in front of the end.
    Between,
    Opening(Pin<Box<dyn Future<Output = io::Result<Body>> + Send>>),
    Sending(Body),
    Failed,
}

impl Multipart {
    /// The `ranges` of `source`, which has this media type, and may be waited for.
    ///
    /// # Errors
    ///
    /// When too many files are open.
    pub(super) fn new(
        mut source: Source,
        waits: &Arc<Waits>,
        media_type: &HeaderValue,
        ranges: &[Range<u64>],
    ) -> io::Result<Self> {
        source.stay_open()?;
        // Random, so that no content can have been made to hold it. The keys of the hash are.
        let boundary = format!("{:016x}", RandomState::new().hash_one(()));
        let media_type = media_type.to_str().unwrap_or_default();
        let mut line_end = "";
        let part = |range: &Range<u64>| {
            let content_range = content_range(range, source.facts().length);
            let head = format!(
                "{line_end}--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {content_range}\r\n\r\n"
            );
            line_end = "\r\n";
            (Bytes::from(head), range.clone())
        };
        let parts: Vec<_> = ranges.iter().map(part).collect();
        let end = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        let sum: u64 = parts.iter().map(|(head, range)| head.len() as u64 + (range.end - range.start)).sum();
        Ok(Self {
            source: Arc::new(source),
            waits: Arc::clone(waits),
            boundary,
            parts: parts.into_iter(),
            remaining: sum + end.len() as u64,
            end,
            state: State::Between,
        })
    }

    /// The media type of the document.
    pub(super) fn media_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// The length of the document, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.remaining
    }

    /// The head of the next part, whose content is opened meanwhile, or the end of the document.
    fn next(&mut self) -> Option<Bytes> {
        let Some((head, range)) = self.parts.next() else {
            return Some(std::mem::take(&mut self.end)).filter(|end| !end.is_empty());
        };
        let source = Arc::clone(&self.source);
        let opening = self.waits.work(move |_| source.body(range).map_err(Unmet::into_error));
        self.state = State::Opening(Box::pin(self.waits.in_time(opening)));
        Some(head)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            match &mut self.state {
                State::Between => return Poll::Ready(self.next().map(Ok)),
                State::Opening(opening) => {
                    let opened = ready!(opening.as_mut().poll(cx));
                    self.state = match opened {
                        Ok(body) => State::Sending(body),
                        Err(error) => return Poll::Ready(Some(Err(Error::new(error)))),
                    };
                }
                State::Sending(body) => match ready!(Pin::new(body).poll_frame(cx)) {
                    Some(Ok(frame)) => return Poll::Ready(frame.into_data().ok().map(Ok)),
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => self.state = State::Between,
                },
                State::Failed => return Poll::Ready(None),
            }
        }
    }
}

impl http_body::Body for Multipart {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let next = ready!(self.poll_next(cx));
        match &next {
            Some(Ok(bytes)) => self.remaining = self.remaining.saturating_sub(bytes.len() as u64),
            Some(Err(_)) => self.state = State::Failed,
            None => {}
        }
        Poll::Ready(next.map(|next| next.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Failed) || (matches!(self.state, State::Between) && self.end.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}
