//! The broker as topics see it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use rikki_topics::{Broker, Epoch, Inlet, PresenceMode, PublishError, Published, Publishing};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::config::{BadConfig, NatsConfig};
use crate::counters::NatsStatus;
use crate::follow::{self, Followed};
use crate::link::{Link, random};
use crate::passing_on;
use crate::presence::Sayer;
use crate::publishing::Order;
use crate::requests::lock;
use crate::supervise::supervise;

/// A broker on NATS JetStream: topics with it are the same in each process that has the same stream.
///
/// Connecting happens in a thread of its own, which goes on for as long as a clone of this is there. Until there is a
/// connection, and whenever there is none, publishing fails at once with [`PublishError::Unavailable`], while whoever is
/// subscribed waits and gets what was missed; why, is logged once, and in the [status](Self::status).
///
/// ```
/// use rikki_nats::{Nats, NatsConfig};
/// use rikki_topics::{Topics, TopicsConfig};
///
/// let nats = Nats::start(NatsConfig::new("nats://127.0.0.1:4222"))?;
/// let topics = Topics::with_broker(TopicsConfig::default(), nats.clone());
/// println!("{:?}", nats.status());
/// # Ok::<(), rikki_nats::NotStarted>(())
/// ```
#[derive(Clone, Debug)]
pub struct Nats(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    link: Arc<Link>,
    runtime: Handle,
    /// The topics that are followed, by name; for a moment there may be two of one name.
    followed: Mutex<HashMap<String, Vec<Arc<Followed>>>>,
    says: OnceLock<Sayer>,
    /// The thread ends when this is dropped.
    _end: oneshot::Sender<()>,
}

/// Why there is no broker, whether or not NATS is there.
#[derive(Debug)]
#[non_exhaustive]
pub enum NotStarted {
    /// The configuration is wrong.
    Config(BadConfig),
    /// There is no thread for it.
    Thread(std::io::Error),
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Thread(error) => write!(f, "cannot start a thread for NATS: {error}"),
        }
    }
}

impl std::error::Error for NotStarted {}

impl Nats {
    /// Begins to connect, and does not wait for that.
    ///
    /// # Errors
    ///
    /// [`NotStarted`], where that could never be.
    pub fn start(config: NatsConfig) -> Result<Self, NotStarted> {
        let config = config.within_limits();
        config.check().map_err(NotStarted::Config)?;
        // Where nobody has chosen: there is no other here.
        let _ = async_nats::rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = Builder::new_current_thread().enable_all().build().map_err(NotStarted::Thread)?;
        let (link, handle) = (Arc::new(Link::new(config)), runtime.handle().clone());
        let (end, ended) = oneshot::channel::<()>();
        let supervised = link.clone();
        let run = move || {
            runtime.spawn(supervise(supervised));
            // Nothing is ever sent.
            let _ = runtime.block_on(ended);
            runtime.shutdown_background();
        };
        thread::Builder::new().name("rikki-nats".to_owned()).spawn(run).map_err(NotStarted::Thread)?;
        let (followed, says) = (Mutex::default(), OnceLock::new());
        Ok(Self(Arc::new(Shared { link, runtime: handle, followed, says, _end: end })))
    }

    /// How the broker is now.
    #[must_use]
    pub fn status(&self) -> NatsStatus {
        self.0.link.status()
    }

    fn followed(&self, topic: &Inlet) -> Option<Arc<Followed>> {
        let followed = lock(&self.0.followed);
        let mut of_name = followed.get(topic.name())?.iter();
        of_name.find(|known| known.is_of(topic)).cloned()
    }

    /// Follows a topic from now on; who does so already looks how far it goes.
    fn follow(&self, topic: &Inlet) {
        let (link, followed, name) = (self.0.link.clone(), Arc::new(Followed::new(topic)), topic.name().to_owned());
        {
            // Under one lock: of two who follow one topic, each would take what the other has added for a loss.
            let mut all = lock(&self.0.followed);
            let of_name = all.entry(name.clone()).or_default();
            if let Some(known) = of_name.iter().find(|known| known.is_of(topic)) {
                known.look.notify_one();
                return;
            }
            of_name.push(followed.clone());
        }
        if link.config.core {
            self.0.runtime.spawn(passing_on::follow(link, followed, name));
        } else {
            self.0.runtime.spawn(follow::follow(link, followed, name));
        }
    }
}

impl Broker for Nats {
    fn attach(&self, topic: &Inlet) {
        if self.0.link.config.core {
            topic.begin(Epoch(random()), 0, []);
        }
    }

    fn activate(&self, topic: &Inlet) {
        self.follow(topic);
    }

    fn publish(&self, topic: &Inlet, message: Published) -> Publishing {
        let link = &self.0.link;
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

    fn detach(&self, topic: &Inlet) {
        let mut followed = lock(&self.0.followed);
        let Some(of_name) = followed.get_mut(topic.name()) else { return };
        let is_it = |known: &mut Arc<Followed>| known.inlet.upgrade().is_none_or(|inlet| inlet == *topic);
        for ended in of_name.extract_if(.., is_it) {
            ended.end.notify_one();
        }
        if of_name.is_empty() {
            followed.remove(topic.name());
        }
    }

    fn presence(&self, topic: &Inlet) {
        if self.0.link.config.core || topic.bounds().presence == PresenceMode::Off {
            return;
        }
        let _entered = self.0.runtime.enter();
        self.0.says.get_or_init(|| Sayer::new(&self.0.link)).changed(topic);
    }

    fn keeps_history(&self) -> bool {
        !self.0.link.config.core
    }

    fn is_away(&self) -> bool {
        !self.0.link.is_there()
    }
}
