//! Server-sent events as they are written:
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>.

use std::fmt::Display;
use std::io::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::piece::Pieces;
use crate::envelope;
use crate::position::Position;
use crate::subscription::{Step, Update};

/// Writes what comes next, but for what is returned.
pub(super) fn write(out: &mut Vec<u8>, step: &Step, has_envelope: bool) -> Option<Pieces> {
    match step {
        Step::Message(taken) => return Some(Pieces::event(out, taken, has_envelope)),
        Step::Other(Update::Presence(change)) => return Some(Pieces::presence(out, change)),
        Step::Other(Update::Joined(joined)) => {
            field(out, "event", "subscribed");
            id(out, joined.position);
            told(out, &envelope::joined(*joined), "subscribed");
        }
        Step::Other(Update::Gap(missed)) => {
            field(out, "event", "gap");
            told(out, &envelope::gap(*missed), "gap");
        }
        // A message comes as it is shared.
        Step::Other(Update::Message(_)) => {}
    }
    None
}

/// What is in front of a message.
pub(super) fn begin(out: &mut Vec<u8>, position: Position, is_binary: bool) {
    if is_binary {
        field(out, "event", "binary");
    }
    id(out, position);
    out.extend_from_slice(DATA);
}

/// What is in front of who has come and gone.
pub(super) fn begin_presence(out: &mut Vec<u8>) {
    field(out, "event", "presence");
    out.extend_from_slice(DATA);
}

const DATA: &[u8] = b"data: ";

/// How long the client waits until it comes back.
pub(super) fn retry(out: &mut Vec<u8>, retry: Duration) {
    field(out, "retry", retry.as_millis());
    out.push(b'\n');
}

/// The stream is alive. The position is remembered though there is no data and no event comes of it: "Set the last event
/// ID string of the event source to the value of the last event ID buffer" goes before "If the data buffer is an empty
/// string": <https://html.spec.whatwg.org/multipage/server-sent-events.html#dispatchMessage>.
pub(super) fn heartbeat(out: &mut Vec<u8>, position: Option<Position>) {
    out.extend_from_slice(b":\n");
    if let Some(position) = position {
        id(out, position);
    }
    out.push(b'\n');
}

fn id(out: &mut Vec<u8>, position: Position) {
    field(out, "id", position);
}

fn field(out: &mut Vec<u8>, name: &str, value: impl Display) {
    // Memory takes all that is written.
    let _ = writeln!(out, "{name}: {value}");
}

/// What is said in an envelope under a name, which is that of the event here.
fn told(out: &mut Vec<u8>, said: &Value, name: &str) {
    field(out, "data", said.get(name).unwrap_or(&json!(null)));
    out.push(b'\n');
}

/// Writes what is at `at` of a text, a line end or what is in front of the next, at most `most` bytes of it; how much that
/// was. Each line is one of `data`: all three line ends are one to the reader, which puts a line feed there.
pub(super) fn line(out: &mut Vec<u8>, text: &[u8], at: usize, most: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    match rest {
        [b'\n', ..] if at.checked_sub(1).and_then(|before| text.get(before)) == Some(&b'\r') => 1,
        [b'\r' | b'\n', ..] => {
            out.push(b'\n');
            out.extend_from_slice(DATA);
            1
        }
        _ => {
            let piece = rest.get(..most).unwrap_or(rest);
            let end = piece.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(piece.len());
            let (line, _) = piece.split_at(end);
            out.extend_from_slice(line);
            line.len()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;
    use rikki_limits::Budget;
    use rikki_ws::Message;

    use super::*;
    use crate::cursor::Taken;
    use crate::item::Item;
    use crate::position::Epoch;

    /// What an `EventSource` dispatches, as type, data and last event ID:
    /// <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>.
    fn read(stream: &str) -> Vec<(String, String, String)> {
        let (mut events, mut id) = (Vec::new(), String::new());
        let (mut kind, mut data) = (String::new(), String::new());
        for line in stream.replace("\r\n", "\n").replace('\r', "\n").split('\n') {
            if line.is_empty() {
                if let Some(data) = data.strip_suffix('\n') {
                    events.push((kind.clone(), data.to_owned(), id.clone()));
                }
                kind.clear();
                data.clear();
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => kind = value.to_owned(),
                "data" => data = data + value + "\n",
                "id" if !value.contains('\0') => id = value.to_owned(),
                _ => {}
            }
        }
        events
    }

    proptest! {
        /// Whatever a message is, it is one event and nothing else.
        #[test]
        fn a_message_is_one_event(text in "([a-z:\r\n\0 ]|event: |data: |id: 9|\\PC){0,40}", is_binary: bool, enveloped: bool) {
            let position = Position { epoch: Epoch(7), offset: 3 };
            let message = if is_binary { Message::from(text.clone().into_bytes()) } else { text.clone().into() };
            let item = Arc::new(Item::new(message, None, 5, &Arc::new(Budget::new("memory", 1 << 20))));
            let taken = Taken { ordinal: 1, position, item };
            let mut out = b"id: 0000000000000007:2\n\n".to_vec();
            let mut pieces = Pieces::event(&mut out, &taken, enveloped);
            prop_assert!(pieces.write(&mut out));
            let events = read(&String::from_utf8(out).unwrap());
            let (kind, data) = match (enveloped, is_binary) {
                (true, _) => ("", envelope::message(&taken.item, position)),
                (false, true) => ("binary", STANDARD.encode(&text)),
                (false, false) => ("", text.replace("\r\n", "\n").replace('\r', "\n")),
            };
            prop_assert_eq!(events, [(kind.to_owned(), data, position.to_string())]);
        }
    }

    #[test]
    fn lines() {
        let check = |text: &str, expected: &str| {
            let (mut out, mut at) = (DATA.to_vec(), 0);
            while at < text.len() {
                at += line(&mut out, text.as_bytes(), at, 2);
            }
            out.push(b'\n');
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{text:?}");
        };
        check("", "data: \n");
        check("one", "data: one\n");
        check(" one", "data:  one\n");
        check("one\ntwo", "data: one\ndata: two\n");
        check("one\r\ntwo", "data: one\ndata: two\n");
        check("one\rtwo", "data: one\ndata: two\n");
        check("one\n\rtwo", "data: one\ndata: \ndata: two\n");
        check("one\r\r\ntwo", "data: one\ndata: \ndata: two\n");
        check("one\n", "data: one\ndata: \n");
        check("\r\n", "data: \ndata: \n");
        check("id: 7\n\nevent: no", "data: id: 7\ndata: \ndata: event: no\n");
        check("a\u{2028}b\u{85}", "data: a\u{2028}b\u{85}\n");
    }
}
