//! Publishing many messages by one POST: a line of JSON each, and a line of the answer for each.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use rikki_limits::Share;
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::task::yield_now;

use super::publishing::{Keys, next, written};
use super::refusal::Refusal;
use super::{Asked, TopicUrl, response};
use crate::error::PublishError;

/// How many lines a request may have.
const MOST_LINES: usize = 10_000;

/// How many are published before others run.
const AT_ONCE: usize = 128;

const NO_MEMORY: &str = "no memory is left for messages of topics: what follows is not published";

/// What a key may have at most, in bytes, so that there is room for `/` and the number of a line behind it.
const LONGEST_KEY: usize = crate::publish::LONGEST_KEY - 5;

pub(super) async fn answer(
    url: &TopicUrl,
    topic: &Asked<'_>,
    keys: Keys<'_>,
    mut body: Body,
) -> Result<Response, Refusal> {
    if keys.idempotency.is_some_and(|key| key.len() > LONGEST_KEY) {
        return Err(Refusal::bad(format!("the idempotency-key of many messages has 1 to {LONGEST_KEY} bytes")));
    }
    let limit = topic.rules.bounds.longest();
    let mut lines = Lines { limit, line: Vec::new(), is_too_long: false };
    let mut answers = Answers { text: String::new(), held: url.topics.memory().share() };
    let (mut held, mut taken) = (url.topics.memory().share(), 0);
    loop {
        let piece = next(&mut body).await?;
        let mut rest = piece.as_deref().unwrap_or_default();
        while let Some(line) = if piece.is_some() { lines.next(&mut rest) } else { lines.last() } {
            if taken == MOST_LINES {
                let error =
                    format!("a request has at most {MOST_LINES} messages: this and what follows is not published");
                return Ok(answers.end(&failed(&error)));
            }
            let has_room = answers.add(&match publish(url, topic, keys, taken, line).await {
                Ok(position) => written(position) + "\n",
                Err(error) => failed(&error),
            });
            if !has_room {
                return Ok(answers.end(&failed(NO_MEMORY)));
            }
            taken += 1;
            if taken % AT_ONCE == 0 {
                yield_now().await;
            }
        }
        if piece.is_none() {
            return Ok(answers.end(""));
        }
        held.shrink_to(lines.line.len());
        if !held.grow(lines.line.len().saturating_sub(held.held())) {
            return Ok(answers.end(&failed(NO_MEMORY)));
        }
    }
}

async fn publish(
    url: &TopicUrl,
    topic: &Asked<'_>,
    keys: Keys<'_>,
    index: usize,
    line: Result<Vec<u8>, TooLong>,
) -> Result<crate::Position, String> {
    let line = line.map_err(|TooLong| {
        topic.rules.counts.refused.up();
        format!("too long: the topic takes {} bytes", topic.rules.bounds.longest())
    })?;
    let text = String::from_utf8(line).map_err(|_| "this is no UTF-8".to_owned())?;
    serde_json::from_str::<IgnoredAny>(&text).map_err(|error| format!("this is no JSON: {error}"))?;
    let key = keys.idempotency.map(|key| format!("{key}/{index}"));
    let keys = Keys { idempotency: key.as_deref(), ..keys };
    keys.with(url.topics.publish(topic.name, text)).await.map_err(|error: PublishError| error.to_string())
}

fn failed(error: &str) -> String {
    json!({ "error": error }).to_string() + "\n"
}

/// The answer, and what it is counted by until the server has let go of it.
struct Answers {
    text: String,
    held: Share,
}

impl Answers {
    /// Adds a line; whether there was room for it.
    fn add(&mut self, line: &str) -> bool {
        self.text.push_str(line);
        self.held.grow(line.len())
    }

    /// With a last line, which is there anyway.
    fn end(mut self, line: &str) -> Response {
        self.add(line);
        self.text.shrink_to_fit();
        response("application/x-ndjson", None, Body::from(Bytes::from_owner(self)))
    }
}

impl AsRef<[u8]> for Answers {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// A line has more bytes than the topic takes.
#[derive(Debug, PartialEq)]
struct TooLong;

/// Lines that come in pieces. Empty ones are passed over.
struct Lines {
    limit: usize,
    line: Vec<u8>,
    is_too_long: bool,
}

impl Lines {
    /// The next line that ends in `piece`, of which it is taken; the rest of it is kept.
    fn next(&mut self, piece: &mut &[u8]) -> Option<Result<Vec<u8>, TooLong>> {
        loop {
            let end = piece.iter().position(|byte| *byte == b'\n');
            let (part, behind) = piece.split_at(end.unwrap_or(piece.len()));
            self.add(part);
            *piece = behind.get(1..).unwrap_or_default();
            end?;
            if let Some(line) = self.last() {
                return Some(line);
            }
        }
    }

    /// The line that has come so far, unless it is empty.
    fn last(&mut self) -> Option<Result<Vec<u8>, TooLong>> {
        let mut line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.is_too_long) {
            return Some(Err(TooLong));
        }
        line.truncate(line.trim_ascii_end().len());
        match line.len() {
            0 => None,
            length if length > self.limit => Some(Err(TooLong)),
            _ => {
                // The topic counts what there is, not what there would be room for.
                line.shrink_to_fit();
                Some(Ok(line))
            }
        }
    }

    fn add(&mut self, part: &[u8]) {
        // A line may end in a carriage return, which does not count.
        if self.is_too_long || self.line.len() + part.len() > self.limit.saturating_add(1) {
            (self.is_too_long, self.line) = (true, Vec::new());
        } else {
            self.line.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_nothing_exceeds() {
        let mut lines = Lines { limit: usize::MAX, line: Vec::new(), is_too_long: false };
        assert_eq!(lines.next(&mut &b"1\n"[..]), Some(Ok(b"1".to_vec())));
    }

    /// However the lines are cut.
    #[test]
    fn cut_anywhere() {
        let text = b"1\n\n 22\r\n333\r\n4444\n55555\n666666666666\n \n7";
        for size in 1..=text.len() {
            let (mut lines, mut got) = (Lines { limit: 4, line: Vec::new(), is_too_long: false }, Vec::new());
            for mut piece in text.chunks(size) {
                while let Some(line) = lines.next(&mut piece) {
                    got.push(line);
                }
            }
            got.extend(lines.last());
            let whole = |line: &str| Ok(line.as_bytes().to_vec());
            let expected =
                [whole("1"), whole(" 22"), whole("333"), whole("4444"), Err(TooLong), Err(TooLong), whole("7")];
            assert_eq!(got, expected, "{size}");
            assert_eq!(lines.last(), None);
        }
    }
}
