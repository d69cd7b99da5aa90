//! Getting what is missing of a topic: a few messages one by one, of whoever has them, and many by a consumer that
//! lives as long as that takes.

use std::sync::Arc;

use async_nats::StatusCode;
use rikki_topics::InletBounds;
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use crate::chain::Chain;
use crate::kept::Kept;
use crate::link::{Connected, Link};
use crate::requests::{ANSWER, Requests, Trouble, hand_over, next_of};
use crate::stream;
use crate::wire::{self, ApiError, Stored};

/// How many messages are got one by one.
const ONE_BY_ONE: usize = 32;

/// How many messages a consumer brings at a time.
const BATCH: u64 = 256;

/// So many messages of a topic are all read; of more the latest alone, which are found by looking.
const READ_ALL: u64 = 4096;

/// The same where each may be the latest of its key.
const READ_ALL_KEYS: u64 = 100_000;

/// How often it is looked from where the latest are.
const ATTEMPTS: usize = 5;

/// What JetStream says where there is no message.
const NO_MESSAGE: u16 = 10037;

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// What is here already, of the history that there is.
    pub(crate) known: Option<Chain>,
    /// There is something up to here, or 0.
    pub(crate) until: u64,
    /// Ask the one who knows.
    pub(crate) is_exact: bool,
    /// What was sent on since then may not have come.
    pub(crate) may_have_missed: bool,
    pub(crate) bounds: InletBounds,
}

/// What was got.
#[derive(Debug, Default)]
pub(crate) struct Got {
    /// Nothing up to here is among the messages, though there may have been some.
    pub(crate) behind: u64,
    pub(crate) messages: Vec<Stored>,
    /// Up to here there are no others.
    pub(crate) through: u64,
    /// Some may be missing between what was known and these.
    pub(crate) has_gap: bool,
}

/// Gets it.
pub(crate) async fn catch_up(
    link: &Arc<Link>,
    connected: &Connected,
    topic: &str,
    wanted: Wanted,
) -> Result<Got, Trouble> {
    let reader = Reader { link, connected, subject: link.names.stored(topic), bounds: wanted.bounds };
    match wanted.known {
        None => reader.all().await,
        Some(known) => reader.rest(known, wanted).await,
    }
}

struct Reader<'a> {
    link: &'a Arc<Link>,
    connected: &'a Connected,
    subject: String,
    bounds: InletBounds,
}

/// A message that JetStream was asked for, of which the place alone is of interest.
#[derive(Deserialize)]
struct Found {
    message: FoundMessage,
}

#[derive(Deserialize)]
struct FoundMessage {
    #[serde(default)]
    seq: u64,
}

#[derive(Debug, Deserialize)]
struct Consumer {
    name: String,
    #[serde(default)]
    num_pending: u64,
}

