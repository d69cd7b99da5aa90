//! How far a connection has come towards its end
//! ([RFC 6455 section 7](https://www.rfc-editor.org/rfc/rfc6455#section-7)), and what its consumer knows of it.
//!
//! ```text
//!            handle_close, handle_told             handle_shutdown
//!      Open --------------------------> Closing --------------------> Lingering
//!        |                               |   ^                            |
//!        |                 handle_broken |   | handle_told                |
//!        |              (before the peer |   | (what the peer             |
//!        | handle_broken  has said all)  v   |  said before)              |
//!        +----------------------------> Broken                            |
//!        |                               |                                |
//!        +-------------------------------+--------------------------------+----> Ended
//!             handle_loss, from everywhere: the stream ends, or a deadline passes;
//!             from Closing by handle_shutdown too, if handle_eof came before
//! ```
//!
//! Senders on other threads see a part of it in their [mailbox](crate::sender::Mailbox), under its lock: it takes
//! nothing behind a Close that is queued, and nothing at all from when Open is left.

use std::io;

use crate::clock::Tick;

/// Where a connection stands. Its consumer is told once how it ended.
#[derive(Debug)]
pub(super) enum Ending {
    Open {
        /// The end of its longest life.
        until: Tick,
    },
    /// Closes are on their way, and what was sent before ours; the peer has until a deadline.
    Closing { since: Tick, peer: PeerSide },
    /// Nothing can be written any more; what the peer said before that is still to be read.
    Broken { since: Tick, error: io::Error },
    /// Our half of TCP is shut; input is discarded until the peer has shut its own.
    Lingering { since: Tick },
    /// TCP included.
    Ended,
}

/// How far the peer of a connection that closes has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PeerSide {
    /// Its Close is awaited.
    Awaited,
    /// Nothing is awaited of it, though it may have more to say: we have given it up.
    GivenUp,
    /// It has sent its Close, or failed: inside of a frame that never ends it could not even send one.
    Done,
    /// It has shut its half of TCP after that.
    Shut,
}

impl Ending {
    pub(super) fn new(until: Tick) -> Self {
        Self::Open { until }
    }

    /// Neither side has sent a Close, as far as the driver has seen.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    pub(super) fn is_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }

