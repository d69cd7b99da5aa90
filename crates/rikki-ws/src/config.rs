//! What a WebSocket may cost and how long it may take: every limit has a name, a unit and a default.

use std::time::Duration;

use rikki_limits::{BadLimit, Limit};
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
    /// New messages are dropped and counted; [`SendError::Dropped`](super::SendError::Dropped) says so. Reading goes
    /// on.
    DropNewest,
    /// The oldest messages that wait are dropped and counted, but for about 64 KiB that are on their way. Reading goes
    /// on.
    DropOldest,
}

rikki_limits::limits! {
    /// Limits, deadlines, compression and overflow policy of each WebSocket connection: plain data.
    ///
    /// It is for `Server::websocket_config`, an [`Endpoint`](super::Endpoint) or a client. Setters take any value: a
    /// server reports one that cannot be when it starts, a client when it connects, and [`check`](Self::check) where
    /// nobody else can; unchecked, the nearest that can be holds. What all connections may hold together is apart from it, in [`Live`](super::Live).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let config = rikki_ws::Config::default().max_message_size(64 * 1024).ping_interval(Duration::from_secs(10));
    /// assert_eq!(config.clone().set("max-message", "64KiB"), Ok(config));
    /// ```
    #[derive(Clone, Debug, PartialEq)]
    #[must_use]
    pub struct Config, setters of Config by with, beside {
        pub(super) compression: Option<Compression> = Some(Compression::default()),
        pub(super) limits: Limits = Limits::default(),
        pub(super) overflow: Overflow = Overflow::default(),
    };

    pub(super) max_age: Option<Duration> {
        name: "max-age", unit: Time, default: none,
        meaning: "Longest life of a WebSocket",
        detail: ", or up to a tenth less, then 1001: for tokens that expire, and to spread clients anew",
        /// `None` is without end. It holds for WebSockets of a server, which are closed behind what has been sent, so
        /// that their clients connect anew: with a token that is still good, or to another server. What begins together
        /// does not end together: each lasts between nine tenths of this and all of it.
        setter: max_age(impl Into<Option<Duration>>),
    }
    pub(super) max_message_rate: Option<u32> {
        name: "max-message-rate", unit: Count, default: none,
        meaning: "Most messages from a WebSocket in a second", detail: ", pings and pongs included; then it is closed with 1008",
        /// `None` is no limit. Seconds are those in which they are read, and counted whole: twice as many may come
        /// around the end of one, and after a silence, or when we did not read, what was left unused in the last 10.
        setter: max_message_rate(impl Into<Option<u32>>),
    }
    pub(super) max_byte_rate: Option<u64> {
        name: "max-byte-rate", unit: Size, default: none,
        meaning: "Most bytes from a WebSocket in a second", detail: "; then it is closed with 1008",
        /// `None` is no limit. Frame headers are among them, and seconds are counted as for
        /// [`max_message_rate`](Self::max_message_rate).
        setter: max_byte_rate(impl Into<Option<u64>>),
    }
    pub(super) payload_rate: u32 {
        name: "min-payload", unit: Size, default: "500B",
        meaning: "Least of an unfinished message in a second", detail: ", else its WebSocket is closed with 1008",
    }
    pub(super) payload_window: Duration {
        name: "payload-window", unit: Time, default: "60s",
        meaning: "Time over which an unfinished message is judged", detail: ", as to how fast it comes",
    }
    pub(super) ping_interval: Duration {
        name: "ping-interval", unit: Time, default: "30s",
        meaning: "Silence before a peer is pinged", detail: "",
        setter: ping_interval(Duration),
    }
    pub(super) pong_timeout: Duration {
        name: "pong-timeout", unit: Time, default: "10s",
        meaning: "Longest wait for a pong", detail: ", then the connection is dropped",
        /// Whatever else comes of the peer will do.
        setter: pong_timeout(Duration),
    }
    pub(super) write_queue: usize {
        name: "write-queue", unit: Size, default: "1MiB",
        meaning: "Unsent data of one WebSocket", detail: " at which the overflow policy holds",
        /// axum and tungstenite have `max_write_buffer_size`, which no message may go beyond; this is a mark: what
        /// happens there is for [`overflow`](Self::overflow) to say. A message is taken while the queue is below it, so
        /// a connection holds at most the mark and one message.
        setter: write_queue(usize),
    }
    pub(super) write_timeout: Duration {
        name: "write-timeout", unit: Time, default: "30s",
        meaning: "Longest time in which a WebSocket takes nothing", detail: " of what is sent, then it is dropped",
        setter: write_timeout(Duration),
    }
    pub(super) close_timeout: Duration {
        name: "close-timeout", unit: Time, default: "5s",
        meaning: "Longest closing handshake", detail: ": the wait for the answer to a Close, then the connection is dropped",
        setter: close_timeout(Duration),
    }
    pub(super) linger_timeout: Duration {
        name: "linger-timeout", unit: TimeOrZero, default: "1s",
        meaning: "Longest wait for the peer to end", detail: " TCP after the closing handshake",
        /// Input is discarded meanwhile. Closing while unread bytes are in the socket would reset the connection and
        /// could lose the Close frame ([RFC 6455 section 7.1.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1)).
        setter: linger_timeout(Duration),
    }
}

