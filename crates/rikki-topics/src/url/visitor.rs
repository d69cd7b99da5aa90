//! The WebSocket of a topic's URL: gets what is published, and publishes what it sends if it may.

use std::sync::Arc;

use rikki_ws::{CloseCode, Closed, Handler, Message, Opening, Socket};

use crate::broker::Publishing;
use crate::envelope;
use crate::error::PublishError;
use crate::options::SubscribeOptions;
use crate::socket::Subscribe as _;
use crate::topics::Topics;

/// What a WebSocket was opened for; nothing of it is kept but the name.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) name: Arc<str>,
    pub(super) options: SubscribeOptions,
    pub(super) publishes: bool,
}

/// Serves the WebSockets of all topics.
pub(super) struct Visitors(pub(super) Topics);

impl Handler for Visitors {
    /// The topic that it may publish to.
    type State = Option<Arc<str>>;

    fn open(&self, socket: &mut Socket<'_>, opening: &Opening) -> Option<Arc<str>> {
        let Visit { name, options, publishes } = opening.extensions().get().cloned()?;
        let has_envelope = options.has_envelope;
        match socket.subscribe_with(&self.0, &name, options) {
            Ok(Some(joined)) if has_envelope => {
                // Nothing stands in its way yet.
                let _ = socket.send_prepared(&envelope::told(&envelope::joined(joined)));
            }
            // Where it has not begun yet it is told when it has.
            Ok(_) => {}
            Err(error) => {
                let _ = socket.close(CloseCode::TRY_AGAIN_LATER, &error.to_string());
            }
        }
        publishes.then_some(name)
    }

    fn message(&self, topic: &mut Option<Arc<str>>, socket: &mut Socket<'_>, message: Message<'_>) {
        if !socket.is_open() {
            return;
        }
        let Some(topic) = topic else {
            let _ = socket.close(CloseCode::POLICY_VIOLATION, "publishing is not allowed here");
            return;
        };
        match self.0.publish(topic, message.into_owned()).hand_over() {
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

    fn close(&self, _: Option<Arc<str>>, _: &Closed) {}
}

fn code_of(error: &PublishError) -> CloseCode {
    match error {
        PublishError::TooLong { .. } => CloseCode::MESSAGE_TOO_BIG,
        _ => CloseCode::TRY_AGAIN_LATER,
    }
}
