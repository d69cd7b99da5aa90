//! What is logged of a WebSocket for the people who watch a server: its messages, and how it ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use rikki_limits::Excerpt;
use rikki_proto::{CloseCode, Connection, Message};

use super::error::Error;
use super::id::ConnectionId;
use super::opening::Opening;
use super::traceparent::TraceParent;

/// What is logged of each WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "nothing else can be")]
pub enum Watching {
    /// How it ended, and how much there was to say.
    Ends,
    /// That, and each message.
    Messages,
}

/// How many letters of a text, or half as many bytes of a binary message, are shown.
const SHOWN: usize = 200;

/// One that is watched.
#[derive(Debug)]
pub(crate) struct Watched {
    watching: Watching,
    id: ConnectionId,
    peer: Option<SocketAddr>,
    path: Box<str>,
    traced: Option<TraceParent>,
    since: Instant,
    received: Amount,
    sent: Amount,
}

/// How many messages, and how many bytes in them, before they were compressed.
#[derive(Debug, Default)]
struct Amount {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Amount {
    fn add(&self, message: &Message<'_>) {
        self.messages.fetch_add(1, Relaxed);
        self.bytes.fetch_add(message.as_bytes().len() as u64, Relaxed);
    }
}

impl Watched {
    /// Watches a connection from now on.
    pub(crate) fn begin(
        watching: Watching,
        id: ConnectionId,
        opening: &Opening,
        traced: Option<TraceParent>,
        connection: &mut Connection,
    ) -> Arc<Self> {
        let watched = Arc::new(Self {
            watching,
            id,
            peer: opening.peer,
            path: Excerpt::of(opening.parts.uri.path()).to_string().into(),
            traced,
            since: Instant::now(),
            received: Amount::default(),
            sent: Amount::default(),
        });
        let witness = watched.clone();
        connection.set_witness(move |message| witness.sent(message));
        watched
    }

    /// A message has come.
    pub(crate) fn received(&self, message: &Message<'_>) {
        self.received.add(message);
        self.log("in", message);
    }

    fn sent(&self, message: &Message<'_>) {
        self.sent.add(message);
        self.log("out", message);
    }

    fn log(&self, direction: &'static str, message: &Message<'_>) {
        if self.watching != Watching::Messages {
            return;
        }
        let (kind, shown) = match message {
            Message::Text(text) => ("text", text_shown(text)),
            Message::Binary(bytes) => ("binary", bytes_shown(bytes)),
        };
        tracing::info!(
            target: "rikki::messages",
            id = self.id.get(),
            peer = self.peer.map(display),
            path = %self.path,
            direction,
            kind,
            bytes = message.as_bytes().len(),
            %shown,
        );
    }

    /// It has ended, `by` whoever has sent the first Close.
    pub(crate) fn log_end(&self, code: CloseCode, by: Option<&'static str>, error: Option<&Error>) {
        tracing::info!(
            target: "rikki::access",
            id = self.id.get(),
            peer = self.peer.map(display),
            path = %self.path,
            code = code.0,
            by = by.map(display),
            received = self.received.messages.load(Relaxed),
            sent = self.sent.messages.load(Relaxed),
            received_bytes = self.received.bytes.load(Relaxed),
            sent_bytes = self.sent.bytes.load(Relaxed),
            ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            trace_id = self.traced.map(TraceParent::trace_id).map(display),
            parent_id = self.traced.map(TraceParent::parent_id).map(display),
            error = error.map(display),
            "closed",
        );
    }
}

/// In quotes, with what a terminal would obey escaped.
fn text_shown(text: &str) -> String {
    let end = text.char_indices().nth(SHOWN).map_or(text.len(), |(at, _)| at);
    let shown = text.get(..end).unwrap_or_default();
    let more = if end < text.len() { "..." } else { "" };
    format!("\"{}\"{more}", shown.escape_debug())
}

/// In hex.
fn bytes_shown(bytes: &[u8]) -> String {
    let shown = bytes.get(..SHOWN / 2).unwrap_or(bytes);
    let mut text: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
    if shown.len() < bytes.len() {
        text += "...";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_messages() {
        assert_eq!(text_shown(""), "\"\"");
        assert_eq!(text_shown("a \"b\"\n\u{1b}[2J\u{202e} Grüße"), "\"a \\\"b\\\"\\n\\u{1b}[2J\\u{202e} Grüße\"");
        assert_eq!(text_shown(&"ü".repeat(200)), format!("\"{}\"", "ü".repeat(200)));
        assert_eq!(text_shown(&"ü".repeat(201)), format!("\"{}\"...", "ü".repeat(200)));
        assert_eq!((bytes_shown(b""), bytes_shown(&[0, 255])), (String::new(), "00ff".to_owned()));
        assert_eq!(bytes_shown(&[1; 101]), "01".repeat(100) + "...");
    }
}
