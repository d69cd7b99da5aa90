//! The flags as they are written on the command line. Whether they make sense together is judged by `settings`.

mod acme;
mod deflate;
mod files;
mod given;
mod header;
mod limits;
mod proxies;
mod topics;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use clap::builder::{Resettable, Str};
use clap::error::{Error, ErrorKind};
use clap::{Arg, ArgAction, ArgGroup, Command, CommandFactory, Parser};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::Failure;
use crate::config::{self, Origins};
use crate::connect::ConnectArgs;
use rikki_limits::units;

use crate::tutorial;

pub(crate) use acme::AcmeArgs;
pub(crate) use deflate::{CompressionMode, Deflate};
pub(crate) use files::{FileArgs, MountArg, mount};
pub(crate) use given::{Given, OfTopics, Table};
pub(crate) use header::{header, header_value};
pub(crate) use limits::{EndpointArg, Limits, ListenArg, OverflowPolicy};
pub(crate) use proxies::ProxyArgs;
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
    /// Print this text (the help or the version) to stdout and end.
    Print(String),
}

/// What is wrong with a command line, in one line: exit code 2.
#[derive(Debug, PartialEq)]
pub(crate) struct UsageError(pub(crate) String);

// The help is written for 80 columns: clap wraps nothing, and a test holds the width.
/// A WebSocket endpoint, a JSON endpoint and static files on one port.
#[derive(Debug, Parser)]
#[command(
    name = "rikki",
    version,
    group = ArgGroup::new("certificate").multiple(true),
    override_usage = "rikki [OPTIONS] [ROOT]\n       rikki check [OPTIONS] [ROOT]\n       rikki connect [OPTIONS] URL",
    after_help = "URL is ws, wss, http or https://HOST[:PORT]; port 0 takes a free one;\n\
                  unix:PATH[,mode=660] is a Unix socket.\n\
                  SIZE takes B, KiB, MiB, GiB, KB, MB or GB; DUR takes ms, s, m or h.\n\
                  OPTION is history=N, age=DUR, bytes=SIZE, last, keys, presence,\n\
                  presence=counts, publish or policy=gap|latest|close; /rooms/* is all below.\n\
                  --listen, --allow-host, --trust, --cert with --key, --acme,\n\
                  --subprotocol, --allow-origin, --topic, --broadcast, --mount, --type and\n\
                  --header may be repeated.\n\
                  A variable RIKKI_MAX_MESSAGE sets --max-message, and so on for each flag; a\n\
                  flag counts before a variable, and that before the file of --config, where\n\
                  max-message = \"2MiB\" does so.\n\
                  SIGHUP has all of them read again, and connections stay.\n\
                  The spelling -url URL -cert FILE -key FILE -ca FILE works too.\n\
                  Whether settings are good is told by rikki check (see rikki check --help).\n\
                  A client is rikki connect (see rikki connect --help)."
)]
pub(crate) struct Args {
    /// Folder to serve
    #[arg(default_value = ".")]
    pub(crate) root: PathBuf,

    /// Where to listen
    #[arg(long, value_name = "URL", default_value = "http://localhost:8000", help_heading = LISTENING)]
    pub(crate) listen: Vec<String>,
    /// Worker threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = units::count, help_heading = LISTENING)]
    pub(crate) workers: Option<usize>,
    /// Host name to accept on loopback, as from a proxy
    #[arg(long = "allow-host", value_name = "NAME", help_heading = LISTENING)]
    pub(crate) allow_hosts: Vec<String>,
    #[command(flatten)]
    pub(crate) proxies: ProxyArgs,

