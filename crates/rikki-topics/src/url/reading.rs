//! What a topic has, as JSON, put together as the client takes it: who reads slowly costs a place.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http_body::Frame;
use serde_json::json;

use super::asked::Wanted;
use super::refusal::{Action, Refusal};
use super::{Asked, TopicUrl, response};
use crate::cursor::Taken;
use crate::envelope;
use crate::history::Reading;
use crate::position::{From, Position};

/// After how many bytes a piece goes out.
const AT_ONCE: usize = 16 * 1024;

pub(super) fn answer(url: &TopicUrl, topic: &Asked<'_>, wanted: &Wanted, request: &Parts) -> Result<Response, Refusal> {
    url.may(request, topic, Action::History)?;
    let from = wanted.from.unwrap_or(From::Last(usize::MAX));
    let present = if wanted.presence {
        url.may(request, topic, Action::Presence)?;
        Some(envelope::present(&url.topics.present(topic.name)))
    } else {
        None
    };
    // A topic that nobody has used does not come to be by this.
    let (reading, recovered) = match url.topics.known(topic.name).and_then(|topic| Reading::of(&topic, from)) {
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
    let presence = present.map(|present| format!(",\"presence\":{present}")).unwrap_or_default();
    let pieces = Pieces { head, reading, batch: Vec::new(), is_first: true, presence, is_over: false };
    Ok(response("application/json", latest, Body::new(pieces)))
}

/// Where a topic is that there is.
pub(super) fn latest(url: &TopicUrl, topic: &str) -> Option<Position> {
    let (reading, _) = Reading::of(&url.topics.known(topic)?, From::Now)?;
    Some(reading.latest)
}

/// The body.
struct Pieces {
    /// What comes before the messages, until it has gone.
    head: String,
    reading: Option<Reading>,
    /// The latest first.
    batch: Vec<Taken>,
    is_first: bool,
    /// What comes behind them.
    presence: String,
    is_over: bool,
}

impl Pieces {
    fn next(&mut self) -> Option<Taken> {
        if self.batch.is_empty()
            && let Some(reading) = &mut self.reading
        {
            reading.next(&mut self.batch);
            self.batch.reverse();
        }
        self.batch.pop()
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(None);
        }
        let mut out = std::mem::take(&mut this.head);
        while out.len() < AT_ONCE {
            let Some(taken) = this.next() else {
                let is_overtaken = this.reading.as_ref().is_some_and(|reading| reading.is_overtaken);
                let gap = if is_overtaken { ",\"gap\":{\"missed\":null}" } else { "" };
                let _ = writeln!(out, "]{gap}{}}}", this.presence);
                this.is_over = true;
                break;
            };
            if !std::mem::take(&mut this.is_first) {
                out.push(',');
            }
            out.push_str(&envelope::message(&taken.item, taken.position));
        }
        Poll::Ready(Some(Ok(Frame::data(out.into()))))
    }
}
