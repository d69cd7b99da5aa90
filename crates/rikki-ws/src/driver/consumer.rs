//! Who is told what has happened on a connection.

use rikki_proto::Message;

use crate::error::Closed;
use crate::socket::Socket;

/// Who messages go to: a handler's callbacks, or the task that polls the async face.
pub(crate) trait Consumer {
    /// Whether it can take a message: nothing is read while it cannot.
    fn is_ready(&self) -> bool {
        true
    }

    /// A whole message has come; it says how to go on.
    fn message(&mut self, socket: &mut Socket<'_>, message: Message<'_>) -> Result<Flow, Panicked>;

    /// A ping has come, and was answered.
    fn ping(&mut self, payload: &[u8]) {
        let _ = payload;
    }

    /// A pong has come.
    fn pong(&mut self, socket: &mut Socket<'_>, payload: &[u8]) -> Result<(), Panicked> {
        let _ = (socket, payload);
        Ok(())
    }

    /// Little waits to be written, after much did.
    fn writable(&mut self, socket: &mut Socket<'_>) -> Result<(), Panicked> {
        let _ = socket;
        Ok(())
    }

    /// The connection has ended; called once, and no message comes after it.
    fn closed(&mut self, closed: Closed);
}

/// How it goes on after a message.
pub(crate) enum Flow {
    /// With the next one, or with reading.
    Continue,
    /// Not now: the poll returns.
    Yield,
}

/// A consumer that takes no more messages.
pub(crate) struct Panicked;
