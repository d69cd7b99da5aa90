//! What a WebSocket may cost and how long it may take: every limit has a name, a unit and a default.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use rikki_proto::{Limits, MessageMemory};

use super::clock::{NEVER, TICKS_PER_SECOND, Tick, ticks};
use super::compression::{CodecSet, Compression};
use crate::counters::Counts;
use crate::memory::Memory;

/// The mark of a connection when the memory for all of them is used up, in bytes.
const SCARCE_QUEUE: usize = 16 * 1024;

/// How much is framed ahead of a peer that does not read, in bytes, where the oldest messages are dropped: what has been
/// framed can no longer be.
const FRAMED_AHEAD: usize = 64 * 1024;

/// What becomes of a connection whose unsent data has reached [`write_queue`](Settings::write_queue).
///
/// Control frames are never dropped, whatever the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// The limits and deadlines of a WebSocket connection.
///
/// ```
/// use std::time::Duration;
///
/// let settings = rikki::ws::Settings::default().max_message(64 * 1024).ping_interval(Duration::from_secs(10));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Settings {
    pub(crate) limits: Limits,
    pub(crate) message_memory: Arc<MessageMemory>,
    pub(crate) codecs: Option<CodecSet>,
    pub(super) payload_rate: u32,
    pub(super) payload_window: Tick,
    pub(super) max_age: Option<Duration>,
    pub(super) ping_interval: Tick,
    pub(super) pong_timeout: Tick,
    pub(super) max_message_rate: Option<u32>,
    pub(super) max_byte_rate: Option<u64>,
    pub(super) write_queue: usize,
    pub(super) queue_memory: usize,
    /// Which budgets have been set, and are not to be those of a server.
    has_message_memory: bool,
    has_queue_memory: bool,
    pub(super) overflow: Overflow,
    /// Of the server, or of all connections made with clones of these settings.
    pub(crate) counts: Arc<Counts>,
    pub(super) write_timeout: Tick,
    pub(super) close_timeout: Tick,
    pub(super) linger_timeout: Tick,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            message_memory: Arc::new(MessageMemory::new(Memory::default().messages)),
            codecs: Some(CodecSet::new(Compression::default())),
            payload_rate: 500,
            payload_window: ticks(Duration::from_secs(60)),
            max_age: None,
            ping_interval: ticks(Duration::from_secs(30)),
            pong_timeout: ticks(Duration::from_secs(10)),
            max_message_rate: None,
            max_byte_rate: None,
            write_queue: 1024 * 1024,
            queue_memory: Memory::default().queues,
            has_message_memory: false,
            has_queue_memory: false,
            overflow: Overflow::default(),
            counts: Arc::default(),
            write_timeout: ticks(Duration::from_secs(30)),
            close_timeout: ticks(Duration::from_secs(5)),
            linger_timeout: ticks(Duration::from_secs(1)),
        }
    }
}

impl Settings {
    /// How messages are compressed with clients that offer permessage-deflate; default [`Compression::default`], `None`
    /// for not at all.
    pub fn compression(mut self, compression: impl Into<Option<Compression>>) -> Self {
        self.codecs = compression.into().map(CodecSet::new);
        self
    }

