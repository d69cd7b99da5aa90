//! rikki, from one to all: a list of senders, and each message framed once, or with `--each` for each of them. Its echo
//! is the command `rikki` itself.

use std::sync::{Arc, Mutex, PoisonError};

use peers::Result;
use rikki::Server;
use rikki::ws::{Handler, Message, Opening, PreparedMessage, SendError, Sender, Socket};

#[derive(Clone, Default)]
struct Room {
    /// Each is given the message, and not what was prepared for all.
    each: bool,
    clients: Arc<Mutex<Vec<Sender>>>,
}

impl Handler for Room {
    type State = ();

    fn open(&self, socket: &mut Socket<'_>, _: &Opening) {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).push(socket.sender());
    }

    fn message(&self, (): &mut (), _: &mut Socket<'_>, message: Message<'_>) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if self.each {
            let message = message.into_owned();
            clients.retain(|client| client.send(message.clone()) != Err(SendError::Closed));
        } else {
            let message = PreparedMessage::new(message);
            clients.retain(|client| client.send_prepared(&message) != Err(SendError::Closed));
        }
    }
}

fn main() -> Result<()> {
    let room = Room { each: std::env::args().nth(1).as_deref() == Some("--each"), ..Room::default() };
    peers::run_rikki(Server::new().websocket("/websocket", room))
}
