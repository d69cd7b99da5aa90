//! The flags of `rikki connect` as they are written on the command line.

use std::path::PathBuf;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use clap::Parser;
use clap::builder::NonEmptyStringValueParser;
use rikki::client::Builder;

use crate::args::{CompressionMode, header, header_value, log_filter};
use rikki_limits::units::{self, BadNumber, Unit};

const SHOWN: &str = "What is shown";
const SCRIPTS: &str = "Scripts";
const REQUEST: &str = "Request";
const TLS: &str = "TLS";
const WEBSOCKET: &str = "WebSocket";
const LOGGING: &str = "Logging";

// The help is written for 80 columns: clap wraps nothing, and a test holds the width.
/// Connect to a WebSocket: lines of stdin are sent, messages are printed.
#[derive(Debug, Parser)]
#[command(
    name = "rikki connect",
    bin_name = "rikki connect",
    override_usage = "rikki connect [OPTIONS] URL",
    after_help = "On a terminal lines are edited and remembered; /help there tells what begins\n\
                  with a slash. SIZE takes B, KiB, MiB, GiB, KB, MB or GB; DUR takes ms, s, m\n\
                  or h. --header, --subprotocol and --send may be repeated.\n\
                  Exit code: 0 after a close with 1000, 1001 or no code, 2 for a wrong\n\
                  command line, 130 or 143 after SIGINT or SIGTERM, 1 for the rest."
)]
pub(crate) struct ConnectArgs {
    /// ws://[USER:PASS@]HOST[:PORT][/PATH][?QUERY], or wss:// for TLS
    #[arg(value_name = "URL")]
    pub(super) url: String,
    /// Send stdin and print messages as bytes, not as lines
    #[arg(long)]
    pub(super) binary: bool,
    /// Connect again when the connection is lost
    #[arg(long)]
    pub(super) reconnect: bool,

    /// Lay out JSON over several lines
    #[arg(long, conflicts_with = "binary", help_heading = SHOWN)]
    pub(super) json: bool,
    /// Begin each message with the time, in UTC
    #[arg(long, conflicts_with = "binary", help_heading = SHOWN)]
    pub(super) time: bool,
    /// Tell of pings and pongs of the server
    #[arg(long, help_heading = SHOWN)]
    pub(super) show_pings: bool,
    /// Keep no line in the file of the history
    #[arg(long, help_heading = SHOWN)]
    pub(super) no_history: bool,

    /// Send this in place of stdin
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, help_heading = SCRIPTS)]
    pub(super) send: Vec<String>,
    /// Wait for messages when all is sent [default: 0s]
    #[arg(long, value_name = "DUR", value_parser = duration_or_zero, help_heading = SCRIPTS)]
    pub(super) wait: Option<Duration>,
    /// Close after N messages, fail after fewer
    #[arg(long, value_name = "N", value_parser = units::count, help_heading = SCRIPTS)]
    pub(super) messages: Option<usize>,
    /// Stay when all is sent
    #[arg(long, conflicts_with = "wait", help_heading = SCRIPTS)]
    pub(super) keep_open: bool,
    /// Write messages to a file, not to stdout
    #[arg(long, value_name = "FILE", help_heading = SCRIPTS)]
    pub(super) output: Option<PathBuf>,
    /// Run for each message, which it has on stdin
    #[arg(long, value_name = "CMD", value_parser = NonEmptyStringValueParser::new(), help_heading = SCRIPTS)]
    pub(super) exec: Option<String>,
    /// Longest that CMD may take
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = units::duration, help_heading = SCRIPTS)]
    pub(super) exec_timeout: Duration,

    /// Header field to add to the request
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE", value_parser = header, help_heading = REQUEST)]
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Subprotocol to offer, best first
    #[arg(short, long = "subprotocol", value_name = "NAME", help_heading = REQUEST)]
    pub(super) subprotocols: Vec<String>,
    /// Who asks, by basic authentication
    #[arg(long, value_name = "USER:PASS", help_heading = REQUEST)]
    pub(super) auth: Option<String>,
    /// Origin to ask from, as a web page would
    #[arg(long, value_name = "URL", value_parser = header_value, help_heading = REQUEST)]
    pub(super) origin: Option<HeaderValue>,
    /// Longest wait for the connection
    #[arg(
        long, value_name = "DUR", default_value = default_of("connect-timeout"),
        value_parser = units::duration, help_heading = REQUEST
    )]
    pub(super) connect_timeout: Duration,
    /// Proxy to use, else that of the environment
    #[arg(long, value_name = "URL", help_heading = REQUEST)]
    pub(super) proxy: Option<String>,
    /// Unix socket to connect to
    #[cfg(unix)]
    #[arg(long, alias = "unix-socket", value_name = "PATH", conflicts_with = "proxy", help_heading = REQUEST)]
    pub(super) unix: Option<PathBuf>,

    /// Authorities to trust instead of the system's, PEM
    #[arg(long, value_name = "FILE", help_heading = TLS)]
    pub(super) ca: Option<PathBuf>,
    /// Check no certificate: anybody may be the server
    #[arg(short = 'k', long, conflicts_with = "ca", help_heading = TLS)]
    pub(super) insecure: bool,
    /// Certificate to show to the server, PEM
    #[arg(long, value_name = "FILE", requires = "key", help_heading = TLS)]
    pub(super) cert: Option<PathBuf>,
    /// Private key of the certificate, PEM
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = TLS)]
    pub(super) key: Option<PathBuf>,

    /// One of shared, dedicated, off
    #[arg(
        long, value_name = "MODE", default_value = "dedicated", hide_possible_values = true,
        help_heading = WEBSOCKET
    )]
    pub(super) compression: CompressionMode,
    /// Largest message, and longest line
    #[arg(
        long, value_name = "SIZE", default_value = default_of("max-message"),
        value_parser = units::size, help_heading = WEBSOCKET
    )]
    pub(super) max_message: usize,
    /// Silence before the server is pinged
    #[arg(
        long, value_name = "DUR", default_value = default_of("ping-interval"),
        value_parser = units::duration, help_heading = WEBSOCKET
    )]
    pub(super) ping: Duration,
    /// Longest silence while closing
    #[arg(
        long, value_name = "DUR", default_value = default_of("close-timeout"),
        value_parser = units::duration, help_heading = WEBSOCKET
    )]
    pub(super) close_timeout: Duration,

    /// What to log, as in rikki=debug
    #[arg(long, value_name = "FILTER", default_value = "warn", value_parser = log_filter, help_heading = LOGGING)]
    pub(super) log: String,
}

