//! Who still waits for which of the messages that one connection pushes to all.

use std::collections::VecDeque;

/// The messages under way, oldest first.
pub(crate) struct FanOut {
    receivers: usize,
    /// How many receivers each message under way has not reached.
    missing: VecDeque<usize>,
    /// The number of the first of them.
    oldest: u64,
    /// How many messages each receiver has got.
    received: Vec<u64>,
}

impl FanOut {
    pub(crate) fn new(receivers: usize) -> Self {
        Self { receivers, missing: VecDeque::new(), oldest: 0, received: vec![0; receivers] }
    }

    /// One more message has been sent.
    pub(crate) fn push(&mut self) {
        self.missing.push_back(self.receivers);
    }

    /// `receiver` has got its next `count` messages; says how many messages have now come to everybody.
    pub(crate) fn deliver(&mut self, receiver: usize, count: usize) -> usize {
        for _ in 0..count {
            let place = (self.received[receiver] - self.oldest) as usize;
            self.received[receiver] += 1;
            // A connection that gets more than was sent has failed before this.
            self.missing[place] -= 1;
        }
        let mut whole = 0;
        while self.missing.front() == Some(&0) {
            self.missing.pop_front();
            self.oldest += 1;
            whole += 1;
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_whole_when_it_has_come_to_all() {
        let mut fan_out = FanOut::new(2);
        (0..3).for_each(|_| fan_out.push());
        let mut check = |receiver, count, expected| {
            assert_eq!(fan_out.deliver(receiver, count), expected, "{receiver} gets {count}");
        };
        check(0, 2, 0);
        check(1, 1, 1);
        check(1, 2, 1);
        check(0, 1, 1);
    }
}