    /// The largest message taken, in bytes of payload; default 4 MiB. A larger one is refused with close code 1009 as
    /// soon as a frame header announces it, or as soon as it has been decompressed that far. A connection holds at most
    /// this much of an unfinished message, and all of them [`message_memory`](Self::message_memory).
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.limits = self.limits.max_message(bytes);
        self
    }

    /// The most fragments taken in one message; default 16,384. One more is refused with close code 1008.
    pub fn max_fragments(mut self, fragments: u32) -> Self {
        self.limits = self.limits.max_fragments(fragments);
        self
    }

    /// What unfinished messages may hold over all connections, in bytes; default 256 MiB, for 64 of the largest.
    ///
    /// A message that has not arrived whole holds up to twice what has come of it, or four times where its length is
    /// known. Beyond 16 KiB it is counted, over all connections of a [`Server`](crate::Server), whose own settings have
    /// the bound, and elsewhere over those with clones of one `Settings`. One that finds nothing left closes its
    /// connection with 1013; one alone may always be as large as [`max_message`](Self::max_message).
    pub fn message_memory(mut self, bytes: usize) -> Self {
        self.message_memory = Arc::new(MessageMemory::new(bytes));
        self.has_message_memory = true;
        self
    }

    /// How much of an unfinished message has to come: in each `window`, `bytes_per_second` of its payload on average;
    /// default 500 bytes a second over 60 s. A message that comes more slowly, fragments or not, is refused with close code
    /// 1008; one that keeps up may take as long as it needs. Time in which nothing is read of the peer does not count.
    pub fn min_payload_rate(mut self, bytes_per_second: u32, window: Duration) -> Self {
        (self.payload_rate, self.payload_window) = (bytes_per_second, ticks(window));
        self
    }

    /// What has to come of a message in a window, in bytes: something at least.
    pub(super) fn least_payload(&self) -> u64 {
        (u64::from(self.payload_rate) * u64::from(self.payload_window) / u64::from(TICKS_PER_SECOND)).max(1)
    }

    /// How long a WebSocket of a server may last at most; default `None`, without end. It is then closed with 1001, behind
    /// what has been sent, so that its client connects anew: with a token that is still good, or to another server. What
    /// begins together does not end together: each lasts between nine tenths of this and all of it.
    pub fn max_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.max_age = age.into();
        self
    }

    /// When a connection that begins `now` has lasted long enough.
    pub(super) fn end_of_life(&self, now: Tick) -> Tick {
        let Some(age) = self.max_age else { return NEVER };
        let jitter = age.as_millis() as u64 / 10;
        let shorter = RandomState::new().hash_one(now).checked_rem(jitter).unwrap_or(0);
        now.saturating_add(ticks(age.saturating_sub(Duration::from_millis(shorter))))
    }

    /// How long a peer may be silent before it is pinged; default 30 s.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = ticks(interval);
        self
    }

    /// How long a pinged peer may stay silent before the connection is dropped; default 10 s.
    pub fn pong_timeout(mut self, timeout: Duration) -> Self {
        self.pong_timeout = ticks(timeout);
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

    /// What may wait to be written over all connections, in bytes; default 64 MiB.
    ///
    /// A message of more than 16 KiB is not taken where it would go beyond that, unless nothing else waits:
    /// [`SendError::Full`](super::SendError::Full), or as [`overflow`](Self::overflow) says. Then each connection has a
    /// mark of 16 KiB, so that one whose peer reads is served on; and each thread may hold one message more while it tries
    /// to write it. It is counted over a server's connections, and elsewhere over those with clones of one `Settings`.
    pub fn queue_memory(mut self, bytes: usize) -> Self {
        self.queue_memory = bytes;
        self.has_queue_memory = true;
        self
    }

    /// What becomes of a connection whose peer does not read fast enough; default [`Overflow::Pause`].
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// The same with a server's budgets where none have been set.
    pub(crate) fn sharing(mut self, memory: &Memory) -> Self {
        if !self.has_message_memory {
            self.message_memory = Arc::new(MessageMemory::new(memory.messages));
        }
        if !self.has_queue_memory {
            self.queue_memory = memory.queues;
        }
        self.codecs = self.codecs.map(|codecs| codecs.sharing(memory.compression));
        self
    }

    /// For messages, queues and compression.
    #[cfg(test)]
    pub(crate) fn budgets(&self) -> (usize, usize, usize) {
        let codecs = self.codecs.as_ref().map_or(0, CodecSet::memory_of_all);
        (self.message_memory.most(), self.queue_memory, codecs)
    }

    /// The same, counting what a server counts.
    pub(crate) fn counted(self, counts: Arc<Counts>) -> Self {
        Self { counts, ..self }
    }

    /// The same for a connection of a server: what is counted and what is held are those of all of its connections.
    pub(super) fn within(self, server: &Self) -> Self {
        let (counts, message_memory) = (server.counts.clone(), server.message_memory.clone());
        Self { counts, message_memory, queue_memory: server.queue_memory, ..self }
    }

    /// The mark that holds now.
    pub(super) fn mark(&self) -> usize {
        if self.counts.queued_bytes.get() < self.queue_memory as u64 {
            return self.write_queue;
        }
        self.write_queue.min(SCARCE_QUEUE)
    }

    /// Whether a message of so many bytes may wait: one alone may, and a small one.
    #[inline]
    pub(super) fn has_memory_for(&self, bytes: usize) -> bool {
        bytes <= SCARCE_QUEUE || self.has_much_memory_for(bytes)
    }

    fn has_much_memory_for(&self, bytes: usize) -> bool {
        let queued = self.counts.queued_bytes.get();
        queued == 0 || queued.saturating_add(bytes as u64) <= self.queue_memory as u64
    }

    /// How much may be framed where `mark` holds: less where what waits may still be dropped.
    #[inline]
    pub(super) fn framed_ahead(&self, mark: usize) -> usize {
        if self.overflow == Overflow::DropOldest { mark.min(FRAMED_AHEAD) } else { mark }
    }

    /// How long writing may make no progress at all before the connection is dropped; default 30 s.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = ticks(timeout);
        self
    }

    /// How long the peer may take to answer our Close before the connection is dropped; default 5 s.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = ticks(timeout);
        self
    }

    /// How long input is discarded after the closing handshake, until the peer has closed TCP too; default 1 s.
    ///
    /// Closing while unread bytes are in the socket would reset the connection and could lose the Close frame
    /// ([RFC 6455 section 7.1.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1)).
    pub fn linger_timeout(mut self, timeout: Duration) -> Self {
        self.linger_timeout = ticks(timeout);
        self
    }
}
