//! Which topics there are, what each is like, and whose keys open them.

use std::path::PathBuf;

use rikki::topics::{Policy, PresenceMode, TopicConfig, TopicsConfig};

use super::given::{Given, OfTopics};

pub(super) const HEADING: &str = "Topics";

/// Which topics there are, and who may use them.
#[derive(Clone, Debug, PartialEq, clap::Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct TopicArgs {
    /// A topic: who connects to PATH gets what is published there, by WebSocket or server-sent events, and with the option
    /// publish everybody may publish
    #[arg(long = "topic", value_name = "PATH[,OPTION]", value_parser = topic)]
    pub(crate) topics: Vec<TopicArg>,
    /// A topic in which what each client sends goes to all, and newcomers get nothing of before
    #[arg(long = "broadcast", value_name = "PATH", value_parser = broadcast)]
    pub(crate) broadcasts: Vec<TopicArg>,
    /// File with a key of one line: who sends it may publish to each topic by POST
    #[arg(long, value_name = "FILE")]
    pub(crate) publish_key: Option<PathBuf>,
    /// File with the key that tokens are signed with which say who may subscribe and publish; without a token nobody may
    #[arg(long, value_name = "FILE")]
    pub(crate) topic_jwt_key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: Given<OfTopics>,
}

/// A topic, or all topics below a path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TopicArg {
    /// Its path as it was written; one that ends in `/*` is that of all below it.
    pub(crate) path: String,
    pub(crate) config: TopicConfig,
}

impl TopicArg {
    /// The names that it is for: those of the URLs without their first slash.
    pub(crate) fn pattern(&self) -> &str {
        self.path.trim_start_matches('/')
    }

    /// Where it is, as axum writes it.
    pub(crate) fn route(&self) -> String {
        match self.path.strip_suffix('*') {
            Some(parent) => format!("{parent}{{*name}}"),
            None => self.path.clone(),
        }
    }
}

/// Reads `PATH[,OPTION]...`.
pub(crate) fn topic(text: &str) -> Result<TopicArg, String> {
    let mut parts = text.split(',');
    let path = parts.next().unwrap_or_default();
    check_path(path)?;
    let mut topic = TopicArg { path: path.to_owned(), config: TopicConfig::default() };
    let mut seen = Vec::new();
    for option in parts {
        let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
        if seen.contains(&name) {
            return Err(format!("{name} is there twice"));
        }
        seen.push(name);
        topic.config = set(topic.config, name, value)?;
    }
    // The library judges the name.
    match TopicsConfig::default().topic(topic.pattern(), TopicConfig::default()) {
        Ok(_) => Ok(topic),
        Err(error) => Err(error.to_string()),
    }
}

/// A path that is that of one thing alone.
pub(crate) fn single_path(path: &str) -> Result<(), String> {
    match path.contains('*') {
        true => Err("the path cannot have a star".to_owned()),
        false => check_path(path),
    }
}

fn broadcast(text: &str) -> Result<TopicArg, String> {
    match text.contains(',') {
        true => Err("expected a path alone: options are for --topic".to_owned()),
        false => topic(&format!("{text},publish,history=0")),
    }
}

/// A path that each client sends as it is written here, so that the router finds it, and that says the topic's name
/// without escapes.
pub(super) fn check_path(path: &str) -> Result<(), String> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-._~+=@/".contains(letter);
    let Some(names) = path.strip_prefix('/') else {
        return Err("the path must begin with a slash, as in /chat".to_owned());
    };
    let names = match names.strip_suffix('*') {
        Some("") => return Err("/* would leave nothing to others: take a path below, as in /rooms/*".to_owned()),
        Some(parent) => match parent.strip_suffix('/') {
            Some(parent) => parent,
            None => return Err("a star stands for all names below a path, as in /rooms/*".to_owned()),
        },
        None => names,
    };
    if names.contains('*') {
        return Err("a star stands at the end alone, as in /rooms/*".to_owned());
    }
    if let Some(other) = names.chars().find(|letter| !is_plain(*letter)) {
        return Err(format!(
            "the path has {other:?}, and may have ASCII letters, digits and - . _ ~ + = @ / alone; names below a \
             path may have others, as in /rooms/*"
        ));
    }
    match names.split('/').find(|name| matches!(*name, "" | "." | "..")) {
        Some("") => Err("the path has an empty name, as before or behind a slash".to_owned()),
        Some(name) => Err(format!("the path has {name}, which clients leave out")),
        None => Ok(()),
    }
}

