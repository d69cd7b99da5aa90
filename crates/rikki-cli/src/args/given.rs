//! Flags that set limits: they are made of the library's tables, and kept as they were written.

use std::fmt;
use std::marker::PhantomData;

use clap::error::Error;
use clap::{Arg, ArgMatches, Command};
use rikki::topics::TopicsConfig;
use rikki::{BadLimit, Files, Limit, Listen, Server, ws};
use rikki_limits::{BadNumber, Value};

/// Limits that have flags.
pub(crate) trait Table {
    fn limits() -> impl Iterator<Item = &'static Limit>;
}

/// The limits of a folder.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OfFolders {}

/// The limits of compressing messages.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OfCompression {}

/// The limits that are neither of a folder nor of compressing messages.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OfServer {}

/// The limits over all topics.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OfTopics {}

/// What the broker of the topics keeps.
#[cfg(feature = "nats")]
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OfBroker {}

/// What the broker keeps of topics with a stream of their own.
#[cfg(feature = "nats")]
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OfOwnStreams {}

/// The limits of a WebSocket.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OfWebSockets {}

/// The limits that a listener has of its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OfListeners {}

impl Table for OfListeners {
    fn limits() -> impl Iterator<Item = &'static Limit> {
        Listen::limits()
    }
}

impl Table for OfWebSockets {
    fn limits() -> impl Iterator<Item = &'static Limit> {
        ws::Config::limits()
    }
}

impl Table for OfFolders {
    fn limits() -> impl Iterator<Item = &'static Limit> {
        Files::limits()
    }
}

impl Table for OfCompression {
    fn limits() -> impl Iterator<Item = &'static Limit> {
        Server::limits().filter(|limit| is_of_compression(limit))
    }
}

impl Table for OfServer {
    fn limits() -> impl Iterator<Item = &'static Limit> {
        Server::limits().filter(|limit| !is_of_compression(limit))
    }
}

#[cfg(feature = "nats")]
impl Table for OfBroker {
    fn limits() -> impl Iterator<Item = &'static Limit> {
        rikki_nats::NatsConfig::limits()
    }
}

#[cfg(feature = "nats")]
impl Table for OfOwnStreams {
    fn limits() -> impl Iterator<Item = &'static Limit> {
        rikki_nats::StreamConfig::limits()
    }
}

impl Table for OfTopics {
    fn limits() -> impl Iterator<Item = &'static Limit> {
        TopicsConfig::limits()
    }
}

fn is_of_compression(limit: &Limit) -> bool {
    limit.name.starts_with("deflate-")
}

/// The limits of a table that flags have set, as they were written. The others are the library's defaults.
#[derive(Clone, PartialEq)]
pub(crate) struct Given<T>(Vec<(&'static Limit, String)>, PhantomData<T>);

impl<T: Table> Given<T> {
    /// No limit at all.
    pub(crate) fn none() -> Self {
        Self(Vec::new(), PhantomData)
    }

    /// Takes up a limit, if this is a value for it.
    pub(crate) fn add(&mut self, limit: &'static Limit, text: String) -> Result<(), BadNumber> {
        limit.parse(&text)?;
        self.0.push((limit, text));
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The limits and what was written for them.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&'static Limit, &str)> {
        self.0.iter().map(|(limit, text)| (*limit, text.as_str()))
    }

    /// The number that a flag has set: things, bytes or milliseconds.
    pub(crate) fn number<N: Value>(&self, name: &str) -> Option<N> {
        let (limit, text) = self.0.iter().find(|(limit, _)| limit.name == name)?;
        limit.parse(text).ok().map(N::of)
    }

    /// Sets a number, whatever the flags have.
    pub(crate) fn set(&mut self, name: &str, number: usize) {
        self.0.retain(|(limit, _)| limit.name != name);
        self.0.extend(T::limits().find(|limit| limit.name == name).map(|limit| (limit, number.to_string())));
    }

    /// Sets these limits of a server.
    pub(crate) fn apply(&self, server: Server) -> Server {
        self.0.iter().fold(server, |server, (limit, text)| server.set(limit.name, text))
    }
}

impl Given<OfFolders> {
    /// Sets these limits of a folder.
    pub(crate) fn apply_to(&self, files: Files) -> Result<Files, BadLimit> {
        self.0.iter().try_fold(files, |files, (limit, text)| files.set(limit.name, text))
    }
}

impl Given<OfWebSockets> {
    /// Sets these limits of a WebSocket.
    pub(crate) fn apply_to(&self, config: ws::Config) -> Result<ws::Config, BadLimit> {
        self.texts().try_fold(config, |config, (limit, text)| config.set(limit.name, text))
    }
}

impl Given<OfListeners> {
    /// Sets these limits of a listener.
    pub(crate) fn apply_to(&self, listen: Listen) -> Result<Listen, BadLimit> {
        self.texts().try_fold(listen, |listen, (limit, text)| listen.set(limit.name, text))
    }
}

impl Given<OfTopics> {
    /// Sets these limits over all topics.
    pub(crate) fn apply_to(&self, topics: TopicsConfig) -> Result<TopicsConfig, BadLimit> {
        self.0.iter().try_fold(topics, |topics, (limit, text)| topics.set(limit.name, text))
    }
}

#[cfg(feature = "nats")]
impl Given<OfBroker> {
    /// Sets what a broker keeps.
    pub(crate) fn apply_to(&self, config: rikki_nats::NatsConfig) -> Result<rikki_nats::NatsConfig, BadLimit> {
        self.0.iter().try_fold(config, |config, (limit, text)| config.set(limit.name, text))
    }
}

impl<T> fmt::Debug for Given<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(limit, text)| (limit.name, text))).finish()
    }
}

impl<T: Table> clap::Args for Given<T> {
    fn augment_args(command: Command) -> Command {
        command.args(T::limits().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<T: Table> clap::FromArgMatches for Given<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = |limit: &'static Limit| Some((limit, matches.get_one::<String>(limit.name)?.clone()));
        Ok(Self(T::limits().filter_map(given).collect(), PhantomData))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The flag of a limit, whose default is told and left to the library.
pub(super) fn flag(limit: &'static Limit) -> Arg {
    let Limit { meaning, detail, .. } = limit;
    let help = match limit.default {
        Some(default) => format!("{meaning}{detail} [default: {default}]"),
        None => format!("{meaning}{detail}"),
    };
    let check = |text: &str| limit.parse(text).map(|_| text.to_owned());
    Arg::new(limit.name).long(limit.name).value_name(limit.unit.word()).value_parser(check).help(help)
}
