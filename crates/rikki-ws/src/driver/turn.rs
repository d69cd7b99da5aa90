//! What one poll works with, none of which is kept.

use std::task::Context;

use rikki_proto::Output;

use crate::meters::Tally;

/// How often one poll may read before it lets others run: tokio's own budget would allow 128 times.
const READS_PER_POLL: usize = 4;

/// How much of that may go straight into large messages, in bytes: a whole one is read and answered while it is in the
/// processor's cache.
const PAYLOAD_PER_POLL: usize = 1024 * 1024;

/// How many commands of senders one poll may take from the mailbox.
const QUEUED_PER_POLL: usize = 128;

/// How many messages one poll may take from feeds: beside what senders have, so that neither keeps the other, or what
/// the peer says, from its turn.
const FED_PER_POLL: usize = 128;

/// One poll: who wakes its task, who messages go to, where what is sent goes, and what may still be done.
pub(super) struct Turn<'t, 'w, C> {
    pub(super) cx: &'t mut Context<'w>,
    pub(super) consumer: &'t mut C,
    pub(super) output: &'t mut Output,
    /// Where messages are counted.
    pub(super) tally: Option<Tally<'t>>,
    pub(super) budget: Allowance,
}

/// What may be done before others run.
pub(super) struct Allowance {
    pub(super) reads: usize,
    /// How much may go straight into large messages, in bytes.
    pub(super) payload: usize,
    pub(super) queued: usize,
    /// How many messages may be taken from feeds.
    pub(super) fed: usize,
}

impl Allowance {
    /// Whether others are to run now.
    pub(super) fn is_spent(&self) -> bool {
        self.reads == 0 || self.queued == 0 || self.fed == 0
    }
}

impl<'t, 'w, C> Turn<'t, 'w, C> {
    pub(super) fn new(
        cx: &'t mut Context<'w>,
        consumer: &'t mut C,
        output: &'t mut Output,
        tally: Option<Tally<'t>>,
    ) -> Self {
        let budget =
            Allowance { reads: READS_PER_POLL, payload: PAYLOAD_PER_POLL, queued: QUEUED_PER_POLL, fed: FED_PER_POLL };
        Self { cx, consumer, output, tally, budget }
    }
}
