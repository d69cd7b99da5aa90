//! What a client asks for, but for subscriptions: it is done, or refused.

use rikki_ws::internal::Outlet;
use serde_json::value::RawValue;

use super::client::{Client, State};
use super::code::{End, Fault, Refused};
use super::command::{Asked, Command, Connect, Publish, Rpc};
use super::data::{is_shallow, of_text, quoted};
use super::rule::{Admitted, Call, CallError, Shown, ask};
use super::{VERSION, reply, seconds};
use crate::broker::Publishing;
use crate::config::PresenceMode;
use crate::name;
use crate::position::From;
use crate::shared::Rules;
use crate::topics::Topics;
use crate::url::{Action, Denied};

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

impl Client {
    /// Does what is asked for, and answers it.
    pub(super) fn act(&mut self, Command { id, asked }: Command<'_>, outlet: &mut Outlet<'_>) -> Result<(), End> {
        let result = match asked {
            Asked::Connect(connect) => self.connect(id, connect),
            // Who is not let in may do nothing else.
            _ if !matches!(self.state, State::Connected(_)) => return Err(End::BAD_REQUEST),
            Asked::Pong => {
                self.pong();
                return Ok(());
            }
            Asked::Subscribe(subscribe) => match self.subscribe(id, &subscribe) {
                // The broker is still to say where it begins.
                Ok(None) => return Ok(()),
                Ok(Some(text)) => Ok(text),
                Err(refused) => Err(refused),
            },
            Asked::Unsubscribe(asked) => self.unsubscribe(id, asked.channel),
            Asked::Publish(publish) => match self.publish(id, &publish) {
                Ok(None) => return Ok(()),
                Ok(Some(text)) => Ok(text),
                Err(refused) => Err(refused),
            },
            Asked::Presence(asked) => return self.read(id, asked.channel, Self::presence, outlet),
            Asked::PresenceStats(asked) => return self.read(id, asked.channel, Self::presence_stats, outlet),
            Asked::History(mut asked) => {
                let channel = asked.channel.take();
                return self.read(id, channel, |client, channel| client.history(channel, asked), outlet);
            }
            Asked::Ping => Ok(reply::reply(id, "ping", "{}")),
            Asked::Rpc(rpc) => match self.call(id, rpc) {
                Ok(()) => return Ok(()),
                Err(refused) => Err(refused),
            },
            Asked::Send => return Err(End::NOT_AVAILABLE),
            Asked::Refresh(refresh) => self.refresh(id, &refresh.token.unwrap_or_default()),
            Asked::SubRefresh(refresh) => self.refresh_subscription(id, &refresh),
        };
        Self::answer(outlet, id, result)
    }

    fn connect(&mut self, id: u32, connect: Connect<'_>) -> Result<String, Refused> {
        let State::Unconnected { request, .. } = &self.state else { return Err(End::BAD_REQUEST.into()) };
        let token = connect.token.unwrap_or_default();
        let shown = Shown {
            name: connect.name.as_deref().unwrap_or_default(),
            version: connect.version.as_deref().unwrap_or_default(),
            data: connect.data.map(RawValue::get),
            request: Some(request),
            ..Shown::token(&token)
        };
        let admitted = match &self.settings.rule {
            Some(rule) => ask(|| rule(&shown))?,
            None => Ok(Admitted::default()),
        };
        let mut admitted = match admitted {
            Ok(admitted) => admitted,
            Err(denied) if denied.is_expired() => return Err(self.refuse(Fault::TOKEN_EXPIRED)),
            Err(denied) if denied.is_forbidden() => return Err(End::PERMISSION_DENIED.into()),
            Err(_) => return Err(End::INVALID_TOKEN.into()),
        };
        if admitted.is_over() {
            return Err(self.refuse(Fault::TOKEN_EXPIRED));
        }
        let ttl = admitted.ttl();
        let (topics, data) = (std::mem::take(&mut admitted.topics), admitted.data.take());
        self.begin(admitted, ttl);
        let mut object = self.said_of_connection(ttl.map(seconds));
        let _ = write!(object, ",\"ping\":{},\"pong\":true", self.settings.ping.as_secs().max(1));
        if let Some(data) = data {
            let _ = write!(object, ",\"data\":{}", of_text(&data));
        }
        let subs = self.subscribe_to(topics, connect.subs.unwrap_or_default());
        if !subs.is_empty() {
            let mut list = String::new();
            let named = subs.iter().map(|(channel, object)| format!("{}:{object}", quoted(channel)));
            list.push_str(&named.collect::<Vec<_>>().join(","));
            let _ = write!(object, ",\"subs\":{{{list}}}");
        }
        object.push('}');
        Ok(reply::reply(id, "connect", &object))
    }

