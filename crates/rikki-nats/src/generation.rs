//! Which history the stream has, so that all processes mean the same by it: when the stream was made, and how often it
//! is known to have lost what it had.
//!
//! Whoever sees the sequence go back raises the number, in a bucket, if nobody else has; the others find it there.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use async_nats::HeaderMap;
use rikki_topics::Epoch;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::sleep;

use crate::link::Link;
use crate::requests::{Requests, Trouble, read};
use crate::stream::{self, Info};
use crate::wire::{Ack, ApiError};

/// How often it is tried to raise the number, while others do so too.
const ATTEMPTS: usize = 8;

/// How often it is looked again whether servers have taken up what they have, each half a second.
const APPLYING: usize = 6;

/// What JetStream says where there is no message.
const NO_MESSAGE: u16 = 10037;

/// What the bucket has.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
struct Generation {
    /// When the stream was made, as the server writes it.
    created: String,
    number: u64,
}

/// What the history is called.
fn epoch(created: &str, generation: u64) -> Epoch {
    // FNV-1a, which is the same everywhere: http://www.isthe.com/chongo/tech/comp/fnv/
    let bytes = created.bytes().chain(generation.to_be_bytes());
    Epoch(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)))
}

/// Whether a stream has the history that is known.
pub(crate) fn is_of(link: &Link, info: &Info) -> bool {
    link.history.borrow().epoch == Some(epoch(&info.created, link.generation.load(Relaxed)))
}

/// Which history the stream has, raised if what had been `seen` of it is not there any more.
pub(crate) async fn agree(link: &Arc<Link>, requests: &Requests, info: &Info, seen: u64) -> Result<Epoch, Trouble> {
    let known = link.generation.load(Relaxed);
    let is_known = link.history.borrow().epoch == Some(epoch(&info.created, known));
    let has_gone_back = is_known && has_gone_back(link, requests, info, seen).await?;
    for _ in 0..ATTEMPTS {
        let (sequence, there) = current(link, requests).await?;
        // A stream that was made anew begins with 0.
        let there = if there.created == info.created { there.number } else { 0 };
        // Somebody else has seen it too, unless the bucket has lost something as well.
        let is_raised = is_known && there > known;
        let number = match (has_gone_back, is_known && there < known) {
            (false, false) => there,
            (true, _) if is_raised => there,
            _ => known.max(there) + 1,
        };
        if number != there {
            let raised = Generation { created: info.created.clone(), number };
            if !raise(link, requests, sequence, &raised).await? {
                continue;
            }
            let (created, last) = (&info.created, info.state.last_seq);
            tracing::warn!(target: "rikki::nats", created, generation = number, last, "NATS has lost messages that it had");
        }
        if !is_known || number != known {
            link.begin_anew(info.state.last_seq);
        }
        link.generation.store(number, Relaxed);
        return Ok(epoch(&info.created, number));
    }
    Err(Trouble::Unanswered)
}

/// Whether what was seen of the stream is no longer there.
async fn has_gone_back(link: &Link, requests: &Requests, info: &Info, seen: u64) -> Result<bool, Trouble> {
    let mut last = info.state.last_seq;
    // One of several servers that has just come to lead them may still have to take up what it has.
    let attempts = if info.is_replicated() { APPLYING } else { 0 };
    for _ in 0..attempts {
        if last >= seen {
            break;
        }
        sleep(Duration::from_millis(500)).await;
        last = stream::info(requests, &link.names).await?.state.last_seq;
    }
    Ok(last < seen)
}

/// What the bucket has, and where.
async fn current(link: &Link, requests: &Requests) -> Result<(u64, Generation), Trouble> {
    #[derive(Deserialize)]
    struct Found {
        message: Entry,
    }
    #[derive(Deserialize)]
    struct Entry {
        seq: u64,
    }
    let stream = link.names.state_stream();
    let body = json!({ "last_by_subj": link.names.generation() }).to_string();
    let sequence = match requests.api::<Found>(format!("STREAM.MSG.GET.{stream}"), body).await {
        Ok(found) => found.message.seq,
        Err(Trouble::Refused(ApiError { err_code: NO_MESSAGE, .. })) => return Ok((0, Generation::default())),
        Err(trouble) => return Err(trouble),
    };
    let body = json!({ "seq": sequence }).to_string();
    let entry = requests.ask(format!("$JS.API.DIRECT.GET.{stream}"), None, body.into()).await?;
    match entry.status {
        // It has changed meanwhile, or whoever answers has not got it yet.
        Some(_) => Err(Trouble::Malformed),
        // What cannot be read is as good as none, and is written over.
        None => Ok((sequence, serde_json::from_slice(&entry.payload).unwrap_or_default())),
    }
}

/// Writes it, unless somebody else has; whether it was written.
async fn raise(link: &Link, requests: &Requests, sequence: u64, raised: &Generation) -> Result<bool, Trouble> {
    // A key of JetStream's own, compared by the server: wrong last sequence.
    const CHANGED: u16 = 10071;
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Last-Subject-Sequence", sequence.to_string());
    let body = serde_json::to_vec(raised).map_err(|_| Trouble::Malformed)?;
    let answer = requests.ask(link.names.generation(), Some(headers), body.into()).await?;
    match read::<Ack>(&answer.payload) {
        Ok(_) => Ok(true),
        Err(Trouble::Refused(ApiError { err_code: CHANGED, .. })) => Ok(false),
        Err(trouble) => Err(trouble),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another process, of another version too, means the same by it.
    #[test]
    fn epochs() {
        let created = "2026-11-26T18:00:00.123456789Z";
        assert_eq!(epoch(created, 0), epoch(created, 0));
        assert_ne!(epoch(created, 0), epoch(created, 1));
        assert_ne!(epoch(created, 0), epoch("2026-11-26T18:00:00.123456788Z", 0));
        assert_eq!(epoch("", 0), Epoch(0xa8c7_f832_281a_39c5));
    }
}
