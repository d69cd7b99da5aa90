//! Large messages that are read straight to where they stay.

use rikki_proto::{Limits, Output};

use crate::delivery::{Outcome, client, fill, receive, server};
use crate::wire::{self, BINARY, CONTINUATION, Frame, PING, TEXT};

/// Feeds `frames` in reads of every size, straight into messages where that is offered: the outcome must be the same, and
/// `filled` says whether most of it went that way.
#[track_caller]
fn check(frames: &[Frame], filled: bool) {
    for end in [server(Limits::default()), client(Limits::default())] {
        let stream = end.incoming(frames);
        let expected = end.deliver([&stream[..]]);
        for read in [40_000, 65_536, 100_001, 1 << 20] {
            let (mut connection, mut output, mut outcome) = (end.connection(), Output::default(), Outcome::default());
            let (mut rest, mut straight) = (&stream[..], 0);
            while !rest.is_empty() {
                if let Some(count) = fill(&mut connection, &mut rest, read) {
                    assert!((1..=read).contains(&count), "{count} bytes filled of {read}");
                    straight += count;
                    continue;
                }
                let (now, later) = rest.split_at(rest.len().min(read).min(65_536));
                receive(&mut connection, now, &mut output, &mut outcome);
                rest = later;
            }
            outcome.output = wire::read(&output.to_vec());
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
    // Its length is not known before its last frame, text is checked as it comes, and the end of each comes with the next.
    check(&[Frame::new(BINARY, payload(1 << 20)).part(), Frame::new(CONTINUATION, []), next()], false);
    check(&[Frame::new(TEXT, vec![b'a'; 1 << 20]), next()], false);
    check(&[Frame::new(BINARY, payload(70_000)), next()], false);
}
