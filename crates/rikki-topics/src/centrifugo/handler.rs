//! The WebSocket of a client.

use std::any::Any;
use std::sync::Arc;

use http::Request;
use rikki_ws::internal::Feeds;
use rikki_ws::{Closed, Handler, Message, Opening, Socket};

use super::Settings;
use super::client::Client;

/// Serves the WebSockets of all clients: each is served by what its connection takes messages from.
pub(super) struct Clients(pub(super) Arc<Settings>);

impl Handler for Clients {
    type State = ();

    fn open(&self, socket: &mut Socket<'_>, opening: &Opening) {
        let mut request = Request::new(()).into_parts().0;
        request.uri = opening.uri().clone();
        request.headers = opening.headers().clone();
        request.extensions = opening.extensions().clone();
        *socket.feeds() = Some(Box::new(Client::new(self.0.clone(), Box::new(request))));
    }

    fn message(&self, (): &mut (), socket: &mut Socket<'_>, message: Message<'_>) {
        let feeds = socket.feeds().as_deref_mut().map(|feeds: &mut dyn Feeds| feeds as &mut dyn Any);
        if let Some(client) = feeds.and_then(|feeds| feeds.downcast_mut::<Client>()) {
            client.take(&message);
        }
    }

    fn close(&self, (): (), _: &Closed) {}
}
