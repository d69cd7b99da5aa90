//! What a client is sent, written: replies and pushes of JSON, one a line.

use std::fmt::Write as _;

use super::code::{Fault, Unsubscribed};
use super::data::{of_message, of_text, quoted};
use crate::item::Item;
use crate::position::Position;
use crate::presence::{Member, PresenceChange};

/// What a ping of ours is.
pub(super) const PING: &str = "{}";

/// How much of publications or members goes into one reply or push, in bytes: a last one goes beyond it. Half of what
/// centrifuge-python takes.
pub(super) const LONGEST: usize = 512 * 1024;

/// The reply to a command that is answered by an object of its own name.
pub(super) fn reply(id: u32, name: &str, object: &str) -> String {
    format!("{{\"id\":{id},\"{name}\":{object}}}")
}

/// The reply to a command that has failed.
pub(super) fn error(id: u32, Fault { code, message, is_temporary }: Fault) -> String {
    failed(id, code, message, is_temporary)
}

/// The same, in words of the application.
pub(super) fn failed(id: u32, code: u32, message: &str, is_temporary: bool) -> String {
    let temporary = if is_temporary { ",\"temporary\":true" } else { "" };
    format!("{{\"id\":{id},\"error\":{{\"code\":{code},\"message\":{}{temporary}}}}}", quoted(message))
}

/// A publication, for whoever is subscribed.
pub(crate) fn pushed(channel: &str, item: &Item, position: Position) -> String {
    push(channel, "pub", &publication(item, position))
}

/// A publication. Where it is of is in the `epoch` around it.
pub(super) fn publication(item: &Item, position: Position) -> String {
    let data = of_message(item.message.message());
    format!("{{\"data\":{data},\"offset\":{},\"time\":{}}}", position.offset, item.time)
}

/// Who has come and gone, one a line: in as many frames as it takes.
pub(super) fn presence(channel: &str, change: &PresenceChange) -> Vec<String> {
    let all = change.left.iter().map(|member| ("leave", member));
    let all = all.chain(change.joined.iter().map(|member| ("join", member)));
    let lines = all.map(|(name, member)| push(channel, name, &format!("{{\"info\":{}}}", info(member))));
    let mut frames: Vec<String> = Vec::new();
    for line in lines {
        match frames.last_mut().filter(|frame| frame.len() < LONGEST) {
            Some(frame) => {
                frame.push('\n');
                frame.push_str(&line);
            }
            None => frames.push(line),
        }
    }
    frames
}

/// A subscription has been made by the server.
pub(super) fn subscribed(channel: &str, object: &str) -> String {
    push(channel, "subscribe", object)
}

/// A subscription has ended.
pub(super) fn unsubscribed(channel: &str, Unsubscribed { code, reason }: Unsubscribed) -> String {
    push(channel, "unsubscribe", &format!("{{\"code\":{code},\"reason\":{}}}", quoted(reason)))
}

/// Who somebody is.
pub(super) fn info(Member { client, identity, .. }: &Member) -> String {
    let mut text = format!("{{\"user\":{},\"client\":\"{client}\"", quoted(&identity.user));
    if !identity.info.is_empty() {
        let _ = write!(text, ",\"conn_info\":{}", of_text(&identity.info));
    }
    text.push('}');
    text
}

/// Puts what is written into a list, as far as there is room for it; whether all of it was.
pub(super) fn list(into: &mut String, ends: (char, char), all: impl IntoIterator<Item = String>) -> bool {
    into.push(ends.0);
    let start = into.len();
    let mut is_whole = true;
    for one in all {
        if into.len() > start {
            into.push(',');
        }
        into.push_str(&one);
        if into.len() - start >= LONGEST {
            is_whole = false;
            break;
        }
    }
    into.push(ends.1);
    is_whole
}

fn push(channel: &str, name: &str, object: &str) -> String {
    format!("{{\"push\":{{\"channel\":{},\"{name}\":{object}}}}}", quoted(channel))
}
