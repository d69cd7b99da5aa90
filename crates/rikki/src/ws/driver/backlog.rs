//! What a peer has not taken yet.

use std::sync::Arc;

use rikki_proto::Output;

use super::WRITE_AT;
use crate::counters::Counts;

/// Unsent bytes, counted among those of all connections.
pub(super) struct Backlog {
    pub(super) output: Output,
    counts: Arc<Counts>,
    counted: usize,
}

impl Backlog {
    pub(super) fn new(output: Output, counts: Arc<Counts>) -> Self {
        Self { output, counts, counted: 0 }
    }

    /// Counts what there is now, and gives back memory that is no longer needed.
    pub(super) fn settle(&mut self) {
        if self.output.capacity() > 2 * self.output.len() + WRITE_AT {
            self.output.shrink();
        }
        self.counts.queued_bytes.add(self.output.len());
        self.counts.queued_bytes.sub(std::mem::replace(&mut self.counted, self.output.len()));
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.counts.queued_bytes.sub(self.counted);
    }
}
