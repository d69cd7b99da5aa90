//! What a WebSocket may cost and how long it may take: every limit has a name, a unit and a default.

use std::time::Duration;

use rikki_proto::Limits;

use super::compression::Compression;

/// What becomes of a connection whose unsent data has reached [`write_queue`](Config::write_queue).
///
/// Control frames are never dropped, whatever the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Overflow {
    /// Nothing more is read from the peer until it has taken half of it, and nothing more is queued:
    /// [`SendError::Full`](super::SendError::Full) says so.
    #[default]
    Pause,
    /// The connection is cut at once, with [`Error::Overflow`](super::Error::Overflow): a peer that does not read would
    /// not see a Close either. The mark has to be well above the largest message that is sent.
    Close,
    /// New messages are dropped and counted; [`SendError::Dropped`](super::SendError::Dropped) says so. Reading goes on.
    DropNewest,
    /// The oldest messages that wait are dropped and counted, but for about 64 KiB that are on their way. Reading goes on.
    DropOldest,
}

/// The limits and deadlines of each WebSocket connection: plain data, of which a copy is as good as the original.
///
/// What all connections may hold together is apart from it, in [`Live`](super::Live).
///
/// ```
/// use std::time::Duration;
///
/// let config = rikki::ws::Config::default().max_message(64 * 1024).ping_interval(Duration::from_secs(10));
/// assert_eq!(config, config.clone());
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(default, deny_unknown_fields))]
#[must_use]
pub struct Config {
    pub(super) compression: Option<Compression>,
    pub(super) limits: Limits,
    pub(super) payload_rate: u32,
    pub(super) payload_window: Duration,
    pub(super) max_age: Option<Duration>,
    pub(super) ping_interval: Duration,
    pub(super) pong_timeout: Duration,
    pub(super) max_message_rate: Option<u32>,
    pub(super) max_byte_rate: Option<u64>,
    pub(super) write_queue: usize,
    pub(super) overflow: Overflow,
    pub(super) write_timeout: Duration,
    pub(super) close_timeout: Duration,
    pub(super) linger_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            compression: Some(Compression::default()),
            limits: Limits::default(),
            payload_rate: 500,
            payload_window: Duration::from_secs(60),
            max_age: None,
            ping_interval: Duration::from_secs(30),
            pong_timeout: Duration::from_secs(10),
            max_message_rate: None,
            max_byte_rate: None,
            write_queue: 1024 * 1024,
            overflow: Overflow::default(),
            write_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            linger_timeout: Duration::from_secs(1),
        }
    }
}

impl Config {
    /// How messages are compressed with clients that offer permessage-deflate; default [`Compression::default`], `None`
    /// for not at all.
    pub fn compression(mut self, compression: impl Into<Option<Compression>>) -> Self {
        self.compression = compression.into();
        self
    }

    /// The largest message taken, in bytes of payload; default 4 MiB. A larger one is refused with close code 1009 as
    /// soon as a frame header announces it, or as soon as it has been decompressed that far. A connection holds at most
    /// this much of an unfinished message, and all of them [`message_memory`](super::Live::message_memory).
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.limits = self.limits.max_message(bytes);
        self
    }

    /// The most fragments taken in one message; default 16,384. One more is refused with close code 1008.
    pub fn max_fragments(mut self, fragments: u32) -> Self {
        self.limits = self.limits.max_fragments(fragments);
        self
    }

    /// How much of an unfinished message has to come: in each `window`, `bytes_per_second` of its payload on average;
    /// default 500 bytes a second over 60 s. A message that comes more slowly, fragments or not, is refused with close code
    /// 1008; one that keeps up may take as long as it needs. Time in which nothing is read of the peer does not count.
    pub fn min_payload_rate(mut self, bytes_per_second: u32, window: Duration) -> Self {
        (self.payload_rate, self.payload_window) = (bytes_per_second, window);
        self
    }

    /// How long a WebSocket of a server may last at most; default `None`, without end. It is then closed with 1001, behind
    /// what has been sent, so that its client connects anew: with a token that is still good, or to another server. What
    /// begins together does not end together: each lasts between nine tenths of this and all of it.
    pub fn max_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.max_age = age.into();
        self
    }

    /// How long a peer may be silent before it is pinged; default 30 s.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = interval;
        self
    }

    /// How long a pinged peer may stay silent before the connection is dropped; default 10 s.
    pub fn pong_timeout(mut self, timeout: Duration) -> Self {
        self.pong_timeout = timeout;
        self
    }

    /// The most messages that a peer may send in a second, pings and pongs included; default no limit, more is refused
    /// with close code 1008. Seconds are those in which they are read, and counted whole: twice as many may come around
    /// the end of one, and after a silence, or when we did not read, what was left unused in the last 10.
    pub fn max_message_rate(mut self, messages: impl Into<Option<u32>>) -> Self {
        self.max_message_rate = messages.into();
        self
    }

    /// The most bytes that a peer may send in a second, frame headers included; default no limit, more is refused with
    /// close code 1008. Seconds are counted as for [`max_message_rate`](Self::max_message_rate).
    pub fn max_byte_rate(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.max_byte_rate = bytes.into();
        self
    }

    /// The high-water mark of what waits to be written, in bytes a connection; default 1 MiB.
    ///
    /// What happens at the mark is for [`overflow`](Self::overflow) to say. A message is taken while the queue is below
    /// it, so a connection holds at most the mark and one message.
    pub fn write_queue(mut self, bytes: usize) -> Self {
        self.write_queue = bytes.max(1);
        self
    }

    /// What becomes of a connection whose peer does not read fast enough; default [`Overflow::Pause`].
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// How long writing may make no progress at all before the connection is dropped; default 30 s.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// How long the peer may take to answer our Close before the connection is dropped; default 5 s.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// How long input is discarded after the closing handshake, until the peer has closed TCP too; default 1 s.
    ///
    /// Closing while unread bytes are in the socket would reset the connection and could lose the Close frame
    /// ([RFC 6455 section 7.1.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1)).
    pub fn linger_timeout(mut self, timeout: Duration) -> Self {
        self.linger_timeout = timeout;
        self
    }
}
