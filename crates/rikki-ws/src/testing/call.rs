//! A handler as a function from messages to messages.

use rikki_proto::Message;

use super::Client;
use crate::handler::Handler;

/// What a handler or a closure answers to these messages: it is opened with the defaults of [`Config`](crate::Config),
/// gets one after the other, and what has come is returned when all is silent.
///
/// What it sends when it opens is part of that. A Close of the handler ends it: what would come after that is not sent.
/// What other threads and timers bring later is not waited for. A handler that is looked at afterwards is given as an
/// `Arc`.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
///
/// use rikki_ws::testing::call;
/// use rikki_ws::{Handler, Message, Opening, Socket};
///
/// let shout = |socket: &mut Socket<'_>, message: Message<'_>| {
///     message.as_text().map_or(Ok(()), |text| socket.send(text.to_uppercase()))
/// };
/// assert_eq!(call(shout, ["a", "b"]), ["A", "B"].map(Message::from));
///
/// #[derive(Default)]
/// struct Counter(AtomicUsize);
///
/// impl Handler for Counter {
///     type State = ();
///     fn open(&self, _: &mut Socket<'_>, _: &Opening) {}
///     fn message(&self, _: &mut (), _: &mut Socket<'_>, _: Message<'_>) {
///         self.0.fetch_add(1, Relaxed);
///     }
/// }
///
/// let counter = Arc::<Counter>::default();
/// assert!(call(counter.clone(), ["a", "b"]).is_empty());
/// assert_eq!(counter.0.load(Relaxed), 2);
/// ```
///
/// # Panics
///
/// Inside of a tokio runtime, as [`Client`] does.
#[must_use]
#[track_caller]
pub fn call<'m, H: Handler, M: Into<Message<'m>>>(
    handler: H,
    messages: impl IntoIterator<Item = M>,
) -> Vec<Message<'static>> {
    let mut client = Client::open(handler);
    for message in messages {
        if !client.is_open() {
            break;
        }
        client.send(message);
    }
    client.messages()
}