    /// Send requests to PORT [default: 80] on to https
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = "80", help_heading = TLS)]
    pub(crate) redirect_http: Option<u16>,
    /// Certificate chain, PEM, the server's own first
    #[arg(long, value_name = "FILE", requires = "key", group = "certificate", help_heading = TLS)]
    pub(crate) cert: Vec<PathBuf>,
    /// Private key of the certificate, PEM
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = TLS)]
    pub(crate) key: Vec<PathBuf>,
    /// Authorities of required client certificates, PEM
    #[arg(long, value_name = "FILE", requires = "certificate", help_heading = TLS)]
    pub(crate) ca: Option<PathBuf>,
    /// Make a certificate for development, in memory
    #[arg(long, conflicts_with_all = ["cert", "key", "names"], group = "certificate", help_heading = TLS)]
    pub(crate) tls_self_signed: bool,
    #[command(flatten)]
    pub(crate) acme: AcmeArgs,

    /// Subprotocol to offer, best first
    #[arg(long = "subprotocol", value_name = "NAME", help_heading = WEBSOCKET)]
    pub(crate) subprotocols: Vec<String>,
    /// Web page origin to accept: URL, null or *
    #[arg(long = "allow-origin", value_name = "URL", help_heading = WEBSOCKET)]
    pub(crate) allow_origins: Vec<String>,
    /// Echo everything as text, as the tutorial does
    #[arg(long, help_heading = WEBSOCKET)]
    pub(crate) compat_echo: bool,

    #[command(flatten)]
    pub(crate) topics: TopicArgs,

    #[command(flatten)]
    pub(crate) files: FileArgs,

    #[command(flatten)]
    pub(crate) deflate: Deflate,

    #[command(flatten)]
    pub(crate) limits: Limits,

    /// What to log, as in rikki=debug
    #[arg(long, value_name = "FILTER", default_value = "info", value_parser = log_filter, help_heading = LOGGING)]
    pub(crate) log: String,
    /// Log each request to stderr
    #[arg(long, help_heading = LOGGING)]
    pub(crate) access_log: bool,

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
        Some("connect") => {
            return match ConnectArgs::try_parse_from(args.into_iter().skip(1)) {
                Ok(args) => Ok(Request::Connect(Box::new(args))),
                Err(error) => Ok(shown(&error)?),
            };
        }
        Some("check") => {
            args.remove(1);
            check_command()
        }
        _ => command(),
    };
    let flags = config::apart(command.clone());
    let given = match flags.clone().try_get_matches_from(tutorial::rewrite(args, &command)) {
        Ok(given) => given,
        // That of the whole command, which knows what belongs together.
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            return match command.try_get_matches_from(["rikki", "--help"]) {
                Ok(_) => Ok(shown(&error)?),
                Err(help) => Ok(shown(&help)?),
            };
        }
        Err(error) => return Ok(shown(&error)?),
    };
    let settings = config::apart(self::command());
    let origins = config::gather(&settings, &given, variables).map_err(Failure::Settings)?;
    match Args::try_parse_from(origins.command_line(&settings)) {
        Ok(args) => {
            let mut args = Box::new(args);
            origins.add_tables(&mut args);
            args.origins = origins;
            Ok(match given.try_get_one::<bool>(PRINT) {
                Ok(Some(print)) => Request::Check(args, *print),
                _ => Request::Run(args),
            })
        }
        Err(error) => Ok(shown(&error).map_err(|error| origins.explain(error))?),
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
        .help("Take settings from a TOML file too");
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
        .after_help(
            "The flags are those of rikki (see rikki --help). Nothing listens; files that\n\
             are named, such as keys, are read, and folders opened. Exit code: 0 if the\n\
             server could start but for its ports, 2 with a line for each fault if not.\n\
             --print writes a line for each setting, with where it comes from. No key is\n\
             ever shown, only the path of its file.",
        )
        .arg(print)
}

/// What clap has to say is for stdout, or an error.
fn shown(error: &Error) -> Result<Request, UsageError> {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Request::Print(text)),
        _ => Err(UsageError(one_line(&text))),
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (try --help)", self.0)
    }
}

impl std::error::Error for UsageError {}

