//! The flags as they are written on the command line. Whether they make sense together is judged by `settings`.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::connect::ConnectArgs;
use crate::{tutorial, units};

const LISTENING: &str = "Listening";
const TLS: &str = "TLS";
const WEBSOCKET: &str = "WebSocket";
const COMPRESSION: &str = "Compression";
const LIMITS: &str = "Limits";
const LOGGING: &str = "Logging";

/// What a command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    /// Run the server.
    Run(Box<Args>),
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
    override_usage = "rikki [OPTIONS] [ROOT]\n       rikki connect [OPTIONS] URL",
    after_help = "URL is ws, wss, http or https://HOST[:PORT]; port 0 takes a free one.\n\
                  SIZE takes B, KiB, MiB, GiB, KB, MB or GB; DUR takes ms, s, m or h.\n\
                  --listen, --allow-host, --subprotocol and --allow-origin may be repeated.\n\
                  The spelling -url URL -cert FILE -key FILE -ca FILE works too.\n\
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

    /// Certificate chain, PEM, the server's own first
    #[arg(long, value_name = "FILE", requires = "key", group = "certificate", help_heading = TLS)]
    pub(crate) cert: Option<PathBuf>,
    /// Private key of the certificate, PEM
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = TLS)]
    pub(crate) key: Option<PathBuf>,
    /// Authorities of required client certificates, PEM
    #[arg(long, value_name = "FILE", requires = "certificate", help_heading = TLS)]
    pub(crate) ca: Option<PathBuf>,
    /// Make a certificate for development, in memory
    #[arg(long, conflicts_with_all = ["cert", "key"], group = "certificate", help_heading = TLS)]
    pub(crate) tls_self_signed: bool,

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
    pub(crate) deflate: Deflate,

    #[command(flatten)]
    pub(crate) limits: Limits,

    /// What to log, as in rikki=debug
    #[arg(long, value_name = "FILTER", default_value = "info", value_parser = log_filter, help_heading = LOGGING)]
    pub(crate) log: String,
    /// Log each request to stderr
    #[arg(long, help_heading = LOGGING)]
    pub(crate) access_log: bool,
}

/// How messages are compressed; the levels are those of zlib.
#[derive(Clone, Debug, PartialEq, clap::Args)]
#[command(next_help_heading = COMPRESSION)]
pub(crate) struct Deflate {
    /// shared, dedicated or off
    #[arg(long, value_name = "MODE", default_value = "shared", hide_possible_values = true)]
    pub(crate) compression: CompressionMode,
    /// Effort, from 1 (fastest) to 9
    #[arg(long = "deflate-level", value_name = "N", default_value = "1", value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(crate) level: u8,
    /// Window of 2^N bytes, 9 to 15
    #[arg(long = "deflate-window", value_name = "N", default_value = "15", value_parser = clap::value_parser!(u8).range(9..=15))]
    pub(crate) window: u8,
    /// Memory of a compressor, 1 to 9
    #[arg(long = "deflate-memory-level", value_name = "N", default_value = "5", value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(crate) memory_level: u8,
    /// Smallest message to compress
    #[arg(long = "deflate-above", value_name = "SIZE", default_value = "1KiB", value_parser = units::size)]
    pub(crate) above: usize,
    /// Memory of all compression
    #[arg(long = "deflate-memory", value_name = "SIZE", default_value = "64MiB", value_parser = units::size)]
    pub(crate) memory: usize,
}

/// What the compression of a message may refer to: itself, the messages before it too, or nothing at all.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum CompressionMode {
    Shared,
    Dedicated,
    Off,
}

