//! What a connection keeps while its peer does not read: what is unsent, and the rest of a read. All of it is counted
//! among that of all connections.

use std::sync::Arc;

use rikki_proto::Output;

use super::WRITE_AT;
use crate::counters::Counts;
use crate::ws::Settings;

/// Bytes counted until this is dropped.
struct Counted {
    counts: Arc<Counts>,
    bytes: usize,
}

impl Counted {
    fn new(settings: &Settings) -> Self {
        Self { counts: settings.counts.clone(), bytes: 0 }
    }

    fn set(&mut self, bytes: usize) {
        self.counts.queued_bytes.add(bytes);
        self.counts.queued_bytes.sub(std::mem::replace(&mut self.bytes, bytes));
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counts.queued_bytes.sub(self.bytes);
    }
}

/// What the peer has not taken yet.
pub(super) struct Backlog {
    pub(super) output: Output,
    counted: Counted,
}

impl Backlog {
    pub(super) fn new(output: Output, settings: &Settings) -> Self {
        Self { output, counted: Counted::new(settings) }
    }

    /// Counts what there is now, and gives back memory that is no longer needed.
    pub(super) fn settle(&mut self) {
        if self.output.capacity() >= WRITE_AT {
            self.output.seal();
        }
        self.counted.set(self.output.len());
    }
}

/// The rest of a read that could not be handed over yet.
pub(super) struct Unparsed {
    pub(super) bytes: Vec<u8>,
    pub(super) start: usize,
    _counted: Counted,
}

impl Unparsed {
    pub(super) fn new(bytes: &[u8], settings: &Settings) -> Box<Self> {
        let mut counted = Counted::new(settings);
        counted.set(bytes.len());
        Box::new(Self { bytes: bytes.to_vec(), start: 0, _counted: counted })
    }
}
