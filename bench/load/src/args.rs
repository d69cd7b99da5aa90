//! The command line.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::Result;

const USAGE: &str = "\
Usage: load MODE --port PORT [OPTION]

Modes:
  echo     WebSocket messages that come back
  push     every message of the first connection comes to all connections; the next one when it has come to all
  raw      the same bytes on bare TCP: no handshake, every byte comes back
  http     GET requests on connections that stay open
  connect  connections opened one after another: TCP, upgrade, reset
  idle     memory of connections that have echoed one message and wait

Options:
  --pid PID          the server, of which CPU time and memory are read
  --path PATH        what is requested [/websocket]
  --header LINE      one more header of a GET request
  --status CODE      what a GET request is to be answered with [200]
  --connections N    how many at a time [100]
  --inflight N       messages under way on each, or from the one that pushes [1]
  --size BYTES       payload of a message [20]
  --rate N           messages a second over all connections, sent when they are due and not when there is room
  --warmup SECONDS   before anything is counted [1]
  --seconds SECONDS  how long is counted [3]
  --messages N       stop after so many, without a warm-up
  --text             text messages, not binary ones
  --deflate          JSON, compressed with permessage-deflate in both directions
  --tls              wss or https, with any certificate
";

/// What one run does.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) mode: Mode,
    pub(crate) server: SocketAddr,
    pub(crate) pid: Option<u32>,
    pub(crate) path: String,
    /// A header of a GET request, as one line.
    pub(crate) header: Option<String>,
    /// The status that it is answered with.
    pub(crate) status: u16,
    pub(crate) connections: usize,
    pub(crate) inflight: usize,
    pub(crate) size: usize,
    /// Messages a second; without it the next one is sent when an earlier one has come back.
    pub(crate) rate: Option<f64>,
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
    pub(crate) messages: Option<u64>,
    pub(crate) text: bool,
    pub(crate) deflate: bool,
    pub(crate) tls: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Echo,
    Push,
    Raw,
    Http,
    Connect,
    Idle,
}

impl Args {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mode = match words.next().as_deref() {
            Some("echo") => Mode::Echo,
            Some("push") => Mode::Push,
            Some("raw") => Mode::Raw,
            Some("http") => Mode::Http,
            Some("connect") => Mode::Connect,
            Some("idle") => Mode::Idle,
            _ => return Err(USAGE.to_owned()),
        };
        let mut args = Self {
            mode,
            server: (Ipv4Addr::LOCALHOST, 0).into(),
            pid: None,
            path: "/websocket".to_owned(),
            header: None,
            status: 200,
            connections: 100,
            inflight: 1,
            size: 20,
            rate: None,
            warmup: Duration::from_secs(1),
            duration: Duration::from_secs(3),
            messages: None,
            text: false,
            deflate: false,
            tls: false,
        };
        while let Some(word) = words.next() {
            args.option(&word, &mut words)?;
        }
        if args.server.port() == 0 {
            return Err(format!("--port is missing\n\n{USAGE}"));
        }
        if args.deflate && !matches!(args.mode, Mode::Echo | Mode::Idle) {
            return Err("--deflate goes with echo and idle".to_owned());
        }
        if args.mode == Mode::Push && args.rate.is_some() {
            return Err("--rate does not go with push".to_owned());
        }
        if args.messages.is_some() {
            args.warmup = Duration::ZERO;
        }
        Ok(args)
    }

    fn option(&mut self, word: &str, words: &mut impl Iterator<Item = String>) -> Result<()> {
        match word {
            "--port" => self.server.set_port(value(word, words)?),
            "--pid" => self.pid = Some(value(word, words)?),
            "--path" => self.path = value(word, words)?,
            "--header" => self.header = Some(value(word, words)?),
            "--status" => self.status = value(word, words)?,
            "--connections" => self.connections = at_least_one(word, words)?,
            "--inflight" => self.inflight = at_least_one(word, words)?,
            "--size" => self.size = value(word, words)?,
            "--rate" => self.rate = Some(value(word, words).and_then(|rate| positive(word, rate))?),
            "--warmup" => self.warmup = seconds(word, words)?,
            "--seconds" => self.duration = seconds(word, words)?,
            "--messages" => self.messages = Some(value(word, words)?),
            "--text" => self.text = true,
            "--deflate" => self.deflate = true,
            "--tls" => self.tls = true,
            _ => return Err(format!("unknown option {word:?}\n\n{USAGE}")),
        }
        Ok(())
    }
}

fn value<T: std::str::FromStr>(option: &str, words: &mut impl Iterator<Item = String>) -> Result<T> {
    let word = words.next().ok_or_else(|| format!("{option} needs a value"))?;
    word.parse().map_err(|_| format!("{option}: {word:?} is no such value"))
}

fn at_least_one(option: &str, words: &mut impl Iterator<Item = String>) -> Result<usize> {
    value(option, words).and_then(|count| if count > 0 { Ok(count) } else { Err(format!("{option}: at least 1")) })
}

fn positive(option: &str, value: f64) -> Result<f64> {
    if value.is_finite() && value > 0.0 { Ok(value) } else { Err(format!("{option}: above zero")) }
}

fn seconds(option: &str, words: &mut impl Iterator<Item = String>) -> Result<Duration> {
    let seconds = value(option, words)?;
    Duration::try_from_secs_f64(seconds).map_err(|error| format!("{option}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_its_arguments() {
        let parse = |line: &str| Args::parse(line.split_whitespace().map(str::to_owned));
        let args = parse("echo --port 8000 --inflight 16 --messages 5 --tls").unwrap();
        assert_eq!((args.mode, args.server.to_string()), (Mode::Echo, "127.0.0.1:8000".to_owned()));
        assert_eq!((args.inflight, args.messages, args.tls, args.warmup), (16, Some(5), true, Duration::ZERO));

        let check = |line: &str, expected: &str| {
            let error = parse(line).unwrap_err();
            assert!(error.starts_with(expected), "{line}: {error}");
        };
        check("", "Usage");
        check("shout --port 1", "Usage");
        check("echo", "--port is missing");
        check("echo --port", "--port needs a value");
        check("echo --port 70000", "--port: \"70000\" is no such value");
        check("echo --connections 0", "--connections: at least 1");
        check("echo --rate -3", "--rate: above zero");
        check("echo --rate NaN", "--rate: above zero");
        check("echo --seconds -1", "--seconds: ");
        check("push --port 1 --rate 5", "--rate does not go with push");
        check("http --port 1 --deflate", "--deflate goes with echo and idle");
        check("echo --frob", "unknown option \"--frob\"");
    }
}
