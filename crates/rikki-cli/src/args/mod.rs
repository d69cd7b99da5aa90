//! The flags as they are written on the command line. Whether they make sense together is judged by `settings`.

mod acme;
#[cfg(feature = "nats")]
mod broker;
mod deflate;
mod errors;
mod files;
mod given;
mod header;
mod help;
mod limits;
mod listening;
mod manual;
mod proxies;
mod spellings;
#[cfg(test)]
mod tests;
mod tls;
mod topics;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{Resettable, Str};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgGroup, Command, CommandFactory, Parser};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::Failure;
use crate::config::{self, Origins};
use crate::connect::ConnectArgs;
use crate::health::HealthArgs;
use crate::json_lines::LogFormat;
use crate::operate::AdminArgs;
use rikki_limits::units;

use crate::tutorial;

pub(crate) use acme::AcmeArgs;
#[cfg(feature = "nats")]
pub(crate) use broker::{BrokerArgs, own_stream};
pub(crate) use deflate::{CompressionMode, Deflate};
pub(crate) use errors::{UsageError, one_line};
pub(crate) use files::{FileArgs, MountArg, mount};
#[cfg(feature = "nats")]
pub(crate) use given::OfOwnStreams;
pub(crate) use given::{Given, OfTopics, Table};
pub(crate) use header::{header, header_value};
pub(crate) use limits::{EndpointArg, Limits, ListenArg, OverflowPolicy};
pub(crate) use listening::{PORT, unix_place};
pub(crate) use proxies::ProxyArgs;
pub(crate) use spellings::word;
pub(crate) use tls::{SelfSigned, TlsArgs};
pub(crate) use topics::{TopicArg, TopicArgs, single_path, topic, topic_option};

const LISTENING: &str = "Listening";
const TLS: &str = "TLS";
const WEBSOCKET: &str = "WebSocket";
const LOGGING: &str = "Logging";

/// What a command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    /// Run the server.
    Run(Box<Args>),
    /// Say whether the server could run and, if it is so, print its settings.
    Check(Box<Args>, bool),
    /// Connect to a server.
    Connect(Box<ConnectArgs>),
    /// Say whether a server answers.
    Health(Box<HealthArgs>),
    /// Look into a server, or tell it what to do.
    Admin(Box<AdminArgs>),
    /// Print this text (the help or the version) to stdout and end.
    Print(String),
}

// What stands here of a flag is its help, which `help` wraps: sentences that say all without the others.
/// A WebSocket endpoint, a JSON endpoint and static files on one port.
#[derive(Debug, Parser)]
#[command(
    name = "rikki",
    version,
    group = ArgGroup::new("certificate").multiple(true),
    override_usage = help::USAGE,
    after_help = help::AFTER,
)]
pub(crate) struct Args {
    /// Folder to serve, with what is below it
    #[arg(default_value = ".")]
    pub(crate) root: PathBuf,

    /// Where to listen: PORT, :PORT or HOST:PORT, without encryption unless there is a certificate; or a URL with http,
    /// ws, https or wss; unix:PATH[,mode=660] for a Unix socket; or fd:NAME[,tls] for a socket that systemd passes. HOST is localhost, an address, or * for every address;
    /// port 0 takes a free one [default: localhost:8000]
    #[arg(long, value_name = "PLACE", help_heading = LISTENING)]
    pub(crate) listen: Vec<String>,
    /// Port to listen on, where --listen names none [default: that of the variable PORT, or else 8000]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16), help_heading = LISTENING)]
    pub(crate) port: Option<u16>,
    /// Let phones and others on the local network in: listen on all addresses, and answer nobody but peers in the
    /// networks of this machine, under its addresses, localhost, its host name and HOSTNAME.local. The addresses are
    /// printed, the first as a QR code
    #[arg(long, help_heading = LISTENING)]
    pub(crate) lan: bool,
    /// Threads that serve connections [default: one per core]
    #[arg(long, value_name = "N", value_parser = units::count, help_heading = LISTENING)]
    pub(crate) workers: Option<usize>,
    /// One more host name by which a loopback listener or one with --lan may be reached, such as a proxy's; * for all
    #[arg(long = "allow-host", value_name = "NAME", help_heading = LISTENING)]
    pub(crate) allow_hosts: Vec<String>,
    #[command(flatten)]
    pub(crate) proxies: ProxyArgs,
    /// Look inside while it runs, on a listener of its own: unix:PATH, PORT, HOST:PORT or a URL with http. There are
    /// /status, /metrics, /healthz and /readyz, on addresses that are not loopback but the last three, and commands on a
    /// Unix socket alone
    #[arg(long, value_name = "PLACE", help_heading = LISTENING)]
    pub(crate) admin: Option<String>,

