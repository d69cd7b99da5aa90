//! Sending from anywhere: a bounded queue between any thread and a connection's task.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use rikki_limits::Share;
use rikki_proto::{CloseCode, Connection, Message, Output, PreparedMessage, SendError, Text};

use super::compression::worked;
use super::config::Overflow;
use super::driver::WORK_PER_POLL;
use super::terms::Terms;

/// Sends to one WebSocket from any thread or task, at any time.
///
/// A clone sends to the same connection. Nothing here waits: what is sent is queued and the connection's task is
/// woken. What is accepted, here or by the connection's own task, arrives in the order in which it was, and before the
/// Close, whoever sends that; what cannot is counted as [`dropped`](Self::dropped). After a close nothing is accepted.
///
/// A callback sends much at once by its [`Socket`](super::Socket), which can write in the meantime: what it gives to a
/// `Sender` of its own connection waits until it returns.
///
/// Memory: about 120 bytes a connection from the first [`Socket::sender`](super::Socket::sender) on, and what is
/// queued, at most [`write_queue`](super::Config::write_queue) and one message.
///
/// ```no_run
/// # fn example(sender: rikki_ws::Sender) {
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
    /// [`SendError::Full`] at the high-water mark, or of more than 16 KiB where the
    /// [memory of all queues](super::Live::queue_memory) has no room for it; [`SendError::Dropped`] if the endpoint's
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
    /// Where compression was agreed on it is compressed once for all whose messages refer to none before them, for each
    /// size of window; [`PreparedMessage::uncompressed`] never is.
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
        self.mailbox.push(Command::ping(payload)?)
    }

    /// Closes the connection when everything queued before has been sent. A full queue does not stand in the way.
    ///
    /// # Errors
    ///
    /// [`SendError::InvalidCloseCode`] if the code must not be sent, [`SendError::ReasonTooLong`] over 123 bytes,
    /// [`SendError::Closed`] when the connection is closed or closing.
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.mailbox.push(Command::close(code, reason)?)
    }

    /// Bytes that wait to be written, about.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.mailbox.state().held()
    }

    /// How many messages to this connection have been accepted, from whichever sender or callback, and will not arrive:
    /// dropped by [`Overflow::DropOldest`](super::Overflow::DropOldest), or not written when the connection ended.
    ///
    /// Those that were refused with an error are not among them, nor those that the peer lost after they were written.
    /// What is lost with the connection is known when its task has ended, after
    /// [`Handler::close`](super::Handler::close). What callbacks and the sink have sent is among them from the first
    /// [`Socket::sender`](super::Socket::sender) on.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.mailbox.state().dropped
    }

    /// Whether the connection is closed or closing, so that nothing can be sent any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.mailbox.is_closed()
    }
}

