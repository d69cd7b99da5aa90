//! Who is there of each process: said in a bucket that forgets what is not said again, and put together by everybody
//! for themselves.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::Message;
use rikki_topics::{Elsewhere, Identity, Inlet, WeakInlet};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::follow::Followed;
use crate::link::Link;
use crate::requests::{AGAIN, Trouble, hand_over, lock, next_of};
use crate::stream::PRESENCE_AGE;
use crate::wire;

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

/// The topics of which somebody is there, and when that was said last.
#[derive(Debug, Default)]
struct Spoken(HashMap<String, (WeakInlet, Instant)>);

impl Spoken {
    /// So many are there of this topic, as has been said now.
    fn note(&mut self, inlet: &Inlet, here: usize) {
        match here {
            0 => _ = self.0.remove(inlet.name()),
            _ => _ = self.0.insert(inlet.name().to_owned(), (inlet.downgrade(), Instant::now())),
        }
    }

    /// Those of which it is to be said again before the next look.
    fn due(&self) -> Vec<WeakInlet> {
        let old = self.0.values().filter(|(_, at)| at.elapsed() + SWEEP > REFRESH);
        old.map(|(inlet, _)| inlet.clone()).collect()
    }

    fn all(&self) -> Vec<WeakInlet> {
        self.0.values().map(|(inlet, _)| inlet.clone()).collect()
    }
}