    /// Whether nothing can be written any more, for another reason than a Close.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self, Self::Broken { .. } | Self::Ended)
    }

    /// Whether the consumer knows that the connection has ended.
    #[inline]
    pub(super) fn is_told(&self) -> bool {
        // Asked for each message: a call for those at the end costs less than a look at all states.
        !self.is_open() && self.is_told_at_end()
    }

    #[cold]
    #[inline(never)]
    fn is_told_at_end(&self) -> bool {
        match self {
            Self::Open { .. } | Self::Broken { .. } => false,
            Self::Closing { peer, .. } => *peer != PeerSide::Awaited,
            Self::Lingering { .. } | Self::Ended => true,
        }
    }

    /// Whether there is nothing more to read.
    #[inline]
    pub(super) fn is_shut_by_peer(&self) -> bool {
        matches!(self, Self::Closing { peer: PeerSide::Shut, .. })
    }

    /// Whether our half of TCP is to be shut when all is written.
    pub(super) fn may_shut(&self) -> bool {
        matches!(self, Self::Closing { .. }) && self.is_told()
    }

    /// A Close has been sent, of ours or in answer to one. True if Open is left.
    pub(super) fn handle_close(&mut self, now: Tick) -> bool {
        let was_open = self.is_open();
        if was_open {
            *self = Self::Closing { since: now, peer: PeerSide::Awaited };
        }
        was_open
    }

    /// Writing has failed. True if Open is left.
    pub(super) fn handle_broken(&mut self, error: io::Error, now: Tick) -> bool {
        match *self {
            Self::Open { .. } => {
                *self = Self::Broken { since: now, error };
                return true;
            }
            Self::Closing { since, peer: PeerSide::Awaited } => *self = Self::Broken { since, error },
            // Nobody asks: the first error counts, and none where the consumer is told.
            Self::Closing { .. } | Self::Broken { .. } | Self::Lingering { .. } | Self::Ended => {}
        }
        false
    }

    /// There is something to tell the consumer, and `peer` says what is still to come. True unless it has been told
    /// before.
    pub(super) fn handle_told(&mut self, peer: PeerSide, now: Tick) -> bool {
        let is_first = !self.is_told();
        match *self {
            Self::Open { .. } => *self = Self::Closing { since: now, peer },
            Self::Broken { since, .. } => *self = Self::Closing { since, peer },
            Self::Closing { since, peer: before } => *self = Self::Closing { since, peer: before.max(peer) },
            Self::Lingering { .. } | Self::Ended => {}
        }
        is_first
    }

    /// The peer has shut its half of TCP.
    ///
    /// # Errors
    ///
    /// That is the end at once, with this as its reason: without a Close before it, it is an abnormal one
    /// ([section 7.1.5](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5)).
    pub(super) fn handle_eof(&mut self) -> Result<(), io::Error> {
        match self {
            // It may still read: what is unsent and our Close go out before the end.
            Self::Closing { peer, .. } if *peer >= PeerSide::Done => *peer = PeerSide::Shut,
            _ => return Err(self.take_cause()),
        }
        Ok(())
    }

    /// Our half of TCP is shut, or left for the peer to begin with.
    pub(super) fn handle_shutdown(&mut self, now: Tick) {
        *self = match self {
            Self::Closing { peer, .. } if *peer != PeerSide::Shut => Self::Lingering { since: now },
            _ => Self::Ended,
        };
    }

    /// The connection is gone: nothing can be said or heard any more. True if the consumer is to be told.
    pub(super) fn handle_loss(&mut self) -> bool {
        let is_first = !self.is_told();
        *self = Self::Ended;
        is_first
    }

    /// Why the stream has ended: that it broke before, if it did.
    pub(super) fn take_cause(&mut self) -> io::Error {
        let unexpected = io::ErrorKind::UnexpectedEof.into();
        match self {
            Self::Broken { error, .. } => std::mem::replace(error, unexpected),
            _ => unexpected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens to a connection, in short: c(lose), b(roken), g(iven up), d(one), e(of), s(hutdown), l(oss).
    fn after(events: &str) -> (String, usize) {
        let (mut ending, mut told) = (Ending::new(9), 0);
        for event in events.chars() {
            match event {
                'c' => _ = ending.handle_close(1),
                'b' => _ = ending.handle_broken(io::ErrorKind::BrokenPipe.into(), 2),
                'g' => told += usize::from(ending.handle_told(PeerSide::GivenUp, 3)),
                'd' => told += usize::from(ending.handle_told(PeerSide::Done, 3)),
                'e' if ending.handle_eof().is_ok() => {}
                's' => ending.handle_shutdown(4),
                _ => told += usize::from(ending.handle_loss()),
            }
            assert_eq!(ending.is_told(), told == 1, "{ending:?} after {events}");
        }
        (format!("{ending:?}"), told)
    }

    #[test]
    fn every_event_in_every_state() {
        let closing = |since, peer| format!("Closing {{ since: {since}, peer: {peer} }}");
        let broken = |since| format!("Broken {{ since: {since}, error: Kind(BrokenPipe) }}");
        for (events, expected, told) in [
            ("", "Open { until: 9 }", 0),
            ("c", &*closing(1, "Awaited"), 0),
            ("cc", &closing(1, "Awaited"), 0),
            ("cd", &closing(1, "Done"), 1),
            ("cg", &closing(1, "GivenUp"), 1),
            ("cgd", &closing(1, "Done"), 1),
            ("cdg", &closing(1, "Done"), 1),
            ("cde", &closing(1, "Shut"), 1),
            ("cded", &closing(1, "Shut"), 1),
            ("cds", "Lingering { since: 4 }", 1),
            ("cdsd", "Lingering { since: 4 }", 1),
            ("cdsb", "Lingering { since: 4 }", 1),
            ("cdse", "Ended", 1),
            ("cdes", "Ended", 1),
            ("cge", "Ended", 1),
            ("ce", "Ended", 1),
            ("d", &closing(3, "Done"), 1),
            ("e", "Ended", 1),
            ("l", "Ended", 1),
            ("ll", "Ended", 1),
            ("b", &broken(2), 0),
            ("bb", &broken(2), 0),
            ("bc", &broken(2), 0),
            ("bd", &closing(2, "Done"), 1),
            ("be", "Ended", 1),
            ("cb", &broken(1), 0),
            ("cdb", &closing(1, "Done"), 1),
        ] {
            assert_eq!(after(events), (expected.to_owned(), told), "after {events}");
        }
    }

    #[test]
    fn the_end_of_a_stream_that_broke_says_why() {
        let mut ending = Ending::new(9);
        ending.handle_broken(io::ErrorKind::BrokenPipe.into(), 1);
        assert_eq!(ending.handle_eof().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(Ending::new(9).handle_eof().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
