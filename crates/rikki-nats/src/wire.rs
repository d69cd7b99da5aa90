//! Messages as NATS has them: what stands in headers, and what the server says about where they are.

use std::time::{SystemTime, UNIX_EPOCH};

use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use rikki_topics::Published;
use serde::Deserialize;

use crate::subject::{decoded, encoded};

const KEY: &str = "Rikki-Key";
const TYPE: &str = "Rikki-Type";
const TIME: &str = "Rikki-Time";
const IDEMPOTENCY_KEY: &str = "Rikki-Idempotency-Key";

/// The type of what is no text though it could be one.
const BINARY: &str = "binary";

/// <https://docs.nats.io/nats-concepts/jetstream/headers>
const MESSAGE_ID: &str = "Nats-Msg-Id";
const SEQUENCE: &str = "Nats-Sequence";
const LAST_SEQUENCE: &str = "Nats-Last-Sequence";

/// A message of a topic, with its place in the stream.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) sequence: u64,
    pub(crate) message: Published,
    /// In milliseconds of Unix time.
    pub(crate) time: u64,
}

/// The headers of a message, with an id by which the stream knows it again.
pub(crate) fn headers(message: &Published, id: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(TIME, unix_now().to_string());
    if let Some(key) = message.key() {
        headers.insert(KEY, encoded(key));
    }
    if message.message().as_text().is_none() {
        headers.insert(TYPE, BINARY);
    }
    if let Some(id) = id {
        headers.insert(MESSAGE_ID, id);
    }
    headers
}

/// The headers of one that is passed on and not kept.
pub(crate) fn headers_passed_on(message: &Published) -> HeaderMap {
    let mut headers = headers(message, None);
    if let Some(key) = message.idempotency_key() {
        headers.insert(IDEMPOTENCY_KEY, encoded(key));
    }
    headers
}

/// The payload, shared as far as it can be.
pub(crate) fn payload(message: &Published) -> Bytes {
    match message.message().clone() {
        rikki_ws::Message::Binary(binary) => binary.into_bytes(),
        rikki_ws::Message::Text(text) => text.into_binary().into_bytes(),
    }
}

/// What was published: by us, or by any other program, whose messages are texts if they can be.
pub(crate) fn published(message: &Message) -> Published {
    let headers = message.headers.as_ref();
    let header = |name: &str| headers.and_then(|headers| headers.get(name)).map(|value| value.as_str());
    let bytes = message.payload.clone();
    let published = match header(TYPE) {
        Some(BINARY) => Published::new(bytes),
        _ => match rikki_ws::Text::try_from(bytes.clone()) {
            Ok(text) => Published::new(rikki_ws::Message::Text(text)),
            Err(_) => Published::new(bytes),
        },
    };
    let key = header(KEY).and_then(decoded).filter(|key| (1..=255).contains(&key.len()));
    let published = match key {
        Some(key) => published.with_key(&key),
        None => published,
    };
    match header(IDEMPOTENCY_KEY).and_then(decoded) {
        Some(key) => published.with_idempotency_key(&key),
        None => published,
    }
}

/// When it was published, in milliseconds of Unix time: as its publisher says, or as the stream does.
fn time(message: &Message, otherwise: Option<u64>) -> u64 {
    let said = message.headers.as_ref().and_then(|headers| headers.get(TIME));
    said.and_then(|time| time.as_str().parse().ok()).or(otherwise).unwrap_or_else(unix_now)
}

fn number(message: &Message, name: &str) -> Option<u64> {
    message.headers.as_ref()?.get(name)?.as_str().parse().ok()
}

/// A sequence that a stream can have, with room to count from there: anybody in NATS can write any number.
fn possible(sequence: u64) -> Option<u64> {
    (1..1 << 63).contains(&sequence).then_some(sequence)
}

/// A message as the stream has sent it on, with the sequence of the one of its subject before it, 0 where there is none;
/// `None` for what no stream has sent.
pub(crate) fn republished(message: &Message) -> Option<(Stored, u64)> {
    let (sequence, previous) = (possible(number(message, SEQUENCE)?)?, number(message, LAST_SEQUENCE)?);
    if previous >= sequence {
        return None;
    }
    Some((Stored { sequence, message: published(message), time: time(message, None) }, previous))
}

/// One that was asked for by its sequence.
pub(crate) fn direct(message: &Message) -> Option<Stored> {
    Some(Stored {
        sequence: possible(number(message, SEQUENCE)?)?,
        message: published(message),
        time: time(message, None),
    })
}

