//! Large messages that are read straight to where they stay.

use std::iter;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use rikki_proto::{Error, LimitExceeded, Limits, MessageMemory, Output};

use crate::delivery::{End, Outcome, client, fill, receive, server};
use crate::wire::{self, BINARY, CONTINUATION, Frame, PING, TEXT};

/// Feeds `stream` in reads of these sizes, straight into messages where that is offered: how much went that way comes
/// with the outcome.
fn deliver(end: End, stream: &[u8], reads: impl IntoIterator<Item = usize>) -> (Outcome, usize) {
    let (mut connection, mut output, mut outcome) = (end.connection(), Output::default(), Outcome::default());
    let (mut rest, mut straight) = (stream, 0);
    for read in reads {
        if let Some(count) = fill(&mut connection, &mut rest, read) {
            assert!(count <= read && (count > 0 || rest.is_empty()), "{count} bytes filled of {read}");
            straight += count;
        } else {
            let (now, later) = rest.split_at(rest.len().min(read).min(65_536));
            receive(&mut connection, now, &mut output, &mut outcome);
            rest = later;
        }
        if rest.is_empty() {
            break;
        }
    }
    outcome.output = wire::read(&output.to_vec());
    (outcome, straight)
}

/// Feeds `frames` in reads of some sizes: the outcome must be the same, and `filled` says whether most of it went
/// straight into messages.
#[track_caller]
fn check(frames: &[Frame], filled: bool) {
    for end in [server(Limits::default()), client(Limits::default())] {
        let stream = end.incoming(frames);
        let expected = end.deliver([&stream[..]]);
        for read in [40_000, 65_536, 100_001, 1 << 20] {
            let (outcome, straight) = deliver(end, &stream, iter::repeat(read));
            assert!(outcome == expected, "{:?}, reads of {read}", end.role);
            assert_eq!(straight > stream.len() / 2, filled, "{straight} of {} bytes, reads of {read}", stream.len());
        }
    }
}

/// No two of its cache lines are the same, nor what two masks make of it.
fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

#[test]
fn comes_out_as_it_went_in() {
    let next = || Frame::new(TEXT, "the next one");
    check(&[Frame::new(BINARY, payload(1 << 20)), next()], true);
    check(&[Frame::new(BINARY, payload(1_000_003)), Frame::new(BINARY, payload(999_999)), next()], true);
    let last = || Frame::new(CONTINUATION, payload(1 << 20));
    check(&[Frame::new(BINARY, payload(70_001)).part(), Frame::new(PING, "?"), last(), next()], true);
    // Its length is not known before its last frame, text is checked as it comes, and the end of each comes with the
    // next.
    check(&[Frame::new(BINARY, payload(1 << 20)).part(), Frame::new(CONTINUATION, []), next()], false);
    check(&[Frame::new(TEXT, vec![b'a'; 1 << 20]), next()], false);
    check(&[Frame::new(BINARY, payload(70_000)), next()], false);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Messages around the lengths at which anything changes, with and without fragments, in reads of any size.
    #[test]
    fn in_reads_of_any_size(
        messages in vec((prop_oneof![0usize..300, 90_000usize..300_000], 0usize..100_000, any::<bool>()), 1..4),
        reads in vec(prop_oneof![1usize..100, 1usize..40_000, 32_000usize..400_000], 1..20),
    ) {
        let mut frames = Vec::new();
        for (length, fragment, ping) in messages {
            let payload = payload(length);
            let (first, last) = payload.split_at(fragment.min(length));
            frames.push(Frame::new(BINARY, first).part());
            frames.extend(ping.then(|| Frame::new(PING, "?")));
            frames.push(Frame::new(CONTINUATION, last));
        }
        for end in [server(Limits::default()), client(Limits::default())] {
            let stream = end.incoming(&frames);
            let reads = reads.iter().copied().chain(iter::repeat(65_536));
            prop_assert!(deliver(end, &stream, reads).0 == end.deliver([&stream[..]]), "{:?}", end.role);
        }
    }
}

/// There is no room for a read straight into the message; what is read elsewhere is refused.
#[test]
fn what_finds_no_message_memory_is_refused_where_it_is_pushed() {
    const ARRIVED: usize = 40_000;
    let end = server(Limits::default());
    let memory = Arc::new(MessageMemory::new(8 * ARRIVED));
    let begin = |length: usize| {
        let mut connection = end.connection();
        connection.set_message_memory(memory.clone());
        let stream = end.incoming(&[Frame::new(BINARY, payload(length))]);
        let (head, rest) = stream.split_at(stream.len() - length + ARRIVED);
        receive(&mut connection, head, &mut Output::default(), &mut Outcome::default());
        (connection, rest.to_vec())
    };
    // Both take four times what has arrived, which is all there is. The later one would take the place of the other.
    let ((mut connection, rest), _other) = (begin(1 << 20), begin(1 << 20));
    let (mut rest, mut output, mut outcome) = (&rest[..], Output::default(), Outcome::default());
    while fill(&mut connection, &mut rest, 1 << 20).is_some_and(|count| count > 0) {}
    assert_eq!(fill(&mut connection, &mut rest, 1 << 20), None);
    let (now, _) = rest.split_at(65_536);
    receive(&mut connection, now, &mut output, &mut outcome);
    assert_eq!(outcome.error, Some(Error::Limit(LimitExceeded::NoMessageMemory)));
    assert!(wire::read(&output.to_vec())[0].payload.starts_with(&1013u16.to_be_bytes()));
}
