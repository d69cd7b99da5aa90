//! A subscription as a stream of server-sent events, pulled as the client takes them: who reads slowly costs a place.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method};
use http_body::Frame;
use rikki_ws::internal::{Alarm, Clock, NEVER, Tick, ticks};
use tokio::runtime::Handle;

use super::asked::{Wanted, field};
use super::piece::{AT_ONCE, Pieces};
use super::refusal::Refusal;
use super::{Asked, TopicUrl, event, reading, response};
use crate::position::From;
use crate::subscription::Subscription;

/// What a browser sends that comes back:
/// <https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header>.
static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

pub(super) fn answer(url: &TopicUrl, topic: &Asked<'_>, wanted: &Wanted, request: &Parts) -> Result<Response, Refusal> {
    let mut wanted = *wanted;
    if let Some(id) = field(&request.headers, &LAST_EVENT_ID)? {
        // Before what the address says, which is the same as when the stream was first opened.
        let position = id.to_str().ok().and_then(|id| id.parse().ok());
        wanted.from = Some(From::After(position.ok_or(Refusal::bad("Last-Event-ID is EPOCH:OFFSET"))?));
    }
    let options = wanted.subscribe(url, topic, request)?;
    let (position, subscription) = if request.method == Method::HEAD {
        (reading::latest(url, topic.name), None)
    } else {
        let subscription = url.topics.subscribe(topic.name, options)?;
        (subscription.joined().map(|joined| joined.position), Some(subscription))
    };
    // Nobody asks for the body of HEAD: its length is as little known as that of GET.
    let events = Events::new(subscription, wanted.has_envelope, url);
    let mut response = response("text/event-stream", position, Body::new(events));
    // A proxy would wait until it has enough to be worth its while.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// The body.
struct Events {
    /// `None` at the end.
    subscription: Option<Subscription>,
    /// What has been begun.
    pieces: Option<Pieces>,
    has_envelope: bool,
    /// To be told first.
    retry: Option<Duration>,
    heartbeat: Tick,
    /// When the next heartbeat is due.
    due: Tick,
    /// Rings then, and when the server drains.
    alarm: Option<Alarm>,
}

impl Events {
    fn new(subscription: Option<Subscription>, has_envelope: bool, url: &TopicUrl) -> Self {
        let heartbeat = ticks(url.heartbeat);
        let (retry, due, alarm) = (Some(url.retry), NEVER, None);
        Self { subscription, pieces: None, has_envelope, retry, heartbeat, due, alarm }
    }

    /// Sees to it that the task is woken for a heartbeat and for a drain; whether the server drains.
    fn watch(&mut self, cx: &Context<'_>) -> bool {
        if self.alarm.as_ref().is_none_or(|alarm| !alarm.wakes(cx.waker())) {
            // Without a runtime there is no time.
            let Ok(_) = Handle::try_current() else { return false };
            let alarm = Alarm::new(Clock::current());
            self.due = alarm.clock().now().saturating_add(self.heartbeat);
            self.alarm = Some(alarm);
        }
        let Some(alarm) = &mut self.alarm else { return false };
        if self.due > alarm.clock().now() {
            alarm.set(self.due, cx.waker());
        }
        alarm.draining().is_some()
    }

    /// Writes what there is, up to a piece; whether there is nothing more for ever.
    fn fill(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> bool {
        let Some(subscription) = &mut self.subscription else { return true };
        while out.len() < AT_ONCE {
            if let Some(pieces) = &mut self.pieces {
                if pieces.write(out) {
                    self.pieces = None;
                }
                continue;
            }
            match subscription.poll_step(cx) {
                Poll::Ready(Some(step)) => self.pieces = event::write(out, &step, self.has_envelope),
                Poll::Ready(None) => {
                    self.subscription = None;
                    return true;
                }
                Poll::Pending => {
                    if out.is_empty() && self.alarm.as_ref().is_some_and(|alarm| alarm.clock().now() >= self.due) {
                        event::heartbeat(out, subscription.reached());
                    }
                    return false;
                }
            }
        }
        // Until the client has taken this, nothing that the topic gives up is kept.
        subscription.let_go();
        false
    }
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.watch(cx)
            && let Some(subscription) = &mut this.subscription
        {
            // What was published before that still comes; then the client comes back, to another server.
            subscription.seal();
        }
        let mut out = Vec::new();
        if let Some(retry) = this.retry.take() {
            event::retry(&mut out, retry);
        }
        let is_over = this.fill(cx, &mut out);
        if out.is_empty() {
            return if is_over { Poll::Ready(None) } else { Poll::Pending };
        }
        if let Some(alarm) = &this.alarm {
            this.due = alarm.clock().now().saturating_add(this.heartbeat);
        }
        Poll::Ready(Some(Ok(Frame::data(out.into()))))
    }
}
