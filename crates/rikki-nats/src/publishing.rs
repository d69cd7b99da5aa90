//! Messages on their way to the stream, in the order in which they were published, until they are acknowledged.

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, StatusCode, Subscriber};
use bytes::Bytes;
use rikki_limits::Seldom;
use rikki_topics::{Position, PublishError, Published};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::follow::Followed;
use crate::link::Link;
use crate::requests::{ANSWER, next_of};
use crate::wire::{self, Ack};

/// For how long who has published waits at most until the message is among those of this process, when it was
/// acknowledged.
pub(crate) const SETTLING: Duration = Duration::from_secs(1);

pub(crate) type Outcome = oneshot::Sender<Result<Position, PublishError>>;

/// A message that is to be published. There are no more of them than may be on their way, which is counted by what is in
/// the message.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) subject: String,
    pub(crate) message: Published,
    /// By which the stream knows it again.
    pub(crate) id: String,
    /// The topic, if this process follows it.
    pub(crate) followed: Option<Arc<Followed>>,
    /// Who waits for it; nobody where it is passed on and not kept.
    pub(crate) outcome: Option<Outcome>,
}

/// Takes messages that are to be published.
#[derive(Clone, Debug)]
pub(crate) struct Publisher(mpsc::UnboundedSender<Order>);

impl Publisher {
    /// Whether it was taken.
    pub(crate) fn publish(&self, order: Order) -> bool {
        self.0.send(order).is_ok()
    }

    /// Publishes by this client, in a task of its own.
    pub(crate) async fn new(link: &Arc<Link>, client: &Client) -> Option<Self> {
        let prefix = client.new_inbox();
        let acks = client.subscribe(format!("{prefix}.*")).await.ok()?;
        let (sender, orders) = mpsc::unbounded_channel();
        let link = link.clone();
        let client = client.clone();
        let (waiting, deadlines, settling) = (HashMap::new(), VecDeque::new(), VecDeque::new());
        let under_way = UnderWay { link, client, prefix, next: 0, waiting, deadlines, settling };
        tokio::spawn(under_way.run(orders, acks));
        Some(Self(sender))
    }
}

/// What is on its way.
struct UnderWay {
    link: Arc<Link>,
    client: Client,
    prefix: String,
    next: u64,
    waiting: HashMap<u64, Waiting>,
    /// When each of them has waited for long enough: all wait as long, so that the first is the oldest.
    deadlines: VecDeque<(Instant, u64)>,
    /// Topics with messages that were acknowledged and have not come back.
    settling: VecDeque<(Instant, Arc<Followed>)>,
}

struct Waiting {
    order: Order,
    is_retry: bool,
}

