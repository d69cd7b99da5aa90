//! One client: what it has sent and is still to be answered, what it is subscribed to, and its deadlines.
//!
//! It is polled by its connection, as long as that takes what it sends: nothing is read of a client whose commands wait,
//! so that one who asks and does not read costs one read and one reply.

use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use http::request::Parts;
use rikki_limits::{Budget, Share};
use rikki_ws::internal::{Alarm, Clock, Fed, Feeds, NEVER, Outlet, Tick, ticks};
use rikki_ws::{CloseCode, Message, PreparedMessage};

use super::calls::Calls;
use super::code::{End, Fault, Refused, Unsubscribed};
use super::command::{Command, Malformed};
use super::rule::{Admitted, May};
use super::seat::Seat;
use super::{Settings, reply};
use crate::presence::{Identity, next_client};
use crate::socket::{feed, seal};

/// How long a client may take until it connects.
const UNCONNECTED: Duration = Duration::from_secs(15);

/// How long it may take to show another token.
pub(super) const GRACE: Duration = Duration::from_secs(25);

/// How many commands are answered before others have their turn.
const COMMANDS_AT_ONCE: usize = 128;

/// From how many bytes on a reply is worth compressing.
const WORTH_COMPRESSING: usize = 1024;

/// One client.
pub(super) struct Client {
    pub(super) settings: Arc<Settings>,
    /// By which others see it.
    pub(super) number: u64,
    pub(super) state: State,
    pub(super) seats: Vec<Seat>,
    pub(super) calls: Calls,
    input: Input,
    ping: Ping,
    pub(super) alarm: Alarm,
    /// Why it is to be closed, if that was found where it could not be.
    end: Option<End>,
    /// The connection closes: what comes now is not answered.
    is_sealed: bool,
}

/// How far a client has come.
pub(super) enum State {
    /// It is still to say who it is.
    Unconnected {
        request: Box<Parts>,
        until: Tick,
    },
    /// It may not connect, and has been told so.
    Refused {
        until: Tick,
    },
    Connected(Session),
}

/// A client that has been let in.
pub(super) struct Session {
    pub(super) identity: Identity,
    pub(super) may: Option<Arc<May>>,
    /// When it is to be closed that shows no other token.
    pub(super) until: Tick,
}

/// What has come and is not answered yet.
struct Input {
    text: String,
    at: usize,
    /// Of the memory of all topics, and of the part of it that this may have for all clients.
    memory: [Share; 2],
}

/// Where it is between two pings.
enum Ping {
    Due(Tick),
    /// The answer is due, and then the next one.
    Awaited {
        until: Tick,
        next: Tick,
    },
}

impl Client {
    pub(super) fn new(settings: Arc<Settings>, request: Box<Parts>) -> Self {
        let alarm = Alarm::new(Clock::current());
        let until = alarm.clock().now().saturating_add(ticks(UNCONNECTED));
        let input = Input { text: String::new(), at: 0, memory: settings.budgets().map(Budget::share) };
        Self {
            settings,
            number: next_client(),
            state: State::Unconnected { request, until },
            seats: Vec::new(),
            calls: Calls::default(),
            input,
            ping: Ping::Due(NEVER),
            alarm,
            end: None,
            is_sealed: false,
        }
    }

    /// A frame has come.
    pub(super) fn take(&mut self, message: &Message<'_>) {
        match message.as_text() {
            _ if self.is_sealed || self.end.is_some() => {}
            Some(text) => self.end = self.input.add(text).err(),
            // It is for clients of Protobuf.
            None => self.end = Some(End::INAPPROPRIATE_PROTOCOL),
        }
    }

    pub(super) fn now(&self) -> Tick {
        self.alarm.clock().now()
    }

    /// Let in as `admitted` says; how many seconds that lasts, if it ends.
    pub(super) fn begin(&mut self, Admitted { identity, may, .. }: Admitted, ttl: Option<Duration>) {
        let until = ttl.map_or(NEVER, |ttl| self.now().saturating_add(ticks(ttl + GRACE)));
        if let State::Unconnected { .. } = self.state {
            self.ping = Ping::Due(self.now().saturating_add(ticks(self.settings.ping)));
        }
        self.state = State::Connected(Session { identity, may, until });
    }

    /// Sends what answers one command.
    pub(super) fn send(outlet: &mut Outlet<'_>, text: String) {
        let message = match text.len() {
            0..WORTH_COMPRESSING => PreparedMessage::uncompressed(text),
            _ => PreparedMessage::new(text),
        };
        // A connection that is closing has no feeds.
        let _ = outlet.send(&message);
    }

    /// Sends what answers one command, or why it is not done.
    pub(super) fn answer(outlet: &mut Outlet<'_>, id: u32, result: Result<String, Refused>) -> Result<(), End> {
        match result {
            Ok(text) => Self::send(outlet, text),
            Err(Refused::Reply(fault)) => Self::send(outlet, reply::error(id, fault)),
            Err(Refused::Close(end)) => return Err(end),
        }
        Ok(())
    }

