//! Pushing to many clients from a thread that knows nothing of sockets: a ticker, once a second.
//!
//! ```text
//! cargo run --package rikki --example push
//! ```
//!
//! Try: connect several clients to `ws://localhost:8000/ticks`, such as `python3 -m websockets` (from PyPI) or
//! `websocat`, and end one of them.

use std::error::Error;
use std::io::{Write as _, stdout};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rikki::Server;
use rikki::ws::{Handler, Message, Opening, PreparedMessage, SendError, Sender, Socket};

/// The clients to push to: as many as there are connections, and those that ended since the last tick.
#[derive(Clone, Default)]
struct Ticker {
    clients: Arc<Mutex<Vec<Sender>>>,
}

impl Ticker {
    fn clients(&self) -> MutexGuard<'_, Vec<Sender>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, text: &str) {
        // Framed once, shared by all connections.
        let tick = PreparedMessage::new(text);
        // Sending never waits. A client that is full misses this tick, one that has gone is forgotten.
        self.clients().retain(|client| client.send_prepared(&tick) != Err(SendError::Closed));
    }
}

impl Handler for Ticker {
    type State = ();

    fn open(&self, socket: &mut Socket<'_>, _opening: &Opening) {
        self.clients().push(socket.sender());
    }

    fn message(&self, _state: &mut (), _socket: &mut Socket<'_>, _message: Message<'_>) {}
}

fn main() -> Result<(), Box<dyn Error>> {
    let ticker = Ticker::default();
    let pushing = ticker.clone();
    thread::spawn(move || {
        for count in 1.. {
            thread::sleep(Duration::from_secs(1));
            pushing.push(&format!("tick {count}"));
        }
    });
    writeln!(stdout(), "Starting to push on ws://localhost:8000/ticks")?;
    Server::new().websocket("/ticks", ticker).listen("http://localhost:8000").run()?;
    Ok(())
}