/// One that a consumer has delivered, and how many more there are for it.
pub(crate) fn consumed(message: &Message) -> Option<(Stored, u64)> {
    let (sequence, nanos, pending) = place(message.reply.as_deref()?)?;
    let (sequence, time) = (possible(sequence)?, time(message, Some(nanos / 1_000_000)));
    Some((Stored { sequence, message: published(message), time }, pending))
}

/// When the stream was given what a consumer has delivered, in milliseconds of Unix time.
pub(crate) fn stored_at(message: &Message) -> Option<u64> {
    place(message.reply.as_deref()?).map(|(_, nanos, _)| nanos / 1_000_000)
}

/// The sequence in the stream, the time in nanoseconds, and how many are behind it, of a subject for acknowledgements:
/// `$JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE.CONSUMER_SEQUENCE.TIME.PENDING`, with a domain and an account before the
/// stream in newer servers.
fn place(reply: &str) -> Option<(u64, u64, u64)> {
    let tokens: Vec<&str> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
    let first = match tokens.len() {
        7 => 3,
        9.. => 5,
        _ => return None,
    };
    let number = |index: usize| tokens.get(first + index)?.parse().ok();
    Some((number(0)?, number(2)?, number(3)?))
}

/// What the stream says of a message that it was sent.
#[derive(Debug, Deserialize)]
pub(crate) struct Ack {
    #[serde(default)]
    pub(crate) seq: u64,
    #[serde(default)]
    pub(crate) duplicate: bool,
    pub(crate) error: Option<ApiError>,
}

/// Why something was not done.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct ApiError {
    #[serde(default)]
    pub(crate) code: u16,
    #[serde(default)]
    pub(crate) err_code: u16,
    #[serde(default)]
    pub(crate) description: String,
}

pub(crate) fn unix_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(headers: HeaderMap, payload: Bytes) -> Message {
        let (status, description, reply) = (None, None, None);
        Message { subject: "a".into(), reply, payload, headers: Some(headers), status, description, length: 0 }
    }

    #[test]
    fn there_and_back() {
        let texts = [Published::new("text"), Published::new("k").with_key("a b\r\n\u{fc}"), Published::new("")];
        let bytes = [Published::new(b"text".to_vec()), Published::new(vec![0_u8, 159])];
        for sent in texts.into_iter().chain(bytes) {
            let came = published(&message(headers(&sent, Some("id")), payload(&sent)));
            assert_eq!((came.message(), came.key()), (sent.message(), sent.key()));
        }
    }

    /// What others publish is what it can be.
    #[test]
    fn without_headers() {
        let check = |payload: &'static [u8], is_text: bool| {
            let bare = Message { headers: None, ..message(HeaderMap::new(), payload.into()) };
            assert_eq!(published(&bare).message().as_text().is_some(), is_text);
            assert!(republished(&bare).is_none() && direct(&bare).is_none() && consumed(&bare).is_none());
        };
        check(b"text", true);
        check(b"\xff", false);
        let mut long = HeaderMap::new();
        long.insert(KEY, "x".repeat(300));
        assert_eq!(published(&message(long, Bytes::new())).key(), None);
    }

    /// Nor are these from a stream.
    #[test]
    fn impossible_sequences() {
        let check = |sequence: &str, previous: &str, expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(SEQUENCE, sequence);
            headers.insert(LAST_SEQUENCE, previous);
            assert_eq!(republished(&message(headers, Bytes::new())).is_some(), expected, "{sequence} {previous}");
        };
        check("2", "1", true);
        check("1", "0", true);
        check("0", "0", false);
        check("5", "5", false);
        check("5", "18446744073709551615", false);
        check("18446744073709551615", "0", false);
        check("-1", "0", false);
    }

    #[test]
    fn places() {
        let check = |text: &str, expected| assert_eq!(place(text), expected, "{text}");
        check("$JS.ACK.rikki.c.1.42.3.1600000000000000000.7", Some((42, 1_600_000_000_000_000_000, 7)));
        check("$JS.ACK.hub.hash.rikki.c.1.42.3.5.7", Some((42, 5, 7)));
        check("$JS.ACK.hub.hash.rikki.c.1.42.3.5.7.random", Some((42, 5, 7)));
        for bad in ["", "$JS.ACK.", "$JS.ACK.a.b.c.d.e.f.g", "_INBOX.a", "$JS.ACK.a.b.1.2.3"] {
            check(bad, None);
        }
    }
}