    #[command(flatten)]
    pub(crate) tls: TlsArgs,

    /// Help with a page under construction: pages of localhost on any port may open WebSockets and read answers, files
    /// are asked for anew each time, and requests and messages are shown
    #[arg(long, help_heading = WEBSOCKET)]
    pub(crate) dev: bool,
    /// Path of the WebSocket that sends everything back; / too, beside the files there [default: /websocket]
    #[arg(long = "websocket", value_name = "PATH", value_parser = echo_path, help_heading = WEBSOCKET)]
    pub(crate) websocket: Option<String>,
    /// Serve no /websocket, no /rest and no /test.html
    #[arg(long, conflicts_with = "websocket", help_heading = WEBSOCKET)]
    pub(crate) no_demo: bool,
    /// Subprotocol that WebSockets speak, the preferred one first
    #[arg(long = "subprotocol", value_name = "NAME", help_heading = WEBSOCKET)]
    pub(crate) subprotocols: Vec<String>,
    /// One more origin whose pages may open WebSockets: a URL, null, or * for all
    #[arg(long = "allow-origin", value_name = "URL", help_heading = WEBSOCKET)]
    pub(crate) allow_origins: Vec<String>,
    /// Send everything back as text, as the server of the Mongoose tutorial does
    #[arg(long, help_heading = WEBSOCKET)]
    pub(crate) compat_echo: bool,

    #[command(flatten)]
    pub(crate) topics: TopicArgs,

    #[cfg(feature = "nats")]
    #[command(flatten)]
    pub(crate) broker: BrokerArgs,

    #[command(flatten)]
    pub(crate) files: FileArgs,

    #[command(flatten)]
    pub(crate) deflate: Deflate,

    #[command(flatten)]
    pub(crate) limits: Limits,

    /// What the log on stderr has, such as warn, or rikki=debug
    #[arg(long, value_name = "FILTER", default_value = "info", value_parser = log_filter, help_heading = LOGGING)]
    pub(crate) log: String,
    /// How the log is written: text, or json for programs, with an object on each line
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true, help_heading = LOGGING)]
    pub(crate) log_format: LogFormat,
    /// Log each request with all that is known of it, also where stderr is no terminal
    #[arg(long, help_heading = LOGGING)]
    pub(crate) access_log: bool,
    /// Show each message of WebSockets: where it goes, its size and its first 200 letters
    #[arg(long, help_heading = LOGGING)]
    pub(crate) show_messages: bool,
    /// Show no requests; without it each is a line where stderr is a terminal
    #[arg(short, long, conflicts_with_all = ["access_log", "show_messages"], help_heading = LOGGING)]
    pub(crate) quiet: bool,

    /// Those in `listen` that a file gives limits of their own.
    #[arg(skip)]
    pub(crate) listeners: Vec<ListenArg>,

    /// More WebSockets, of a file.
    #[arg(skip)]
    pub(crate) endpoints: Vec<EndpointArg>,

    /// What of all this is set, and by whom.
    #[arg(skip)]
    pub(crate) origins: Origins,
}

