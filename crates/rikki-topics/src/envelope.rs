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
    let Position { epoch, offset } = position;
    let time = item.time;
    // Put together by hand: its order is that of a table, and a payload is escaped straight into it.
    let payload = item.message.message();
    let mut text = format!("{{\"offset\":{offset},\"epoch\":\"{epoch}\",\"time\":{time},");
    match payload {
        Message::Text(data) => {
            text.push_str("\"data\":");
            // A string can always be written.
            text.push_str(&serde_json::to_string(&**data).unwrap_or_default());
        }
        Message::Binary(bytes) => {
            text.push_str("\"base64\":\"");
            STANDARD.encode_string(&**bytes, &mut text);
            text.push('"');
        }
    }
    text.push('}');
    text
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

/// Who is there.
#[cfg(feature = "axum")]
pub(crate) fn present(present: &crate::presence::Present) -> Value {
    json!({ "count": present.count, "members": members(&present.members) })
}

fn members(members: &[Arc<Member>]) -> Vec<Value> {
    let said = |member: &Arc<Member>| {
        let Member { client, identity, .. } = &**member;
        // Numbers beyond 2^53 are not read exactly everywhere.
        json!({ "client": client.to_string(), "user": identity.user, "info": identity.info })
    };
    members.iter().map(said).collect()
}

/// What is said, as a message that is not compressed: it is short.
pub(crate) fn told(said: &Value) -> PreparedMessage {
    PreparedMessage::uncompressed(said.to_string())
}