fn duration_or_zero(text: &str) -> Result<Duration, BadNumber> {
    Unit::TimeOrZero.parse(text).map(Duration::from_millis)
}

/// The default of one of the client's limits, in the library's words.
fn default_of(name: &str) -> &'static str {
    Builder::limits().find(|limit| limit.name == name).and_then(|limit| limit.default).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::CommandFactory;

    use super::*;
    use crate::args::{Request, UsageError, parse};

    #[test]
    fn the_definition_is_consistent() {
        ConnectArgs::command().debug_assert();
    }

    #[test]
    fn defaults() {
        let args = connect("rikki connect ws://a");
        assert_eq!(args.url, "ws://a");
        assert_eq!((args.binary, args.headers, args.subprotocols), (false, vec![], vec![]));
        assert_eq!((args.reconnect, args.proxy), (false, None));
        assert_eq!((args.ca, args.cert, args.key), (None, None, None));
        assert_eq!((args.compression, args.max_message), (CompressionMode::Dedicated, 4 << 20));
        let seconds = Duration::from_secs;
        assert_eq!((args.connect_timeout, args.ping, args.close_timeout), (seconds(10), seconds(30), seconds(5)));
        assert_eq!(args.log, "warn");
    }

    #[test]
    fn repeated_flags_keep_their_order() {
        let args = connect("rikki connect --subprotocol v2 --header b:1 ws://a --subprotocol=v1 --header a:2");
        assert_eq!(args.subprotocols, ["v2", "v1"]);
        let names: Vec<_> = args.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
    }

    #[test]
    fn refused() {
        let check = |line: &str, expected: &str| {
            let UsageError(error) = parse(words(line)).expect_err("should be refused");
            assert!(error.starts_with(expected), "{line}: expected {expected:?}, got {error:?}");
        };
        check("rikki connect", "the following required arguments were not provided: <URL>");
        check("rikki connect ws://a ws://b", "unexpected argument 'ws://b' found");
        check("rikki connect --nonsense ws://a", "unexpected argument '--nonsense' found");
        check("rikki connect --listen ws://a", "unexpected argument '--listen' found");
        // The tutorial's spelling is the server's alone.
        check("rikki connect -ca c wss://a", "unexpected argument '-c' found");
        check("rikki connect --header x ws://a", "invalid value 'x' for '--header <NAME:VALUE>': expected NAME:VALUE");
        check("rikki connect --ping 30 ws://a", "invalid value '30' for '--ping <DUR>': expected a whole number");
        check("rikki connect --cert c wss://a", "the following required arguments were not provided: --key <FILE>");
        #[cfg(unix)]
        check(
            "rikki connect --proxy a --unix b ws://a",
            "the argument '--proxy <URL>' cannot be used with '--unix <PATH>'",
        );
        check("rikki connect --compression on ws://a", "invalid value 'on' for '--compression <MODE>'");
    }

    #[test]
    fn the_word_is_the_first_or_a_folder() {
        let root = |line: &str| match parse(words(line)) {
            Ok(Request::Run(args)) => args.root,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(root("rikki ./connect"), PathBuf::from("./connect"));
        assert_eq!(root("rikki -- connect"), PathBuf::from("connect"));
        assert_eq!(root("rikki --compat-echo connect"), PathBuf::from("connect"));
        assert_eq!(root("rikki -url ws://a connect"), PathBuf::from("connect"));
    }

    #[test]
    fn help() {
        let Ok(Request::Print(help)) = parse(words("rikki connect --help")) else { panic!("no help") };
        assert!(help.contains("Usage: rikki connect [OPTIONS] URL\n"), "{help}");
        for heading in [SHOWN, SCRIPTS, REQUEST, TLS, WEBSOCKET, LOGGING] {
            assert!(help.contains(&format!("\n{heading}:\n")), "{heading}");
        }
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "wider than 80 columns: {line}");
        }
    }

    fn connect(line: &str) -> ConnectArgs {
        match parse(words(line)) {
            Ok(Request::Connect(args)) => *args,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn words(line: &str) -> impl Iterator<Item = OsString> + '_ {
        line.split(' ').map(OsString::from)
    }
}
