//! The stream and the buckets: made where they are missing, and looked at with each connection.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::NatsConfig;
use crate::own::Bounds;
use crate::requests::{Requests, Trouble};
use crate::subject::Names;

/// What JetStream says where there is no such stream.
const NO_STREAM: u16 = 10059;

/// How long who is there is known without being said again, in seconds.
pub(crate) const PRESENCE_AGE: u64 = 60;

/// What is known of a stream.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Info {
    /// As the server writes it.
    pub(crate) created: String,
    #[serde(default)]
    pub(crate) state: State,
    #[serde(default)]
    config: Value,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct State {
    #[serde(default)]
    pub(crate) first_seq: u64,
    #[serde(default)]
    pub(crate) last_seq: u64,
}

impl Info {
    /// Whether several servers have it.
    pub(crate) fn is_replicated(&self) -> bool {
        self.config.get("num_replicas").and_then(Value::as_u64).unwrap_or(1) > 1
    }
}

/// Why there is no stream to work with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BadStream {
    Trouble(Trouble),
    /// It is not as it has to be: what is so, and what was expected.
    Differs(String),
    TooOld(String),
}

impl fmt::Display for BadStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trouble(trouble) => trouble.fmt(f),
            Self::Differs(what) => f.write_str(what),
            Self::TooOld(version) => write!(f, "nats-server is {version}, and 2.9.0 or newer is needed"),
        }
    }
}