/// What waits in the queue, with arguments that have been checked.
#[derive(Debug)]
pub(super) enum Command {
    Message(Message<'static>),
    Uncompressed(Message<'static>),
    Prepared(PreparedMessage),
    Ping(Box<[u8]>),
    Close(CloseCode, Text<'static>),
}

impl Command {
    pub(super) fn ping(payload: &[u8]) -> Result<Self, SendError> {
        if payload.len() > 125 {
            return Err(SendError::ControlTooLong { length: payload.len() });
        }
        Ok(Self::Ping(payload.into()))
    }

    pub(super) fn close(code: CloseCode, reason: &str) -> Result<Self, SendError> {
        if !code.may_be_sent() {
            return Err(SendError::InvalidCloseCode(code.0));
        }
        if reason.len() > 123 {
            return Err(SendError::ReasonTooLong { length: reason.len() });
        }
        Ok(Self::Close(code, Text::from(reason).into_owned()))
    }

    fn frame(self, connection: &mut Connection, output: &mut Output) -> Result<(), SendError> {
        match self {
            Self::Message(message) => connection.send(message, output),
            Self::Uncompressed(message) => connection.send_uncompressed(message, output),
            Self::Prepared(message) => connection.send_prepared(&message, output),
            Self::Ping(payload) => connection.ping(&payload, output),
            Self::Close(code, reason) => connection.close(code, &reason, output),
        }
    }

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
    terms: Arc<Terms>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    queue: VecDeque<Command>,
    /// The size of `queue`, in bytes.
    queued: Share,
    /// What the connection holds unsent: it counts towards the mark.
    backlog: usize,
    waker: Option<Waker>,
    /// Nothing is accepted any more; what is in the queue may still be sent.
    closed: bool,
    /// Messages that were accepted and will not arrive.
    dropped: u64,
}

impl State {
    fn held(&self) -> usize {
        self.queued.held() + self.backlog
    }

    /// Takes messages out, the oldest first, until less than `mark` is held or none is left.
    fn drop_oldest(&mut self, mark: usize) -> Vec<Command> {
        let mut dropped = Vec::new();
        while self.held() >= mark
            && let Some(index) = self.queue.iter().position(Command::is_message)
            && let Some(oldest) = self.queue.remove(index)
        {
            self.queued.shrink_to(self.queued.held() - oldest.size());
            dropped.push(oldest);
        }
        self.dropped += dropped.len() as u64;
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
    pub(super) fn new(terms: Arc<Terms>) -> Self {
        let queued = terms.queues().share();
        let state = State { queued, queue: VecDeque::new(), backlog: 0, dropped: 0, waker: None, closed: false };
        Self { terms, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a command, unless the policy refuses it.
    pub(super) fn push(&self, command: Command) -> Result<(), SendError> {
        self.push_below(command, self.terms.mark())
    }

    /// Queues a message that was promised room when less waited: there is one for each time that somebody asked.
    pub(super) fn push_promised(&self, command: Command) -> Result<(), SendError> {
        self.push_below(command, usize::MAX)
    }

    fn push_below(&self, command: Command, mark: usize) -> Result<(), SendError> {
        let counts = self.terms.counts();
        let mut dropped = Vec::new(); // without the lock: it runs other people's destructors
        let waker = {
            let mut state = self.state();
            if state.closed {
                return Err(SendError::Closed);
            }
            let closes = matches!(command, Command::Close(..));
            let is_scarce = command.is_message() && !self.terms.has_memory_for(command.size());
            if !closes && (is_scarce || state.held() >= mark) {
                match self.terms.overflow {
                    Overflow::DropOldest if command.is_message() && !is_scarce => {
                        dropped = state.drop_oldest(mark);
                        counts.dropped_messages.add(dropped.len());
                    }
                    Overflow::DropNewest | Overflow::DropOldest if command.is_message() => {
                        counts.dropped_messages.up();
                        return Err(SendError::Dropped);
                    }
                    // The connection's task closes it, if that is the policy and the peer does not read.
                    _ => return Err(self.wake_full(state)),
                }
            }
            state.closed = closes;
            let queued = state.queued.held() + command.size();
            state.queued.set(queued);
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
        let waker = if self.terms.overflow == Overflow::Close { state.waker.take() } else { None };
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

    /// How many commands wait.
    pub(super) fn len(&self) -> usize {
        self.state().queue.len()
    }

    /// Notes what the connection holds unsent, and says whether commands wait behind it.
    pub(super) fn set_backlog(&self, backlog: usize) -> bool {
        let mut state = self.state();
        state.backlog = backlog;
        !state.queue.is_empty()
    }

    /// What the commands that wait cost in memory, in bytes.
    pub(super) fn queued(&self) -> usize {
        self.state().queued.held()
    }

    /// Whether nothing is accepted any more.
    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Counts messages that were accepted and will not arrive.
    pub(super) fn count_dropped(&self, messages: usize) {
        self.state().dropped += messages as u64;
    }

    /// Moves queued commands into `output`, `limit` of them at most and none beyond what may be framed.
    pub(super) fn drain(&self, connection: &mut Connection, output: &mut Output, limit: usize) -> Drained {
        let mark = self.terms.framed_ahead(self.terms.mark());
        let mut drained = Drained { moved: 0, emptied: false };
        while drained.moved < limit && output.len() < mark && !drained.emptied && worked() < WORK_PER_POLL {
            let command = {
                let mut state = self.state();
                let Some(command) = state.queue.pop_front() else {
                    drained.emptied = true;
                    break;
                };
                drained.emptied = state.queue.is_empty();
                let queued = state.queued.held() - command.size();
                state.queued.shrink_to(queued);
                // It only moves: what is held stays at the mark until it is written.
                state.backlog = output.len() + command.size();
                command
            };
            drained.moved += 1;
            let is_message = command.is_message();
            // The arguments were checked when they were queued: a connection that has closed since takes nothing.
            if command.frame(connection, output).is_err() && is_message {
                self.terms.counts().lost_messages.up();
                self.count_dropped(1);
            }
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

    /// From now on nothing is taken; what is queued is dropped and counted.
    pub(super) fn close(&self) {
        let counts = self.terms.counts();
        let dropped = {
            let mut state = self.state();
            state.closed = true;
            state.backlog = 0;
            state.queued.set(0);
            let queue = std::mem::take(&mut state.queue);
            let messages = queue.iter().filter(|command| command.is_message()).count();
            counts.lost_messages.add(messages);
            state.dropped += messages as u64;
            (queue, state.waker.take())
        };
        drop(dropped); // without the lock: it runs other people's destructors
    }
}
