//! Subscriptions of a client, and what it reads without one.

use std::collections::BTreeMap;

use super::acting::fault_of;
use super::client::{Client, GRACE, State};
use super::code::{End, Fault, Refused};
use super::command::{History, StreamPosition, SubRefresh, Subscribe};
use super::rule::{Admitted, Shown, ask};
use super::seat::{Begins, Seat};
use super::{reply, seconds};
use crate::cursor::Taken;
use crate::history::Reading;
use crate::options::{SubscribeOptions, Watches};
use crate::position::{Epoch, From, Position};
use crate::topics::Topics;
use crate::url::{Action, Denied};
use rikki_ws::internal::{NEVER, ticks};

/// A position that there is none of.
const NOWHERE: u64 = u64::MAX;

impl Client {
    /// Subscribes; the text that says so, if it is known yet where that begins.
    pub(super) fn subscribe(&mut self, id: u32, asked: &Subscribe) -> Result<Option<String>, Refused> {
        let channel = asked.channel.as_deref().filter(|channel| !channel.is_empty()).ok_or(End::BAD_REQUEST)?;
        let token = asked.token.as_deref().filter(|token| !token.is_empty());
        let admitted = match token {
            Some(token) if self.settings.rule.is_some() => {
                let admitted = self.judge(channel, token)?.map_err(fault_of)?;
                if admitted.is_over() {
                    return Err(Fault::TOKEN_EXPIRED.into());
                }
                Some(admitted)
            }
            _ => None,
        };
        if admitted.is_none() {
            self.allowed(channel, Action::Subscribe)?;
            let more = [(asked.recover, Action::History), (asked.join_leave, Action::Presence)];
            for (_, action) in more.into_iter().filter(|(is_asked, _)| *is_asked == Some(true)) {
                self.allowed(channel, action)?;
            }
        }
        match self.seats.iter().position(|seat| seat.channel() == channel) {
            Some(index) if self.seats.get(index).is_some_and(|seat| seat.is_servers) => {
                // It is the client's from now on.
                self.seats.swap_remove(index);
            }
            Some(_) => return Err(Fault::ALREADY_SUBSCRIBED.into()),
            None => {}
        }
        let begun = self.seat((id, true), channel, asked, admitted)?;
        Ok(begun.map(|object| reply::reply(id, "subscribe", &object)))
    }

    /// Subscribes the client to what the application says; where each begins.
    pub(super) fn subscribe_to(
        &mut self,
        topics: Vec<String>,
        mut asked: BTreeMap<String, Subscribe>,
    ) -> BTreeMap<String, String> {
        let (mut begun, mut length) = (BTreeMap::new(), 0);
        for channel in topics {
            let mut asked = asked.remove(&channel).unwrap_or_default();
            // It is in the topic, but what is more is only for those who may have it.
            for (is_asked, action) in [(&mut asked.recover, Action::History), (&mut asked.join_leave, Action::Presence)]
            {
                *is_asked = is_asked.filter(|is_asked| *is_asked && self.allowed(&channel, action).is_ok());
            }
            let is_there = self.seats.iter().any(|seat| seat.channel() == channel);
            let object = match is_there {
                true => Ok(None),
                false => self.seat((0, length < reply::LONGEST), &channel, &asked, None),
            };
            if let Ok(Some(object)) = object {
                length += object.len();
                begun.insert(channel, object);
            }
        }
        begun
    }