/// The limits, each good by itself: sizes in bytes.
#[derive(Clone, Debug, PartialEq, clap::Args)]
#[command(next_help_heading = LIMITS)]
pub(crate) struct Limits {
    /// Most connections at a time
    #[arg(long, value_name = "N", default_value = "16384", value_parser = units::count)]
    pub(crate) max_connections: usize,
    /// Most of them from one address
    #[arg(long = "max-per-address", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_connections_per_address: Option<u32>,
    /// Most requests on a connection
    #[arg(long, value_name = "N", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_requests: u32,
    /// Largest message
    #[arg(long, value_name = "SIZE", default_value = "4MiB", value_parser = units::size)]
    pub(crate) max_message: usize,
    /// Most fragments in a message
    #[arg(long, value_name = "N", default_value = "16384", value_parser = units::count)]
    pub(crate) max_fragments: usize,
    /// Most messages in a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_message_rate: Option<u32>,
    /// Most bytes in a second
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub(crate) max_byte_rate: Option<usize>,
    /// Longest wait for a whole message
    #[arg(long, value_name = "DUR", default_value = "60s", value_parser = units::duration)]
    pub(crate) message_timeout: Duration,
    /// Memory for unfinished messages
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = units::size)]
    pub(crate) message_memory: usize,
    /// Largest request head
    #[arg(long, value_name = "SIZE", default_value = "16KiB", value_parser = units::size)]
    pub(crate) max_head: usize,
    /// Most headers in a request
    #[arg(long, value_name = "N", default_value = "100", value_parser = header_count)]
    pub(crate) max_headers: usize,
    /// Longest wait for a request head
    #[arg(long, value_name = "DUR", default_value = "10s", value_parser = units::duration)]
    pub(crate) head_timeout: Duration,
    /// Least of a body in a second
    #[arg(long, value_name = "SIZE", default_value = "500B", value_parser = byte_rate)]
    pub(crate) min_body_rate: u32,
    /// Time that this is judged over
    #[arg(long, value_name = "DUR", default_value = "20s", value_parser = units::duration)]
    pub(crate) body_window: Duration,
    /// Silence before a peer is pinged
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = units::duration)]
    pub(crate) ping_interval: Duration,
    /// Longest wait for a pong
    #[arg(long, value_name = "DUR", default_value = "10s", value_parser = units::duration)]
    pub(crate) pong_timeout: Duration,
    /// Unsent data of one WebSocket
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = units::size)]
    pub(crate) write_queue: usize,
    /// Unsent data of all WebSockets
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = units::size)]
    pub(crate) queue_memory: usize,
    /// What to do then, such as close
    #[arg(long, value_name = "POLICY", default_value = "pause", hide_possible_values = true)]
    pub(crate) overflow: OverflowPolicy,
    /// Longest time of no write progress
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = units::duration)]
    pub(crate) write_timeout: Duration,
    /// Longest closing handshake
    #[arg(long, value_name = "DUR", default_value = "5s", value_parser = units::duration)]
    pub(crate) close_timeout: Duration,
    /// Longest wait for the peer to end
    #[arg(long, value_name = "DUR", default_value = "1s", value_parser = units::duration_or_zero)]
    pub(crate) linger_timeout: Duration,
    /// Over what a shutdown is spread
    #[arg(long, value_name = "DUR", default_value = "1s", value_parser = units::duration_or_zero)]
    pub(crate) drain_window: Duration,
    /// Its close code: 1001 or 1012
    #[arg(long, value_name = "CODE", default_value = "1001", value_parser = drain_code)]
    pub(crate) drain_code: u16,
    /// Longest shutdown
    #[arg(long, value_name = "DUR", default_value = "8s", value_parser = units::duration_or_zero)]
    pub(crate) drain_timeout: Duration,
}

/// What becomes of a WebSocket whose peer does not read.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum OverflowPolicy {
    Pause,
    Close,
    DropNewest,
    DropOldest,
}

/// Reads a command line, the program's name first.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Request, UsageError> {
    let args: Vec<OsString> = args.into_iter().collect();
    // In first place alone, so that every other command line means what it would mean without: a folder of the name is
    // served as ./connect.
    if args.get(1).is_some_and(|arg| arg == "connect") {
        return parse_as(args.into_iter().skip(1), Request::Connect);
    }
    parse_as(tutorial::rewrite(args, &Args::command()), Request::Run)
}

fn parse_as<A: Parser>(
    args: impl IntoIterator<Item = OsString>,
    request: impl FnOnce(Box<A>) -> Request,
) -> Result<Request, UsageError> {
    match A::try_parse_from(args) {
        Ok(args) => Ok(request(Box::new(args))),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            Ok(Request::Print(error.render().to_string()))
        }
        Err(error) => Err(UsageError(one_line(&error.render().to_string()))),
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (try --help)", self.0)
    }
}

