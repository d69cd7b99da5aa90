//! The WebSocket of a topic's URL: gets what is published, and publishes what it sends if it may.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use rikki_ws::internal::{Fed, Feeds, Outlet};
use rikki_ws::{CloseCode, Closed, Handler, Message, Opening, Socket};

use crate::broker::Publishing;
use crate::cursor::Cursor;
use crate::envelope;
use crate::error::{PublishError, SubscribeError};
use crate::fan_out::lock;
use crate::options::SubscribeOptions;
use crate::socket::{attach, feed, seal};
use crate::topic::Joined;
use crate::topic::Topic;
use crate::topics::Topics;

/// What a WebSocket is opened for.
#[derive(Clone)]
pub(super) struct Visit {
    publishes: bool,
    has_envelope: bool,
    /// Taken out once: what a request carries can be cloned.
    subscription: Arc<Mutex<Option<Subscribed>>>,
}

type Subscribed = Result<(Cursor, Option<Joined>), SubscribeError>;

impl Visit {
    /// Subscribes, when the handshake is accepted and before the client is told that it may begin: it gets all that is
    /// published from then on, or leaves the topic with the request.
    pub(super) fn new(topics: &Topics, name: &str, options: SubscribeOptions, publishes: bool) -> Self {
        let has_envelope = options.has_envelope;
        let subscription = Arc::new(Mutex::new(Some(topics.cursor(name, options))));
        Self { publishes, has_envelope, subscription }
    }
}

/// Serves the WebSockets of all topics.
pub(super) struct Visitors(pub(super) Topics);

impl Handler for Visitors {
    /// Where it may publish.
    type State = Option<Publisher>;

    fn open(&self, socket: &mut Socket<'_>, opening: &Opening) -> Option<Publisher> {
        let Visit { publishes, has_envelope, subscription } = opening.extensions().get()?;
        let subscribed = lock(subscription).take()?;
        match subscribed {
            Ok((cursor, joined)) => {
                let is_in_process = self.0.is_in_process();
                let publisher = publishes.then(|| Publisher {
                    topic: cursor.topic().clone(),
                    under_way: (!is_in_process).then(Arc::<UnderWay>::default),
                });
                if let Some(joined) = joined.filter(|_| *has_envelope) {
                    // Nothing stands in its way yet. Who has not begun is told when it has.
                    let _ = socket.send_prepared(&envelope::told(&envelope::joined(joined)));
                }
                match publisher.as_ref().and_then(|publisher| publisher.under_way.clone()) {
                    Some(under_way) => {
                        *socket.feeds() = Some(Box::new(Publishes { seats: [cursor], under_way }));
                    }
                    None => attach(socket, cursor),
                }
                publisher
            }
            // A browser shows the reason of a Close to its page, and nothing of an answer to a handshake.
            Err(error) => {
                let code = match error {
                    SubscribeError::Unknown => CloseCode::POLICY_VIOLATION,
                    _ => CloseCode::TRY_AGAIN_LATER,
                };
                let _ = socket.close(code, &error.to_string());
                None
            }
        }
    }

    fn message(&self, publisher: &mut Option<Publisher>, socket: &mut Socket<'_>, message: Message<'_>) {
        if !socket.is_open() {
            return;
        }
        let Some(Publisher { topic, under_way }) = publisher else {
            let _ = socket.close(CloseCode::POLICY_VIOLATION, "publishing is not allowed here");
            return;
        };
        match self.0.publish(&topic.name, message.into_owned()).hand_over() {
            Publishing::Done(Ok(_)) => {}
            Publishing::Done(Err(error)) => {
                let _ = socket.close(code_of(&error), &error.to_string());
            }
            Publishing::Later(outcome) => {
                // Where everything is in this process there is none.
                let one = under_way.as_ref().map(UnderWay::one);
                let sender = socket.sender();
                // There are no more of these than messages that may be on their way to a broker.
                tokio::spawn(async move {
                    if let Err(error) = outcome.await {
                        let _ = sender.close(code_of(&error), &error.to_string());
                    }
                    drop(one);
                });
            }
        }
    }

    fn close(&self, _: Option<Publisher>, _: &Closed) {}
}

/// Where a WebSocket may publish.
pub(super) struct Publisher {
    topic: Arc<Topic>,
    /// What it has published and the broker has not taken yet, where that is elsewhere.
    under_way: Option<Arc<UnderWay>>,
}

/// How many messages of one WebSocket may be on their way to the broker: what it sends then waits.
const MOST_UNDER_WAY: usize = 64;

/// What one WebSocket has on its way to a broker.
#[derive(Default)]
struct UnderWay {
    count: AtomicUsize,
    /// Who waits for it to become less.
    waiting: Mutex<Option<Waker>>,
}

/// One message on its way, until it is dropped.
struct One(Arc<UnderWay>);

impl UnderWay {
    fn one(self: &Arc<Self>) -> One {
        self.count.fetch_add(1, Relaxed);
        One(self.clone())
    }

    fn count(&self) -> usize {
        self.count.load(Relaxed)
    }
}

impl Drop for One {
    fn drop(&mut self) {
        // Under the lock, so that who registers has either seen it or is woken.
        let waiting = {
            let mut waiting = lock(&self.0.waiting);
            self.0.count.fetch_sub(1, Relaxed);
            waiting.take()
        };
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}

/// A subscription of a WebSocket that is not read while much of what it has published is on its way, and not closed
/// before that has arrived.
struct Publishes {
    seats: [Cursor; 1],
    under_way: Arc<UnderWay>,
}

impl Feeds for Publishes {
    fn poll_feed(&mut self, cx: &mut Context<'_>, outlet: &mut Outlet<'_>) -> Fed {
        {
            let mut waiting = lock(&self.under_way.waiting);
            *waiting = (self.under_way.count() > 0).then(|| cx.waker().clone());
        }
        feed(&mut self.seats, cx, outlet)
    }

    fn seal(&mut self) -> bool {
        seal(&mut self.seats) && self.under_way.count() == 0
    }

    fn holds_back(&self) -> bool {
        self.under_way.count() >= MOST_UNDER_WAY
    }
}

fn code_of(error: &PublishError) -> CloseCode {
    match error {
        PublishError::TooLong { .. } => CloseCode::MESSAGE_TOO_BIG,
        // Coming back is of no use: there was such a topic when it came.
        PublishError::Unknown => CloseCode::POLICY_VIOLATION,
        _ => CloseCode::TRY_AGAIN_LATER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_it_is_closed() {
        let check = |error: &PublishError, expected| assert_eq!(code_of(error), expected, "{error}");
        check(&PublishError::TooLong { length: 2, limit: 1 }, CloseCode::MESSAGE_TOO_BIG);
        check(&PublishError::Unknown, CloseCode::POLICY_VIOLATION);
        check(&PublishError::NoMemory, CloseCode::TRY_AGAIN_LATER);
    }
}
