//! Sending from anywhere: a bounded queue between any thread and a connection's task.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use rikki_proto::{CloseCode, Connection, Message, Output, PreparedMessage, SendError, Text};

use super::settings::{Overflow, Settings};

/// How much is framed ahead of a peer that does not read, in bytes, where the oldest messages are dropped.
const FRAMED_AHEAD: usize = 64 * 1024;

/// Sends to one WebSocket from any thread or task, at any time.
///
/// A clone sends to the same connection. Nothing here waits: what is sent is queued and the connection's task is
/// woken. Everything sent through one `Sender` arrives in order; after a close nothing more is sent.
///
/// Memory: about 120 bytes a connection from the first [`Socket::sender`](super::Socket::sender) on, and what is
/// queued, at most [`write_queue`](super::Settings::write_queue) and one message.
///
/// ```no_run
/// # fn example(sender: rikki::ws::Sender) {
/// std::thread::spawn(move || {
///     while sender.send("tick").is_ok() {
///         std::thread::sleep(std::time::Duration::from_secs(1));
///     }
/// });
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Sender {
    mailbox: Arc<Mailbox>,
}

impl Sender {
    pub(super) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self { mailbox }
    }

    /// Queues a message.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] at the high-water mark, or [`SendError::Dropped`] if the endpoint's
    /// [`Overflow`](super::Overflow) has it so; [`SendError::Closed`] when the connection is closed or closing.
    pub fn send(&self, message: impl Into<Message<'static>>) -> Result<(), SendError> {
        self.mailbox.push(Command::Message(message.into()))
    }

    /// Queues a message that is never compressed: see
    /// [`Socket::send_uncompressed`](super::Socket::send_uncompressed).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_uncompressed(&self, message: impl Into<Message<'static>>) -> Result<(), SendError> {
        self.mailbox.push(Command::Uncompressed(message.into()))
    }

    /// Queues a message that was framed once for many receivers.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_prepared(&self, message: &PreparedMessage) -> Result<(), SendError> {
        self.mailbox.push(Command::Prepared(message.clone()))
    }

    /// Queues a ping.
    ///
    /// # Errors
    ///
    /// [`SendError::ControlTooLong`] over 125 bytes; else as [`send`](Self::send).
    pub fn ping(&self, payload: &[u8]) -> Result<(), SendError> {
        if payload.len() > 125 {
            return Err(SendError::ControlTooLong { length: payload.len() });
        }
        self.mailbox.push(Command::Ping(payload.into()))
    }

    /// Closes the connection when everything queued before has been sent. A full queue does not stand in the way.
    ///
    /// # Errors
    ///
    /// [`SendError::InvalidCloseCode`] if the code must not be sent, [`SendError::ReasonTooLong`] over 123 bytes,
    /// [`SendError::Closed`] when the connection is closed or closing.
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        if !code.may_be_sent() {
            return Err(SendError::InvalidCloseCode(code.0));
        }
        if reason.len() > 123 {
            return Err(SendError::ReasonTooLong { length: reason.len() });
        }
        self.mailbox.push(Command::Close(code, Text::from(reason).into_owned()))
    }

    /// Bytes that wait to be written, about.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.mailbox.state().held()
    }

    /// Whether the connection is closed or closing, so that nothing can be sent any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.mailbox.state().closed
    }
}

