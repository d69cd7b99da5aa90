//! Who is there of each process: said in a bucket that forgets what is not said again, and put together by everybody
//! for themselves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{Message, Subscriber};
use rikki_topics::{Elsewhere, Identity, Inlet, WeakInlet};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::follow::Followed;
use crate::link::Link;
use crate::requests::{Trouble, lock, next_of};
use crate::stream::PRESENCE_AGE;

/// How often it is said again.
const REFRESH: Duration = Duration::from_secs(25);

/// How often it is looked what is to be said again, and whom nobody has said again.
const SWEEP: Duration = Duration::from_secs(5);

/// How much is said of the members of one topic, in bytes: the others are counted.
const MOST_SAID: usize = 256 << 10;

/// How many processes are known of one topic.
const MOST_PROCESSES: usize = 1000;

/// How long the others may take to be known before the topic begins.
const KNOWN: Duration = Duration::from_secs(2);

/// What one process says of one topic.
#[derive(Debug, Deserialize, Serialize)]
struct Said {
    count: usize,
    members: Vec<(u64, String, String)>,
}

/// Says who is there of this process, in a task of its own.
#[derive(Debug)]
pub(crate) struct Sayer {
    changed: Changed,
    wake: mpsc::Sender<()>,
}

/// The topics of which that is to be said, by name: however often it changes, each waits once.
type Changed = Arc<Mutex<HashMap<String, WeakInlet>>>;

impl Sayer {
    pub(crate) fn new(link: &Arc<Link>) -> Self {
        let (changed, (wake, woken)) = (Changed::default(), mpsc::channel(1));
        tokio::spawn(say(link.clone(), changed.clone(), woken));
        Self { changed, wake }
    }

    /// Who is there has changed.
    pub(crate) fn changed(&self, topic: &Inlet) {
        lock(&self.changed).insert(topic.name().to_owned(), topic.downgrade());
        // Without room it is to be woken already.
        let _ = self.wake.try_send(());
    }
}

async fn say(link: Arc<Link>, changed: Changed, mut woken: mpsc::Receiver<()>) {
    // The topics of which somebody is there, and when that was said last.
    let mut said: HashMap<String, (WeakInlet, Instant)> = HashMap::new();
    let mut sweep = interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut history = link.history.subscribe();
    loop {
        let mut due = Vec::new();
        tokio::select! {
            woken = woken.recv() => match woken {
                Some(()) => due.extend(std::mem::take(&mut *lock(&changed)).into_values()),
                None => return,
            },
            _ = sweep.tick() => {
                let old = said.values().filter(|(_, at)| at.elapsed() + SWEEP > REFRESH);
                due.extend(old.map(|(inlet, _)| inlet.clone()));
            }
            // Who was away says it anew.
            _ = history.changed() => due.extend(said.values().map(|(inlet, _)| inlet.clone())),
        }
        for inlet in due.iter().filter_map(WeakInlet::upgrade) {
            let here = say_of(&link, &inlet).await;
            match here {
                0 => _ = said.remove(inlet.name()),
                _ => _ = said.insert(inlet.name().to_owned(), (inlet.downgrade(), Instant::now())),
            }
        }
        said.retain(|_, (inlet, _)| inlet.upgrade().is_some());
    }
}

/// Says who is there of one topic; how many.
async fn say_of(link: &Link, inlet: &Inlet) -> usize {
    let here = inlet.present_here();
    let mut room = MOST_SAID.min(link.longest());
    let members = here.members.iter().map(|member| {
        let Identity { user, info, .. } = &member.identity;
        (member.client, user.clone(), info.clone())
    });
    // As JSON a letter takes six bytes at most.
    let fits = |(_, user, info): &(u64, String, String)| {
        let cost = 40 + 6 * (user.len() + info.len());
        let fits = cost <= room;
        room = room.saturating_sub(cost);
        fits
    };
    let said = Said { count: here.count, members: members.take_while(fits).collect() };
    let subject = link.names.presence(inlet.name(), link.process);
    if let (Some(connected), Ok(said)) = (link.connected.get().filter(|_| link.is_there()), serde_json::to_vec(&said)) {
        // What gets lost is said again.
        let _ = timeout(KNOWN, connected.client.publish(subject, said.into())).await;
    }
    here.count
}

/// Learns who is there of a topic, and goes on with that as long as it is followed.
pub(crate) async fn begin(link: &Arc<Link>, followed: &Arc<Followed>, name: &str) {
    let Some(connected) = link.connected.get() else { return };
    let Ok(said) = connected.client.subscribe(link.names.presence_of_all(name)).await else { return };
    let mut others = Others { link: link.clone(), inlet: followed.inlet.clone(), seen: HashMap::new() };
    let _ = timeout(KNOWN, others.read(name)).await;
    tokio::spawn(others.listen(name.to_owned(), said));
}

/// The other processes, of one topic.
struct Others {
    link: Arc<Link>,
    inlet: WeakInlet,
    /// When they were last heard of.
    seen: HashMap<u64, Instant>,
}