async fn say(link: Arc<Link>, changed: Changed, mut woken: mpsc::Receiver<()>) {
    let mut spoken = Spoken::default();
    let mut sweep = interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut history = link.history.subscribe();
    loop {
        let due = tokio::select! {
            woken = woken.recv() => match woken {
                Some(()) => std::mem::take(&mut *lock(&changed)).into_values().collect(),
                None => return,
            },
            _ = sweep.tick() => spoken.due(),
            // Who was away says it anew.
            _ = history.changed() => spoken.all(),
        };
        for inlet in due.iter().filter_map(WeakInlet::upgrade) {
            let here = say_of(&link, &inlet).await;
            spoken.note(&inlet, here);
        }
        spoken.0.retain(|_, (inlet, _)| inlet.upgrade().is_some());
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

/// Learns who is there of a topic, and goes on with that as long as it is followed. It is waited for, if it does not take
/// too long, so that who is there is known when the topic begins.
pub(crate) async fn begin(link: &Arc<Link>, followed: &Arc<Followed>, name: &str) {
    let others = Others { link: link.clone(), inlet: followed.inlet.clone(), seen: HashMap::new() };
    let (known, is_known) = oneshot::channel();
    tokio::spawn(others.listen(name.to_owned(), known));
    let _ = timeout(KNOWN, is_known).await;
}

/// The other processes, of one topic.
struct Others {
    link: Arc<Link>,
    inlet: WeakInlet,
    /// When they were last heard of.
    seen: HashMap<u64, Instant>,
}

impl Others {
    /// Until nobody uses the topic: then it is `None`.
    async fn listen(mut self, name: String, known: oneshot::Sender<()>) -> Option<()> {
        let link = self.link.clone();
        let client = &link.connected.get()?.client;
        let mut history = link.history.subscribe();
        let mut said = loop {
            self.inlet.upgrade()?;
            match hand_over(client.subscribe(link.names.presence_of_all(&name))).await {
                Ok(said) => break said,
                Err(_) => sleep(AGAIN).await,
            }
        };
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut known, mut is_read) = (Some(known), false);
        // What the bucket has is read in turn with other topics. Until it is this one's turn, it goes on; while it is read,
        // for 2 seconds at most, what is said waits, and nobody is forgotten.
        let wait = || Box::pin(link.reading_presence.acquire());
        let mut turn = Some(wait());
        loop {
            let has_turn = async {
                match &mut turn {
                    Some(turn) => turn.await,
                    None => pending().await,
                }
            };
            tokio::select! {
                message = next_of(&mut said) => self.hear(&message?, Duration::ZERO)?,
                _ = sweep.tick() => {
                    self.sweep()?;
                    if !is_read && link.is_there() {
                        turn.get_or_insert_with(wait);
                    }
                }
                _ = history.changed() => {
                    is_read = false;
                    turn.get_or_insert_with(wait);
                }
                // What is said while it is read is newer, and heard after it.
                permit = has_turn => {
                    is_read = matches!(timeout(KNOWN, self.read(&name)).await, Ok(Ok(())));
                    drop(permit);
                    turn = None;
                    if is_read {
                        known.take().map(|known| known.send(()));
                    }
                }
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
            let at = wire::stored_at(&entry).unwrap_or(u64::MAX);
            let _ = self.hear(&entry, Duration::from_millis(wire::unix_now().saturating_sub(at)));
        }
        let subject = format!("$JS.API.CONSUMER.DELETE.{stream}.{}", consumer.name);
        let _ = client.publish(subject, bytes::Bytes::new()).await;
        Ok(())
    }

    /// Hears what was said so long ago; `None` if the topic is gone.
    fn hear(&mut self, said: &Message, ago: Duration) -> Option<()> {
        let inlet = self.inlet.upgrade()?;
        let process = said.subject.rsplit_once('.').and_then(|(_, process)| u64::from_str_radix(process, 16).ok());
        let Some(process) = process.filter(|process| *process != self.link.process) else { return Some(()) };
        let Ok(Said { count, members }) = serde_json::from_slice(&said.payload) else { return Some(()) };
        if count == 0 {
            self.seen.remove(&process);
        } else if self.seen.len() < MOST_PROCESSES || self.seen.contains_key(&process) {
            // Whose clock is wrong has time to say it again.
            let now = Instant::now();
            let at = now.checked_sub(ago.min(Duration::from_secs(PRESENCE_AGE) - REFRESH)).unwrap_or(now);
            let seen = self.seen.entry(process).or_insert(at);
            *seen = at.max(*seen);
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
    use rikki_topics::{PresenceMode, SubscribeOptions, TopicConfig, Topics, TopicsConfig};
    use tokio::time::advance;

    use super::*;
    use crate::config::NatsConfig;
    use crate::fake::{Fake, Keeping, link_of};

    #[tokio::test]
    async fn what_changes_often_waits_once() {
        let keeping = Keeping::default();
        let topics = Topics::with_broker(TopicsConfig::default(), keeping.clone());
        let _topic = topics.subscribe("a", SubscribeOptions::default()).unwrap();
        let inlet = keeping.inlet();
        let sayer = Sayer::new(&link_of(NatsConfig::new("nats://127.0.0.1:1")));
        // It has no turn before this waits for something.
        for _ in 0..1000 {
            sayer.changed(&inlet);
        }
        assert_eq!(lock(&sayer.changed).len(), 1);
        while !lock(&sayer.changed).is_empty() {
            tokio::task::yield_now().await;
        }
    }

    /// Topics whose members are known, one of which is followed.
    fn members() -> (Topics, Inlet) {
        let keeping = Keeping::default();
        let config = TopicConfig::default().presence(PresenceMode::Members);
        let topics = Topics::with_broker(TopicsConfig::default().others(config), keeping.clone());
        topics.publish("a", "first").detach().unwrap();
        let inlet = keeping.inlet();
        (topics, inlet)
    }

    /// What another process says, whose number is 7.
    fn said(link: &Link, said: &str) -> Message {
        let subject = link.names.presence("a", 7).into();
        let payload = said.to_owned().into();
        Message { subject, reply: None, payload, headers: None, status: None, description: None, length: 0 }
    }

    /// A node says who is there every 25 seconds, and one that says nothing any more is forgotten after a minute.
    #[tokio::test(start_paused = true)]
    async fn who_is_not_said_again_is_forgotten() {
        let (topics, inlet) = members();
        let link = link_of(NatsConfig::new("nats://127.0.0.1:1"));
        let here = said(&link, r#"{"count":2,"members":[[1,"ada",""],[2,"bob",""]]}"#);
        let mut others = Others { link, inlet: inlet.downgrade(), seen: HashMap::new() };
        // That of the other node.
        let mut spoken = Spoken::default();
        others.hear(&here, Duration::ZERO).unwrap();
        spoken.note(&inlet, 2);
        let (mut at, mut last) = (Duration::ZERO, Duration::ZERO);
        while at < Duration::from_secs(300) {
            advance(SWEEP).await;
            at += SWEEP;
            if !spoken.due().is_empty() {
                assert!(at - last <= REFRESH, "it is said again after {:?}", at - last);
                last = at;
                others.hear(&here, Duration::ZERO).unwrap();
                spoken.note(&inlet, 2);
            }
            others.sweep().unwrap();
            assert_eq!(topics.present("a").count, 2, "after {at:?}");
        }
        assert_eq!(last.as_secs() / REFRESH.as_secs(), 12, "and not more often");
        // It is dead.
        let mut gone = last;
        while topics.present("a").count > 0 {
            assert!(
                gone - last <= Duration::from_secs(PRESENCE_AGE) + SWEEP,
                "it is still there after {:?}",
                gone - last
            );
            advance(SWEEP).await;
            gone += SWEEP;
            others.sweep().unwrap();
        }
        assert!(gone - last > Duration::from_secs(PRESENCE_AGE), "it went after {:?}", gone - last);
    }

    /// What the bucket has of a node that is dead is as old as it is, however late it is read.
    #[tokio::test(start_paused = true)]
    async fn what_is_read_late_is_old() {
        let (topics, inlet) = members();
        let link = link_of(NatsConfig::new("nats://127.0.0.1:1"));
        let here = said(&link, r#"{"count":1,"members":[]}"#);
        let mut others = Others { link, inlet: inlet.downgrade(), seen: HashMap::new() };
        others.hear(&here, Duration::from_secs(59)).unwrap();
        advance(REFRESH).await;
        others.sweep().unwrap();
        assert_eq!(topics.present("a").count, 1, "a clock may be wrong");
        // Read again, it is no younger than what was heard.
        others.hear(&here, Duration::from_secs(59)).unwrap();
        advance(SWEEP).await;
        others.sweep().unwrap();
        assert_eq!(topics.present("a").count, 1);
        advance(REFRESH).await;
        others.sweep().unwrap();
        assert_eq!(topics.present("a").count, 0);
    }

    /// However many topics there are, few at a time ask who is there, and each has its turn.
    #[tokio::test]
    async fn few_are_read_at_a_time() {
        const TOPICS: usize = 200;
        let fake = Fake::start().await;
        let (link, (_topics, inlet)) = (fake.link().await, members());
        let most = link.reading_presence.available_permits();
        let followed = Arc::new(Followed::new(&inlet));
        for number in 0..TOPICS {
            let (link, followed) = (link.clone(), followed.clone());
            tokio::spawn(async move { begin(&link, &followed, &number.to_string()).await });
        }
        // Nobody is answered.
        fake.hear(".CONSUMER.CREATE.", most).await;
        // What has been asked meanwhile comes before this.
        link.connected.get().unwrap().client.publish("behind", bytes::Bytes::new()).await.unwrap();
        fake.hear("behind", 1).await;
        assert_eq!(fake.heard(".CONSUMER.CREATE."), most);
        // The others ask when these have waited for long enough.
        tokio::time::pause();
        for _ in 0..TOPICS {
            if fake.heard(".CONSUMER.CREATE.") == TOPICS {
                return;
            }
            sleep(KNOWN).await;
        }
        panic!("{} of {TOPICS} have asked", fake.heard(".CONSUMER.CREATE."));
    }
}
