//! What goes to a reader, written a piece at a time: who does not read holds a shared message, and no copy of it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rikki_ws::Message;

use super::event;
use crate::cursor::Taken;
use crate::envelope;
use crate::item::Item;
use crate::presence::PresenceChange;

/// After how many bytes a piece goes out.
pub(super) const AT_ONCE: usize = 16 * 1024;

/// What a byte becomes at most in a string of JSON.
const ESCAPED: usize = 6;

/// What is under way to a reader.
pub(super) enum Pieces {
    Message {
        item: Arc<Item>,
        form: Form,
        /// How much of it has been written.
        at: usize,
        end: &'static str,
    },
    /// Who is there, a member each.
    Members(Box<dyn Iterator<Item = String> + Send>),
}

/// What a payload becomes.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// Lines of `data`.
    Lines,
    Base64,
    /// What is in a string of JSON.
    Escaped,
}

impl Pieces {
    /// A message as an event, of which this writes what comes first.
    pub(super) fn event(out: &mut Vec<u8>, taken: &Taken, has_envelope: bool) -> Self {
        let is_binary = matches!(taken.item.message.message(), Message::Binary(_));
        event::begin(out, taken.position, is_binary && !has_envelope);
        if has_envelope {
            return Self::enveloped(out, taken, "\"}\n\n");
        }
        let form = if is_binary { Form::Base64 } else { Form::Lines };
        Self::Message { item: taken.item.clone(), form, at: 0, end: "\n\n" }
    }

    /// A message in its envelope.
    pub(super) fn envelope(out: &mut Vec<u8>, taken: &Taken) -> Self {
        Self::enveloped(out, taken, "\"}")
    }

    fn enveloped(out: &mut Vec<u8>, taken: &Taken, end: &'static str) -> Self {
        out.extend_from_slice(envelope::head(&taken.item, taken.position).as_bytes());
        let form = match taken.item.message.message() {
            Message::Text(_) => Form::Escaped,
            Message::Binary(_) => Form::Base64,
        };
        Self::Message { item: taken.item.clone(), form, at: 0, end }
    }

    /// Who has come and gone, as an event.
    pub(super) fn presence(out: &mut Vec<u8>, change: &Arc<PresenceChange>) -> Self {
        event::begin_presence(out);
        Self::Members(Box::new(envelope::changed(change).chain(["\n\n".to_owned()])))
    }

    /// Who is there.
    pub(super) fn present(change: &Arc<PresenceChange>) -> Self {
        Self::Members(Box::new(envelope::listed(change)))
    }

    /// Writes until there are [`AT_ONCE`] bytes or a few more; whether that is all.
    pub(super) fn write(&mut self, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Message { item, form, at, end } => {
                let message = item.message.message();
                while *at < message.as_bytes().len() {
                    let room = AT_ONCE.saturating_sub(out.len());
                    if room == 0 {
                        return false;
                    }
                    *at += form.write(out, message, *at, room);
                }
                out.extend_from_slice(end.as_bytes());
                true
            }
            Self::Members(members) => {
                while out.len() < AT_ONCE {
                    let Some(member) = members.next() else { return true };
                    out.extend_from_slice(member.as_bytes());
                }
                false
            }
        }
    }
}

impl Form {
    /// Writes what is at `at` and behind it, as far as there is `room` for it; how much of it that was: at least a byte.
    fn write(self, out: &mut Vec<u8>, message: &Message<'_>, at: usize, room: usize) -> usize {
        let bytes = message.as_bytes();
        match self {
            Self::Lines => event::line(out, bytes, at, room),
            Self::Base64 => {
                let rest = bytes.get(at..).unwrap_or_default();
                // What is not padded goes on.
                let piece = rest.get(..(room / 4 * 3).max(3)).unwrap_or(rest);
                out.extend_from_slice(STANDARD.encode(piece).as_bytes());
                piece.len()
            }
            Self::Escaped => {
                let text = message.as_text().unwrap_or_default();
                let mut end = text.len().min(at + (room / ESCAPED).max(16));
                while !text.is_char_boundary(end) {
                    end += 1;
                }
                out.extend_from_slice(envelope::escaped(text.get(at..end).unwrap_or_default()).as_bytes());
                end - at
            }
        }
    }
}
