//! The callback face: a WebSocket that is subscribed to topics takes their messages by itself.

use std::any::Any;
use std::cell::Cell;
use std::task::Context;

use rikki_ws::internal::{Fed, Feeds, Outlet};
use rikki_ws::{CloseCode, Socket};

use crate::cursor::{Batch, Cursor, Next, Taken};
use crate::envelope;
use crate::error::SubscribeError;
use crate::options::SubscribeOptions;
use crate::topic::Joined;
use crate::topics::Topics;

/// Subscribing a WebSocket in its callbacks: its connection sends what the topics bring, as fast as its peer takes it.
///
/// It leaves them when it closes. A drain closes it when it has what was published before.
///
/// ```
/// use rikki_topics::{Subscribe, Topics};
/// use rikki_ws::{Handler, Message, Opening, Socket};
///
/// struct Room(Topics);
///
/// impl Handler for Room {
///     type State = ();
///
///     fn open(&self, socket: &mut Socket<'_>, _opening: &Opening) {
///         let _ = socket.subscribe(&self.0, "room");
///     }
///
///     fn message(&self, (): &mut (), _socket: &mut Socket<'_>, message: Message<'_>) {
///         let _ = self.0.publish("room", message.into_owned()).detach();
///     }
/// }
/// ```
pub trait Subscribe: sealed::Sealed {
    /// Subscribes to what is published from now on.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`] says which name or bound stands in the way.
    fn subscribe(&mut self, topics: &Topics, topic: &str) -> Result<(), SubscribeError> {
        self.subscribe_with(topics, topic, SubscribeOptions::default()).map(|_| ())
    }

    /// Subscribes as it is asked for, and says where it begins; `None` where the broker has not said that yet.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`] says which name or bound stands in the way.
    fn subscribe_with(
        &mut self,
        topics: &Topics,
        topic: &str,
        options: impl Into<SubscribeOptions>,
    ) -> Result<Option<Joined>, SubscribeError>;

    /// Leaves a topic; whether it was subscribed to.
    fn unsubscribe(&mut self, topics: &Topics, topic: &str) -> bool;
}

impl Subscribe for Socket<'_> {
    fn subscribe_with(
        &mut self,
        topics: &Topics,
        topic: &str,
        options: impl Into<SubscribeOptions>,
    ) -> Result<Option<Joined>, SubscribeError> {
        if !self.is_open() {
            return Err(SubscribeError::Closed);
        }
        let mine = self.feeds().as_deref_mut().and_then(subscriptions);
        if let Some(mine) = &mine {
            if mine.all().iter().any(|cursor| is_at(cursor, topics, topic)) {
                return Err(SubscribeError::Already);
            }
            if mine.all().len() >= topics.per_connection() {
                return Err(SubscribeError::TooManyOfConnection);
            }
        }
        let (cursor, joined) = topics.cursor(topic, options.into())?;
        match mine {
            Some(mine) => mine.add(cursor),
            None => *self.feeds() = Some(Box::new(Subscriptions::One(cursor))),
        }
        Ok(joined)
    }

    fn unsubscribe(&mut self, topics: &Topics, topic: &str) -> bool {
        let Some(mine) = self.feeds().as_deref_mut().and_then(subscriptions) else { return false };
        mine.remove(|cursor| is_at(cursor, topics, topic))
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for rikki_ws::Socket<'_> {}
}

/// Lets a connection that is subscribed to nothing take what `cursor` brings.
#[cfg(feature = "axum")]
pub(crate) fn attach(socket: &mut Socket<'_>, cursor: Cursor) {
    *socket.feeds() = Some(Box::new(Subscriptions::One(cursor)));
}

fn is_at(cursor: &Cursor, topics: &Topics, topic: &str) -> bool {
    *cursor.topic().name == *topic && topics.is_of(cursor.topic())
}

fn subscriptions(feeds: &mut dyn Feeds) -> Option<&mut Subscriptions> {
    (feeds as &mut dyn Any).downcast_mut()
}

/// The subscriptions of one connection: most have one.
#[derive(Debug)]
enum Subscriptions {
    One(Cursor),
    Many(Vec<Cursor>),
}

impl Subscriptions {
    fn all(&self) -> &[Cursor] {
        match self {
            Self::One(cursor) => std::slice::from_ref(cursor),
            Self::Many(cursors) => cursors,
        }
    }

    fn all_mut(&mut self) -> &mut [Cursor] {
        match self {
            Self::One(cursor) => std::slice::from_mut(cursor),
            Self::Many(cursors) => cursors,
        }
    }

    fn add(&mut self, cursor: Cursor) {
        match std::mem::replace(self, Self::Many(Vec::new())) {
            Self::One(first) => *self = Self::Many(vec![first, cursor]),
            Self::Many(mut cursors) => {
                cursors.push(cursor);
                *self = Self::Many(cursors);
            }
        }
    }

    fn remove(&mut self, is_it: impl Fn(&Cursor) -> bool) -> bool {
        let before = self.all().len();
        match self {
            Self::One(cursor) if is_it(cursor) => *self = Self::Many(Vec::new()),
            Self::One(_) => {}
            Self::Many(cursors) => cursors.retain(|cursor| !is_it(cursor)),
        }
        self.all().len() < before
    }
}

