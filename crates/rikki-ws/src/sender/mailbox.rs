//! The queue between senders and the connection's task, and what waits in it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use rikki_limits::Share;
use rikki_proto::{CloseCode, Connection, Message, Output, PreparedMessage, SendError, Text};
use tokio::sync::Notify;

use super::queued_at::QueuedAt;
use super::waits::Waits;
use crate::clock::TICK;
use crate::compression::worked;
use crate::config::Overflow;
use crate::driver::WORK_PER_POLL;
use crate::id::ConnectionId;
use crate::meters::Tally;
use crate::terms::Terms;

/// What waits in the queue, with arguments that have been checked.
#[derive(Debug)]
pub(crate) enum Command {
    Message(Message<'static>),
    Uncompressed(Message<'static>),
    Prepared(PreparedMessage),
    Ping(Box<[u8]>),
    Pong(Box<[u8]>),
    /// A ping whose answer is waited for; its payload is this number.
    Ask(u64),
    Close(CloseCode, Text<'static>),
}

impl Command {
    pub(crate) fn ping(payload: &[u8]) -> Result<Self, SendError> {
        control(payload).map(Self::Ping)
    }

    pub(crate) fn pong(payload: &[u8]) -> Result<Self, SendError> {
        control(payload).map(Self::Pong)
    }

    pub(crate) fn close(code: CloseCode, reason: &str) -> Result<Self, SendError> {
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
            Self::Pong(payload) => connection.pong(&payload, output),
            Self::Ask(number) => connection.ping(&number.to_be_bytes(), output),
            Self::Close(code, reason) => connection.close(code, &reason, output),
        }
    }

    /// Whether it may be dropped; control frames never are.
    fn is_message(&self) -> bool {
        matches!(self, Self::Message(_) | Self::Uncompressed(_) | Self::Prepared(_))
    }

    /// How long the message is, if it is one.
    fn message_length(&self) -> Option<usize> {
        match self {
            Self::Message(message) | Self::Uncompressed(message) => Some(message.as_bytes().len()),
            Self::Prepared(message) => Some(message.len()),
            Self::Ping(_) | Self::Pong(_) | Self::Ask(_) | Self::Close(..) => None,
        }
    }

    /// What the command costs in memory, so that empty messages are bounded too.
    fn size(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Message(message) | Self::Uncompressed(message) => message.as_bytes().len(),
                Self::Prepared(message) => message.len(),
                Self::Ping(payload) | Self::Pong(payload) => payload.len(),
                Self::Ask(_) => 0,
                Self::Close(_, reason) => reason.len(),
            }
    }
}

fn control(payload: &[u8]) -> Result<Box<[u8]>, SendError> {
    if payload.len() > 125 {
        return Err(SendError::ControlTooLong { length: payload.len() });
    }
    Ok(payload.into())
}

/// The queue between senders and the connection's task.
#[derive(Debug)]
pub(crate) struct Mailbox {
    id: ConnectionId,
    terms: Arc<Terms>,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    queue: VecDeque<Command>,
    /// The size of `queue`, in bytes.
    queued: Share,
    /// Since when that waits, where somebody looks at it.
    queued_at: QueuedAt,
    /// What the connection holds unsent: it counts towards the mark.
    backlog: usize,
    waker: Option<Waker>,
    /// Nothing is accepted any more; what is in the queue may still be sent.
    pub(super) closed: bool,
    /// The connection is gone, TCP included.
    pub(super) ended: bool,
    /// Messages that were accepted and will not arrive.
    dropped: u64,
    /// Those who wait, from the first on.
    pub(super) waits: Option<Box<Waits>>,
}

impl State {
    pub(super) fn held(&self) -> usize {
        self.queued.held() + self.backlog
    }

    /// Who is to look again whether what they wait for has come: to be told without the lock.
    fn changed(&self) -> Option<Arc<Notify>> {
        self.waits.as_ref().and_then(|waits| waits.changed.clone())
    }

    /// Notes what the connection holds unsent, and gives who is to know that it is little again.
    fn set_backlog(&mut self, backlog: usize, low_mark: usize) -> Option<Arc<Notify>> {
        self.backlog = backlog;
        if self.waits.is_some() && self.held() <= low_mark { self.changed() } else { None }
    }

    /// Takes messages out, the oldest first, until less than `mark` is held or none is left.
    fn drop_oldest(&mut self, mark: usize) -> Vec<Command> {
        let mut dropped = Vec::new();
        while self.held() >= mark
            && let Some(index) = self.queue.iter().position(Command::is_message)
            && let Some(oldest) = self.queue.remove(index)
        {
            self.queued_at.removed(index);
            self.queued.shrink_to(self.queued.held() - oldest.size());
            dropped.push(oldest);
        }
        self.dropped += dropped.len() as u64;
        dropped
    }
}

/// What [`Mailbox::drain`] did.
pub(crate) struct Drained {
    pub(crate) moved: usize,
    /// Nothing was left when the last command was taken out.
    pub(crate) emptied: bool,
}

impl Mailbox {
    pub(crate) fn new(id: ConnectionId, terms: Arc<Terms>) -> Self {
        let queued = terms.queues().share();
        let (queue, queued_at, backlog, dropped, waker, closed, ended, waits) = Default::default();
        let state = State { queued, queue, queued_at, backlog, dropped, waker, closed, ended, waits };
        Self { id, terms, state: Mutex::new(state) }
    }

    /// Which connection it belongs to.
    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    /// From where on it is writable again, in bytes: half of what may wait.
    pub(super) fn low_mark(&self) -> usize {
        self.terms.mark() / 2
    }

