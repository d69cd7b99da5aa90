//! A topic that somebody here wants to have: its messages as they come, and what was missing of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{Message, Subscriber};
use rikki_limits::Seldom;
use rikki_topics::{Epoch, Inlet, Position, PresenceMode, PublishError, WeakInlet};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::catch_up::{Got, Wanted, catch_up};
use crate::chain::{Chain, Step};
use crate::come::Come;
use crate::counters::Counted;
use crate::link::{Connected, History, Link, random};
use crate::presence;
use crate::publishing::Outcome;
use crate::requests::{AGAIN, Trouble, lock, next_of, subscribe};
use crate::wire::{self, Stored};

/// How often it is looked whether the last message of a topic has come.
const LOOK: Duration = Duration::from_secs(10);

/// For how long a server may be behind that is one of several.
const BEHIND: Duration = Duration::from_secs(4);

/// One topic, as those know it who publish to it.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) inlet: WeakInlet,
    /// Who waits for a message that was acknowledged to come back.
    settling: Mutex<Vec<(Instant, Position, Outcome)>>,
    /// Somebody has come with a position that is ahead.
    pub(crate) look: Notify,
    pub(crate) end: Notify,
}

impl Followed {
    pub(crate) fn new(inlet: &Inlet) -> Self {
        let (settling, look, end) = (Mutex::default(), Notify::new(), Notify::new());
        Self { inlet: inlet.downgrade(), settling, look, end }
    }

    pub(crate) fn is_of(&self, topic: &Inlet) -> bool {
        self.inlet.upgrade().as_ref() == Some(topic)
    }

    /// Tells who has published where that is: at once if the message is here, or when it comes; whether it waits.
    pub(crate) fn settle(&self, position: Position, outcome: Outcome) -> bool {
        let mut settling = lock(&self.settling);
        let is_here = self.inlet.upgrade().is_none_or(|inlet| inlet.reached() >= position.offset);
        if is_here {
            drop(settling);
            let _ = outcome.send(Ok(position));
            return false;
        }
        settling.push((Instant::now(), position, outcome));
        true
    }

    /// Everything up to this sequence is here.
    fn has(&self, sequence: u64) {
        self.settle_if(|(_, position, _)| position.offset <= sequence);
    }

    /// Who has waited since `at` has done so for long enough.
    pub(crate) fn settle_all(&self, at: Instant) {
        self.settle_if(|(since, _, _)| *since <= at);
    }

    fn settle_if(&self, mut is_settled: impl FnMut(&(Instant, Position, Outcome)) -> bool) {
        let settled: Vec<_> = lock(&self.settling).extract_if(.., |waiting| is_settled(waiting)).collect();
        for (_, position, outcome) in settled {
            let _: Result<(), Result<Position, PublishError>> = outcome.send(Ok(position));
        }
    }

    pub(crate) fn count_repeated(&self) {
        if let Some(inlet) = self.inlet.upgrade() {
            inlet.count_repeated();
        }
    }
}

/// Follows a topic until nobody here uses it.
pub(crate) async fn follow(link: Arc<Link>, followed: Arc<Followed>, name: String) {
    let _counted = Counted::new(&link.counts.topics);
    tokio::select! {
        () = followed.end.notified() => {}
        _ = run(&link, &followed, &name) => {}
    }
    // Whoever waits has published to it.
    followed.settle_all(Instant::now());
}

/// Follows it until the topic is gone: then it is `None`.
async fn run(link: &Arc<Link>, followed: &Arc<Followed>, name: &str) -> Option<()> {
    let mut history = link.history.subscribe();
    history.wait_for(|history| history.epoch.is_some()).await.ok()?;
    let connected = link.connected.get()?;
    // Before messages come: nobody takes them meanwhile.
    if followed.inlet.upgrade()?.bounds().presence != PresenceMode::Off {
        presence::begin(link, followed, name).await;
    }
    let mut messages = subscribe(&connected.client, link.names.republished(name)).await;
    let known = Known { epoch: None, chain: Chain::default() };
    let mut topic = Following { link, connected, followed, name, known, history, round: 0, ahead_since: None };
    topic.get(&mut messages, Need::All).await?;
    // Not all topics at once.
    let mut look_at = Instant::now() + LOOK.mul_f64(0.5 + (random() % 1024) as f64 / 1024.0);
    loop {
        let is_ahead = topic.ahead_since.is_some();
        let due = if is_ahead { look_at.min(Instant::now() + AGAIN) } else { look_at };
        let need = tokio::select! {
            message = next_of(&mut messages) => topic.take(message?)?,
            changed = topic.history.changed() => {
                changed.ok()?;
                Some(Need::Look { is_exact: false })
            }
            () = followed.look.notified() => Some(Need::Look { is_exact: true }),
            () = sleep_until(due) => {
                if due == look_at {
                    look_at = Instant::now() + LOOK;
                }
                Some(Need::Look { is_exact: is_ahead || topic.grows_old() })
            }
        };
        if let Some(need) = need {
            topic.get(&mut messages, need).await?;
        }
    }
}