impl Config {
    /// The limits of a connection, which [`set`](Self::set) sets by name.
    pub fn limits() -> impl Iterator<Item = &'static Limit> {
        Limits::LIMITS.iter().chain(Self::LIMITS).chain(Compression::LIMITS)
    }

    /// Sets a limit by its name, as a person writes it: `max-message` to `64KiB`, `ping-interval` to `10s`.
    ///
    /// # Errors
    ///
    /// [`BadLimit`], if there is no limit of this name or this is no value for it.
    pub fn set(mut self, name: &str, text: &str) -> Result<Self, BadLimit> {
        match self.set_any(name, text)? {
            true => Ok(self),
            false => Err(BadLimit::Unknown(name.to_owned())),
        }
    }

    /// Sets a limit by its name, and tells whether there is one of that name.
    #[doc(hidden)]
    pub fn set_any(&mut self, name: &str, text: &str) -> Result<bool, BadLimit> {
        // One that is not used is read all the same.
        let mut none = Compression::default();
        let compression = self.compression.as_mut().unwrap_or(&mut none);
        Ok(self.limits.set_limit(name, text)? || compression.set_limit(name, text)? || self.set_limit(name, text)?)
    }

    /// Whether each limit can be what it has been set to, or read as: a count of none cannot.
    ///
    /// A server asks at its start, and a client when it connects. Where nobody can, as under another server, the
    /// nearest that can be holds.
    ///
    /// # Errors
    ///
    /// [`BadLimit`] names the first that cannot.
    pub fn check(&self) -> Result<(), BadLimit> {
        self.limits.check_limits()?;
        self.compression.as_ref().map_or(Ok(()), Compression::check_limits)?;
        self.check_limits()
    }

    /// How messages are compressed with clients that offer permessage-deflate; default [`Compression::default`], `None`
    /// for not at all.
    pub fn compression(mut self, compression: impl Into<Option<Compression>>) -> Self {
        self.compression = compression.into();
        self
    }

    /// The largest message taken, in bytes of payload: see [`Limits::max_message_size`]. A connection holds at most
    /// this much of an unfinished message, and all of them [`message_memory`](super::Live::message_memory).
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.limits = self.limits.max_message_size(bytes);
        self
    }

    /// The most fragments taken in one message: see [`Limits::max_fragments`].
    pub fn max_fragments(mut self, fragments: u32) -> Self {
        self.limits = self.limits.max_fragments(fragments);
        self
    }

    /// How much of an unfinished message has to come: in each `window`, `bytes_per_second` of its payload on average. A
    /// message that comes more slowly, fragments or not, is refused with close code 1008; one that keeps up may take as
    /// long as it needs. Time in which nothing is read of the peer does not count.
    pub fn min_payload_rate(mut self, bytes_per_second: u32, window: Duration) -> Self {
        (self.payload_rate, self.payload_window) = (bytes_per_second, window);
        self
    }

    /// What becomes of a connection whose peer does not read fast enough; default [`Overflow::Pause`].
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}
