//! What is said around messages, as JSON: positions, gaps, and who comes and goes.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rikki_ws::{Message, PreparedMessage};
use serde_json::{Value, json};

use crate::item::Item;
use crate::position::Position;
use crate::presence::{Member, PresenceChange};
use crate::topic::Joined;

/// A message in an envelope, as one text.
pub(crate) fn message(item: &Item, position: Position) -> String {
    let mut text = head(item, position);
    match item.message.message() {
        Message::Text(data) => text.push_str(&escaped(data)),
        Message::Binary(bytes) => STANDARD.encode_string(&**bytes, &mut text),
    }
    text.push_str("\"}");
    text
}

/// What is in front of a message in its envelope, up to the string that it is: put together by hand, for its order is
/// that of a table.
pub(crate) fn head(item: &Item, position: Position) -> String {
    let Position { epoch, offset } = position;
    let (time, name) = (item.time, if item.message.message().as_text().is_some() { "data" } else { "base64" });
    format!("{{\"offset\":{offset},\"epoch\":\"{epoch}\",\"time\":{time},\"{name}\":\"")
}

/// A text as it is within a string of JSON: character by character, so that it can be taken in pieces.
pub(crate) fn escaped(text: &str) -> String {
    // A string can always be written.
    let mut string = serde_json::to_string(text).unwrap_or_default();
    string.pop();
    string.drain(..string.len().min(1));
    string
}

/// It has begun.
pub(crate) fn joined(joined: Joined) -> Value {
    let Joined { position: Position { epoch, offset }, recovered } = joined;
    let mut said = json!({ "epoch": epoch.to_string(), "offset": offset });
    if let (Some(recovered), Some(said)) = (recovered, said.as_object_mut()) {
        said.insert("recovered".to_owned(), recovered.into());
    }
    json!({ "subscribed": said })
}

/// It is here now, though no message has come.
pub(crate) fn reached(Position { epoch, offset }: Position) -> Value {
    json!({ "position": { "epoch": epoch.to_string(), "offset": offset } })
}

/// Messages are missing.
pub(crate) fn gap(missed: Option<u64>) -> Value {
    json!({ "gap": { "missed": missed } })
}

/// Somebody has come or gone.
pub(crate) fn presence(change: &PresenceChange) -> Value {
    let PresenceChange { count, joined, left, is_complete } = change;
    json!({ "presence": {
        "count": count, "joined": members(joined), "left": members(left), "complete": is_complete,
    } })
}

/// Who has come and gone, a member at a time.
#[cfg(feature = "axum")]
pub(crate) fn changed(change: &Arc<PresenceChange>) -> impl Iterator<Item = String> + use<> {
    let PresenceChange { count, is_complete, .. } = **change;
    let head = format!("{{\"complete\":{is_complete},\"count\":{count},\"joined\":[");
    let joined = each(change, |change| &change.joined);
    let left = each(change, |change| &change.left);
    [head].into_iter().chain(joined).chain(["],\"left\":[".to_owned()]).chain(left).chain(["]}".to_owned()])
}

/// Who is there, those who have come being all there are, a member at a time.
#[cfg(feature = "axum")]
pub(crate) fn listed(change: &Arc<PresenceChange>) -> impl Iterator<Item = String> + use<> {
    let head = format!("{{\"count\":{},\"members\":[", change.count);
    [head].into_iter().chain(each(change, |change| &change.joined)).chain(["]}".to_owned()])
}

#[cfg(feature = "axum")]
fn each(
    change: &Arc<PresenceChange>,
    list: fn(&PresenceChange) -> &Vec<Arc<Member>>,
) -> impl Iterator<Item = String> + use<> {
    let change = change.clone();
    (0..list(&change).len()).filter_map(move |index| {
        let comma = if index == 0 { "" } else { "," };
        Some(format!("{comma}{}", member(list(&change).get(index)?)))
    })
}

fn members(members: &[Arc<Member>]) -> Vec<Value> {
    members.iter().map(member).collect()
}

fn member(member: &Arc<Member>) -> Value {
    let Member { client, identity, .. } = &**member;
    // Numbers beyond 2^53 are not read exactly everywhere.
    json!({ "client": client.to_string(), "user": identity.user, "info": identity.info })
}

/// What is said, as a message that is not compressed: it is short.
pub(crate) fn told(said: &Value) -> PreparedMessage {
    PreparedMessage::uncompressed(said.to_string())
}