impl Others {
    /// Until nobody uses the topic.
    async fn listen(mut self, name: String, mut said: Subscriber) {
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut history = self.link.history.subscribe();
        history.mark_unchanged();
        loop {
            let heard = tokio::select! {
                said = next_of(&mut said) => match said {
                    Some(said) => self.hear(&said),
                    None => return,
                },
                _ = sweep.tick() => self.sweep(),
                _ = history.changed() => {
                    let _ = timeout(KNOWN, self.read(&name)).await;
                    Some(())
                }
            };
            if heard.is_none() {
                return;
            }
        }
    }

    /// What the bucket has.
    async fn read(&mut self, name: &str) -> Result<(), Trouble> {
        #[derive(Deserialize)]
        struct Consumer {
            name: String,
            #[serde(default)]
            num_pending: u64,
        }
        let connected = self.link.connected.get().ok_or(Trouble::Unanswered)?;
        let (client, stream) = (connected.client.clone(), self.link.names.presence_stream());
        let inbox = client.new_inbox();
        let mut entries = client.subscribe(inbox.clone()).await.map_err(|_| Trouble::Unanswered)?;
        let config = json!({
            "deliver_policy": "last_per_subject",
            "ack_policy": "none",
            "replay_policy": "instant",
            "filter_subject": self.link.names.presence_of_all(name),
            "inactive_threshold": 5_000_000_000_u64,
            "mem_storage": true,
            "num_replicas": 1,
        });
        let body = json!({ "stream_name": stream, "config": config }).to_string();
        let consumer: Consumer = connected.requests.api(format!("CONSUMER.CREATE.{stream}"), body).await?;
        let most = consumer.num_pending.min(MOST_PROCESSES as u64);
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{}", consumer.name);
        let body = json!({ "batch": most, "expires": 2_000_000_000_u64 }).to_string();
        if most > 0 {
            let sent = client.publish_with_reply(subject, inbox, body.into()).await;
            sent.map_err(|_| Trouble::Unanswered)?;
        }
        for _ in 0..most {
            let Some(entry) = next_of(&mut entries).await.filter(|entry| entry.status.is_none()) else { break };
            let _ = self.hear(&entry);
        }
        let subject = format!("$JS.API.CONSUMER.DELETE.{stream}.{}", consumer.name);
        let _ = client.publish(subject, bytes::Bytes::new()).await;
        Ok(())
    }

    /// `None` if the topic is gone.
    fn hear(&mut self, said: &Message) -> Option<()> {
        let inlet = self.inlet.upgrade()?;
        let process = said.subject.rsplit_once('.').and_then(|(_, process)| u64::from_str_radix(process, 16).ok());
        let Some(process) = process.filter(|process| *process != self.link.process) else { return Some(()) };
        let Ok(Said { count, members }) = serde_json::from_slice(&said.payload) else { return Some(()) };
        if count == 0 {
            self.seen.remove(&process);
        } else if self.seen.len() < MOST_PROCESSES || self.seen.contains_key(&process) {
            self.seen.insert(process, Instant::now());
        } else {
            return Some(());
        }
        let members = members.into_iter().map(|(number, user, info)| (number, Identity::user(user).info(info)));
        inlet.set_present(process, Elsewhere { count, members: members.collect() });
        Some(())
    }

    /// Those of whom nothing was heard are no longer there; `None` if the topic is gone.
    fn sweep(&mut self) -> Option<()> {
        let inlet = self.inlet.upgrade()?;
        let is_over = |_: &u64, at: &mut Instant| at.elapsed() > Duration::from_secs(PRESENCE_AGE);
        for (process, _) in self.seen.extract_if(is_over) {
            inlet.set_present(process, Elsewhere::default());
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use rikki_topics::{Broker, Published, Publishing, SubscribeOptions, Topics, TopicsConfig};

    use super::*;
    use crate::config::NatsConfig;

    /// Keeps what it is given.
    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Option<Inlet>>>);

    impl Broker for Kept {
        fn attach(&self, topic: &Inlet) {
            *lock(&self.0) = Some(topic.clone());
        }

        fn publish(&self, topic: &Inlet, message: Published) -> Publishing {
            Publishing::Done(topic.publish(message))
        }
    }

    #[tokio::test]
    async fn what_changes_often_waits_once() {
        let kept = Kept::default();
        let topics = Topics::with_broker(TopicsConfig::default(), kept.clone());
        let _topic = topics.subscribe("a", SubscribeOptions::default()).unwrap();
        let inlet = lock(&kept.0).clone().unwrap();
        let sayer = {
            let config = NatsConfig::new("nats://127.0.0.1:1");
            let (common, _) = config.streams();
            Sayer::new(&Arc::new(Link::new(Arc::new(config), common)))
        };
        // It has no turn before this waits for something.
        for _ in 0..1000 {
            sayer.changed(&inlet);
        }
        assert_eq!(lock(&sayer.changed).len(), 1);
        while !lock(&sayer.changed).is_empty() {
            tokio::task::yield_now().await;
        }
    }
}