    pub(super) fn pong_timeout(&self) -> Duration {
        TICK * self.terms.pong_timeout
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a command, unless the policy refuses it.
    pub(crate) fn push(&self, command: Command) -> Result<(), SendError> {
        self.push_below(command, self.terms.mark())
    }

    /// Queues a message that was promised room when less waited: there is one for each time that somebody asked.
    pub(crate) fn push_promised(&self, command: Command) -> Result<(), SendError> {
        self.push_below(command, usize::MAX)
    }

    fn push_below(&self, command: Command, mark: usize) -> Result<(), SendError> {
        let counts = self.terms.counts();
        let mut dropped = Vec::new(); // without the lock: it runs other people's destructors
        let (waker, changed) = {
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
                        self.terms.meters.dropped_oldest.add(dropped.len());
                    }
                    Overflow::DropNewest | Overflow::DropOldest if command.is_message() => {
                        counts.dropped_messages.up();
                        self.terms.meters.dropped_newest.up();
                        return Err(SendError::Dropped);
                    }
                    // The connection's task closes it, if that is the policy and the peer does not read.
                    _ => return Err(self.wake_full(state)),
                }
            }
            state.closed = closes;
            let queued = state.queued.held() + command.size();
            state.queued.set(queued);
            if self.terms.meters.are_timed() {
                let before = state.queue.len();
                state.queued_at.pushed(before);
            }
            state.queue.push_back(command);
            (state.waker.take(), if closes { state.changed() } else { None })
        };
        drop(dropped);
        tell(changed);
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
    pub(crate) fn held(&self, backlog: usize) -> usize {
        let mut state = self.state();
        state.backlog = backlog;
        state.held()
    }

    /// What waits in all, as far as the connection has told.
    pub(crate) fn held_now(&self) -> usize {
        self.state().held()
    }

    /// How many messages were accepted and will not arrive.
    pub(crate) fn dropped(&self) -> u64 {
        self.state().dropped
    }

    /// How many commands wait.
    pub(crate) fn len(&self) -> usize {
        self.state().queue.len()
    }

    /// Notes what the connection holds unsent, and says whether commands wait behind it.
    pub(crate) fn set_backlog(&self, backlog: usize) -> bool {
        let mut state = self.state();
        let changed = state.set_backlog(backlog, self.low_mark());
        let filled = !state.queue.is_empty();
        drop(state);
        tell(changed);
        filled
    }

    /// What the commands that wait cost in memory, in bytes.
    pub(crate) fn queued(&self) -> usize {
        self.state().queued.held()
    }

    /// Whether nothing is accepted any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Counts messages that were accepted and will not arrive.
    pub(crate) fn count_dropped(&self, messages: usize) {
        self.state().dropped += messages as u64;
    }

    /// Moves queued commands into `output`, `limit` of them at most and none beyond what may be framed.
    pub(crate) fn drain(
        &self,
        connection: &mut Connection,
        output: &mut Output,
        limit: usize,
        tally: Option<&Tally<'_>>,
    ) -> Drained {
        let (mut framed, mut since) = (0, None);
        let mark = self.terms.framed_ahead(self.terms.mark());
        let mut drained = Drained { moved: 0, emptied: false };
        while drained.moved < limit && output.len() < mark && !drained.emptied && worked() < WORK_PER_POLL {
            let (command, queued_at) = {
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
                (command, state.queued_at.popped())
            };
            if queued_at != since {
                tally.inspect(|tally| tally.waited_since(framed, since));
                (framed, since) = (0, queued_at);
            }
            drained.moved += 1;
            if let Command::Ask(number) = command {
                self.state().waits.iter_mut().for_each(|waits| waits.note_sent(number));
            }
            let length = command.message_length();
            // The arguments were checked when they were queued: a connection that has closed since takes nothing.
            match (command.frame(connection, output), length) {
                (Ok(()), Some(length)) => {
                    framed += 1;
                    tally.inspect(|tally| tally.sent(length));
                }
                (Err(_), Some(_)) => {
                    self.terms.counts().lost_messages.up();
                    self.count_dropped(1);
                }
                (_, None) => {}
            }
        }
        tally.inspect(|tally| tally.waited_since(framed, since));
        drained
    }

    /// Registers `waker` for the next command, and says whether one is there already: in one step, so that none is
    /// missed. `backlog` is what the connection holds unsent.
    pub(crate) fn register(&self, waker: &Waker, backlog: usize) -> bool {
        let mut state = self.state();
        let changed = state.set_backlog(backlog, self.low_mark());
        let known = state.waker.as_ref().is_some_and(|known| known.will_wake(waker));
        let old = if known { None } else { state.waker.replace(waker.clone()) };
        let filled = !state.queue.is_empty();
        drop(state);
        drop(old); // without the lock: it may be the last to hold a task
        tell(changed);
        filled
    }

    /// From now on nothing is taken; what is queued is dropped and counted.
    pub(crate) fn close(&self) {
        let counts = self.terms.counts();
        let (dropped, changed) = {
            let mut state = self.state();
            state.closed = true;
            state.backlog = 0;
            state.queued.set(0);
            let queue = std::mem::take(&mut state.queue);
            let messages = queue.iter().filter(|command| command.is_message()).count();
            counts.lost_messages.add(messages);
            state.dropped += messages as u64;
            let given_up = state.waits.as_mut().map(|waits| waits.give_up());
            ((queue, state.waker.take(), given_up), state.changed())
        };
        drop(dropped); // without the lock: it runs other people's destructors
        tell(changed);
    }
}

fn tell(changed: Option<Arc<Notify>>) {
    if let Some(changed) = changed {
        changed.notify_waiters();
    }
}