/// Whether there is such an option with such a value.
pub(crate) fn topic_option(name: &str, value: Option<&str>) -> Result<(), String> {
    set(TopicConfig::default(), name, value).map(drop)
}

fn set(config: TopicConfig, name: &str, value: Option<&str>) -> Result<TopicConfig, String> {
    Ok(match (name, value) {
        ("last", None) => config.last(true),
        ("keys", None) => config.latest_by_key(true),
        ("publish", None) => config.publish(true),
        ("presence", None) => config.presence(PresenceMode::Members),
        ("presence", Some("counts")) => config.presence(PresenceMode::Counts),
        ("presence", Some(_)) => return Err("expected presence, for members, or presence=counts".to_owned()),
        ("policy", value) => config.policy(match value {
            Some("gap") => Policy::Gap,
            Some("latest") => Policy::Latest,
            Some("close") => Policy::Close,
            _ => return Err("expected policy=gap, policy=latest or policy=close".to_owned()),
        }),
        ("last" | "keys" | "publish", Some(_)) => return Err(format!("{name} has no value")),
        _ => match TopicConfig::limits().find(|limit| limit.name == name) {
            Some(limit) => {
                let value = value.ok_or_else(|| format!("expected {name}={}", limit.unit.word()))?;
                config.set(name, value).map_err(|error| error.to_string())?
            }
            None => return Err(format!("there is no option {name:?}: {}", options())),
        },
    })
}

/// All options there are.
fn options() -> String {
    let limits: String = TopicConfig::limits().map(|limit| format!("{}={}, ", limit.name, limit.unit.word())).collect();
    format!("expected {limits}policy=gap|latest|close, presence, presence=counts, last, keys or publish")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn topics() {
        let check = |text: &str, config: TopicConfig, pattern: &str, route: &str| {
            let topic = topic(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(topic.config, config, "{text}");
            assert_eq!((topic.pattern(), &*topic.route()), (pattern, route), "{text}");
        };
        let default = TopicConfig::default;
        check("/chat", default(), "chat", "/chat");
        check("/a/b-._~+=@9", default(), "a/b-._~+=@9", "/a/b-._~+=@9");
        check("/rooms/*", default(), "rooms/*", "/rooms/{*name}");
        check("/a,last,keys", default().last(true).latest_by_key(true), "a", "/a");
        check("/a,presence", default().presence(PresenceMode::Members), "a", "/a");
        check("/a,presence=counts", default().presence(PresenceMode::Counts), "a", "/a");
        check("/a,policy=gap", default(), "a", "/a");
        check("/a,policy=latest", default().policy(Policy::Latest), "a", "/a");
        check("/a,policy=close", default().policy(Policy::Close), "a", "/a");
        let all = default().history(5).age(std::time::Duration::from_secs(60)).bytes(2048).publish(true);
        check("/a,publish,history=5,age=1m,bytes=2KiB", all, "a", "/a");
        assert!(topic("/a,publish").unwrap().config.is_open() && !topic("/a").unwrap().config.is_open());
        assert_eq!(broadcast("/a"), topic("/a,publish,history=0"));
        // No router sees in it what was not written.
        for text in ["/{a}", "/a%62", "/:a", "/a/:b/*", "/a\u{e9}", "/a b", "/a?b", "/a\"b", "/a<b", "/*/a"] {
            assert!(topic(text).is_err(), "{text}");
        }
    }

    proptest! {
        /// Whatever is written, and what is nearly right.
        #[test]
        fn nothing_panics(
            any in ".{0,40}",
            parts in prop::collection::vec(
                prop::sample::select(&["/", "*", "a", ",", "=", "history", "age", "5", "m", "policy", "ü"][..]),
                0..12,
            ),
        ) {
            for text in [any, parts.concat()] {
                let _ = broadcast(&text);
                if let Ok(topic) = topic(&text) {
                    prop_assert!(topic.route().starts_with('/') && !topic.pattern().is_empty());
                }
            }
        }
    }
}
