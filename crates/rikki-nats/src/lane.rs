//! One stream: its connection, the topics of it that are followed, and what is published to them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use rikki_topics::{Epoch, Inlet, Pattern, PresenceMode, PublishError, Published, Publishing};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::config::NatsConfig;
use crate::follow::{self, Followed};
use crate::link::{Link, random};
use crate::own::Planned;
use crate::passing_on;
use crate::presence::Sayer;
use crate::publishing::Order;
use crate::requests::lock;
use crate::supervise::supervise;

#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) link: Arc<Link>,
    /// Which topics it is for; of the one for all that nothing fits there are none.
    patterns: Vec<Pattern>,
    runtime: Handle,
    /// The topics that are followed, by name; for a moment there may be two of one name.
    followed: Mutex<HashMap<String, Vec<Arc<Followed>>>>,
    says: OnceLock<Sayer>,
}

impl Lane {
    /// Begins to connect, in this runtime.
    pub(crate) fn start(config: &Arc<NatsConfig>, planned: Planned, runtime: &Handle) -> Self {
        let patterns = planned.patterns.clone();
        let link = Arc::new(Link::new(config.clone(), planned));
        runtime.spawn(supervise(link.clone()));
        let (followed, says) = (Mutex::default(), OnceLock::new());
        Self { link, patterns, runtime: runtime.clone(), followed, says }
    }

    /// How well it fits a topic, the greatest best.
    pub(crate) fn fit(&self, topic: &str) -> Option<usize> {
        self.patterns.iter().filter_map(|pattern| pattern.fit(topic)).max()
    }

    fn followed(&self, topic: &Inlet) -> Option<Arc<Followed>> {
        let followed = lock(&self.followed);
        let mut of_name = followed.get(topic.name())?.iter();
        of_name.find(|known| known.is_of(topic)).cloned()
    }

    pub(crate) fn attach(&self, topic: &Inlet) {
        if self.link.config.core {
            topic.begin(Epoch(random()), 0, []);
        }
    }

    /// Follows a topic from now on; who does so already looks how far it goes.
    pub(crate) fn follow(&self, topic: &Inlet) {
        let (link, followed, name) = (self.link.clone(), Arc::new(Followed::new(topic)), topic.name().to_owned());
        {
            // Under one lock: of two who follow one topic, each would take what the other has added for a loss.
            let mut all = lock(&self.followed);
            let of_name = all.entry(name.clone()).or_default();
            if let Some(known) = of_name.iter().find(|known| known.is_of(topic)) {
                known.look.notify_one();
                return;
            }
            of_name.push(followed.clone());
        }
        if link.config.core {
            self.runtime.spawn(passing_on::follow(link, followed, name));
        } else {
            self.runtime.spawn(follow::follow(link, followed, name));
        }
    }

    pub(crate) fn publish(&self, topic: &Inlet, message: Published) -> Publishing {
        let link = &self.link;
        let Some(connected) = link.connected.get().filter(|_| link.is_there()) else {
            link.counts.refused.up();
            return Publishing::Done(Err(PublishError::Unavailable));
        };
        let (length, limit) = (message.message().as_bytes().len(), link.longest());
        if length > limit {
            return Publishing::Done(Err(PublishError::TooLong { length, limit }));
        }
        if link.config.core {
            let published = topic.publish(message.clone());
            let subject = link.names.passed_on(topic.name());
            let order = Order { subject, message, id: String::new(), followed: None, outcome: None };
            if published.is_ok() {
                connected.publisher.publish(order);
            }
            return Publishing::Done(published);
        }
        let id = match message.idempotency_key() {
            Some(key) => format!("{}/{}", crate::subject::encoded(topic.name()), crate::subject::encoded(key)),
            None => format!("{:016x}", random()),
        };
        let (outcome, answer) = oneshot::channel();
        let (subject, followed) = (link.names.stored(topic.name()), self.followed(topic));
        let order = Order { subject, message, id, followed, outcome: Some(outcome) };
        if !connected.publisher.publish(order) {
            return Publishing::Done(Err(PublishError::Unavailable));
        }
        // Where nobody is left to say, it may have been published.
        Publishing::Later(Box::pin(async move { answer.await.unwrap_or(Err(PublishError::Unknowable)) }))
    }

    pub(crate) fn detach(&self, topic: &Inlet) {
        let mut followed = lock(&self.followed);
        let Some(of_name) = followed.get_mut(topic.name()) else { return };
        let is_it = |known: &mut Arc<Followed>| known.inlet.upgrade().is_none_or(|inlet| inlet == *topic);
        for ended in of_name.extract_if(.., is_it) {
            ended.end.notify_one();
        }
        if of_name.is_empty() {
            followed.remove(topic.name());
        }
    }

    pub(crate) fn presence(&self, topic: &Inlet) {
        if self.link.config.core || topic.bounds().presence == PresenceMode::Off {
            return;
        }
        let _entered = self.runtime.enter();
        self.says.get_or_init(|| Sayer::new(&self.link)).changed(topic);
    }
}
