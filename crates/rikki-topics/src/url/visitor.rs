//! The WebSocket of a topic's URL: gets what is published, and publishes what it sends if it may.

use std::sync::{Arc, Mutex};

use rikki_ws::{CloseCode, Closed, Handler, Message, Opening, Socket};

use crate::broker::Publishing;
use crate::cursor::Cursor;
use crate::envelope;
use crate::error::{PublishError, SubscribeError};
use crate::fan_out::lock;
use crate::options::SubscribeOptions;
use crate::socket::attach;
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
    /// The topic that it may publish to.
    type State = Option<Arc<Topic>>;

    fn open(&self, socket: &mut Socket<'_>, opening: &Opening) -> Option<Arc<Topic>> {
        let Visit { publishes, has_envelope, subscription } = opening.extensions().get()?;
        let subscribed = lock(subscription).take()?;
        match subscribed {
            Ok((cursor, joined)) => {
                let topic = publishes.then(|| cursor.topic().clone());
                if let Some(joined) = joined.filter(|_| *has_envelope) {
                    // Nothing stands in its way yet. Who has not begun is told when it has.
                    let _ = socket.send_prepared(&envelope::told(&envelope::joined(joined)));
                }
                attach(socket, cursor);
                topic
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

    fn message(&self, topic: &mut Option<Arc<Topic>>, socket: &mut Socket<'_>, message: Message<'_>) {
        if !socket.is_open() {
            return;
        }
        let Some(topic) = topic else {
            let _ = socket.close(CloseCode::POLICY_VIOLATION, "publishing is not allowed here");
            return;
        };
        match self.0.publish(&topic.name, message.into_owned()).hand_over() {
            Publishing::Done(Ok(_)) => {}
            Publishing::Done(Err(error)) => {
                let _ = socket.close(code_of(&error), &error.to_string());
            }
            Publishing::Later(outcome) => {
                let sender = socket.sender();
                tokio::spawn(async move {
                    if let Err(error) = outcome.await {
                        let _ = sender.close(code_of(&error), &error.to_string());
                    }
                });
            }
        }
    }

    fn close(&self, _: Option<Arc<Topic>>, _: &Closed) {}
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