#[derive(Debug)]
enum Command {
    Message(Message<'static>),
    Uncompressed(Message<'static>),
    Prepared(PreparedMessage),
    Ping(Box<[u8]>),
    Close(CloseCode, Text<'static>),
}

impl Command {
    /// Whether it may be dropped; control frames never are.
    fn is_message(&self) -> bool {
        matches!(self, Self::Message(_) | Self::Uncompressed(_) | Self::Prepared(_))
    }

    /// What the command costs in memory, so that empty messages are bounded too.
    fn size(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Message(message) | Self::Uncompressed(message) => message.as_bytes().len(),
                Self::Prepared(message) => message.len(),
                Self::Ping(payload) => payload.len(),
                Self::Close(_, reason) => reason.len(),
            }
    }
}

/// The queue between senders and the connection's task.
#[derive(Debug)]
pub(super) struct Mailbox {
    settings: Arc<Settings>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Command>,
    /// The size of `queue`.
    queued: usize,
    /// What the connection holds unsent: it counts towards the mark.
    backlog: usize,
    waker: Option<Waker>,
    closed: bool,
}

impl State {
    fn held(&self) -> usize {
        self.queued + self.backlog
    }

    /// Takes messages out, the oldest first, until less than `mark` is held or none is left.
    fn drop_oldest(&mut self, mark: usize) -> Vec<Command> {
        let mut dropped = Vec::new();
        while self.held() >= mark
            && let Some(index) = self.queue.iter().position(Command::is_message)
            && let Some(oldest) = self.queue.remove(index)
        {
            self.queued -= oldest.size();
            dropped.push(oldest);
        }
        dropped
    }
}

/// What [`Mailbox::drain`] did.
pub(super) struct Drained {
    pub(super) moved: usize,
    /// Nothing was left when the last command was taken out.
    pub(super) emptied: bool,
}

impl Mailbox {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self { settings, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, command: Command) -> Result<(), SendError> {
        let counts = &self.settings.counts;
        let mut dropped = Vec::new(); // without the lock: it runs other people's destructors
        let waker = {
            let mut state = self.state();
            if state.closed {
                return Err(SendError::Closed);
            }
            let closes = matches!(command, Command::Close(..));
            if !closes && state.held() >= self.settings.mark() {
                match self.settings.overflow {
                    Overflow::DropOldest if command.is_message() => {
                        dropped = state.drop_oldest(self.settings.mark());
                        counts.queued_bytes.sub(dropped.iter().map(Command::size).sum());
                        counts.dropped_messages.add(dropped.len());
                    }
                    Overflow::DropNewest if command.is_message() => {
                        counts.dropped_messages.up();
                        return Err(SendError::Dropped);
                    }
                    // The connection's task closes it, if that is the policy and the peer does not read.
                    _ => return Err(self.wake_full(state)),
                }
            }
            state.closed = closes;
            state.queued += command.size();
            counts.queued_bytes.add(command.size());
            state.queue.push_back(command);
            state.waker.take()
        };
        drop(dropped);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Wakes the connection's task: at the mark it may have to do something.
    fn wake_full(&self, mut state: MutexGuard<'_, State>) -> SendError {
        let waker = if self.settings.overflow == Overflow::Close { state.waker.take() } else { None };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        SendError::Full
    }

    /// What waits in all, with `backlog` unsent on the connection.
    pub(super) fn held(&self, backlog: usize) -> usize {
        let mut state = self.state();
        state.backlog = backlog;
        state.held()
    }

    /// Moves queued commands into `output`, `limit` of them at most and none beyond the mark.
    pub(super) fn drain(&self, connection: &mut Connection, output: &mut Output, limit: usize) -> Drained {
        // What has been framed can no longer be dropped.
        let mark = match self.settings.overflow {
            Overflow::DropOldest => self.settings.mark().min(FRAMED_AHEAD),
            _ => self.settings.mark(),
        };
        let mut drained = Drained { moved: 0, emptied: false };
        while drained.moved < limit && output.len() < mark && !drained.emptied {
            let command = {
                let mut state = self.state();
                let Some(command) = state.queue.pop_front() else {
                    drained.emptied = true;
                    break;
                };
                drained.emptied = state.queue.is_empty();
                state.queued -= command.size();
                self.settings.counts.queued_bytes.sub(command.size());
                // It only moves: what is held stays at the mark until it is written.
                state.backlog = output.len() + command.size();
                command
            };
            drained.moved += 1;
            // The arguments were checked when they were queued, and a connection that has closed since takes nothing.
            let _ = match command {
                Command::Message(message) => connection.send(message, output),
                Command::Uncompressed(message) => connection.send_uncompressed(message, output),
                Command::Prepared(message) => connection.send_prepared(&message, output),
                Command::Ping(payload) => connection.ping(&payload, output),
                Command::Close(code, reason) => connection.close(code, &reason, output),
            };
        }
        drained
    }

    /// Registers `waker` for the next command, and says whether one is there already: in one step, so that none is
    /// missed. `backlog` is what the connection holds unsent.
    pub(super) fn register(&self, waker: &Waker, backlog: usize) -> bool {
        let mut state = self.state();
        state.backlog = backlog;
        let known = state.waker.as_ref().is_some_and(|known| known.will_wake(waker));
        let old = if known { None } else { state.waker.replace(waker.clone()) };
        let filled = !state.queue.is_empty();
        drop(state);
        drop(old); // without the lock: it may be the last to hold a task
        filled
    }

    /// From now on nothing is taken; what is queued is dropped.
    pub(super) fn close(&self) {
        let dropped = {
            let mut state = self.state();
            state.closed = true;
            self.settings.counts.queued_bytes.sub(std::mem::take(&mut state.queued));
            (std::mem::take(&mut state.queue), state.waker.take())
        };
        drop(dropped); // without the lock: it runs other people's destructors
    }
}
