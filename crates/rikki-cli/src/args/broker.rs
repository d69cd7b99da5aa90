//! Where the broker of the topics is, if there are several nodes, and how to get in.

use std::path::PathBuf;

use rikki_nats::{NatsConfig, StreamConfig};

use super::given::{Given, OfBroker};
use super::topics::check_path;

pub(super) const HEADING: &str = "Several nodes";

/// Where the broker is, and how to get in.
#[derive(Clone, Debug, PartialEq, clap::Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct BrokerArgs {
    /// Have the same topics on each node that names this NATS with JetStream: nats://HOST[:PORT], and more hosts of its
    /// cluster behind commas; tls:// for TLS
    #[arg(long, value_name = "URL")]
    pub(crate) broker: Option<String>,
    /// File with the credentials of a user of NATS
    #[arg(long, value_name = "FILE", requires = "broker", conflicts_with = "broker_token")]
    pub(crate) broker_credentials: Option<PathBuf>,
    /// File with a token of one line, which NATS asks for
    #[arg(long, value_name = "FILE", requires = "broker")]
    pub(crate) broker_token: Option<PathBuf>,
    /// File with the authorities, as PEM, that the certificates of NATS are from [default: those of the system]
    #[arg(long, value_name = "FILE", requires = "broker")]
    pub(crate) broker_ca: Option<PathBuf>,
    /// Name of the stream, with which its subjects begin: nodes with another one know nothing of these [default:
    /// rikki]
    #[arg(long, value_name = "NAME", requires = "broker")]
    pub(crate) broker_stream: Option<String>,
    /// Keep the topics of PATH in a stream of their own, so that others do not take their place: /rooms/*,name=rooms,
    /// with retention=DUR, bytes=SIZE or replicas=N behind it where these are not those of the others. May be repeated
    #[arg(long = "broker-own-stream", value_name = "PATH,name=NAME", value_parser = own_stream, requires = "broker")]
    pub(crate) broker_own_streams: Vec<OwnStreamArg>,
    /// Pass messages on and have the broker keep none, which needs no JetStream: each node has a history of its own
    #[arg(long, requires = "broker")]
    pub(crate) broker_core: bool,
    #[command(flatten)]
    pub(crate) broker_limits: Given<OfBroker>,
}

/// A stream that the topics of a path have of their own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OwnStreamArg {
    /// As that of a topic.
    pub(crate) path: String,
    pub(crate) config: StreamConfig,
}

impl OwnStreamArg {
    /// The names that it is for.
    pub(crate) fn pattern(&self) -> &str {
        self.path.trim_start_matches('/')
    }
}

/// Reads `PATH,name=NAME[,OPTION]...`.
pub(crate) fn own_stream(text: &str) -> Result<OwnStreamArg, String> {
    let mut parts = text.split(',');
    let path = parts.next().unwrap_or_default();
    check_path(path)?;
    let mut options: Vec<(&str, &str)> = Vec::new();
    for option in parts {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        if options.iter().any(|(seen, _)| *seen == name) {
            return Err(format!("{name} is there twice"));
        }
        options.push((name, value));
    }
    let named = options.iter().position(|(name, _)| *name == "name").map(|at| options.remove(at));
    let (_, name) = named.ok_or("expected PATH,name=NAME, as in /rooms/*,name=rooms")?;
    let config =
        options.into_iter().try_fold(
            StreamConfig::named(name),
            |config, (name, value)| match StreamConfig::limits().find(|limit| limit.name == name) {
                Some(limit) if value.is_empty() => Err(format!("expected {name}={}", limit.unit.word())),
                Some(_) => config.set(name, value).map_err(|error| error.to_string()),
                None => Err(format!("there is no option {name:?}: expected {}", options_of_all())),
            },
        )?;
    let stream = OwnStreamArg { path: path.to_owned(), config };
    // The library judges the names.
    let judged = NatsConfig::new("nats://localhost").own_stream(stream.pattern(), stream.config.clone());
    judged.map_err(|error| error.to_string())?.check().map_err(|error| error.to_string())?;
    Ok(stream)
}

/// All options there are.
fn options_of_all() -> String {
    let limits: Vec<_> = StreamConfig::limits().map(|limit| format!("{}={}", limit.name, limit.unit.word())).collect();
    format!("name=NAME, {}", limits.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_their_own() {
        let check = |text: &str, expected: Result<(&str, StreamConfig), &str>| {
            let read = own_stream(text);
            match (&read, expected) {
                (Ok(stream), Ok((pattern, config))) => {
                    assert_eq!((stream.pattern(), &stream.config), (pattern, &config), "{text}");
                }
                (Err(why), Err(part)) => assert!(why.contains(part), "{text}: {why}"),
                _ => panic!("{text}: {read:?}"),
            }
        };
        let rooms = || StreamConfig::named("rooms");
        check("/rooms/*,name=rooms", Ok(("rooms/*", rooms())));
        let all = rooms().retention(std::time::Duration::from_secs(3600)).bytes(5_usize << 20).replicas(3_usize);
        check("/rooms/*,retention=1h,name=rooms,bytes=5MiB,replicas=3", Ok(("rooms/*", all)));
        check("/chat,name=c", Ok(("chat", StreamConfig::named("c"))));
        check("", Err("must begin with a slash"));
        check("/*,name=a", Err("would leave nothing to others"));
        check("/rooms/*", Err("expected PATH,name=NAME"));
        check("/rooms/*,rooms", Err("expected PATH,name=NAME"));
        check("/rooms/*,name=", Err("is no name of a stream"));
        check("/rooms/*,name=a.b", Err("is no name of a stream"));
        check("/rooms/*,name=a,name=b", Err("name is there twice"));
        check("/rooms/*,name=a,bytes", Err("expected bytes=SIZE"));
        check("/rooms/*,name=a,bytes=much", Err("bytes"));
        check("/rooms/*,name=a,replicas=6", Err("it must be 5 or less"));
        check("/rooms/*,name=a,age=5m", Err("expected name=NAME, retention=DUR, bytes=SIZE, replicas=N"));
    }
}
