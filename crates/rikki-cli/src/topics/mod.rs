//! Topics: what each is like, and who may use them.

mod access;
mod token;

use std::path::PathBuf;
use std::sync::Arc;

use rikki::Server;
use rikki::topics::{Centrifugo, TopicUrl, Topics, TopicsConfig};

use crate::Failure;
use crate::args::{Given, OfTopics, TopicArg, TopicArgs, UsageError};
use crate::secret::Secret;

use access::Access;

/// Where clients of Centrifugo find the topics, if there are any.
pub(crate) const CENTRIFUGO: &str = "/connection/websocket";

/// Which topics there are, and who may use them.
#[derive(Debug)]
pub(crate) struct TopicSettings {
    /// No two have one path, and none has a path that the command answers itself.
    pub(crate) all: Vec<TopicArg>,
    /// Who has it may publish.
    publish_key: Option<Secret>,
    /// What tokens are signed with that say who may do what.
    jwt_key: Option<Secret>,
    limits: Given<OfTopics>,
}

impl TopicSettings {
    /// Checks what the flags of topics are together, and reads the keys. None can be at a path that is `taken`.
    ///
    /// # Errors
    ///
    /// All that is wrong.
    pub(crate) fn from_args(args: TopicArgs, taken: &[&str]) -> Result<Self, Vec<UsageError>> {
        let mut faults = Vec::new();
        let mut all: Vec<TopicArg> = Vec::new();
        for topic in args.topics.into_iter().chain(args.broadcasts) {
            let path = &topic.path;
            if taken.contains(&path.as_str()) || path == CENTRIFUGO {
                faults.push(UsageError(format!("no topic can be at {path}, which has its answer: take another path")));
            }
            if all.iter().any(|other| other.path == *path) {
                faults.push(UsageError(format!("two topics cannot have the same path: {path}")));
            }
            all.push(topic);
        }
        // Refused, for whoever gives a key takes something to be kept by it.
        for (flag, key) in [("publish-key", &args.publish_key), ("topic-jwt-key", &args.topic_jwt_key)] {
            if key.is_some() && all.is_empty() {
                faults.push(UsageError(format!("--{flag} is for topics: add one, as in --topic /chat")));
            }
        }
        let mut read = |secret: Option<Result<Secret, UsageError>>| match secret {
            Some(Err(error)) => {
                faults.push(error);
                None
            }
            secret => secret.and_then(Result::ok),
        };
        // Without a topic there is one thing to say of it.
        let file = |key: &Option<PathBuf>| key.clone().filter(|_| !all.is_empty());
        let publish_key = read(file(&args.publish_key).as_deref().map(Secret::bearer));
        let jwt_key = read(file(&args.topic_jwt_key).as_deref().map(Secret::of_hs256));
        match faults.is_empty() {
            true => Ok(Self { all, publish_key, jwt_key, limits: args.limits }),
            false => Err(faults),
        }
    }

    /// The keys, whose files are never served.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.publish_key.iter().chain(&self.jwt_key)
    }

    /// Whether anybody may publish to a topic by its URL.
    pub(crate) fn can_publish(&self, topic: &TopicArg) -> bool {
        topic.config.is_open() || self.secrets().next().is_some()
    }
}

/// What topics are like.
pub(crate) fn config(settings: &TopicSettings) -> Result<TopicsConfig, Failure> {
    let mut config = settings.limits.apply_to(TopicsConfig::default().others(None))?;
    for topic in &settings.all {
        let added = config.topic(topic.pattern(), topic.config.clone());
        config = added.map_err(|error| UsageError(error.to_string()))?;
    }
    Ok(config)
}

/// Lets topics be like this from now on.
fn reconfigure(topics: &Topics, config: TopicsConfig) {
    for pattern in topics.reconfigure(config).kept {
        let why = "topics that are in use keep what they have until nobody uses them";
        tracing::warn!(target: "rikki::settings", pattern, "{why}");
    }
}

/// Adds the topics, each at its path.
pub(crate) fn add_to(mut server: Server, settings: &TopicSettings, topics: &Topics) -> Result<Server, Failure> {
    let (kept, config) = (topics.clone(), config(settings)?);
    server = server.when_in_force(move || reconfigure(&kept, config));
    let (mut url, mut clients) = (TopicUrl::new(topics), Centrifugo::new(topics));
    if let Some(access) = Access::new(settings, topics).map(Arc::new) {
        let other = access.clone();
        url = url.authorize(move |parts, topic, action| access.decide(parts, topic, action));
        clients = clients.authorize(move |shown| other.admit(shown));
    }
    if !settings.all.is_empty() {
        server = server.route(CENTRIFUGO, clients.route());
    }
    for topic in &settings.all {
        server = server.route(&topic.route(), url.route());
    }
    Ok(server.topics(topics))
}