impl UnderWay {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>, mut acks: Subscriber) {
        loop {
            let due = self.due();
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.send(order, false).await,
                    None => return,
                },
                ack = next_of(&mut acks) => match ack {
                    Some(ack) => self.acknowledge(&ack),
                    None => return,
                },
                () = async {
                    match due {
                        Some(due) => sleep_until(due).await,
                        None => pending().await,
                    }
                } => self.look_at_deadlines().await,
            }
        }
    }

    fn due(&self) -> Option<Instant> {
        let first = [self.deadlines.front().map(|(at, _)| *at), self.settling.front().map(|(at, _)| *at)];
        first.into_iter().flatten().min()
    }

    async fn send(&mut self, order: Order, is_retry: bool) {
        let failed = if is_retry { PublishError::Unknowable } else { PublishError::Unavailable };
        if !self.link.is_there() {
            self.fail(order, failed);
            return;
        }
        let payload = wire::payload(&order.message);
        let Some(_) = &order.outcome else {
            let headers = wire::headers_passed_on(&order.message);
            let sent = self.hand_over(order.subject.clone(), None, headers, payload).await;
            if !sent {
                self.link.counts.refused.up();
            }
            return;
        };
        let (number, headers) = (self.next, wire::headers(&order.message, Some(&order.id)));
        self.next += 1;
        let reply = format!("{}.{number}", self.prefix);
        if !self.hand_over(order.subject.clone(), Some(reply), headers, payload).await {
            self.fail(order, failed);
            return;
        }
        self.waiting.insert(number, Waiting { order, is_retry });
        self.deadlines.push_back((Instant::now() + ANSWER, number));
    }

    /// Gives a message to the connection, which has room for it while it is there.
    async fn hand_over(&self, subject: String, reply: Option<String>, headers: HeaderMap, payload: Bytes) -> bool {
        let sent = async {
            match reply {
                Some(reply) => self.client.publish_with_reply_and_headers(subject, reply, headers, payload).await,
                None => self.client.publish_with_headers(subject, headers, payload).await,
            }
        };
        matches!(timeout(ANSWER, sent).await, Ok(Ok(())))
    }

    fn fail(&self, order: Order, error: PublishError) {
        match error {
            PublishError::Unknowable => self.link.counts.unknown.up(),
            _ => self.link.counts.refused.up(),
        }
        if let Some(outcome) = order.outcome {
            let _ = outcome.send(Err(error));
        }
    }

    fn acknowledge(&mut self, ack: &Message) {
        static REFUSED: Seldom = Seldom::new();
        let number = ack.subject.rsplit_once('.').and_then(|(_, number)| number.parse().ok());
        let waiting = number.and_then(|number: u64| self.waiting.remove(&number));
        let Some(Waiting { mut order, is_retry }) = waiting else { return };
        // The first attempt may have got there all the same.
        let failed = if is_retry { PublishError::Unknowable } else { PublishError::Unavailable };
        if ack.status == Some(StatusCode::NO_RESPONDERS) {
            self.fail(order, failed);
            return;
        }
        match serde_json::from_slice(&ack.payload) {
            Ok(Ack { error: Some(error), .. }) => {
                if let Some(left_out) = REFUSED.turn(()) {
                    let why = error.description;
                    tracing::warn!(target: "rikki::nats", why, left_out, "NATS has not taken a message");
                }
                self.fail(order, failed);
            }
            // No message has this place: whatever has answered, it has not said that the message is stored.
            Ok(Ack { seq: 0, error: None, .. }) => self.fail(order, PublishError::Unknowable),
            Ok(Ack { seq, duplicate, error: None }) => {
                self.link.counts.acknowledged.up();
                self.link.has_seen(seq);
                let epoch = self.link.history.borrow().epoch;
                let Some((outcome, epoch)) = order.outcome.take().zip(epoch) else { return };
                let position = Position { epoch, offset: seq };
                match order.followed {
                    Some(followed) => {
                        if duplicate && order.message.idempotency_key().is_some() {
                            followed.count_repeated();
                        }
                        if followed.settle(position, outcome) {
                            self.settling.push_back((Instant::now() + SETTLING, followed));
                        }
                    }
                    None => _ = outcome.send(Ok(position)),
                }
            }
            Err(_) => self.fail(order, PublishError::Unknowable),
        }
    }

    async fn look_at_deadlines(&mut self) {
        let now = Instant::now();
        while let Some((_, followed)) = pop_due(&mut self.settling, now) {
            followed.settle_all(now - SETTLING);
        }
        while let Some((_, number)) = pop_due(&mut self.deadlines, now) {
            let Some(Waiting { order, is_retry }) = self.waiting.remove(&number) else { continue };
            if is_retry || !self.link.is_there() {
                self.fail(order, PublishError::Unknowable);
            } else {
                self.link.counts.retried.up();
                self.send(order, true).await;
            }
        }
    }
}

/// The first of a queue, if it is due.
fn pop_due<T>(queue: &mut VecDeque<(Instant, T)>, now: Instant) -> Option<(Instant, T)> {
    queue.front().filter(|(at, _)| *at <= now)?;
    queue.pop_front()
}