/// What is to be got.
#[derive(Debug)]
enum Need {
    /// What there is: the topic has not begun, or another history has.
    All,
    /// Whatever there is behind what is known, asked of whoever answers first, or of the one who knows exactly.
    Look { is_exact: bool },
    /// What is behind what is known, up to this sequence, before this message.
    Until(u64, Box<(Stored, u64)>),
}

/// How far a topic is known, and in which history.
#[derive(Clone, Copy, Debug)]
struct Known {
    epoch: Option<Epoch>,
    chain: Chain,
}

struct Following<'a> {
    link: &'a Arc<Link>,
    connected: &'a Connected,
    followed: &'a Arc<Followed>,
    name: &'a str,
    known: Known,
    history: watch::Receiver<History>,
    /// How often messages may have got lost on their way before it was last looked.
    round: u64,
    /// Since when somebody waits for what no server has said to be there.
    ahead_since: Option<Instant>,
}

impl Following<'_> {
    /// Takes a message that has come; what is to be got before it, if anything is. `None` if the topic is gone.
    fn take(&mut self, message: Message) -> Option<Option<Need>> {
        let inlet = self.followed.inlet.upgrade()?;
        let Some((stored, previous)) = wire::republished(&message) else { return Some(None) };
        Some(self.deliver(&inlet, stored, previous))
    }

    fn deliver(&mut self, inlet: &Inlet, stored: Stored, previous: u64) -> Option<Need> {
        self.link.has_seen(stored.sequence);
        let sequence = stored.sequence;
        let (first, _) = self.link.state();
        match self.known.chain.judge(sequence, previous, first) {
            // One that was before it may have been missed, and have gone since.
            Step::Next if previous == 0 && self.may_have_missed() => {
                return Some(Need::Until(sequence, Box::new((stored, previous))));
            }
            Step::Old => return None,
            Step::Behind => return Some(Need::Until(previous, Box::new((stored, previous)))),
            Step::Next => {
                // What there is no room for is a gap, of which subscribers are told.
                if inlet.append(sequence, stored.message, stored.time) == Ok(false) {
                    // It was said before that there was none.
                    self.lose(inlet);
                }
            }
            Step::Lost => {
                self.link.counts.gaps.up();
                let epoch = self.known.epoch?;
                inlet.begin(epoch, sequence - 1, [(sequence, stored.message, stored.time)]);
            }
        }
        self.known.chain.deliver(sequence);
        self.followed.has(sequence);
        None
    }

    /// Whether messages may have got lost on their way since it was last looked, or the broker is away.
    fn may_have_missed(&self) -> bool {
        self.history.borrow().round != self.round || !self.link.is_there()
    }

    fn lose(&self, inlet: &Inlet) {
        self.link.counts.gaps.up();
        inlet.lose();
    }

    /// Whether what is known of the topic would soon be older than what the stream has.
    fn grows_old(&self) -> bool {
        let (first, last) = self.link.state();
        self.known.chain.known() < first + (last.saturating_sub(first)) / 2
    }

    /// Gets what is needed, while what comes meanwhile waits, as far as there is room for it. `None` if the topic is gone.
    async fn get(&mut self, messages: &mut Subscriber, need: Need) -> Option<()> {
        let _counted = Counted::new(&self.link.counts.catching_up);
        let mut come = Come::new(self.followed.inlet.upgrade()?.bounds());
        let (mut is_exact, mut until) = match need {
            Need::All => (true, 0),
            Need::Look { is_exact } => (is_exact, 0),
            Need::Until(until, first) => {
                come.add(*first);
                (false, until)
            }
        };
        loop {
            let History { epoch, round } = *self.history.borrow_and_update();
            let epoch = epoch?;
            if !self.link.is_there() {
                // Nobody would answer.
                come.during(messages, false, self.history.changed()).await?.ok()?;
                continue;
            }
            let look = self.followed.inlet.upgrade()?.look();
            let wanted = Wanted {
                known: (self.known.epoch == Some(epoch)).then_some(self.known.chain),
                until: until.max(come.until),
                is_exact,
                may_have_missed: self.round != round,
                bounds: come.bounds,
            };
            let link = self.link;
            let permit = come.during(messages, false, link.catching_up.acquire()).await?;
            let got = Box::pin(catch_up(link, self.connected, self.name, wanted));
            let got = come.during(messages, true, got).await?;
            drop(permit);
            match got {
                Ok(got) => {
                    let inlet = self.followed.inlet.upgrade()?;
                    self.apply(&inlet, epoch, got, is_exact.then_some(look));
                    self.round = round;
                    match self.replay(&inlet, &mut come) {
                        None if come.until <= self.known.chain.known() => return Some(()),
                        None => (until, is_exact) = (come.until, true),
                        Some(behind) => (until, is_exact) = (behind, false),
                    }
                }
                Err(trouble) => {
                    self.tell(&trouble);
                    come.forget();
                    // It is asked again when the broker is there again, or something else has changed.
                    let again = async {
                        tokio::select! {
                            _ = self.history.changed() => {}
                            () = sleep(AGAIN) => {}
                        }
                    };
                    come.during(messages, false, again).await?;
                }
            }
        }
    }

    fn tell(&self, trouble: &Trouble) {
        static FAILED: Seldom = Seldom::new();
        if let Some(left_out) = FAILED.turn(()) {
            let why = trouble.to_string();
            tracing::debug!(target: "rikki::nats", topic = self.name, why, left_out, "what is missing cannot be got yet");
        }
    }

    /// Puts what was got where subscribers find it.
    fn apply(&mut self, inlet: &Inlet, epoch: Epoch, got: Got, look: Option<rikki_topics::Look>) {
        let Got { behind, messages, through, has_gap } = got;
        if !messages.is_empty() || self.known.epoch != Some(epoch) {
            self.link.counts.catch_ups.up();
        }
        let is_new = self.known.epoch != Some(epoch);
        if is_new {
            self.known = Known { epoch: Some(epoch), chain: Chain::default() };
        }
        let head = messages.last().map_or(self.known.chain.head(), |last| last.sequence);
        if has_gap && !is_new {
            self.link.counts.gaps.up();
        }
        if is_new || has_gap || !messages.is_empty() {
            let messages = messages.into_iter().map(|stored| (stored.sequence, stored.message, stored.time));
            inlet.begin(epoch, behind, messages);
        }
        self.known.chain.deliver(head);
        self.known.chain.reach(through);
        let known = self.known.chain.known();
        let look = look.filter(|_| {
            // Whoever leads several servers may have come to that just now, or no longer do so.
            let may_be_behind = inlet.wanted() > known && self.link.is_replicated();
            let is_over = !may_be_behind || self.ahead_since.get_or_insert_with(Instant::now).elapsed() > BEHIND;
            if is_over {
                self.ahead_since = None;
            }
            is_over
        });
        // Whatever was asked: what is got next is behind this, and would be taken for a gap where the topic ends before.
        inlet.reach(look, known);
        self.followed.has(known);
    }

    /// Delivers what has come meanwhile; up to where something is still missing before one of them, if it is.
    fn replay(&mut self, inlet: &Inlet, come: &mut Come) -> Option<u64> {
        while let Some((stored, previous)) = come.pop() {
            if let Some(Need::Until(until, first)) = self.deliver(inlet, stored, previous) {
                come.put_back(*first);
                return Some(until);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use rikki_topics::{From, Published, Topics, TopicsConfig};

    use super::*;
    use crate::fake::{Fake, Keeping};

    /// The one before it may have been missed, and be gone by now.
    #[tokio::test]
    async fn the_first_message_after_an_absence_is_looked_behind() {
        let fake = Fake::start().await;
        let link = fake.link().await;
        let keeping = Keeping::default();
        let topics = Topics::with_broker(TopicsConfig::default(), keeping.clone());
        let _topic = topics.subscribe("t", From::Now).unwrap();
        let (inlet, epoch) = (keeping.inlet(), Epoch(1));
        let followed = Arc::new(Followed::new(&inlet));
        link.set_there(epoch);
        let (history, known) = (link.history.subscribe(), Known { epoch: Some(epoch), chain: Chain::new(40, 40) });
        let round = history.borrow().round;
        let connected = link.connected.get().unwrap();
        let (link, followed) = (&link, &followed);
        let mut topic = Following { link, connected, followed, name: "t", known, history, round, ahead_since: None };
        let message = || Stored { sequence: 60, message: Published::new("m"), time: 0 };
        link.look_again();
        assert!(matches!(topic.deliver(&inlet, message(), 0), Some(Need::Until(60, _))));
        // It knows which one was before it.
        topic.known.chain = Chain::new(40, 40);
        assert!(topic.deliver(&inlet, message(), 40).is_none());
        topic.known.chain = Chain::new(40, 40);
        topic.round = link.history.borrow().round;
        link.set_away("it is gone");
        assert!(matches!(topic.deliver(&inlet, message(), 0), Some(Need::Until(60, _))));
        link.set_there(epoch);
        topic.round = link.history.borrow().round;
        assert!(topic.deliver(&inlet, message(), 0).is_none());
    }
}
