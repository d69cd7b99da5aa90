//! What a connection keeps while its peer does not read: what is unsent, and the rest of a read. All of it is counted
//! among that of all connections.

use rikki_limits::Share;
use rikki_proto::Output;

use super::WRITE_AT;
use crate::clock::Tick;
use crate::terms::Terms;

/// What the peer has not taken yet.
pub(super) struct Backlog {
    pub(super) output: Output,
    /// How much had to wait at first, and since when.
    pub(super) began: (usize, Tick),
    counted: Share,
}

impl Backlog {
    pub(super) fn new(output: Output, terms: &Terms, now: Tick) -> Self {
        Self { began: (output.len(), now), output, counted: terms.queues().share() }
    }

    /// Counts what there is now, and gives back memory that is no longer needed.
    pub(super) fn compact(&mut self) {
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
    _counted: Share,
}

impl Unparsed {
    pub(super) fn new(bytes: &[u8], terms: &Terms) -> Box<Self> {
        let mut counted = terms.queues().share();
        counted.set(bytes.len());
        Box::new(Self { bytes: bytes.to_vec(), start: 0, _counted: counted })
    }
}
