//! The limits and deadlines.

use std::time::Duration;

use clap::ValueEnum;

use rikki_limits::units;

pub(super) const HEADING: &str = "Limits";

/// The limits, each good by itself: sizes in bytes.
#[derive(Clone, Debug, PartialEq, clap::Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct Limits {
    /// Memory for all of what follows
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub(crate) memory: Option<usize>,
    /// Most connections at a time [default: 16384]
    #[arg(long, value_name = "N", value_parser = units::count)]
    pub(crate) max_connections: Option<usize>,
    /// Most of them from one address
    #[arg(long = "max-per-address", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_connections_per_address: Option<u32>,
    /// Most requests on a connection
    #[arg(long, value_name = "N", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_requests: u32,
    /// Memory for streams of HTTP/2 [default: 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub(crate) http2_memory: Option<usize>,
    /// Most from an address in a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_request_rate: Option<u32>,
    /// Longest life of a WebSocket
    #[arg(long, value_name = "DUR", value_parser = units::duration)]
    pub(crate) max_age: Option<Duration>,
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
    /// Least of a message in a second
    #[arg(long = "min-payload", value_name = "SIZE", default_value = "500B", value_parser = byte_rate)]
    pub(crate) min_payload_rate: u32,
    /// Time that this is judged over
    #[arg(long, value_name = "DUR", default_value = "60s", value_parser = units::duration)]
    pub(crate) payload_window: Duration,
    /// Memory for unfinished messages [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub(crate) message_memory: Option<usize>,
    /// Largest request head
    #[arg(long, value_name = "SIZE", default_value = "16KiB", value_parser = units::size)]
    pub(crate) max_head: usize,
    /// Most headers in a request
    #[arg(long, value_name = "N", default_value = "100", value_parser = header_count)]
    pub(crate) max_headers: usize,
    /// Longest wait for a request head
    #[arg(long, value_name = "DUR", default_value = "10s", value_parser = units::duration)]
    pub(crate) head_timeout: Duration,
    /// Longest silence between requests
    #[arg(long, value_name = "DUR", default_value = "75s", value_parser = units::duration)]
    pub(crate) keep_alive: Duration,
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
    /// Unsent data of all WebSockets [default: 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub(crate) queue_memory: Option<usize>,
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

/// RFC 6455 and its registry have two codes for a server that goes away.
fn drain_code(text: &str) -> Result<u16, String> {
    match text {
        "1001" => Ok(1001),
        "1012" => Ok(1012),
        _ => Err("it must be 1001 (going away) or 1012 (restarting)".to_owned()),
    }
}

fn byte_rate(text: &str) -> Result<u32, String> {
    units::size(text)
        .map_err(|error| error.to_string())
        .and_then(|size| u32::try_from(size).map_err(|_| "it must be below 4GiB".to_owned()))
}

/// The header table of the `http` crate has 32,768 places, of which three in four are used, and panics beyond.
fn header_count(text: &str) -> Result<usize, String> {
    const MOST: usize = 24_576;
    units::count(text)
        .map_err(|error| error.to_string())
        .and_then(|count| if count > MOST { Err(format!("it must be {MOST} or less")) } else { Ok(count) })
}