/// Reads a command line, the program's name first, with the variables of the environment and the file that they name.
pub(crate) fn read(
    args: impl IntoIterator<Item = OsString>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Request, Failure> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    // In first place alone, so that every other command line means what it would mean without: a folder of the name is
    // served as ./connect.
    let command = match args.get(1).and_then(|arg| arg.to_str()) {
        Some("connect") => return of_client(args, Request::Connect),
        Some("health") => return of_client(args, Request::Health),
        Some("admin") => return of_client(args, Request::Admin),
        Some("man") => return Ok(manual::man(args.into_iter().skip(1))?),
        Some("completions") => return Ok(manual::completions(args.into_iter().skip(1))?),
        Some("check") => {
            args.remove(1);
            check_command()
        }
        _ => help::with_short(command()),
    };
    let flags = config::apart(command.clone());
    let given = match flags.clone().try_get_matches_from(tutorial::rewrite(args.clone(), &command)) {
        Ok(given) if given.try_get_one(help::SHORT).is_ok_and(|asked| asked == Some(&true)) => {
            return Ok(Request::Print(help::short()));
        }
        Ok(given) => given,
        // That of the whole command, which knows what belongs together.
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            return match help::wrapped(command).try_get_matches_from(["rikki", "--help"]) {
                Ok(_) => Ok(errors::shown(&error)?),
                Err(help) => Ok(errors::shown(&help)?),
            };
        }
        Err(error) => return Ok(errors::shown(&error).map_err(|told| spellings::explain(&args, &error, told))?),
    };
    let settings = config::apart(self::command());
    let origins = config::gather(&settings, &given, variables).map_err(Failure::Settings)?;
    match Args::try_parse_from(origins.command_line(&settings)) {
        Ok(args) => {
            let mut args = Box::new(args);
            origins.add_tables(&mut args);
            listening::resolve(&mut args).map_err(|fault| origins.explain(fault))?;
            args.origins = origins;
            Ok(match given.try_get_one::<bool>(PRINT) {
                Ok(Some(print)) => Request::Check(args, *print),
                _ => Request::Run(args),
            })
        }
        Err(error) => Ok(errors::shown(&error).map_err(|error| origins.explain(error))?),
    }
}

/// What a command asks for that runs no server.
fn of_client<T: Parser>(args: Vec<OsString>, request: fn(Box<T>) -> Request) -> Result<Request, Failure> {
    match T::try_parse_from(args.into_iter().skip(1)) {
        Ok(args) => Ok(request(Box::new(args))),
        Err(error) => Ok(errors::shown(&error)?),
    }
}

/// The flag of `rikki check` that the server has not.
const PRINT: &str = "print";

/// The flags of the server, and the one that is not about the server itself.
pub(crate) fn command() -> Command {
    let config = Arg::new(config::CONFIG)
        .long(config::CONFIG)
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help_heading(Resettable::<Str>::Reset)
        .help("Take settings from a TOML file too, whose keys are the flags");
    Args::command().arg(config)
}

fn check_command() -> Command {
    let print = Arg::new(PRINT)
        .long(PRINT)
        .action(ArgAction::SetTrue)
        .help_heading(Resettable::<Str>::Reset)
        .help("Print the settings, as a file for --config");
    command()
        .name("rikki check")
        .bin_name("rikki check")
        .about("Check the settings of the server: flags, variables and the file of --config.")
        .override_usage("rikki check [OPTIONS] [ROOT]")
        .after_help(help::AFTER_CHECK)
        .arg(print)
}

pub(crate) fn log_filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map_err(|error| error.to_string())?;
    // A word alone is taken for the name of a target, of which everything is logged: here most likely a level that does
    // not exist. Spans, in brackets, may have commas of their own.
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let is_level = |part: &str| part.parse::<LevelFilter>().is_ok();
    match parts.filter(|_| !text.contains('[')).find(|part| !part.contains('=') && !is_level(part)) {
        Some(part) if !part.starts_with("rikki") => {
            Err(format!("{part} is no level: it is off, error, warn, info, debug or trace, or TARGET=LEVEL"))
        }
        _ => Ok(text.to_owned()),
    }
}

/// Where the echo is: a path of its own, or the root, which it shares with the files.
fn echo_path(text: &str) -> Result<String, String> {
    if text != "/" {
        single_path(text)?;
    }
    Ok(text.to_owned())
}

/// A command line without an environment.
#[cfg(test)]
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Request, UsageError> {
    read(args, []).map_err(|failure| match failure {
        Failure::Usage(error) => error,
        Failure::Runtime(error) => panic!("{error}"),
        Failure::Advice { told, .. } => panic!("{told}"),
        Failure::Settings(errors) => panic!("{errors:?}"),
    })
}