impl Feeds for Subscriptions {
    fn poll_feed(&mut self, cx: &mut Context<'_>, outlet: &mut Outlet<'_>) -> Fed {
        feed(self.all_mut(), cx, outlet)
    }

    fn seal(&mut self) -> bool {
        seal(self.all_mut())
    }
}

/// A subscription of a connection: a place in a topic, and the words for what comes there.
pub(crate) trait Seat {
    /// How a connection is closed that is too slow for a topic.
    const TOO_SLOW: (CloseCode, &'static str);

    fn cursor(&self) -> &Cursor;

    fn cursor_mut(&mut self) -> &mut Cursor;

    /// Sends a message.
    fn send(&self, taken: &Taken, outlet: &mut Outlet<'_>);

    /// Tells what is no message; `false` where it is over with that.
    fn tell(&mut self, next: Next, outlet: &mut Outlet<'_>) -> bool;
}

impl Seat for Cursor {
    const TOO_SLOW: (CloseCode, &'static str) = (CloseCode::TRY_AGAIN_LATER, "too slow for a topic");

    fn cursor(&self) -> &Cursor {
        self
    }

    fn cursor_mut(&mut self) -> &mut Cursor {
        self
    }

    fn send(&self, taken: &Taken, outlet: &mut Outlet<'_>) {
        // A connection that is closing has no feeds.
        let _ = match self.has_envelope {
            true => outlet.send(&taken.item.enveloped(taken.position)),
            false => outlet.send(&taken.item.message),
        };
    }

    fn tell(&mut self, next: Next, outlet: &mut Outlet<'_>) -> bool {
        let said = match next {
            // Without an envelope there are no words for these.
            _ if !self.has_envelope => return true,
            Next::Joined(joined) => envelope::joined(joined),
            Next::Missed(missed) => envelope::gap(missed),
            Next::Presence(change) => envelope::presence(&change),
            Next::Reached(position) => envelope::reached(position),
            _ => return true,
        };
        let _ = outlet.send(&envelope::told(&said));
        true
    }
}

/// Sends what the topics of a connection have.
pub(crate) fn feed<S: Seat>(seats: &mut [S], cx: &mut Context<'_>, outlet: &mut Outlet<'_>) -> Fed {
    for index in 0..seats.len() {
        let Some(seat) = seats.get_mut(index) else { break };
        if feed_one(seat, cx, outlet) == Fed::Full {
            // The others come first next time, and those that are to be closed now.
            let behind = (index + 1) % seats.len();
            seats.rotate_left(behind);
            if !outlet.is_closing()
                && let Some(left_behind) = seats.iter_mut().find(|seat| seat.cursor().is_to_be_closed())
            {
                feed_one(left_behind, cx, outlet);
            }
            return Fed::Full;
        }
    }
    Fed::Waiting
}

/// Whether all of them have had what there is now: they get nothing else any more.
pub(crate) fn seal<S: Seat>(seats: &mut [S]) -> bool {
    // Each is sealed now, whether or not one before it is done.
    let mut is_done = true;
    for seat in seats {
        is_done &= seat.cursor_mut().seal();
    }
    is_done
}

/// How many messages are taken at once. They are kept no longer than it takes to send them, or to see that there is no
/// room.
const BATCH: usize = 32;

thread_local! {
    /// Room for them, which all connections of a thread take turns with.
    static SCRATCH: Cell<Batch> = Cell::default();
}

/// Sends what one topic has.
fn feed_one<S: Seat>(seat: &mut S, cx: &mut Context<'_>, outlet: &mut Outlet<'_>) -> Fed {
    let mut batch = SCRATCH.take();
    let fed = feed_by(&mut batch, seat, cx, outlet);
    batch.clear();
    SCRATCH.set(batch);
    fed
}

fn feed_by<S: Seat>(batch: &mut Batch, seat: &mut S, cx: &mut Context<'_>, outlet: &mut Outlet<'_>) -> Fed {
    loop {
        if outlet.is_full() && !seat.cursor().is_to_be_closed() {
            return Fed::Full;
        }
        match seat.cursor_mut().next(batch, BATCH) {
            Next::Messages { is_full } => {
                let mut sent = 0;
                while !outlet.is_full()
                    && let Some(taken) = batch.pop()
                {
                    seat.send(&taken, outlet);
                    outlet.note_published(taken.item.time);
                    seat.cursor_mut().has_taken(&taken);
                    sent += 1;
                }
                batch.count_delivered(sent);
                if !is_full && batch.is_empty() && seat.cursor().wait(cx.waker()) {
                    return Fed::Waiting;
                }
            }
            Next::TooSlow => {
                let (code, reason) = S::TOO_SLOW;
                outlet.close(code, reason);
                return Fed::Full;
            }
            Next::Nothing if seat.cursor().wait(cx.waker()) => return Fed::Waiting,
            Next::Nothing => {}
            told => {
                if !seat.tell(told, outlet) {
                    return Fed::Waiting;
                }
            }
        }
    }
}
