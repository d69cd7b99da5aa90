//! Requests and their answers, over one subscription: what is not answered in time is forgotten.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures_core::Stream as _;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::subject::Names;
use crate::wire::ApiError;

/// Why there is no answer to go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// None has come in time.
    Unanswered,
    /// Nobody listens there.
    NobodyThere,
    /// It says no.
    Refused(ApiError),
    /// It says something that is no answer.
    Malformed,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unanswered => f.write_str("the server does not answer"),
            Self::NobodyThere => {
                f.write_str("JetStream does not answer: it has to be enabled on the server and for the account")
            }
            Self::Refused(ApiError { description, err_code, .. }) => write!(f, "{description} ({err_code})"),
            Self::Malformed => f.write_str("the answer of the server cannot be read"),
        }
    }
}

/// How long an answer may take.
pub(crate) const ANSWER: Duration = Duration::from_secs(2);

/// How long to wait until what could not be got is asked for again.
pub(crate) const AGAIN: Duration = Duration::from_millis(300);

/// Requests that wait for their answers.
#[derive(Debug)]
pub(crate) struct Requests {
    client: Client,
    prefix: String,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Message>>>,
}

/// One of them, until it is dropped.
struct Waiting<'a>(&'a Requests, u64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        lock(&self.0.waiting).remove(&self.1);
    }
}

impl Requests {
    /// Requests by this client, whose answers are taken by a task of its own.
    pub(crate) async fn new(client: &Client) -> Option<Arc<Self>> {
        let prefix = client.new_inbox();
        let mut answers = client.subscribe(format!("{prefix}.*")).await.ok()?;
        let (next, waiting) = (AtomicU64::new(0), Mutex::default());
        let requests = Arc::new(Self { client: client.clone(), prefix, next, waiting });
        let known = Arc::downgrade(&requests);
        tokio::spawn(async move {
            while let Some(answer) = next_of(&mut answers).await {
                let Some(requests) = known.upgrade() else { return };
                let number = answer.subject.rsplit_once('.').and_then(|(_, number)| number.parse().ok());
                let waiting = number.and_then(|number: u64| lock(&requests.waiting).remove(&number));
                if let Some(waiting) = waiting {
                    let _ = waiting.send(answer);
                }
            }
        });
        Some(requests)
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask(
        &self,
        subject: String,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<Message, Trouble> {
        let number = self.next.fetch_add(1, Relaxed);
        let (sender, answer) = oneshot::channel();
        lock(&self.waiting).insert(number, sender);
        let waiting = Waiting(self, number);
        let asked = async {
            let (client, reply) = (&self.client, format!("{}.{number}", self.prefix));
            let sent = match headers {
                Some(headers) => client.publish_with_reply_and_headers(subject, reply, headers, payload).await,
                None => client.publish_with_reply(subject, reply, payload).await,
            };
            sent.map_err(|_| Trouble::Unanswered)?;
            answer.await.map_err(|_| Trouble::Unanswered)
        };
        let answer = timeout(ANSWER, asked).await.map_err(|_| Trouble::Unanswered)?;
        drop(waiting);
        match answer {
            Ok(answer) if answer.status == Some(StatusCode::NO_RESPONDERS) => Err(Trouble::NobodyThere),
            answer => answer,
        }
    }

    /// Waits for any answer of the server: that nobody listens will do.
    pub(crate) async fn echo(&self, names: &Names) -> Result<(), Trouble> {
        match self.ask(names.nobody(), None, Bytes::new()).await {
            Ok(_) | Err(Trouble::NobodyThere) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    /// Asks JetStream, whose answers are JSON.
    pub(crate) async fn api<T: DeserializeOwned>(&self, subject: String, body: String) -> Result<T, Trouble> {
        let answer = self.ask(format!("$JS.API.{subject}"), None, body.into()).await?;
        read(&answer.payload)
    }
}

/// What an answer says, or why it says no.
pub(crate) fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Trouble> {
    #[derive(serde::Deserialize)]
    struct Failed {
        error: Option<ApiError>,
    }
    match serde_json::from_slice::<Failed>(payload) {
        Ok(Failed { error: Some(error) }) => Err(Trouble::Refused(error)),
        Ok(Failed { error: None }) => serde_json::from_slice(payload).map_err(|_| Trouble::Malformed),
        Err(_) => Err(Trouble::Malformed),
    }
}

/// Gives the connection something to do. It has room for that unless the server has stopped reading, which is not waited
/// for longer than for an answer.
pub(crate) async fn hand_over<T, E>(command: impl Future<Output = Result<T, E>>) -> Result<T, Trouble> {
    let handed_over = timeout(ANSWER, command).await.map_err(|_| Trouble::Unanswered)?;
    handed_over.map_err(|_| Trouble::Unanswered)
}

/// Subscribes, again and again until the connection has room for that.
pub(crate) async fn subscribe(client: &Client, subject: String) -> Subscriber {
    loop {
        match hand_over(client.subscribe(subject.clone())).await {
            Ok(messages) => return messages,
            Err(trouble) => tracing::debug!(target: "rikki::nats", subject, %trouble, "cannot subscribe yet"),
        }
        sleep(AGAIN).await;
    }
}

/// The next message of a subscription.
pub(crate) async fn next_of(subscriber: &mut Subscriber) -> Option<Message> {
    std::future::poll_fn(|cx| Pin::new(&mut *subscriber).poll_next(cx)).await
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    /// Nothing waits for it for ever, and what has to be subscribed to is, when it reads again.
    #[tokio::test]
    async fn a_server_that_stops_reading() {
        let fake = Fake::start().await;
        let link = fake.link().await;
        let client = link.connected.get().unwrap().client.clone();
        fake.stop_reading(&client).await;
        tokio::time::pause();
        assert_eq!(hand_over(client.publish("more", Bytes::new())).await, Err(Trouble::Unanswered));
        let subscribed = tokio::spawn({
            let client = client.clone();
            async move { subscribe(&client, "wanted".to_owned()).await }
        });
        sleep(10 * ANSWER).await;
        assert!(!subscribed.is_finished() && fake.heard("wanted") == 0);
        tokio::time::resume();
        fake.go_on();
        let _messages = timeout(10 * ANSWER, subscribed).await.unwrap().unwrap();
        fake.hear("wanted", 1).await;
    }
}
