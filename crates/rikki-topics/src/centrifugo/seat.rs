//! One subscription of a client.

use rikki_ws::CloseCode;
use rikki_ws::internal::{NEVER, Outlet, Tick};

use super::client::Client;
use super::code::{End, Fault, Unsubscribed};
use super::reply;
use crate::config::Policy;
use crate::cursor::{Batch, Cursor, Next, Taken};
use crate::socket;
use crate::topic::Joined;

/// How many messages are taken at once.
const BATCH: usize = 32;

/// Asks not to be subscribed where not everything is still there.
const REJECT_UNRECOVERED: i64 = 2;

/// One subscription of a client.
pub(super) struct Seat {
    cursor: Cursor,
    /// The server has made it.
    pub(super) is_servers: bool,
    /// A token of the topic has let it in.
    pub(super) has_token: bool,
    /// When it ends, if no other token is shown.
    pub(super) until: Tick,
    /// For how many seconds the token is good, where it ends.
    ttl: Option<u64>,
    /// What its reply has to say, until the broker has said where it begins.
    begins: Option<Begins>,
    /// It is to be left, and why, if the client is to be told.
    pub(super) is_over: bool,
    pub(super) ended: Option<Unsubscribed>,
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begins {
    /// The number of the reply.
    pub(super) id: u32,
    pub(super) recovers: bool,
    pub(super) flag: i64,
    /// There is room in its reply for publications that wait.
    pub(super) has_room: bool,
}

impl Seat {
    pub(super) fn new(cursor: Cursor, is_servers: bool) -> Self {
        Self {
            cursor,
            is_servers,
            has_token: false,
            until: NEVER,
            ttl: None,
            begins: None,
            is_over: false,
            ended: None,
        }
    }

    pub(super) fn channel(&self) -> &str {
        &self.cursor.topic().name
    }

    /// It lasts as long as a token does.
    pub(super) fn lasts(&mut self, ttl: Option<u64>, until: Tick) {
        (self.has_token, self.ttl, self.until) = (true, ttl, until);
    }

    pub(super) fn end(&mut self, why: Unsubscribed) {
        self.is_over = true;
        self.ended.get_or_insert(why);
    }

    /// What says that it has begun, if the broker has said where; otherwise it is said later.
    pub(super) fn begin(&mut self, joined: Option<Joined>, begins: Begins) -> Option<Result<String, Fault>> {
        match joined {
            Some(joined) => {
                // Of subscriptions that the server makes, clients look at those alone that were recovered.
                let are_seen = !self.is_servers || joined.recovered == Some(true);
                Some(self.begun(joined, begins, are_seen && begins.has_room))
            }
            None => {
                self.begins = Some(begins);
                None
            }
        }
    }

    /// What says that it has begun, with the publications that wait, if the client looks at them there.
    fn begun(
        &mut self,
        joined: Joined,
        Begins { recovers, flag, .. }: Begins,
        has_publications: bool,
    ) -> Result<String, Fault> {
        let mut position = joined.position;
        if joined.recovered == Some(false) {
            if flag & REJECT_UNRECOVERED != 0 {
                return Err(Fault::UNRECOVERABLE_POSITION);
            }
            // Who knows that something is missing takes everything anew, and goes on from here.
            position = self.cursor.begin_with_next().map_or(position, |joined| joined.position);
        }
        let mut text = format!(
            "{{\"recoverable\":true,\"positioned\":true,\"epoch\":\"{}\",\"offset\":{}",
            position.epoch, position.offset
        );
        if recovers {
            text.push_str(",\"was_recovering\":true");
        }
        if joined.recovered == Some(true) {
            text.push_str(",\"recovered\":true");
        }
        if let Some(ttl) = self.ttl {
            text.push_str(&format!(",\"expires\":true,\"ttl\":{ttl}"));
        }
        if has_publications {
            text.push_str(",\"publications\":");
            reply::list(&mut text, ('[', ']'), Waiting::new(&mut self.cursor));
        }
        text.push('}');
        Ok(text)
    }
}

/// The publications that wait for a subscriber: those that are not looked at come later.
struct Waiting<'c> {
    cursor: &'c mut Cursor,
    batch: Batch,
}

impl<'c> Waiting<'c> {
    fn new(cursor: &'c mut Cursor) -> Self {
        Self { cursor, batch: Batch::default() }
    }
}

impl Iterator for Waiting<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.batch.is_empty() && !self.cursor.next_messages(&mut self.batch, BATCH) {
            return None;
        }
        let taken = self.batch.pop()?;
        self.cursor.has_taken(&taken);
        self.batch.count_delivered(1);
        Some(reply::publication(&taken.item, taken.position))
    }
}

impl socket::Seat for Seat {
    const TOO_SLOW: (CloseCode, &'static str) = End::SLOW.parts();

    fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    fn cursor_mut(&mut self) -> &mut Cursor {
        &mut self.cursor
    }

    fn send(&self, taken: &Taken, outlet: &mut Outlet<'_>) {
        // A connection that is closing has no feeds.
        let _ = outlet.send(&taken.item.pushed(self.channel(), taken.position));
    }

    fn tell(&mut self, next: Next, outlet: &mut Outlet<'_>) -> bool {
        match next {
            Next::Joined(joined) => {
                let Some(begins) = self.begins.take() else { return true };
                let text = match self.begun(joined, begins, !self.is_servers) {
                    Ok(object) if self.is_servers => reply::subscribed(self.channel(), &object),
                    Ok(object) => reply::reply(begins.id, "subscribe", &object),
                    Err(fault) => {
                        Client::send(outlet, reply::error(begins.id, fault));
                        self.is_over = true;
                        return false;
                    }
                };
                Client::send(outlet, text);
            }
            // Of values of which only the last counts, none that has been passed over is missing.
            Next::Missed(_) if self.cursor.policy() == Policy::Latest => {}
            Next::Missed(_) => {
                self.end(Unsubscribed::INSUFFICIENT_STATE);
                return false;
            }
            Next::Presence(change) => {
                for frame in reply::presence(self.channel(), &change) {
                    Client::send(outlet, frame);
                }
            }
            // There are no words for where it is, apart from a message.
            Next::Nothing | Next::Messages { .. } | Next::Reached(_) | Next::TooSlow => {}
        }
        true
    }
}
