//! What a client sends, read: commands of JSON, one a line, several a frame.
//!
//! It says what was asked for, and leaves it to others whether that can be. Fields that are not known are for later
//! versions, and are passed over.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A command that makes no sense: its connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// One command, and by which number its reply is known: 0 where none is wanted.
#[derive(Debug)]
pub(super) struct Command<'a> {
    pub(super) id: u32,
    pub(super) asked: Asked<'a>,
}

/// What is asked for.
#[derive(Debug)]
pub(super) enum Asked<'a> {
    /// The answer to a ping of ours.
    Pong,
    Connect(Connect<'a>),
    Subscribe(Subscribe),
    Unsubscribe(OfChannel),
    Publish(Publish<'a>),
    Presence(OfChannel),
    PresenceStats(OfChannel),
    History(History),
    Ping,
    Rpc(Rpc<'a>),
    /// A message to the server, without a reply.
    Send,
    Refresh(Refresh),
    SubRefresh(SubRefresh),
}

/// As it is on the wire: what is absent or `null` is as in its `Default`.
#[derive(Deserialize)]
struct Wire<'a> {
    id: Option<u32>,
    #[serde(borrow)]
    connect: Option<Connect<'a>>,
    subscribe: Option<Subscribe>,
    unsubscribe: Option<OfChannel>,
    #[serde(borrow)]
    publish: Option<Publish<'a>>,
    presence: Option<OfChannel>,
    presence_stats: Option<OfChannel>,
    history: Option<History>,
    ping: Option<Empty>,
    #[serde(borrow)]
    rpc: Option<Rpc<'a>>,
    send: Option<Empty>,
    refresh: Option<Refresh>,
    sub_refresh: Option<SubRefresh>,
}

#[derive(Deserialize)]
struct Empty {}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Connect<'a> {
    pub(super) token: Option<String>,
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
    /// Where to go on with subscriptions that the server makes.
    pub(super) subs: Option<BTreeMap<String, Subscribe>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Subscribe {
    pub(super) channel: Option<String>,
    pub(super) token: Option<String>,
    pub(super) recover: Option<bool>,
    pub(super) offset: Option<u64>,
    pub(super) epoch: Option<String>,
    pub(super) join_leave: Option<bool>,
    pub(super) flag: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct OfChannel {
    pub(super) channel: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Publish<'a> {
    pub(super) channel: Option<String>,
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct History {
    pub(super) channel: Option<String>,
    /// How many at most; less than 0 for all.
    pub(super) limit: Option<i32>,
    pub(super) since: Option<StreamPosition>,
    pub(super) reverse: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct StreamPosition {
    pub(super) offset: Option<u64>,
    pub(super) epoch: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Rpc<'a> {
    pub(super) method: Option<String>,
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Refresh {
    pub(super) token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct SubRefresh {
    pub(super) channel: Option<String>,
    pub(super) token: Option<String>,
}

impl<'a> Command<'a> {
    /// Reads one line.
    ///
    /// # Errors
    ///
    /// [`Malformed`], also where a reply would be wanted and has no number.
    pub(super) fn parse(line: &'a str) -> Result<Self, Malformed> {
        // Serde takes a list for an object, too.
        if !line.trim_ascii_start().starts_with('{') {
            return Err(Malformed);
        }
        let wire: Wire<'a> = serde_json::from_str(line).map_err(|_| Malformed)?;
        let id = wire.id.unwrap_or(0);
        match wire.asked() {
            Some(asked) if id > 0 || matches!(asked, Asked::Send) => Ok(Self { id, asked }),
            None if id == 0 => Ok(Self { id, asked: Asked::Pong }),
            _ => Err(Malformed),
        }
    }
}

impl<'a> Wire<'a> {
    /// The first of what it has: there is to be one.
    fn asked(self) -> Option<Asked<'a>> {
        let Wire { connect, subscribe, unsubscribe, publish, presence, presence_stats, history, .. } = self;
        let Wire { ping, rpc, send, refresh, sub_refresh, .. } = self;
        connect
            .map(Asked::Connect)
            .or_else(|| subscribe.map(Asked::Subscribe))
            .or_else(|| unsubscribe.map(Asked::Unsubscribe))
            .or_else(|| publish.map(Asked::Publish))
            .or_else(|| presence.map(Asked::Presence))
            .or_else(|| presence_stats.map(Asked::PresenceStats))
            .or_else(|| history.map(Asked::History))
            .or_else(|| ping.map(|Empty {}| Asked::Ping))
            .or_else(|| rpc.map(Asked::Rpc))
            .or_else(|| send.map(|Empty {}| Asked::Send))
            .or_else(|| refresh.map(Asked::Refresh))
            .or_else(|| sub_refresh.map(Asked::SubRefresh))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a list has at the places of fields is no command.
    #[test]
    fn lists() {
        let list = r#"[1,null,null,null,null,null,null,null,{},null,null,null,null]"#;
        assert!(serde_json::from_str::<Wire<'_>>(list).is_ok());
        assert!(Command::parse(list).is_err());
        assert!(Command::parse(r#" {"id":1,"ping":{}} "#).is_ok());
    }
}