impl Reader<'_> {
    fn requests(&self) -> &Requests {
        &self.connected.requests
    }

    /// What there is of the topic, as far as its bounds go.
    async fn all(&self) -> Result<Got, Trouble> {
        let (state, last) = self.last_exactly().await?;
        let (behind, mut kept) = match last {
            None => (state.first_seq.saturating_sub(1), Kept::new(self.bounds)),
            Some(_) => self.latest(state).await?,
        };
        let mut known = kept.last().unwrap_or(behind);
        // A server that has not all of it yet has left out the end.
        while last.is_some_and(|last| last > known) {
            let Some(next) = self.next_exactly(known + 1).await? else { break };
            known = next.sequence;
            kept.add(next);
        }
        // As in `rest`: what has gone while it was read is missing for whoever has all that was before it.
        let gone = self.gone().await?;
        let behind = kept.behind(if last.is_none() { behind.max(gone) } else { kept.lost(behind, gone) });
        let mut messages = Vec::from(kept);
        messages.retain(|stored| stored.sequence > behind);
        Ok(Got { behind, messages, through: state.last_seq, has_gap: false })
    }

    /// What is behind what is known.
    async fn rest(&self, known: Chain, wanted: Wanted) -> Result<Got, Trouble> {
        let from = known.known();
        // Whoever answers first may not have all that was missed, and it may have gone before it is looked again.
        let (until, through) = if wanted.is_exact || wanted.may_have_missed {
            let (state, last) = self.last_exactly().await?;
            (last.unwrap_or(0).max(wanted.until), state.last_seq)
        } else if wanted.until > 0 {
            (wanted.until, 0)
        } else {
            (self.last().await?.unwrap_or(0), 0)
        };
        if until <= from && !wanted.may_have_missed {
            return Ok(Got { behind: from, through: through.max(from), ..Got::default() });
        }
        let mut kept = Kept::new(self.bounds);
        let mut at = from;
        let mut count = 0;
        while at < until && count < ONE_BY_ONE {
            let next = match self.next(at + 1).await? {
                Some(next) => Some(next),
                // The one who was asked may not have it yet.
                None => self.next_exactly(at + 1).await?,
            };
            // What was there has gone.
            let Some(next) = next else { break };
            (at, count) = (next.sequence, count + 1);
            kept.add(next);
        }
        if at < until && count == ONE_BY_ONE {
            at = self.consume(at + 1, until, &mut kept).await?;
        }
        let gone = self.gone().await?;
        if at < until || until <= from {
            // Where there was one, which has gone, nothing before it is of any use.
            let behind = until.max(from).max(gone);
            return Ok(Got { behind, through: through.max(behind), has_gap: behind > from, ..Got::default() });
        }
        let behind = kept.behind(kept.lost(from, gone));
        let has_gap = behind > from;
        let mut messages = Vec::from(kept);
        messages.retain(|stored| stored.sequence > behind);
        Ok(Got { behind, messages, through, has_gap })
    }

    /// Up to where the stream has nothing any more. It is asked behind what was read: what has gone before that was read
    /// shows then.
    async fn gone(&self) -> Result<u64, Trouble> {
        Ok(stream::info(self.requests(), &self.link.names).await?.state.first_seq.saturating_sub(1))
    }

    /// The latest messages that the topic has room for, and up to where none of it was looked at.
    async fn latest(&self, state: stream::State) -> Result<(u64, Kept), Trouble> {
        let (first, last) = (state.first_seq.max(1), state.last_seq);
        let most = if self.bounds.is_by_key { READ_ALL_KEYS } else { READ_ALL };
        let enough = u64::try_from(self.bounds.messages).unwrap_or(u64::MAX);
        let (mut start, mut consumer) = (first, self.consumer(first).await?);
        for _ in 0..ATTEMPTS {
            if consumer.num_pending <= most {
                break;
            }
            // As if they were spread evenly.
            let span =
                u128::from(last.saturating_sub(start) + 1) * u128::from(enough) * 2 / u128::from(consumer.num_pending);
            let span = u64::try_from(span).unwrap_or(u64::MAX).max(enough);
            let next = last.saturating_sub(span).max(start);
            let closer = self.consumer(next).await?;
            self.delete(if closer.num_pending < enough { &closer } else { &consumer }).await;
            if closer.num_pending < enough {
                break;
            }
            (start, consumer) = (next, closer);
        }
        let mut kept = Kept::new(self.bounds);
        let read = self.take(&consumer, consumer.num_pending, &mut kept).await;
        self.delete(&consumer).await;
        read?;
        let behind = if start > first { kept.first_read.unwrap_or(start) } else { start } - 1;
        Ok((behind, kept))
    }

    /// All messages from a sequence on, up to another.
    async fn consume(&self, from: u64, until: u64, kept: &mut Kept) -> Result<u64, Trouble> {
        let consumer = self.consumer(from).await?;
        let read = self.take(&consumer, consumer.num_pending, kept).await;
        self.delete(&consumer).await;
        read?;
        let mut at = kept.last().unwrap_or(from - 1);
        while at < until {
            let Some(next) = self.next_exactly(at + 1).await? else { break };
            at = next.sequence;
            kept.add(next);
        }
        Ok(at)
    }

    async fn consumer(&self, from: u64) -> Result<Consumer, Trouble> {
        let stream = &self.link.names.stream;
        let config = json!({
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": from,
            "ack_policy": "none",
            "replay_policy": "instant",
            "filter_subject": self.subject,
            "inactive_threshold": 10_000_000_000_u64,
            "mem_storage": true,
            "num_replicas": 1,
        });
        let body = json!({ "stream_name": stream, "config": config }).to_string();
        self.requests().api(format!("CONSUMER.CREATE.{stream}"), body).await
    }

    /// Forgotten by itself where this is lost.
    async fn delete(&self, consumer: &Consumer) {
        let subject = format!("$JS.API.CONSUMER.DELETE.{}.{}", self.link.names.stream, consumer.name);
        let _ = hand_over(self.connected.client.publish(subject, bytes::Bytes::new())).await;
    }

    /// Takes so many messages of a consumer.
    async fn take(&self, consumer: &Consumer, mut count: u64, kept: &mut Kept) -> Result<(), Trouble> {
        let client = &self.connected.client;
        let inbox = client.new_inbox();
        let mut messages = hand_over(client.subscribe(inbox.clone())).await?;
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.link.names.stream, consumer.name);
        while count > 0 {
            let batch = count.min(BATCH);
            let body = json!({ "batch": batch, "expires": 2_000_000_000_u64 }).to_string();
            hand_over(client.publish_with_reply(subject.clone(), inbox.clone(), body.into())).await?;
            for _ in 0..batch {
                let message = timeout(ANSWER, next_of(&mut messages)).await.map_err(|_| Trouble::Unanswered)?;
                let message = message.ok_or(Trouble::Unanswered)?;
                if message.status == Some(StatusCode::NO_RESPONDERS) {
                    return Err(Trouble::NobodyThere);
                }
                // Another status: what was announced has gone meanwhile.
                let Some((stored, pending)) = wire::consumed(&message) else { return Ok(()) };
                kept.add(stored);
                if pending == 0 {
                    return Ok(());
                }
            }
            count -= batch;
        }
        Ok(())
    }

    /// What the stream has, as who leads it knows, and then the last message of the topic.
    async fn last_exactly(&self) -> Result<(stream::State, Option<u64>), Trouble> {
        let state = stream::info(self.requests(), &self.link.names).await?.state;
        let body = json!({ "last_by_subj": self.subject });
        Ok((state, self.get::<Found>(body).await?.map(|found| found.message.seq)))
    }

    /// What who leads the stream has.
    async fn get<T: for<'de> Deserialize<'de>>(&self, body: serde_json::Value) -> Result<Option<T>, Trouble> {
        let subject = format!("STREAM.MSG.GET.{}", self.link.names.stream);
        match self.requests().api(subject, body.to_string()).await {
            Ok(found) => Ok(Some(found)),
            Err(Trouble::Refused(ApiError { err_code: NO_MESSAGE, .. })) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// The last message of the topic, as far as whoever answers has it.
    async fn last(&self) -> Result<Option<u64>, Trouble> {
        let found = self.direct(json!({ "last_by_subj": self.subject })).await?;
        Ok(found.map(|stored| stored.sequence))
    }

    async fn next(&self, from: u64) -> Result<Option<Stored>, Trouble> {
        self.direct(json!({ "seq": from, "next_by_subj": self.subject })).await
    }

    /// The next one that who leads the stream has.
    async fn next_exactly(&self, from: u64) -> Result<Option<Stored>, Trouble> {
        let found: Option<Found> = self.get(json!({ "seq": from, "next_by_subj": self.subject })).await?;
        let Some(Found { message: FoundMessage { seq } }) = found else { return Ok(None) };
        self.direct(json!({ "seq": seq })).await
    }

    async fn direct(&self, body: serde_json::Value) -> Result<Option<Stored>, Trouble> {
        let subject = format!("$JS.API.DIRECT.GET.{}", self.link.names.stream);
        let answer = self.requests().ask(subject, None, body.to_string().into()).await?;
        if answer.status == Some(StatusCode::NOT_FOUND) {
            return Ok(None);
        }
        if answer.status.is_some() {
            return Err(Trouble::Malformed);
        }
        wire::direct(&answer).map(Some).ok_or(Trouble::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;
    use testkit::NatsServer;

    use super::*;
    use crate::fake::{Fake, bounds, link_to};

    /// A server, and a link to it whose stream has these messages, of the topic `t`.
    async fn with_messages(count: usize) -> (NatsServer, Arc<Link>) {
        let server = NatsServer::start();
        let link = link_to(&server.url()).await;
        let connected = link.connected.get().unwrap();
        stream::prepare(&connected.requests, &link.config, &link.bounds, &link.names).await.unwrap();
        for number in 0..count {
            connected.client.publish(link.names.stored("t"), number.to_string().into()).await.unwrap();
        }
        connected.client.flush().await.unwrap();
        link.set_info(&stream::info(&connected.requests, &link.names).await.unwrap());
        assert_eq!(link.state(), (1, count as u64));
        (server, link)
    }

    /// Its messages before this one go, after it was last looked what the stream has.
    async fn purge(link: &Link, until: u64) {
        let requests = &link.connected.get().unwrap().requests;
        let body = json!({ "seq": until }).to_string();
        let _: Value = requests.api(format!("STREAM.PURGE.{}", link.names.stream), body).await.unwrap();
    }

    /// What is got of whom all is known up to `through`: whether some may be missing, behind what, and how many.
    async fn check(link: &Arc<Link>, through: u64, may_have_missed: bool, expected: (bool, u64, usize)) {
        for is_exact in [true, false] {
            let known = Some(Chain::new(1, through));
            let wanted = Wanted { known, until: 0, is_exact, may_have_missed, bounds: bounds() };
            let got = catch_up(link, link.connected.get().unwrap(), "t", wanted).await.unwrap();
            let told = (got.has_gap, got.behind, got.messages.len());
            assert_eq!(told, expected, "{through} {may_have_missed} {is_exact}");
        }
    }

    /// Of what has gone before it was asked for nobody knows whether it was of this topic: where messages may have been
    /// missed, some may be missing.
    #[tokio::test]
    async fn what_came_and_went() {
        let (_server, link) = with_messages(3).await;
        purge(&link, 4).await;
        check(&link, 2, true, (true, 3, 0)).await;
        // It was there all the time.
        check(&link, 2, false, (false, 2, 0)).await;
        // Nothing has come since.
        check(&link, 3, true, (false, 3, 0)).await;
    }

    /// The same where there is one behind it.
    #[tokio::test]
    async fn what_came_and_went_before_another() {
        let (_server, link) = with_messages(4).await;
        check(&link, 1, true, (false, 1, 3)).await;
        purge(&link, 3).await;
        check(&link, 1, true, (true, 2, 2)).await;
        check(&link, 2, true, (false, 2, 2)).await;
        check(&link, 3, true, (false, 3, 1)).await;
    }

    /// What cannot be asked for is given up, so that others get what they miss.
    #[tokio::test]
    async fn a_server_that_stops_reading() {
        let fake = Fake::start().await;
        let link = fake.link().await;
        let connected = link.connected.get().unwrap();
        let reader = Reader { link: &link, connected, subject: "t".to_owned(), bounds: bounds() };
        let consumer = Consumer { name: "c".to_owned(), num_pending: 1 };
        let mut kept = Kept::new(bounds());
        fake.stop_reading(&connected.client).await;
        tokio::time::pause();
        let taken = timeout(Duration::from_secs(60), reader.take(&consumer, 1, &mut kept)).await;
        assert_eq!(taken, Ok(Err(Trouble::Unanswered)));
        assert_eq!(timeout(Duration::from_secs(60), reader.delete(&consumer)).await, Ok(()));
    }
}