/// What clap says over several lines, without its prefix and the usage below it.
pub(crate) fn one_line(report: &str) -> String {
    let report = report.strip_prefix("error: ").unwrap_or(report);
    let lines = report.lines().take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    lines.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ").replace(" tip: ", "; ")
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

/// A command line without an environment.
#[cfg(test)]
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Request, UsageError> {
    read(args, []).map_err(|failure| match failure {
        Failure::Usage(error) => error,
        Failure::Runtime(error) => panic!("{error}"),
        Failure::Settings(errors) => panic!("{errors:?}"),
    })
}

#[cfg(test)]
mod tests {
    use rikki::topics::TopicsConfig;
    use rikki::{BadLimit, Files, Limit, Server, StartError};

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
        check_command().debug_assert();
        config::apart(check_command()).debug_assert();
    }

    #[test]
    fn defaults() {
        let args = run(&[]);
        assert_eq!(args.root, PathBuf::from("."));
        assert_eq!(args.listen, ["http://localhost:8000"]);
        assert_eq!(args.log, "info");
        assert_eq!(
            args.deflate,
            Deflate {
                compression: CompressionMode::Shared,
                level: 1,
                window: 15,
                memory_level: 5,
                limits: args.deflate.limits.clone(),
            }
        );
        assert_eq!((args.limits.overflow, args.limits.drain_code), (OverflowPolicy::Pause, 1001));
        // What is not given is left to the library.
        let given = format!("{:?} {:?} {:?}", args.limits.given, args.deflate.limits, args.files.limits);
        assert_eq!(given, "{} {} {}");
    }

    #[test]
    fn defaults_of_files() {
        let args = run(&[]);
        assert_eq!(
            args.files,
            FileArgs {
                mounts: vec![],
                no_listing: false,
                spa: false,
                error_page: None,
                cache_control: None,
                types: vec![],
                charset: files::Charset(Some("utf-8".parse().unwrap())),
                hidden: false,
                follow_symlinks: false,
                cors: false,
                headers: vec![],
                limits: args.files.limits.clone(),
                no_precompressed: false,
                no_file_compression: false,
            }
        );
    }

    /// Each limit of the library has a flag, a default that can be set, and refuses what is no number of its unit, in
    /// the same words under its name as under its flag.
    #[test]
    fn every_limit_of_the_library() {
        type Set<'a> = &'a dyn Fn(&str, &str) -> Result<(), BadLimit>;
        let check = |limits: &mut dyn Iterator<Item = &'static Limit>, set: Set| {
            for limit in limits {
                let (name, default) =
                    (limit.name, limit.default.unwrap_or(if limit.unit.word() == "DUR" { "1s" } else { "1" }));
                assert_eq!(set(name, default), Ok(()), "{name}");
                run(&[&format!("--{name}"), default]);
                for wrong in ["", "many", "-1", "1.5", "18446744073709551616", "0", "18446744073709551615"] {
                    let flag = parse(command_line(&[&format!("--{name}={wrong}")]));
                    let Err(BadLimit::Value(_, error)) = set(name, wrong) else {
                        assert!(flag.is_ok() && wrong != "many", "{name}: {wrong:?}");
                        continue;
                    };
                    let expected = format!("invalid value '{wrong}' for '--{name} <{}>': {error}", limit.unit);
                    assert_eq!(flag.map(|_| ()).map_err(|UsageError(error)| error), Err(expected));
                }
                assert!(limit.meaning.starts_with(|first: char| first.is_uppercase()), "{name}");
            }
            assert_eq!(set("max-nothing", "1"), Err(BadLimit::Unknown("max-nothing".to_owned())));
            assert_eq!(set("max-nothing", "1").unwrap_err().to_string(), "there is no limit called \"max-nothing\"");
        };
        // It would start, but for the URL.
        let server = |name: &str, text: &str| match Server::new().set(name, text).listen("none").run() {
            Err(StartError::Limit(error)) => Err(error),
            Err(StartError::BadUrl { .. }) => Ok(()),
            other => panic!("{name} {text}: {other:?}"),
        };
        check(&mut Server::limits(), &server);
        check(&mut Files::limits(), &|name, text| Files::new(".").unwrap().set(name, text).map(drop));
        check(&mut TopicsConfig::limits(), &|name, text| TopicsConfig::default().set(name, text).map(drop));
    }

    #[test]
    fn repeated_flags_keep_their_order_and_replace_the_default() {
        let args = run(&["--listen", "ws://a", "--subprotocol", "v2", "--listen=wss://b", "--subprotocol=v1", "www"]);
        assert_eq!(args.listen, ["ws://a", "wss://b"]);
        assert_eq!(args.subprotocols, ["v2", "v1"]);
        assert_eq!(args.root, PathBuf::from("www"));
    }

    #[test]
    fn the_port_that_redirects_may_be_left_out() {
        let check = |args: &[&str], port: u16| assert_eq!(run(args).redirect_http, Some(port), "{args:?}");
        check(&["--redirect-http"], 80);
        check(&["--redirect-http=8080"], 8080);
        // What follows is not its value.
        let args = run(&["--redirect-http", "-url", "wss://a", "www"]);
        assert_eq!((args.redirect_http, args.root), (Some(80), PathBuf::from("www")));
        assert_eq!(args.listen, ["wss://a"]);
    }

    #[test]
    fn the_tutorial_s_spelling() {
        let args = run(&["-url", "wss://0.0.0.0", "-cert", "a.crt", "-key", "a.key", "-ca", "-odd-"]);
        assert_eq!(args.listen, ["wss://0.0.0.0"]);
        assert_eq!(args.cert, [PathBuf::from("a.crt")]);
        assert_eq!(args.key, [PathBuf::from("a.key")]);
        assert_eq!(args.ca, Some("-odd-".into()));
    }

    #[test]
    fn refused() {
        let check = |args: &[&str], expected: &str| {
            let error = parse(command_line(args)).expect_err("should be refused").to_string();
            assert!(error.starts_with(expected), "{args:?}: expected {expected:?}, got {error:?}");
            assert!(error.ends_with(" (try --help)") && !error.contains('\n'), "{error:?}");
        };
        check(&["--nonsense"], "unexpected argument '--nonsense' found");
        check(&["--max-mesage", "1"], "unexpected argument '--max-mesage' found; a similar argument exists: ");
        check(&["a", "b"], "unexpected argument 'b' found");
        check(&["--listen"], "a value is required for '--listen <URL>'");
        check(&["-url"], "a value is required for '--listen <URL>'");
        check(&["--max-message", "64k"], "invalid value '64k' for '--max-message <SIZE>': expected a whole number of");
        check(&["--max-message", "0"], "invalid value '0' for '--max-message <SIZE>': it must be above zero");
        check(&["--max-headers=24577"], "invalid value '24577' for '--max-headers <N>': it must be 24576 or less");
        check(&["--ping-interval", "30"], "invalid value '30' for '--ping-interval <DUR>': expected a whole number");
        check(
            &["--drain-code", "1000"],
            "invalid value '1000' for '--drain-code <CODE>': it must be 1001 (going away) or",
        );
        check(&["--overflow", "drop"], "invalid value 'drop' for '--overflow <POLICY>'");
        check(&["--compression", "on"], "invalid value 'on' for '--compression <MODE>'");
        check(&["--deflate-window", "8"], "invalid value '8' for '--deflate-window <N>': 8 is not in 9..=15");
        check(&["--workers", "0"], "invalid value '0' for '--workers <N>': it must be above zero");
        check(&["--log", "rikki=loud"], "invalid value 'rikki=loud' for '--log <FILTER>': ");
        check(&["--log", "loud"], "invalid value 'loud' for '--log <FILTER>': loud is no level: it is off, error, ");
        check(&["--log", "info,hyper"], "invalid value 'info,hyper' for '--log <FILTER>': hyper is no level: ");
        check(&["--redirect-http=none"], "invalid value 'none' for '--redirect-http[=<PORT>]'");
        check(&["--cert", "a"], "the following required arguments were not provided: --key <FILE>");
        check(&["--proxy-protocol"], "the following required arguments were not provided: --trust <CIDR>");
        check(&["--forwarded", "a"], "the following required arguments were not provided: --trust <CIDR>");
        check(&["--key", "a"], "the following required arguments were not provided: --cert <FILE>");
        check(
            &["--ca", "a"],
            "the following required arguments were not provided: <--cert <FILE>|--tls-self-signed|--acme <NAME>>",
        );
        check(
            &["--tls-self-signed", "--cert", "a", "--key", "b"],
            "the argument '--tls-self-signed' cannot be used with: --cert <FILE> --key <FILE>",
        );
        check(&["--mount", "/docs"], "invalid value '/docs' for '--mount <PATH=FOLDER>': expected PATH=FOLDER, as in");
        check(&["--header", "x"], "invalid value 'x' for '--header <NAME:VALUE>': expected NAME:VALUE");
        check(&["--cache-control", "a\nb"], "invalid value 'a b' for '--cache-control <VALUE>': the value of a header");
        check(&["--file-cache", "much"], "invalid value 'much' for '--file-cache <SIZE>': expected a whole number of");
        check(
            &["--no-file-compression", "--compress-files-above", "1"],
            "the argument '--no-file-compression' cannot be used with '--compress-files-above <SIZE>'",
        );
        check(&["--compat-echo", "--compat-echo"], "the argument '--compat-echo' cannot be used multiple times");
    }

    #[test]
    fn filters_of_the_log() {
        for filter in
            ["off", "WARN", "debug", "rikki", "rikki::ws", "warn,rikki=trace", "hyper=debug, rikki", "[span]=info"]
        {
            assert_eq!(run(&["--log", filter]).log, filter);
        }
    }

    #[test]
    fn help_and_version() {
        let print = |flag| match parse(command_line(&[flag])) {
            Ok(Request::Print(text)) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(print("--version"), format!("rikki {}\n", env!("CARGO_PKG_VERSION")));
        let help = print("--help");
        assert_eq!(help, print("-h"));
        let check = match parse(command_line(&["check", "--help"])) {
            Ok(Request::Print(text)) => text,
            other => panic!("{other:?}"),
        };
        assert!(check.contains("\nOptions:\n      --config <FILE>") && check.contains("      --print "), "{check}");
        for heading in
            [LISTENING, TLS, WEBSOCKET, topics::HEADING, files::HEADING, deflate::HEADING, limits::HEADING, LOGGING]
        {
            assert!(help.contains(&format!("\n{heading}:\n")), "{heading}");
        }
        for line in help.lines().chain(check.lines()) {
            assert!(line.chars().count() <= 80, "wider than 80 columns: {line}");
        }
    }

    fn run(args: &[&str]) -> Args {
        match parse(command_line(args)) {
            Ok(Request::Run(args)) => *args,
            other => panic!("{other:?}"),
        }
    }

    fn command_line<'a>(args: &'a [&str]) -> impl Iterator<Item = OsString> + 'a {
        ["rikki"].iter().chain(args).map(OsString::from)
    }
}
