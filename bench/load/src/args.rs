//! The command line.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, ValueEnum};

/// Makes a server work, checks every answer, and says in one line of JSON what it cost.
#[derive(Clone, Debug, Parser)]
#[command(args_override_self = true, max_term_width = 120)]
pub(crate) struct Args {
    #[arg(value_enum)]
    pub(crate) mode: Mode,
    /// Where the server listens on loopback
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The server, of which CPU time and memory are read
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// What is requested
    #[arg(long, default_value = "/websocket")]
    pub(crate) path: String,
    /// One more header of a GET request
    #[arg(long, value_name = "LINE")]
    pub(crate) header: Option<String>,
    /// What a GET request is to be answered with
    #[arg(long, value_name = "CODE", default_value_t = 200)]
    pub(crate) status: u16,
    /// How many at a time
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least_one())]
    pub(crate) connections: usize,
    /// Messages under way on each, or from the one that pushes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one())]
    pub(crate) inflight: usize,
    /// Rooms that the connections of a chat are in, as many in each
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = at_least_one())]
    pub(crate) rooms: usize,
    /// Payload of a message
    #[arg(long, value_name = "BYTES", default_value_t = 20)]
    pub(crate) size: usize,
    /// Messages a second over all connections, sent when they are due and not when there is room; without it the next
    /// one is sent when an earlier one has come back
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = positive)]
    pub(crate) rate: Option<f64>,
    /// Before anything is counted
    #[arg(long, value_name = "SECONDS", default_value = "1", allow_negative_numbers = true, value_parser = seconds)]
    pub(crate) warmup: Duration,
    /// How long is counted
    #[arg(
        long = "seconds",
        value_name = "SECONDS",
        default_value = "3",
        allow_negative_numbers = true,
        value_parser = seconds
    )]
    pub(crate) duration: Duration,
    /// Stop after so many, without a warm-up
    #[arg(long, value_name = "N")]
    pub(crate) messages: Option<u64>,
    /// For whoever counts what the server does for each message: those of --messages come twice, and before and after
    /// the second time a line is printed and one awaited. They come in rounds, each when all of the last have come back,
    /// and the server is stopped meanwhile, so that it finds all of a round at once and does the same in every run
    #[arg(long, requires = "messages", requires = "pid", conflicts_with = "rate")]
    pub(crate) counted: bool,
    /// Text messages, not binary ones
    #[arg(long)]
    pub(crate) text: bool,
    /// JSON, compressed with permessage-deflate in both directions
    #[arg(long)]
    pub(crate) deflate: bool,
    /// wss or https, with any certificate
    #[arg(long)]
    pub(crate) tls: bool,
    /// Each handshake of TLS but the first ones resumes an earlier session
    #[arg(long, requires = "tls")]
    pub(crate) resume: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// WebSocket messages that come back
    Echo,
    /// Every message of the first connection comes to all connections; the next one when it has come to all
    Push,
    /// The same bytes on bare TCP: no handshake, every byte comes back
    Raw,
    /// GET requests on connections that stay open
    Http,
    /// Connections opened one after another: TCP, upgrade, reset
    Connect,
    /// The same with a GET request in place of the upgrade, and TLS 1.3 where it is asked for
    Handshake,
    /// Memory of connections that have echoed one message and wait
    Idle,
    /// A chat with rooms: in each, every message of one comes to all, and the next one is another's when it has
    Chat,
    /// Prices that the server tells by itself, of all symbols to all connections
    Ticker,
}

impl Args {
    /// The server.
    pub(crate) fn server(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Takes the words of the command line, the first of which is the program's name.
    pub(crate) fn read(words: impl Iterator<Item = String>) -> Result<Self, clap::Error> {
        let mut args = Self::try_parse_from(words)?;
        let conflict = |text| Err(Self::command().error(ErrorKind::ArgumentConflict, text));
        if args.deflate && !matches!(args.mode, Mode::Echo | Mode::Push | Mode::Idle) {
            return conflict("--deflate goes with echo, push and idle");
        }
        if matches!(args.mode, Mode::Push | Mode::Chat | Mode::Ticker) && args.rate.is_some() {
            return conflict("--rate goes with messages that come back alone");
        }
        if matches!(args.mode, Mode::Chat | Mode::Ticker) && (args.tls || args.messages.is_some()) {
            return conflict("--tls and --messages do not go with chat and ticker");
        }
        if args.resume && args.mode != Mode::Handshake {
            return conflict("--resume goes with handshake");
        }
        if args.counted && matches!(args.mode, Mode::Idle | Mode::Chat | Mode::Ticker) {
            return conflict("--counted does not go with idle, chat and ticker");
        }
        if args.tls && args.mode == Mode::Connect {
            return conflict("TLS is opened by handshake, not by connect");
        }
        if args.messages.is_some() {
            args.warmup = Duration::ZERO;
        }
        Ok(args)
    }
}

fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

fn positive(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value: &f64| value.is_finite() && *value > 0.0);
    value.ok_or_else(|| "it has to be a number above zero".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "it has to be a number".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_its_arguments() {
        Args::command().debug_assert();
        let parse = |line: &str| Args::read(format!("load {line}").split_whitespace().map(str::to_owned));
        let args = parse("echo --port 8000 --inflight 16 --messages 5 --tls").unwrap();
        assert_eq!((args.mode, args.server().to_string()), (Mode::Echo, "127.0.0.1:8000".to_owned()));
        assert_eq!((args.inflight, args.messages, args.tls, args.warmup), (16, Some(5), true, Duration::ZERO));
        let args = parse("http --port 1 --warmup 0.3 --header range:x").unwrap();
        assert_eq!((args.warmup, args.duration), (Duration::from_millis(300), Duration::from_secs(3)));
        assert_eq!((args.connections, args.size, args.status, args.path.as_str()), (100, 20, 200, "/websocket"));

        let check = |line: &str, expected: &str| {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        };
        // A case has options of its own, and whoever runs it may have others.
        assert_eq!(parse("idle --port 1 --connections 9000 --connections 200").unwrap().connections, 200);
        check("", "Usage: load");
        check("shout --port 1", "invalid value 'shout'");
        check("echo", "--port <PORT>");
        check("echo --port", "a value is required for '--port <PORT>'");
        check("echo --port 0", "0 is not in 1..");
        check("echo --port 70000", "invalid value '70000' for '--port <PORT>'");
        check("echo --port 1 --connections 0", "0 is not in 1..");
        check("echo --port 1 --rate -3", "it has to be a number above zero");
        check("echo --port 1 --rate NaN", "it has to be a number above zero");
        check("echo --port 1 --seconds -1", "'--seconds <SECONDS>'");
        check("push --port 1 --rate 5", "--rate goes with messages that come back alone");
        check("chat --port 1 --tls", "--tls and --messages do not go with chat and ticker");
        check("echo --port 1 --tls --resume", "--resume goes with handshake");
        check("handshake --port 1 --resume", "--tls");
        check("connect --port 1 --tls", "TLS is opened by handshake");
        check("idle --port 1 --counted --messages 5 --pid 1", "--counted does not go with idle");
        check("echo --port 1 --counted --pid 1", "--messages <N>");
        check("echo --port 1 --counted --messages 5", "--pid <PID>");
        check("http --port 1 --deflate", "--deflate goes with echo, push and idle");
        check("echo --frob", "unexpected argument '--frob'");
    }
}