    /// The beginning of an object that says which connection it is, and how long it lasts.
    fn said_of_connection(&self, ttl: Option<u64>) -> String {
        let mut object = format!("{{\"client\":\"{}\",\"version\":\"{VERSION}\"", self.number);
        if let Some(ttl) = ttl {
            let _ = write!(object, ",\"expires\":true,\"ttl\":{ttl}");
        }
        object
    }

    fn refresh(&mut self, id: u32, token: &str) -> Result<String, Refused> {
        let Some(rule) = &self.settings.rule else { return Err(Fault::NOT_AVAILABLE.into()) };
        let State::Connected(session) = &self.state else { return Err(End::BAD_REQUEST.into()) };
        let shown = Shown { identity: Some(&session.identity), ..Shown::token(token) };
        let admitted = match ask(|| rule(&shown))? {
            Ok(admitted) if admitted.identity.user == session.identity.user => admitted,
            // It comes back, and asks for another one.
            Err(denied) if denied.is_expired() => return Err(End::EXPIRED.into()),
            Ok(_) | Err(_) => return Err(End::INVALID_TOKEN.into()),
        };
        if admitted.is_over() {
            return Err(End::EXPIRED.into());
        }
        let ttl = admitted.ttl();
        self.begin(admitted, ttl);
        let object = self.said_of_connection(ttl.map(seconds));
        Ok(reply::reply(id, "refresh", &format!("{object}}}")))
    }

    /// What a channel is like, if this may be done there.
    pub(super) fn allowed(&self, channel: &str, action: Action) -> Result<Arc<Rules>, Refused> {
        if channel.is_empty() {
            return Err(End::BAD_REQUEST.into());
        }
        name::judge(channel).map_err(|_| Fault::BAD_REQUEST)?;
        let rules = self.settings.topics.rules(channel).ok_or(Fault::UNKNOWN_CHANNEL)?;
        self.may(channel, action, &rules)?;
        Ok(rules)
    }

    fn may(&self, channel: &str, action: Action, rules: &Rules) -> Result<(), Refused> {
        let reads = matches!(action, Action::History | Action::Presence);
        if reads && self.seats.iter().any(|seat| seat.has_token && seat.channel() == channel) {
            return Ok(());
        }
        let State::Connected(session) = &self.state else { return Err(End::BAD_REQUEST.into()) };
        match &session.may {
            Some(may) => Ok(ask(|| may(channel, action))?.map_err(fault_of)?),
            None if action == Action::Publish && !rules.config.publish => Err(Fault::PERMISSION_DENIED.into()),
            None => Ok(()),
        }
    }

    fn publish(&mut self, id: u32, publish: &Publish<'_>) -> Result<Option<String>, Refused> {
        let channel = publish.channel.as_deref().unwrap_or_default();
        self.allowed(channel, Action::Publish)?;
        let data = publish.data.map(RawValue::get).filter(|data| is_shallow(data)).ok_or(Fault::BAD_REQUEST)?;
        let done = move || reply::reply(id, "publish", "{}");
        match self.settings.topics.publish(channel, data.to_owned()).hand_over() {
            Publishing::Done(Ok(_)) => Ok(Some(done())),
            Publishing::Done(Err(error)) => Err(Fault::from(error).into()),
            Publishing::Later(outcome) => {
                self.calls.add(id, async move {
                    outcome.await.map_or_else(|error| reply::error(id, error.into()), |_| done())
                });
                Ok(None)
            }
        }
    }

