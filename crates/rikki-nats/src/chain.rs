//! Whether messages are missing: each says which one of its topic was before it.
//!
//! ```text
//!   sequences of the stream    ... 40   41 [42] 43   44  [45] 46 ...      in brackets: of this topic
//!                                       head ^     through ^
//! ```
//!
//! The head is the latest message of the topic that is here. Up to `through` it is known that there is none behind it,
//! so that a head which has become too old to be in the stream is not taken for a loss.

/// How far a topic is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    head: u64,
    through: u64,
}

/// What to do with a message that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is here already.
    Old,
    /// It is the next one.
    Next,
    /// There are others before it that are to be got first.
    Behind,
    /// There may have been others before it, which the stream no longer has.
    Lost,
}

impl Chain {
    #[cfg(test)]
    /// All is here up to `head`, and nothing behind that up to `through`.
    pub(crate) fn new(head: u64, through: u64) -> Self {
        Self { head, through: through.max(head) }
    }

    /// Up to where everything is known.
    pub(crate) fn known(&self) -> u64 {
        self.through.max(self.head)
    }

    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    /// What to do with a message of this sequence that comes behind `previous`, or behind none, in a stream whose first
    /// message is `first`.
    pub(crate) fn judge(&self, sequence: u64, previous: u64, first: u64) -> Step {
        match previous {
            _ if sequence <= self.head => Step::Old,
            0 if first > self.known().saturating_add(1) => Step::Lost,
            // None was before it, or it has gone since it was here.
            0 => Step::Next,
            _ if previous <= self.known() => Step::Next,
            _ => Step::Behind,
        }
    }

    /// The message of this sequence is here.
    pub(crate) fn deliver(&mut self, sequence: u64) {
        self.head = self.head.max(sequence);
        self.through = self.through.max(sequence);
    }

    /// There is none up to this sequence but those that are here.
    pub(crate) fn reach(&mut self, through: u64) {
        self.through = self.through.max(through);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn steps() {
        let chain = Chain::new(10, 20);
        let check = |sequence, previous, first, expected| {
            assert_eq!(chain.judge(sequence, previous, first), expected, "{sequence} {previous} {first}");
        };
        check(10, 9, 1, Step::Old);
        check(9, 0, 1, Step::Old);
        check(30, 10, 1, Step::Next);
        check(30, 25, 1, Step::Behind);
        check(30, 0, 21, Step::Next);
        check(30, 0, 22, Step::Lost);
        // One before the head has been deleted.
        check(30, 7, 1, Step::Next);
        assert_eq!(Chain::default().judge(1, 0, 1), Step::Next);
        assert_eq!(Chain::default().judge(1, 0, 0), Step::Next);
        assert_eq!(Chain::new(0, 20).judge(30, 5, 1), Step::Next);
    }

    proptest! {
        /// Whatever of the republished messages gets lost, comes again or in another order: each one of the topic is
        /// delivered once and in order, and none is left out.
        #[test]
        fn nothing_is_left_out(
            is_mine in prop::collection::vec(any::<bool>(), 1..60),
            came in prop::collection::vec(0..60_usize, 0..80),
        ) {
            let sequences: Vec<u64> = (1..).zip(&is_mine).filter(|(_, mine)| **mine).map(|(n, _)| n).collect();
            let previous = |index: usize| index.checked_sub(1).map_or(0, |before| sequences[before]);
            let (mut chain, mut got) = (Chain::default(), Vec::new());
            for index in came.into_iter().filter(|index| *index < sequences.len()) {
                match chain.judge(sequences[index], previous(index), 1) {
                    Step::Old => prop_assert!(got.contains(&sequences[index])),
                    Step::Next => got.push(sequences[index]),
                    Step::Behind => {
                        let known = chain.known();
                        got.extend(sequences[..=index].iter().filter(|sequence| **sequence > known));
                    }
                    Step::Lost => prop_assert!(false),
                }
                got.last().into_iter().for_each(|last| chain.deliver(*last));
            }
            prop_assert_eq!(&got[..], &sequences[..got.len()]);
        }
    }
}