impl From<Trouble> for BadStream {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What a stream has to be, in the words of its configuration.
fn topics(bounds: &Bounds, names: &Names) -> Value {
    // The server takes no duplicates that live longer than messages do, and none shorter than 100 ms.
    let retention = bounds.retention.max(Duration::from_millis(100));
    // What is sent again, since nobody has acknowledged it, is not to be taken twice.
    let duplicates = bounds.duplicates.max(Duration::from_secs(10));
    json!({
        "name": names.stream,
        "subjects": [names.all_stored()],
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "max_consumers": -1,
        "max_msgs": -1,
        "max_msgs_per_subject": -1,
        "max_msg_size": -1,
        "max_bytes": i64::try_from(bounds.bytes).unwrap_or(i64::MAX),
        "max_age": nanos(retention),
        "duplicate_window": nanos(duplicates.min(retention)),
        "num_replicas": bounds.replicas,
        "allow_direct": true,
        "republish": { "src": names.all_stored(), "dest": names.all_republished() },
    })
}

fn bucket(name: String, subjects: String, replicas: usize) -> Value {
    json!({
        "name": name,
        "subjects": [subjects],
        "retention": "limits",
        "storage": "file",
        "discard": "new",
        "max_msgs_per_subject": 1,
        "max_bytes": -1,
        "max_consumers": -1,
        "max_msgs": -1,
        "max_msg_size": -1,
        "num_replicas": replicas,
        "allow_direct": true,
        "allow_rollup_hdrs": true,
        "deny_delete": true,
    })
}

/// Of who is there: in memory, since it is said again. It is one for all streams, whichever of them comes first.
fn presence(replicas: usize, names: &Names) -> Value {
    let mut presence = bucket(names.presence_stream(), names.presence_subjects(), replicas);
    if let Some(fields) = presence.as_object_mut() {
        fields.insert("storage".to_owned(), json!("memory"));
        fields.insert("max_age".to_owned(), json!(PRESENCE_AGE * 1_000_000_000));
        fields.insert("duplicate_window".to_owned(), json!(1_000_000_000));
        // Of more than this the oldest are forgotten.
        fields.insert("max_bytes".to_owned(), json!(64 << 20));
        fields.insert("discard".to_owned(), json!("old"));
    }
    presence
}

/// What is known of the stream now.
pub(crate) async fn info(requests: &Requests, names: &Names) -> Result<Info, Trouble> {
    requests.api(format!("STREAM.INFO.{}", names.stream), String::new()).await
}

/// Makes what is missing, and looks at what is there: what is known of the stream, and in what it differs from what it
/// would be if it were made now, though it does.
pub(crate) async fn prepare(
    requests: &Requests,
    config: &NatsConfig,
    bounds: &Bounds,
    names: &Names,
) -> Result<(Info, Vec<String>), BadStream> {
    let wanted = topics(bounds, names);
    let info = make(requests, &wanted).await?;
    make(requests, &bucket(names.state_stream(), names.state_subjects(), bounds.replicas)).await?;
    make(requests, &presence(config.replicas, names)).await?;
    let (hindrances, differences) = compare(&info.config, &wanted);
    match hindrances.is_empty() {
        true => Ok((info, differences)),
        false => Err(BadStream::Differs(format!("the stream {} has {}", names.stream, hindrances.join("; ")))),
    }
}

/// Makes a stream, unless it is there.
async fn make(requests: &Requests, wanted: &Value) -> Result<Info, Trouble> {
    let name = wanted.get("name").and_then(Value::as_str).unwrap_or_default();
    match requests.api(format!("STREAM.INFO.{name}"), String::new()).await {
        Err(Trouble::Refused(error)) if error.err_code == NO_STREAM => {}
        known => return known,
    }
    match requests.api(format!("STREAM.CREATE.{name}"), wanted.to_string()).await {
        // Somebody else may have made it meanwhile, with other bounds.
        Err(Trouble::Refused(why)) => {
            let info = requests.api(format!("STREAM.INFO.{name}"), String::new()).await;
            info.map_err(|_| Trouble::Refused(why))
        }
        made => made,
    }
}

/// In what a stream differs: so that nothing can be done with it, and so that it can.
fn compare(is: &Value, wanted: &Value) -> (Vec<String>, Vec<String>) {
    let differing = |names: &[&str]| {
        let pairs = names.iter().map(|name| (*name, is.get(name), wanted.get(name)));
        let others = pairs.filter(|(_, is, wanted)| !is_same(*is, *wanted));
        others
            .map(|(name, is, wanted)| {
                let (is, wanted) = (is.unwrap_or(&Value::Null), wanted.unwrap_or(&Value::Null));
                format!("{name} {is}, where {wanted} is expected")
            })
            .collect::<Vec<_>>()
    };
    (
        differing(&["subjects", "retention", "discard", "max_msgs_per_subject", "allow_direct", "republish"]),
        differing(&["storage", "max_bytes", "max_age", "duplicate_window", "num_replicas"]),
    )
}

/// Whether all that is wanted is so: servers may say more.
fn is_same(is: Option<&Value>, wanted: Option<&Value>) -> bool {
    match (is, wanted) {
        (Some(Value::Object(is)), Some(Value::Object(wanted))) => {
            wanted.iter().all(|(name, value)| is_same(is.get(name), Some(value)))
        }
        (is, wanted) => is == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named() {
        let (config, names) = (NatsConfig::new("a"), Names::new("rikki"));
        let wanted = topics(&config.bounds(), &names);
        let mut is = wanted.clone();
        is["more"] = json!(1);
        is["republish"]["headers_only"] = json!(false);
        assert_eq!(compare(&is, &wanted), (vec![], vec![]));
        is["max_bytes"] = json!(5);
        let (hindrances, differences) = compare(&is, &wanted);
        assert!(hindrances.is_empty() && differences[0].starts_with("max_bytes 5, where "), "{differences:?}");
        is["republish"] = Value::Null;
        is["max_msgs_per_subject"] = json!(100);
        let (hindrances, _) = compare(&is, &wanted);
        assert_eq!(hindrances.len(), 2, "{hindrances:?}");
    }

    /// The server refuses duplicates that live longer than messages.
    #[test]
    fn duplicates_live_no_longer_than_messages() {
        let config = NatsConfig::new("a").retention(Duration::from_secs(3));
        let stream = topics(&config.bounds(), &Names::new("a"));
        assert_eq!(stream["duplicate_window"], stream["max_age"]);
    }
}
