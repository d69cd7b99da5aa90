//! What a request asks for: by which face, of which topic, and from where on.

use std::borrow::Cow;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use percent_encoding::percent_decode_str;
use rikki_limits::units;
use rikki_ws::internal::{Field, only};

use super::refusal::{Action, Refusal};
use super::{Asked, TopicUrl};
use crate::name;
use crate::options::SubscribeOptions;
use crate::position::From;

/// What is at a topic's URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Face {
    WebSocket,
    Events,
    Reading,
    Publishing,
}

impl Face {
    /// The face that a request is for; `None` for a method that there is not.
    pub(super) fn of(request: &Parts) -> Option<Self> {
        let headers = &request.headers;
        match request.method {
            Method::GET if asks_for_websocket(headers) => Some(Self::WebSocket),
            Method::GET | Method::HEAD if prefers_events(headers) => Some(Self::Events),
            Method::GET | Method::HEAD => Some(Self::Reading),
            Method::POST => Some(Self::Publishing),
            _ => None,
        }
    }
}

/// Whether the fields name it among the protocols to go on with: <https://www.rfc-editor.org/rfc/rfc9110#section-7.8>.
fn asks_for_websocket(headers: &HeaderMap) -> bool {
    elements(headers, &header::UPGRADE).any(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

/// Whether a stream of events is accepted by name, and JSON is not preferred:
/// <https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1>.
fn prefers_events(headers: &HeaderMap) -> bool {
    let weight = |media: &str| {
        elements(headers, &header::ACCEPT).find_map(|range| {
            let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
            let weight = parameters.split(';').find_map(|parameter| {
                let (name, value) = parameter.split_once('=')?;
                name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse::<f32>().unwrap_or(0.0))
            });
            name.trim().eq_ignore_ascii_case(media).then(|| weight.unwrap_or(1.0))
        })
    };
    weight("text/event-stream")
        .is_some_and(|events| events > 0.0 && weight("application/json").is_none_or(|json| json <= events))
}

/// The elements of a list in fields of one name: <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1>.
fn elements<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// The value of a field that may be there once.
pub(super) fn field<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h HeaderValue>, Refusal> {
    match only(headers, name) {
        Field::Absent => Ok(None),
        Field::Once(value) => Ok(Some(value)),
        Field::Repeated => Err(Refusal::bad(format!("the header {name} must appear only once"))),
    }
}

/// The name of the topic that a path is of.
pub(super) fn name_of(path: &str) -> Result<String, Refusal> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let name = decoded(path).ok_or(Refusal::bad("the path has a bad percent-encoding, or is no UTF-8"))?;
    if path.split('%').skip(1).any(is_to_be_plain) {
        let text = "the path has a percent-encoding of a letter, a digit, or one of - . _ ~ /: write it plainly";
        return Err(Refusal::bad(text));
    }
    name::judge(&name).map_err(|bad| Refusal::bad(bad.to_string()))?;
    Ok(name.into_owned())
}

/// Whether what begins with these two digits should never have been encoded
/// (<https://www.rfc-editor.org/rfc/rfc3986#section-2.3>), or is a slash: a route in front has not seen it.
fn is_to_be_plain(encoded: &str) -> bool {
    let byte = encoded.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte))
}

/// What a text says without its percent-encoding: <https://www.rfc-editor.org/rfc/rfc3986#section-2.1>.
fn decoded(text: &str) -> Option<Cow<'_, str>> {
    let is_encoded = |part: &str| {
        let mut digits = part.bytes();
        [digits.next(), digits.next()].iter().all(|digit| digit.is_some_and(|digit| digit.is_ascii_hexdigit()))
    };
    if !text.split('%').skip(1).all(is_encoded) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok()
}

/// What the query asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Wanted {
    pub(super) from: Option<From>,
    pub(super) has_envelope: bool,
    pub(super) presence: bool,
}

impl Wanted {
    /// Reads a query. What it does not know is for others.
    pub(super) fn of(query: Option<&str>) -> Result<Self, Refusal> {
        let (mut from, mut envelope, mut presence) = (None, None, None);
        for pair in query.unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(name) = decoded(name) else { continue };
            let value = || decoded(value).ok_or_else(|| Refusal::bad(format!("`{name}` has a bad percent-encoding")));
            let is_repeated = match &*name {
                "last" => from.replace(last(&value()?)?).is_some(),
                "since" => from.replace(since(&value()?)?).is_some(),
                "envelope" => envelope.replace(is_json(&value()?)?).is_some(),
                "presence" => presence.replace(is_true(&value()?)?).is_some(),
                _ => false,
            };
            if is_repeated {
                return Err(Refusal::bad("`last` and `since`, `envelope`, and `presence` may be there once each"));
            }
        }
        Ok(Self { from, has_envelope: envelope.unwrap_or(false), presence: presence.unwrap_or(false) })
    }

    /// What a subscriber gets who asks for this, if it may.
    pub(super) fn subscribe(
        &self,
        url: &TopicUrl,
        topic: &Asked<'_>,
        request: &Parts,
    ) -> Result<SubscribeOptions, Refusal> {
        let identity = url.may(request, topic, Action::Subscribe)?;
        let from = self.from.unwrap_or(From::Now);
        if from != From::Now {
            url.may(request, topic, Action::History)?;
        }
        if self.presence {
            url.may(request, topic, Action::Presence)?;
        }
        let options = SubscribeOptions::from(from).identity(identity);
        Ok(options.envelope(self.has_envelope).presence(self.presence))
    }
}

fn last(value: &str) -> Result<From, Refusal> {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    let count = value.parse().ok().filter(|_| is_number).map(From::Last);
    count.ok_or(Refusal::bad("`last` is a whole number, as in last=10"))
}

fn since(value: &str) -> Result<From, Refusal> {
    if value.contains(':') {
        let position = value.parse().map(From::After);
        return position.map_err(|_| Refusal::bad("`since` is EPOCH:OFFSET, as in since=00c0ffee00c0ffee:42"));
    }
    let age = units::duration(value).map(From::Since);
    age.map_err(|_| Refusal::bad("`since` is how long ago, as in since=30s, or EPOCH:OFFSET"))
}

fn is_json(value: &str) -> Result<bool, Refusal> {
    if value == "json" { Ok(true) } else { Err(Refusal::bad("`envelope` can be json alone")) }
}

fn is_true(value: &str) -> Result<bool, Refusal> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Refusal::bad("`presence` is true or false")),
    }
}
