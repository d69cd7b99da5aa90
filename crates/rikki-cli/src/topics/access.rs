//! Who may do what with a topic: by the key of those who publish, by tokens, or by what is open to all.

use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use rikki::topics::{Action, Admitted, Denied, Identity, Shown, Topics};

use super::TopicSettings;
use super::token::Tokens;
use crate::secret::Secret;

/// What decides where there is a key.
pub(super) struct Access {
    publish_key: Option<Secret>,
    tokens: Option<Tokens>,
    /// Which say whether all may publish there.
    topics: Topics,
}

impl Access {
    /// Nothing, where there is no key: topics are open then as they say themselves.
    pub(super) fn new(settings: &TopicSettings, topics: &Topics) -> Option<Self> {
        settings.secrets().next()?;
        let (publish_key, tokens) = (settings.publish_key.clone(), settings.jwt_key.as_ref().map(Tokens::new));
        Some(Self { publish_key, tokens, topics: topics.clone() })
    }

    /// Lets in, and says who it is, or says why not. What is shown to be let in is never passed over.
    pub(super) fn decide(&self, parts: &Parts, topic: &str, action: Action) -> Result<Identity, Denied> {
        let shown = bearer(parts)?;
        let is_key = self.publish_key.as_ref().zip(shown).is_some_and(|(key, shown)| key.is(shown));
        match &self.tokens {
            Some(tokens) => by_token(tokens, shown, is_key, parts, topic, action),
            None if is_key => Ok(Identity::default()),
            None if shown.is_some() => Err(Denied::unauthorized("the key is wrong")),
            None if action == Action::Publish && !self.is_open(topic) => {
                Err(Denied::unauthorized("publishing needs a key"))
            }
            None => Ok(Identity::default()),
        }
    }

    /// Lets in a client of Centrifugo, and says who it is and what it may do, or says why not.
    ///
    /// What it shows when it connects goes before what its request has: browsers can set no header there.
    pub(super) fn admit(self: &Arc<Self>, shown: &Shown<'_>) -> Result<Admitted, Denied> {
        let asked = shown.request.map(|parts| Ok((bearer(parts)?, in_query(parts)?))).transpose()?;
        let others = asked.and_then(|(bearer, query)| bearer.or(query));
        let token = Some(shown.token).filter(|token| !token.is_empty()).or(others);
        let is_key = self.publish_key.as_ref().zip(token).is_some_and(|(key, token)| key.is(token));
        match (&self.tokens, token) {
            (_, Some(_)) if is_key && shown.topic.is_none() => {
                let has_tokens = self.tokens.is_some();
                Ok(Admitted::new(Identity::default()).may(move |_, action| match action {
                    Action::Publish => Ok(()),
                    _ if has_tokens => Err(Denied::forbidden("the key is for publishing alone")),
                    _ => Ok(()),
                }))
            }
            (Some(tokens), Some(token)) => tokens.verify(token)?.admit(shown),
            (Some(_), None) => Err(Denied::unauthorized("a token is needed")),
            (None, Some(_)) => Err(Denied::unauthorized("the key is wrong")),
            (None, None) => {
                let access = self.clone();
                Ok(Admitted::new(Identity::default()).may(move |topic, action| match action {
                    Action::Publish if !access.is_open(topic) => Err(Denied::unauthorized("publishing needs a key")),
                    _ => Ok(()),
                }))
            }
        }
    }

    /// Whether all may publish to this topic.
    fn is_open(&self, topic: &str) -> bool {
        self.topics.config(topic).is_some_and(|config| config.is_open())
    }
}

/// Where there are tokens, they alone count, but for the key.
fn by_token(
    tokens: &Tokens,
    shown: Option<&str>,
    is_key: bool,
    parts: &Parts,
    topic: &str,
    action: Action,
) -> Result<Identity, Denied> {
    let in_query = in_query(parts)?;
    if shown.zip(in_query).is_some_and(|(one, other)| one != other) {
        return Err(Denied::unauthorized("the token of Authorization and that of the URL are not the same"));
    }
    match shown.or(in_query) {
        Some(_) if is_key && action == Action::Publish => Ok(Identity::default()),
        Some(_) if is_key => Err(Denied::forbidden("the key is for publishing alone")),
        Some(token) => tokens.verify(token)?.allow(topic, action),
        None => Err(Denied::unauthorized("a token is needed")),
    }
}

/// Whether a name, or a prefix with a star behind it, stands for a topic: as in a configuration of topics, where names
/// go on behind the prefix.
pub(super) fn covers(pattern: &str, topic: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => topic.len() > prefix.len() && topic.starts_with(prefix),
        None => pattern == topic,
    }
}

/// The token of `Authorization: Bearer` ([RFC 6750 section 2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1)).
/// Other schemes are for others, such as a proxy in front.
fn bearer(parts: &Parts) -> Result<Option<&str>, Denied> {
    let mut found = None;
    for value in parts.headers.get_all(AUTHORIZATION) {
        let value = value.as_bytes();
        let (scheme, token) = value.split_at(value.iter().position(|byte| *byte == b' ').unwrap_or(value.len()));
        if !scheme.eq_ignore_ascii_case(b"bearer") {
            continue;
        }
        match std::str::from_utf8(token.trim_ascii()) {
            Ok(token) if found.is_none() => found = Some(token),
            Ok(_) => return Err(Denied::unauthorized("there is more than one Authorization")),
            Err(_) => return Err(Denied::unauthorized("the token is malformed")),
        }
    }
    Ok(found)
}

/// `?token=`, for browsers, which can set no header on a WebSocket or an EventSource
/// ([RFC 6750 section 2.3](https://www.rfc-editor.org/rfc/rfc6750#section-2.3)). No token needs an escape.
fn in_query(parts: &Parts) -> Result<Option<&str>, Denied> {
    let query = parts.uri.query().unwrap_or_default();
    let mut tokens = query.split('&').filter_map(|part| part.strip_prefix("token="));
    match (tokens.next(), tokens.next()) {
        (_, Some(_)) => Err(Denied::unauthorized("there is more than one token in the URL")),
        (token, None) => Ok(token),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let check =
            |pattern: &str, topic: &str, expected| assert_eq!(covers(pattern, topic), expected, "{pattern} {topic}");
        check("chat", "chat", true);
        check("chat", "chats", false);
        check("rooms/*", "rooms/a", true);
        check("rooms/*", "rooms/a/b", true);
        check("rooms/*", "rooms/", false);
        check("rooms/*", "rooms", false);
        check("*", "chat", true);
    }
}