    /// Answers what is to be read of a channel: now, or when the broker has said what there is.
    fn read<R: FnOnce(&Topics, &str, u32) -> Result<String, Fault> + Send + 'static>(
        &mut self,
        id: u32,
        channel: Option<String>,
        allow: impl FnOnce(&Self, &str) -> Result<R, Refused>,
        outlet: &mut Outlet<'_>,
    ) -> Result<(), End> {
        let channel = channel.unwrap_or_default();
        let read = match allow(self, &channel) {
            Ok(read) => read,
            Err(refused) => return Self::answer(outlet, id, Err(refused)),
        };
        let topics = &self.settings.topics;
        if topics.is_ready_to_read(&channel) {
            let answer = read(topics, &channel, id);
            return Self::answer(outlet, id, answer.map_err(Refused::from));
        }
        let topics = topics.clone();
        self.calls.add(id, async move {
            let ready = topics.to_read(&channel, From::Now).await.map_err(Fault::from);
            ready.and_then(|_| read(&topics, &channel, id)).unwrap_or_else(|fault| reply::error(id, fault))
        });
        Ok(())
    }

    fn presence(
        &self,
        channel: &str,
    ) -> Result<impl FnOnce(&Topics, &str, u32) -> Result<String, Fault> + use<>, Refused> {
        let rules = self.allowed(channel, Action::Presence)?;
        if rules.config.presence != PresenceMode::Members {
            return Err(Fault::NOT_AVAILABLE.into());
        }
        Ok(|topics: &Topics, channel: &str, id| {
            let present = topics.present(channel);
            let members = present.members.iter();
            let mut object = "{\"presence\":".to_owned();
            let all = members.map(|member| format!("\"{}\":{}", member.client, reply::info(member)));
            reply::list(&mut object, ('{', '}'), all);
            object.push('}');
            Ok(reply::reply(id, "presence", &object))
        })
    }

    fn presence_stats(
        &self,
        channel: &str,
    ) -> Result<impl FnOnce(&Topics, &str, u32) -> Result<String, Fault> + use<>, Refused> {
        let mode = self.allowed(channel, Action::Presence)?.config.presence;
        if mode == PresenceMode::Off {
            return Err(Fault::NOT_AVAILABLE.into());
        }
        Ok(move |topics: &Topics, channel: &str, id| {
            let present = topics.present(channel);
            let users = match mode {
                PresenceMode::Members => {
                    present.members.iter().map(|member| &member.identity.user).collect::<HashSet<_>>().len()
                }
                // Who they are is not known.
                _ => present.count,
            };
            let object = format!("{{\"num_clients\":{},\"num_users\":{users}}}", present.count);
            Ok(reply::reply(id, "presence_stats", &object))
        })
    }

    fn call(&mut self, id: u32, Rpc { method, data }: Rpc<'_>) -> Result<(), Refused> {
        let Some(rpc) = self.settings.rpc.clone() else { return Err(Fault::NOT_AVAILABLE.into()) };
        let State::Connected(session) = &self.state else { return Err(End::BAD_REQUEST.into()) };
        let data = data.map_or("null", RawValue::get);
        if !is_shallow(data) {
            return Err(Fault::BAD_REQUEST.into());
        }
        let Some(memory) = self.settings.hold(data.len()) else { return Err(Fault::INTERNAL.into()) };
        let call = Call {
            client: self.number,
            identity: session.identity.clone(),
            method: method.unwrap_or_default(),
            data: data.to_owned(),
        };
        self.calls.add(id, async move {
            let _memory = memory;
            match rpc(call).await {
                Ok(data) => reply::reply(id, "rpc", &format!("{{\"data\":{}}}", of_text(&data))),
                Err(CallError { code, message }) => reply::failed(id, code, &message, false),
            }
        });
        Ok(())
    }
}

/// Why a command may not be done, as its reply says it.
pub(super) fn fault_of(denied: Denied) -> Fault {
    if denied.is_expired() { Fault::TOKEN_EXPIRED } else { Fault::PERMISSION_DENIED }
}
