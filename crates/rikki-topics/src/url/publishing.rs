//! Publishing by POST: the body is one message, or each of its lines.

use std::future::poll_fn;
use std::pin::Pin;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode, header};
use http_body::Body as _;
use rikki_limits::Share;
use rikki_ws::Message;
use serde_json::json;

use super::asked::field;
use super::refusal::{Action, Refusal};
use super::{Asked, TopicUrl, lines, response};
use crate::error::PublishError;
use crate::position::Position;
use crate::publish::{LONGEST_KEY, Publish};

/// By what a message is known again that is sent again.
static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What a message is the latest of.
static TOPIC_KEY: HeaderName = HeaderName::from_static("topic-key");

/// What a body is, by its media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
    /// Text if it can be.
    Either,
    Lines,
}

/// The keys of a message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keys<'a> {
    pub(super) idempotency: Option<&'a str>,
    pub(super) topic: Option<&'a str>,
}

impl<'a> Keys<'a> {
    /// Publishes with them.
    pub(super) fn with(self, mut publish: Publish<'a>) -> Publish<'a> {
        if let Some(key) = self.topic {
            publish = publish.key(key);
        }
        match self.idempotency {
            Some(key) => publish.idempotency_key(key),
            None => publish,
        }
    }
}

pub(super) async fn answer(
    url: &TopicUrl,
    topic: &Asked<'_>,
    request: &Parts,
    body: Body,
) -> Result<Response, Refusal> {
    url.may(request, topic, Action::Publish)?;
    let headers = &request.headers;
    let keys = Keys { idempotency: key(headers, &IDEMPOTENCY_KEY)?, topic: key(headers, &TOPIC_KEY)? };
    // https://www.rfc-editor.org/rfc/rfc9110#section-8.4: what it would be is not what is to be published.
    if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a message has no Content-Encoding here"));
    }
    let kind = kind_of(headers)?;
    if kind == Kind::Lines {
        return lines::answer(url, topic, keys, body).await;
    }
    let (bytes, held) = whole(url, topic, body).await?;
    let message = match kind {
        Kind::Binary => Message::from(bytes),
        _ => match String::from_utf8(bytes) {
            Ok(text) => Message::from(text),
            Err(error) if kind == Kind::Either => Message::from(error.into_bytes()),
            Err(_) => {
                return Err(Refusal::bad("a text is UTF-8, and this is not: send bytes as application/octet-stream"));
            }
        },
    };
    // From here on the topic counts it.
    drop(held);
    let position = keys.with(url.topics.publish(topic.name, message)).await?;
    Ok(response("application/json", Some(position), Body::from(format!("{}\n", written(position)))))
}

/// A position as JSON.
pub(super) fn written(Position { epoch, offset }: Position) -> String {
    json!({ "epoch": epoch.to_string(), "offset": offset }).to_string()
}

fn key<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Refusal> {
    let Some(value) = field(headers, name)? else { return Ok(None) };
    let key = std::str::from_utf8(value.as_bytes()).ok().filter(|key| (1..=LONGEST_KEY).contains(&key.len()));
    key.map(Some).ok_or_else(|| Refusal::bad(format!("{name} has 1 to {LONGEST_KEY} bytes of UTF-8")))
}

/// What a body is: <https://www.rfc-editor.org/rfc/rfc9110#section-8.3>.
fn kind_of(headers: &HeaderMap) -> Result<Kind, Refusal> {
    let Some(value) = field(headers, &header::CONTENT_TYPE)? else { return Ok(Kind::Either) };
    let media = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let media = media.to_ascii_lowercase();
    Ok(match &*media {
        b"application/x-ndjson" => Kind::Lines,
        b"application/json" | b"application/x-www-form-urlencoded" => Kind::Text,
        _ if media.starts_with(b"text/") || media.ends_with(b"+json") => Kind::Text,
        _ => Kind::Binary,
    })
}

/// All of a body, as far as the topic takes it.
async fn whole(url: &TopicUrl, topic: &Asked<'_>, mut body: Body) -> Result<(Vec<u8>, Share), Refusal> {
    let limit = topic.rules.bounds.longest();
    // What is announced is refused before any of it has come.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        topic.rules.counts.refused.up();
        return Err(PublishError::TooLong { length: announced, limit }.into());
    }
    let (mut whole, mut held): (Vec<u8>, _) = (Vec::new(), url.topics.memory().share());
    while let Some(piece) = next(&mut body).await? {
        if whole.len() + piece.len() > limit {
            topic.rules.counts.refused.up();
            let text = format!("message of more than {limit} bytes, which are what the topic takes");
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        if !held.grow(piece.len()) {
            return Err(Refusal::NO_MEMORY);
        }
        whole.extend_from_slice(&piece);
    }
    // The topic counts what there is, not what there would be room for.
    whole.shrink_to_fit();
    Ok((whole, held))
}

/// The next piece of a body; `None` at its end.
pub(super) async fn next(body: &mut Body) -> Result<Option<Bytes>, Refusal> {
    loop {
        match poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
            None => return Ok(None),
            Some(Err(_)) => return Err(Refusal::bad("the body ended before its end, or came too slowly")),
            // Trailers say nothing here.
            Some(Ok(frame)) => {
                if let Ok(piece) = frame.into_data() {
                    return Ok(Some(piece));
                }
            }
        }
    }
}