    /// Takes a place in a topic; the object that says so. One without a number is the server's, and where there is room
    /// in its reply it has what waits there.
    fn seat(
        &mut self,
        (id, has_room): (u32, bool),
        channel: &str,
        asked: &Subscribe,
        admitted: Option<Admitted>,
    ) -> Result<Option<String>, Refused> {
        if self.seats.len() >= self.settings.topics.per_connection() {
            return Err(Fault::LIMIT_EXCEEDED.into());
        }
        let State::Connected(session) = &self.state else { return Err(End::BAD_REQUEST.into()) };
        let mut identity = session.identity.clone();
        if let Some(admitted) = &admitted
            && !admitted.identity.info.is_empty()
        {
            identity.info.clone_from(&admitted.identity.info);
        }
        let recovers = asked.recover == Some(true);
        let topics = &self.settings.topics;
        let from = if recovers { position(topics, channel, asked.epoch.as_deref(), asked.offset) } else { From::Now };
        let watches = if asked.join_leave == Some(true) { Watches::Changes } else { Watches::Nothing };
        let options = SubscribeOptions { watches, client: Some(self.number), ..from.into() }.identity(identity);
        let (cursor, joined) = topics.cursor(channel, options).map_err(Fault::from)?;
        // It would wait for who knows how long, while clients try again by themselves.
        if id != 0 && joined.is_none() && topics.broker().is_away(channel) {
            return Err(Fault::INTERNAL.into());
        }
        let mut seat = Seat::new(cursor, id == 0);
        if let Some(admitted) = admitted {
            let ttl = admitted.ttl();
            let until = ttl.map_or(NEVER, |ttl| self.now().saturating_add(ticks(ttl + GRACE)));
            seat.lasts(ttl.map(seconds), until);
        }
        let begins = Begins { id, recovers, flag: asked.flag.unwrap_or_default(), has_room };
        let begun = seat.begin(joined, begins).transpose()?;
        self.seats.push(seat);
        Ok(begun)
    }

    pub(super) fn unsubscribe(&mut self, id: u32, channel: Option<String>) -> Result<String, Refused> {
        let channel = channel.filter(|channel| !channel.is_empty()).ok_or(End::BAD_REQUEST)?;
        self.seats.retain(|seat| seat.channel() != channel);
        Ok(reply::reply(id, "unsubscribe", "{}"))
    }

    /// What a token of a channel says.
    fn judge(&self, channel: &str, token: &str) -> Result<Result<Admitted, Denied>, Refused> {
        let State::Connected(session) = &self.state else { return Err(End::BAD_REQUEST.into()) };
        let Some(rule) = &self.settings.rule else { return Err(Fault::NOT_AVAILABLE.into()) };
        let shown = Shown { topic: Some(channel), identity: Some(&session.identity), ..Shown::token(token) };
        let judged = ask(|| rule(&shown))?;
        Ok(judged.and_then(|admitted| match &*admitted.identity.user {
            user if user.is_empty() || user == session.identity.user => Ok(admitted),
            _ => Err(Denied::forbidden("the token is of another user")),
        }))
    }

    /// Lets a subscription go on with another token.
    pub(super) fn refresh_subscription(&mut self, id: u32, asked: &SubRefresh) -> Result<String, Refused> {
        if self.settings.rule.is_none() {
            return Err(Fault::NOT_AVAILABLE.into());
        }
        let (channel, token) = (asked.channel.as_deref().unwrap_or_default(), asked.token.as_deref());
        // centrifuge-python does not say which: then it is the one that the token is for.
        let mut result = Err(Refused::from(Fault::PERMISSION_DENIED));
        for index in 0..self.seats.len() {
            let Some(seat) = self.seats.get(index).filter(|seat| seat.has_token) else { continue };
            if !channel.is_empty() && seat.channel() != channel {
                continue;
            }
            result = match self.judge(seat.channel(), token.unwrap_or_default())? {
                Ok(admitted) if admitted.is_over() => Err(Fault::EXPIRED.into()),
                Ok(admitted) => Ok((index, admitted)),
                Err(denied) if denied.is_expired() => Err(Fault::EXPIRED.into()),
                Err(_) => Err(Fault::PERMISSION_DENIED.into()),
            };
            if result.is_ok() {
                break;
            }
        }
        let (index, admitted) = result?;
        let ttl = admitted.ttl();
        let until = ttl.map_or(NEVER, |ttl| self.now().saturating_add(ticks(ttl + GRACE)));
        if let Some(seat) = self.seats.get_mut(index) {
            seat.lasts(ttl.map(seconds), until);
        }
        let object =
            ttl.map_or_else(|| "{}".to_owned(), |ttl| format!("{{\"expires\":true,\"ttl\":{}}}", seconds(ttl)));
        Ok(reply::reply(id, "sub_refresh", &object))
    }

