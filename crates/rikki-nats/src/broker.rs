//! The broker as topics see it.

use std::fmt;
use std::sync::Arc;
use std::thread;

use rikki_topics::{Broker, BrokerStatus, Inlet, Published, Publishing};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::config::{BadConfig, NatsConfig};
use crate::lane::Lane;

/// A broker on NATS JetStream: topics with it are the same in each process that has the same stream.
///
/// Connecting happens in a thread of its own, which goes on for as long as a clone of this is there, with a connection
/// for each [stream](NatsConfig::own_stream). Until there is one, and whenever there is none, publishing fails at once
/// with [`PublishError::Unavailable`](rikki_topics::PublishError::Unavailable), while whoever is subscribed waits and
/// gets what was missed; why, is logged once, and in the [status](Self::status).
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
    /// The stream of the topics that no pattern fits.
    common: Lane,
    /// Those that patterns have of their own.
    own: Vec<Lane>,
    /// The thread ends when this is dropped.
    _end: oneshot::Sender<()>,
}

impl Shared {
    /// All streams.
    fn lanes(&self) -> impl Iterator<Item = &Lane> {
        std::iter::once(&self.common).chain(&self.own)
    }

    /// The stream of a topic: that of the pattern which fits best.
    fn of(&self, topic: &str) -> &Lane {
        let fitting = self.own.iter().filter_map(|lane| Some((lane.fit(topic)?, lane)));
        fitting.max_by_key(|(fit, _)| *fit).map_or(&self.common, |(_, lane)| lane)
    }
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
        let (config, handle) = (Arc::new(config), runtime.handle().clone());
        let (end, ended) = oneshot::channel::<()>();
        let run = move || {
            // Nothing is ever sent.
            let _ = runtime.block_on(ended);
            runtime.shutdown_background();
        };
        let (common, own) = config.streams();
        let start = |planned| Lane::start(&config, planned, &handle);
        let (common, own) = (start(common), own.into_iter().map(start).collect());
        thread::Builder::new().name("rikki-nats".to_owned()).spawn(run).map_err(NotStarted::Thread)?;
        Ok(Self(Arc::new(Shared { common, own, _end: end })))
    }

    /// How the broker is now, all of its streams as one: connected if each of them is. What is [counted of
    /// each](Broker::statuses) is added up, under the name of that for the topics which no pattern fits.
    #[must_use]
    pub fn status(&self) -> BrokerStatus {
        let why_not = |status: &BrokerStatus| Some(format!("{}: {}", status.stream, status.why_not.as_ref()?));
        let all = self.0.own.iter().map(|lane| lane.link.status());
        let mut common = self.0.common.link.status();
        if !self.0.own.is_empty() {
            common.why_not = why_not(&common);
        }
        all.fold(common, |all, mut one| {
            one.why_not = why_not(&one);
            all.with(&one)
        })
    }
}

impl Broker for Nats {
    fn attach(&self, topic: &Inlet) {
        self.0.of(topic.name()).attach(topic);
    }

    fn activate(&self, topic: &Inlet) {
        self.0.of(topic.name()).follow(topic);
    }

    fn publish(&self, topic: &Inlet, message: Published) -> Publishing {
        self.0.of(topic.name()).publish(topic, message)
    }

    fn detach(&self, topic: &Inlet) {
        self.0.of(topic.name()).detach(topic);
    }

    fn presence(&self, topic: &Inlet) {
        self.0.of(topic.name()).presence(topic);
    }

    fn keeps_history(&self) -> bool {
        !self.0.common.link.config.core
    }

    fn is_away(&self, topic: &str) -> bool {
        !self.0.of(topic).link.is_there()
    }

    fn statuses(&self) -> Vec<BrokerStatus> {
        self.0.lanes().map(|lane| lane.link.status()).collect()
    }
}
