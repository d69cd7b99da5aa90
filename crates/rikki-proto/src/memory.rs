//! The memory of messages under assembly, counted over many connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::error::LimitExceeded;

/// What a message may take without being counted, in bytes: whoever sends small ones is not refused for the large ones
/// of others.
const UNCOUNTED: usize = 16 * 1024;

/// The memory that the unfinished messages of many connections may take together.
///
/// A message that does not arrive whole in one read is counted when it takes more than 16 KiB, with what it takes then:
/// up to twice what has arrived, or four times where its length is known, and no more than that length or
/// [`Limits::max_message`](crate::Limits::max_message). One that would go beyond the bound closes its connection with
/// 1013, unless it is the only one.
#[derive(Debug)]
pub struct MessageMemory {
    used: AtomicUsize,
    most: usize,
}

impl MessageMemory {
    /// So many bytes for all [connections](crate::Connection::set_message_memory) that share it.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { used: AtomicUsize::new(0), most: bytes }
    }

    /// Takes more for a message that has `own` bytes of it.
    fn take(&self, own: usize, bytes: usize) -> Result<(), LimitExceeded> {
        let more = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.most || used == own);
        self.used.fetch_update(Relaxed, Relaxed, more).map_or(Err(LimitExceeded::NoMessageMemory), |_| Ok(()))
    }
}

/// What one message takes of it, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Arc<MessageMemory>,
    bytes: usize,
}

impl Held {
    /// Takes what is missing until the message may hold so many bytes in all.
    pub(crate) fn grow(
        held: &mut Option<Self>,
        memory: Option<&Arc<MessageMemory>>,
        bytes: usize,
    ) -> Result<(), LimitExceeded> {
        let Some(memory) = memory.filter(|_| bytes > UNCOUNTED) else { return Ok(()) };
        let held = held.get_or_insert_with(|| Self { memory: memory.clone(), bytes: 0 });
        memory.take(held.bytes, bytes.saturating_sub(held.bytes))?;
        held.bytes = held.bytes.max(bytes);
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Relaxed);
    }
}