impl std::error::Error for UsageError {}

/// What clap says over several lines, without its prefix and the usage below it.
fn one_line(report: &str) -> String {
    let report = report.strip_prefix("error: ").unwrap_or(report);
    let lines = report.lines().take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    lines.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ").replace(" tip: ", "; ")
}

pub(crate) fn log_filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// RFC 6455 and its registry have two codes for a server that goes away.
fn drain_code(text: &str) -> Result<u16, String> {
    match text {
        "1001" => Ok(1001),
        "1012" => Ok(1012),
        _ => Err("it must be 1001 (going away) or 1012 (restarting)".to_owned()),
    }
}

fn byte_rate(text: &str) -> Result<u32, String> {
    units::size(text).and_then(|size| u32::try_from(size).map_err(|_| "it must be below 4GiB".to_owned()))
}

/// The header table of the `http` crate has 32,768 places, of which three in four are used, and panics beyond.
fn header_count(text: &str) -> Result<usize, String> {
    const MOST: usize = 24_576;
    units::count(text)
        .and_then(|count| if count > MOST { Err(format!("it must be {MOST} or less")) } else { Ok(count) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
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
                above: 1024,
                memory: 64 << 20,
            }
        );
        assert_eq!(
            args.limits,
            Limits {
                max_connections: 16_384,
                max_connections_per_address: None,
                max_requests: 10_000,
                max_message_rate: None,
                max_byte_rate: None,
                min_body_rate: 500,
                body_window: Duration::from_secs(20),
                queue_memory: 64 << 20,
                overflow: OverflowPolicy::Pause,
                drain_window: Duration::from_secs(1),
                drain_code: 1001,
                max_message: 4 * 1024 * 1024,
                max_fragments: 16_384,
                message_timeout: Duration::from_secs(60),
                message_memory: 256 << 20,
                max_head: 16 * 1024,
                max_headers: 100,
                head_timeout: Duration::from_secs(10),
                ping_interval: Duration::from_secs(30),
                pong_timeout: Duration::from_secs(10),
                write_queue: 1024 * 1024,
                write_timeout: Duration::from_secs(30),
                close_timeout: Duration::from_secs(5),
                linger_timeout: Duration::from_secs(1),
                drain_timeout: Duration::from_secs(8),
            }
        );
    }

    #[test]
    fn repeated_flags_keep_their_order_and_replace_the_default() {
        let args = run(&["--listen", "ws://a", "--subprotocol", "v2", "--listen=wss://b", "--subprotocol=v1", "www"]);
        assert_eq!(args.listen, ["ws://a", "wss://b"]);
        assert_eq!(args.subprotocols, ["v2", "v1"]);
        assert_eq!(args.root, PathBuf::from("www"));
    }

    #[test]
    fn the_tutorial_s_spelling() {
        let args = run(&["-url", "wss://0.0.0.0", "-cert", "a.crt", "-key", "a.key", "-ca", "-odd-"]);
        assert_eq!(args.listen, ["wss://0.0.0.0"]);
        assert_eq!(args.cert, Some("a.crt".into()));
        assert_eq!(args.key, Some("a.key".into()));
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
        check(&["--cert", "a"], "the following required arguments were not provided: --key <FILE>");
        check(&["--key", "a"], "the following required arguments were not provided: --cert <FILE>");
        check(&["--ca", "a"], "the following required arguments were not provided: <--cert <FILE>|--tls-self-signed>");
        check(
            &["--tls-self-signed", "--cert", "a", "--key", "b"],
            "the argument '--tls-self-signed' cannot be used with: --cert <FILE> --key <FILE>",
        );
        check(&["--compat-echo", "--compat-echo"], "the argument '--compat-echo' cannot be used multiple times");
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
        for heading in [LISTENING, TLS, WEBSOCKET, COMPRESSION, LIMITS, LOGGING] {
            assert!(help.contains(&format!("\n{heading}:\n")), "{heading}");
        }
        for line in help.lines() {
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
