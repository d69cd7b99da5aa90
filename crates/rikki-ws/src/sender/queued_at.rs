//! Since when what is in a queue waits, told by few readings of the clock.

use std::time::Instant;

/// Of a few of what is queued the time is known: of the others, that of the one of these before it.
#[derive(Debug, Default)]
pub(super) struct QueuedAt {
    /// When the one was queued that was taken out last, or one before it.
    latest: Option<Instant>,
    /// How many are before the next of which the time is known, and that.
    next: Option<(usize, Instant)>,
}

impl QueuedAt {
    /// One more is queued behind so many.
    pub(super) fn pushed(&mut self, before: usize) {
        if before == 0 || self.next.is_none() {
            self.next = Some((before, Instant::now()));
        }
    }

    /// The first is taken out: when it was queued, or one before it.
    pub(super) fn popped(&mut self) -> Option<Instant> {
        match &mut self.next {
            Some((0, at)) => (self.latest, self.next) = (Some(*at), None),
            Some((before, _)) => *before -= 1,
            None => {}
        }
        self.latest
    }

    /// One is taken out that so many are before.
    pub(super) fn removed(&mut self, index: usize) {
        match &mut self.next {
            Some((before, _)) if index < *before => *before -= 1,
            Some((before, _)) if index == *before => self.next = None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A queue that is never empty does not make what is in it older and older.
    #[test]
    fn what_was_queued_later_has_waited_less() {
        let mut queued_at = QueuedAt::default();
        queued_at.pushed(0);
        queued_at.pushed(1);
        let mut popped = vec![queued_at.popped()];
        for _ in 0..3 {
            // There is always one left.
            queued_at.pushed(1);
            popped.push(queued_at.popped());
        }
        assert!(popped[0].is_some() && popped.windows(2).all(|pair| pair[0] <= pair[1]), "{popped:?}");
        assert!(popped[0] < popped[3], "{popped:?}");
    }

    /// What is dropped has not waited for what comes in its place.
    #[test]
    fn those_that_are_dropped_are_left_out() {
        let mut queued_at = QueuedAt::default();
        queued_at.pushed(0);
        let first = queued_at.next.unwrap().1;
        queued_at.removed(0);
        queued_at.pushed(0);
        let second = queued_at.popped();
        assert!(second > Some(first), "{second:?} {first:?}");
        // Behind two, of which one is dropped.
        queued_at.pushed(2);
        queued_at.removed(0);
        assert_eq!(queued_at.popped(), second);
        assert!(queued_at.popped() > second);
    }
}
