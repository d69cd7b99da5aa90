//! The limits and deadlines, but for those of files and of compression.

use clap::error::Error;
use clap::{Arg, ArgMatches, Command, ValueEnum};
use rikki::Limit;

use super::given::{Given, OfListeners, OfServer, OfWebSockets, Table, flag};

pub(super) const HEADING: &str = "Limits";

/// The limits, each good by itself, and what is done where some of them are reached.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limits {
    pub(crate) given: Given<OfServer>,
    pub(crate) overflow: OverflowPolicy,
    pub(crate) drain_code: u16,
}

/// A listener with limits of its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ListenArg {
    /// As it was written, and the URL that it stands for.
    pub(crate) written: String,
    pub(crate) url: String,
    pub(crate) limits: Given<OfListeners>,
}

/// One more WebSocket, which only a file can name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EndpointArg {
    pub(crate) path: String,
    /// Its own limits, where they are not those of all WebSockets.
    pub(crate) limits: Given<OfWebSockets>,
}

/// What becomes of a WebSocket whose peer does not read.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum OverflowPolicy {
    Pause,
    Close,
    DropNewest,
    DropOldest,
}

/// Where a part of the help begins that is about one thing, in this order; a limit that is not named here follows the
/// one before it in its table.
const PARTS: [&str; 11] = [
    "memory",
    "max-requests",
    "max-age",
    "max-message",
    "max-message-rate",
    "message-memory",
    "max-head",
    "ping-interval",
    "queue-memory",
    "write-timeout",
    "drain-window",
];

fn in_order() -> Vec<&'static Limit> {
    let mut part = 0;
    let mut limits: Vec<_> = OfServer::limits()
        .map(|limit| {
            part = PARTS.iter().position(|name| *name == limit.name).unwrap_or(part);
            (part, limit)
        })
        .collect();
    limits.sort_by_key(|(part, _)| *part);
    limits.into_iter().map(|(_, limit)| limit).collect()
}

impl clap::Args for Limits {
    fn augment_args(command: Command) -> Command {
        let mut command = command.next_help_heading(HEADING);
        for limit in in_order() {
            // What is done stands between the limits that it is about.
            command = match limit.name {
                "write-timeout" => command.arg(overflow()),
                "drain-timeout" => command.arg(drain_code()),
                _ => command,
            };
            command = command.arg(flag(limit));
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Limits {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let missing = || Error::new(clap::error::ErrorKind::MissingRequiredArgument);
        Ok(Self {
            given: Given::from_arg_matches(matches)?,
            overflow: matches.get_one("overflow").copied().ok_or_else(missing)?,
            drain_code: matches.get_one("drain-code").copied().ok_or_else(missing)?,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn overflow() -> Arg {
    Arg::new("overflow")
        .long("overflow")
        .value_name("POLICY")
        .default_value("pause")
        .hide_possible_values(true)
        .value_parser(clap::value_parser!(OverflowPolicy))
        .help(
            "What to do about a WebSocket whose peer does not read, when its unsent data reach --write-queue: pause, \
             which reads no more from it either, close, drop-newest or drop-oldest",
        )
}

fn drain_code() -> Arg {
    // RFC 6455 and its registry have two codes for a server that goes away.
    let parse = |text: &str| match text {
        "1001" => Ok(1001),
        "1012" => Ok(1012),
        _ => Err("it must be 1001 (going away) or 1012 (restarting)"),
    };
    Arg::new("drain-code")
        .long("drain-code")
        .value_name("CODE")
        .default_value("1001")
        .value_parser(move |text: &str| -> Result<u16, &'static str> { parse(text) })
        .help("Code that a shutdown closes WebSockets with: 1001 (going away) or 1012 (restarting)")
}
