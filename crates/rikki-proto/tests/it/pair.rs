//! A client and a server joined in memory by a wire that cuts what it carries.

use rikki_proto::{Connection, Error, Event, Limits, Output};

use crate::delivery::{Outcome, client, receive, server};

/// One end and what it has received.
pub(crate) struct Side {
    pub(crate) connection: Connection,
    pub(crate) output: Output,
    outcome: Outcome,
}

pub(crate) struct Pair {
    pub(crate) client: Side,
    pub(crate) server: Side,
}

impl Side {
    fn new(connection: Connection) -> Self {
        Self { connection, output: Output::default(), outcome: Outcome::default() }
    }

    pub(crate) fn events(&self) -> &[Event<'static>] {
        &self.outcome.events
    }

    pub(crate) fn error(&self) -> Option<Error> {
        self.outcome.error
    }
}

impl Pair {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { client: Side::new(client(limits).connection()), server: Side::new(server(limits).connection()) }
    }

    /// Both ends: the client and the server, or the other way round.
    pub(crate) fn sides(&mut self, client_first: bool) -> (&mut Side, &mut Side) {
        let Self { client, server } = self;
        if client_first { (client, server) } else { (server, client) }
    }

    /// Carries at most `count` bytes from one end to the other; says how many.
    pub(crate) fn carry(&mut self, from_client: bool, count: usize) -> usize {
        let (from, to) = self.sides(from_client);
        let waiting = from.output.to_vec();
        assert_eq!(waiting.len(), from.output.len());
        let piece = &waiting[..count.min(waiting.len())];
        from.output.advance(piece.len());
        receive(&mut to.connection, piece, &mut to.output, &mut to.outcome);
        piece.len()
    }

    /// Carries pieces of `count` bytes in turns until nothing is left on the wire.
    pub(crate) fn settle(&mut self, count: usize) {
        while self.carry(true, count) + self.carry(false, count) > 0 {}
    }
}
