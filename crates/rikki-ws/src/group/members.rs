//! Who is in a group, and until when.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rikki_proto::CloseCode;
use tokio::sync::Notify;

use super::Group;
use crate::id::ConnectionId;
use crate::sender::Sender;

/// How many members are looked up under one lock to be sent to.
const AT_ONCE: usize = 256;

/// The members of a group.
#[derive(Default)]
pub(crate) struct Members {
    state: Mutex<State>,
    /// All have ended, after a close.
    over: Notify,
}

/// The code and the reason that members are closed with.
pub(super) type Closing = (CloseCode, Arc<str>);

#[derive(Default)]
struct State {
    seats: BTreeMap<ConnectionId, Seat>,
    /// Handshakes that were agreed on, of which the stream is not there yet.
    coming: usize,
    closing: Option<Closing>,
}

struct Seat {
    sender: Sender,
    /// How often it has joined and not left.
    joined: usize,
    /// One of these is without a guard, and stays.
    stays: bool,
}

impl Seat {
    fn new(sender: &Sender) -> Self {
        Self { sender: sender.clone(), joined: 0, stays: false }
    }
}

impl State {
    fn is_over(&self) -> bool {
        self.closing.is_some() && self.coming == 0 && self.seats.is_empty()
    }

    fn senders(&self) -> Vec<Sender> {
        self.seats.values().map(|seat| seat.sender.clone()).collect()
    }
}

impl Members {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.state().seats.len()
    }

    pub(super) fn senders(&self) -> Vec<Sender> {
        self.state().senders()
    }

    /// Tells `each` of the members, some at a time and without the lock: a large group does not hold up who joins.
    pub(super) fn for_each(&self, mut each: impl FnMut(&Sender)) {
        let Some(last) = self.state().seats.last_key_value().map(|(id, _)| *id) else { return };
        let mut after = Bound::Unbounded;
        loop {
            let some: Vec<Sender> = {
                let state = self.state();
                let seats = state.seats.range((after, Bound::Included(last))).take(AT_ONCE);
                seats.map(|(_, seat)| seat.sender.clone()).collect()
            };
            let Some(latest) = some.last() else { return };
            after = Bound::Excluded(latest.id());
            some.iter().for_each(&mut each);
        }
    }

    /// Lets it be a member until its connection is over.
    pub(super) fn admit(self: &Arc<Self>, sender: &Sender) {
        let closing = {
            let mut state = self.state();
            let seat = state.seats.entry(sender.id()).or_insert_with(|| Seat::new(sender));
            seat.joined += 1;
            state.closing.clone()
        };
        if !sender.mailbox().enter(self) {
            self.remove(sender.id());
        } else if let Some((code, reason)) = closing {
            // It fails where a Close came first, which is as good.
            let _ = sender.close(code, &reason);
        }
    }

    /// From now on whoever comes is closed with this, unless it was something else before: gives which it is, and who
    /// is to be closed now.
    pub(super) fn start_close(&self, code: CloseCode, reason: &str) -> (Closing, Vec<Sender>) {
        let begun = {
            let mut state = self.state();
            (state.closing.get_or_insert_with(|| (code, reason.into())).clone(), state.senders())
        };
        // There may be nobody to wait for.
        self.tell_if_over();
        begun
    }

    pub(super) async fn wait_until_over(&self) {
        loop {
            // Before it is looked at: what happens from here on is not missed.
            let over = self.over.notified();
            if self.state().is_over() {
                return;
            }
            over.await;
        }
    }

    /// Its connection is over.
    pub(crate) fn remove(&self, id: ConnectionId) {
        let removed = self.state().seats.remove(&id);
        drop(removed); // without the lock: it runs other people's destructors
        self.tell_if_over();
    }

    /// It leaves as often as it has joined.
    fn leave(&self, id: ConnectionId) {
        let removed = {
            let mut state = self.state();
            let Some(seat) = state.seats.get_mut(&id) else { return };
            seat.joined -= 1;
            if seat.joined == 0 { state.seats.remove(&id) } else { None }
        };
        drop(removed); // without the lock: it runs other people's destructors
        self.tell_if_over();
    }

    /// Keeps one time that it has joined until its connection is over; false if there is one, or it is not here.
    fn keep(&self, id: ConnectionId) -> bool {
        self.state().seats.get_mut(&id).is_some_and(|seat| !std::mem::replace(&mut seat.stays, true))
    }

    fn tell_if_over(&self) {
        if self.state().is_over() {
            self.over.notify_waiters();
        }
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members").finish_non_exhaustive()
    }
}

/// A WebSocket's membership in a [`Group`]: it leaves when this is dropped, or its connection is over.
///
/// Where there is nothing to keep it in, [`detach`](Self::detach) it. It does not keep the connection or the group
/// alive.
#[must_use = "the WebSocket leaves the group when this is dropped"]
pub struct Member {
    members: Weak<Members>,
    /// `None` when it is detached.
    sender: Option<Sender>,
}

impl Member {
    pub(super) fn new(members: &Arc<Members>, sender: &Sender) -> Self {
        Self { members: Arc::downgrade(members), sender: Some(sender.clone()) }
    }

    /// Lets the membership last as long as the connection, without this. However often that is done, it costs as much as
    /// once.
    ///
    /// ```
    /// use rikki_ws::{Group, Message, Socket};
    ///
    /// let room = Group::new();
    /// let chat = move |socket: &mut Socket<'_>, message: Message<'_>| match message.as_text() {
    ///     Some("join") => room.join(&socket.sender()).detach(),
    ///     _ => _ = room.send(message),
    /// };
    /// # drop(rikki_ws::Endpoint::new(chat));
    /// ```
    pub fn detach(mut self) {
        let members = self.members.upgrade();
        // Else it leaves, as one that is dropped.
        let _kept = self.sender.take_if(|sender| members.is_some_and(|members| members.keep(sender.id())));
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let Some(sender) = &self.sender else { return };
        sender.mailbox().leave(&self.members);
        if let Some(members) = self.members.upgrade() {
            members.leave(sender.id());
        }
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.sender.as_ref().map(|sender| sender.id().get());
        f.debug_struct("Member").field("id", &id).finish_non_exhaustive()
    }
}

/// A member to come, since its handshake was agreed on: whoever waits for the group waits for it too.
pub(crate) struct Coming(Group);

impl Coming {
    pub(crate) fn new(group: &Group) -> Self {
        group.members.state().coming += 1;
        Self(group.clone())
    }

    /// It is there, and stays until its connection is over.
    pub(crate) fn admit(self, sender: &Sender) {
        self.0.members.admit(sender);
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.members.state().coming -= 1;
        self.0.members.tell_if_over();
    }
}