    /// Reads what there is.
    pub(super) fn history(
        &self,
        channel: &str,
        asked: History,
    ) -> Result<impl FnOnce(&Topics, &str, u32) -> Result<String, Fault> + use<>, Refused> {
        self.allowed(channel, Action::History)?;
        Ok(move |topics: &Topics, channel: &str, id| read_history(topics, channel, id, &asked))
    }
}

fn read_history(topics: &Topics, channel: &str, id: u32, asked: &History) -> Result<String, Fault> {
    let is_of_now = asked.since.as_ref().is_none_or(|since| since.epoch.as_deref().unwrap_or_default().is_empty());
    let Some(topic) = topics.known(channel) else {
        // One that nobody has used does not come to be by being read.
        let nothing = reply::reply(id, "history", "{\"publications\":[],\"epoch\":\"\",\"offset\":0}");
        return if is_of_now { Ok(nothing) } else { Err(Fault::UNRECOVERABLE_POSITION) };
    };
    let is_reversed = asked.reverse == Some(true);
    let limit = match asked.limit.unwrap_or(0) {
        ..0 => usize::MAX,
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let since = asked.since.as_ref().map(|StreamPosition { offset, epoch }| {
        (position(topics, channel, epoch.as_deref(), *offset), offset.unwrap_or(0))
    });
    let from = match since {
        Some((after, _)) if !is_reversed => after,
        _ => From::Last(usize::MAX),
    };
    let (reading, _) = Reading::of(&topic, from).ok_or(Fault::INTERNAL)?;
    let latest = reading.latest;
    if let Some((From::After(after), _)) = since
        && after.epoch != latest.epoch
    {
        return Err(Fault::UNRECOVERABLE_POSITION);
    }
    let before = since.filter(|_| is_reversed).map_or(u64::MAX, |(_, offset)| offset);
    let mut taken = if limit == 0 { Vec::new() } else { read(reading, before) };
    if is_reversed {
        taken.reverse();
    }
    let publications = taken.iter().take(limit).map(|taken| reply::publication(&taken.item, taken.position));
    let mut object = "{\"publications\":".to_owned();
    reply::list(&mut object, ('[', ']'), publications);
    object.push_str(&format!(",\"epoch\":\"{}\",\"offset\":{}}}", latest.epoch, latest.offset));
    Ok(reply::reply(id, "history", &object))
}

/// The position that a client means: without an epoch it is one of the history that there is.
fn position(topics: &Topics, channel: &str, epoch: Option<&str>, offset: Option<u64>) -> From {
    let offset = offset.unwrap_or(0);
    let known = || topics.known(channel).and_then(|topic| topic.state().epoch);
    let epoch = match epoch.unwrap_or_default() {
        "" => known(),
        epoch => format!("{epoch}:0").parse().ok().map(|Position { epoch, .. }| epoch),
    };
    match epoch {
        Some(epoch) => From::After(Position { epoch, offset }),
        // Of no history that we know: one that is no longer, or of another server.
        None => From::After(Position { epoch: Epoch(NOWHERE), offset }),
    }
}

/// All that there is in front of an offset: as many as the topic keeps, which shares them.
fn read(mut reading: Reading, before: u64) -> Vec<Taken> {
    let (mut all, mut batch) = (Vec::new(), Vec::new());
    while reading.next(&mut batch) {
        all.extend(batch.drain(..).filter(|taken| taken.position.offset < before));
    }
    all
}
