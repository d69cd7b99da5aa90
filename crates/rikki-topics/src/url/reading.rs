//! What a topic has, as JSON, put together as the client takes it: who reads slowly costs a place.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http_body::Frame;
use serde_json::json;

use super::asked::Wanted;
use super::piece::{AT_ONCE, Pieces};
use super::refusal::{Action, Refusal};
use super::{Asked, TopicUrl, response};
use crate::cursor::Taken;
use crate::history::Reading;
use crate::position::{From, Position};
use crate::presence::{PresenceChange, Present};

pub(super) async fn answer(
    url: &TopicUrl,
    topic: &Asked<'_>,
    wanted: &Wanted,
    request: &Parts,
) -> Result<Response, Refusal> {
    url.may(request, topic, Action::History)?;
    let from = wanted.from.unwrap_or(From::Last(usize::MAX));
    if wanted.presence {
        url.may(request, topic, Action::Presence)?;
    }
    let known = url.topics.to_read(topic.name, from).await?;
    let present = if wanted.presence {
        let Present { count, members: joined } = url.topics.present(topic.name);
        Some(Arc::new(PresenceChange { count, joined, left: Vec::new(), is_complete: true }))
    } else {
        None
    };
    // A topic that nobody has used does not come to be by this.
    let (reading, recovered) = match known.and_then(|topic| Reading::of(&topic, from)) {
        Some((reading, recovered)) => (Some(reading), recovered),
        None => (None, matches!(from, From::After(_)).then_some(false)),
    };
    let latest = reading.as_ref().map(|reading| reading.latest);
    let (epoch, offset) = (latest.map(|latest| latest.epoch.to_string()), latest.map_or(0, |latest| latest.offset));
    let mut head = format!("{{\"topic\":{},\"epoch\":{},\"offset\":{offset}", json!(topic.name), json!(epoch));
    if let Some(recovered) = recovered {
        let _ = write!(head, ",\"recovered\":{recovered}");
    }
    head.push_str(",\"messages\":[");
    let (head, batch) = (head.into_bytes(), Vec::new());
    let answer = Answer { head, reading, batch, pieces: None, is_first: true, next: Part::Messages, present };
    Ok(response("application/json", latest, Body::new(answer)))
}

/// Where a topic is that there is.
pub(super) fn latest(url: &TopicUrl, topic: &str) -> Option<Position> {
    let (reading, _) = Reading::of(&url.topics.known(topic)?, From::Now)?;
    Some(reading.latest)
}

/// The body.
struct Answer {
    /// What comes before the messages, until it has gone.
    head: Vec<u8>,
    reading: Option<Reading>,
    /// The latest first.
    batch: Vec<Taken>,
    /// What has been begun.
    pieces: Option<Pieces>,
    is_first: bool,
    next: Part,
    /// What comes behind them.
    present: Option<Arc<PresenceChange>>,
}

/// What is to be begun next.
enum Part {
    Messages,
    Presence,
    End,
    Nothing,
}

impl Answer {
    fn taken(&mut self) -> Option<Taken> {
        let reading = self.reading.as_mut()?;
        if self.batch.is_empty() {
            reading.next(&mut self.batch);
            self.batch.reverse();
        }
        let taken = self.batch.pop()?;
        reading.has_taken(&taken);
        Some(taken)
    }

    /// Begins what comes next.
    fn begin(&mut self, out: &mut Vec<u8>) {
        match self.next {
            Part::Messages => {
                let Some(taken) = self.taken() else {
                    let is_overtaken = self.reading.as_ref().is_some_and(|reading| reading.is_overtaken);
                    out.extend_from_slice(if is_overtaken { b"],\"gap\":{\"missed\":null}" } else { b"]" });
                    self.next = Part::Presence;
                    return;
                };
                if !std::mem::take(&mut self.is_first) {
                    out.push(b',');
                }
                self.pieces = Some(Pieces::envelope(out, &taken));
            }
            Part::Presence => {
                if let Some(present) = self.present.take() {
                    out.extend_from_slice(b",\"presence\":");
                    self.pieces = Some(Pieces::present(&present));
                }
                self.next = Part::End;
            }
            Part::End => {
                out.extend_from_slice(b"}\n");
                self.next = Part::Nothing;
            }
            Part::Nothing => {}
        }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let mut out = std::mem::take(&mut this.head);
        while out.len() < AT_ONCE && !matches!(this.next, Part::Nothing) {
            match &mut this.pieces {
                Some(pieces) => {
                    if pieces.write(&mut out) {
                        this.pieces = None;
                    }
                }
                None => this.begin(&mut out),
            }
        }
        // Until the client has taken this, nothing that the topic gives up is kept.
        this.batch.clear();
        Poll::Ready((!out.is_empty()).then(|| Ok(Frame::data(out.into()))))
    }
}