    /// Does what has come due.
    fn watch(&mut self, outlet: &mut Outlet<'_>) -> Result<(), End> {
        let now = self.now();
        match &self.state {
            State::Unconnected { until, .. } | State::Refused { until } if *until <= now => return Err(End::STALE),
            State::Connected(session) if session.until <= now => return Err(End::EXPIRED),
            _ => {}
        }
        for seat in self.seats.iter_mut().filter(|seat| seat.until <= now) {
            seat.end(Unsubscribed::EXPIRED);
        }
        match &mut self.ping {
            Ping::Due(at) if *at <= now && !outlet.is_full() => {
                Self::send(outlet, reply::PING.to_owned());
                let [until, next] =
                    [self.settings.pong, self.settings.ping].map(|time| now.saturating_add(ticks(time)));
                self.ping = Ping::Awaited { until, next };
            }
            // Its answer may be behind what we have not looked at, or what it has not taken yet.
            Ping::Awaited { until, .. } if *until <= now && (!self.input.is_empty() || outlet.is_full()) => {
                *until = now.saturating_add(ticks(self.settings.pong));
            }
            Ping::Awaited { until, .. } if *until <= now => return Err(End::NO_PONG),
            _ => {}
        }
        Ok(())
    }

    /// When something comes due next.
    fn due(&self) -> Tick {
        let state = match &self.state {
            State::Unconnected { until, .. } | State::Refused { until } => *until,
            State::Connected(session) => session.until,
        };
        let ping = match self.ping {
            Ping::Due(at) => at,
            Ping::Awaited { until, .. } => until,
        };
        self.seats.iter().map(|seat| seat.until).fold(state.min(ping), Tick::min)
    }

    pub(super) fn pong(&mut self) {
        if let Ping::Awaited { next, .. } = self.ping {
            self.ping = Ping::Due(next);
        }
    }

    /// Answers what has come, as far as there is room for answers.
    fn answer_all(&mut self, cx: &mut Context<'_>, outlet: &mut Outlet<'_>) -> Result<(), End> {
        for _ in 0..COMMANDS_AT_ONCE {
            if outlet.is_full() || self.calls.are_full() {
                return Ok(());
            }
            let text = std::mem::take(&mut self.input.text);
            let answered = match self.input.next(&text) {
                Some(line) => self.answer_line(line, outlet),
                None => Ok(()),
            };
            self.input.put_back(text);
            answered?;
            if self.input.is_empty() {
                return Ok(());
            }
        }
        // Others have their turn first.
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn answer_line(&mut self, line: &str, outlet: &mut Outlet<'_>) -> Result<(), End> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let command = Command::parse(line).map_err(|Malformed| End::BAD_REQUEST)?;
        self.act(command, outlet)
    }

    fn poll(&mut self, cx: &mut Context<'_>, outlet: &mut Outlet<'_>) -> Result<Fed, End> {
        if let Some(end) = self.end {
            return Err(end);
        }
        self.watch(outlet)?;
        loop {
            self.answer_all(cx, outlet)?;
            // Where one is done there is room for another.
            if !self.calls.poll(cx, outlet) {
                break;
            }
        }
        let fed = feed(&mut self.seats, cx, outlet);
        self.leave_ended(outlet)?;
        self.alarm.set(self.due(), cx.waker());
        Ok(fed)
    }

    /// Leaves topics whose subscriptions have ended, and says so.
    fn leave_ended(&mut self, outlet: &mut Outlet<'_>) -> Result<(), End> {
        for seat in self.seats.extract_if(.., |seat| seat.is_over) {
            match seat.ended {
                // The server has made it, and so the client cannot come back to it alone.
                Some(_) if seat.is_servers => return Err(End::INSUFFICIENT_STATE),
                Some(ended) => Self::send(outlet, reply::unsubscribed(seat.channel(), ended)),
                None => {}
            }
        }
        Ok(())
    }
}

impl Feeds for Client {
    fn poll_feed(&mut self, cx: &mut Context<'_>, outlet: &mut Outlet<'_>) -> Fed {
        match self.poll(cx, outlet) {
            Ok(fed) if !outlet.is_full() => fed,
            Ok(_) => Fed::Full,
            Err(end) => {
                end.close(outlet);
                Fed::Full
            }
        }
    }

    fn seal(&mut self) -> bool {
        self.is_sealed = true;
        // Each is sealed, whether or not something else is to be done.
        seal(&mut self.seats) && self.input.is_empty() && self.calls.are_done()
    }

    fn holds_back(&self) -> bool {
        !self.input.is_empty() && self.end.is_none()
    }

    /// Those clients come back after 1008.
    fn refusal(&self) -> CloseCode {
        End::FORCED.parts().0
    }
}

impl Input {
    fn add(&mut self, text: &str) -> Result<(), End> {
        if text.is_empty() {
            return Ok(());
        }
        for memory in &mut self.memory {
            if !memory.grow(text.len() + 1) {
                return Err(End::NO_MEMORY);
            }
        }
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(text);
        Ok(())
    }

    /// The next line of the text.
    fn next<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let rest = text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let line = rest.split('\n').next()?;
        self.at += line.len() + 1;
        Some(line)
    }

    fn is_empty(&self) -> bool {
        self.at >= self.text.len()
    }

    /// Keeps the text as long as not all of it has been looked at.
    fn put_back(&mut self, text: String) {
        if self.at < text.len() {
            self.text = text;
        } else {
            self.at = 0;
            self.memory.iter_mut().for_each(|memory| memory.shrink_to(0));
        }
    }

    /// What is left is not looked at.
    fn pass_over(&mut self) {
        self.at = usize::MAX;
    }
}

impl Client {
    /// Nothing of what has come with it is answered: it is not let in.
    pub(super) fn refuse(&mut self, fault: Fault) -> Refused {
        let until = match self.state {
            State::Unconnected { until, .. } => until,
            _ => self.now(),
        };
        self.state = State::Refused { until };
        self.input.pass_over();
        fault.into()
    }
}
