//! Any stream, cut anywhere, gives the events, the error and the answers that the model predicts.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::delivery::{End, Role};
use crate::model::{Bounds, predict};
use crate::strategies::{any_frame, conversation};
use crate::wire::{self, Frame};

/// Small enough that random streams go past them now and then.
const BOUNDS: Bounds = Bounds { message: 400, fragments: 4 };

fn end() -> impl Strategy<Value = End> {
    select(vec![Role::Server, Role::Client]).prop_map(|role| End { role, limits: BOUNDS.limits() })
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![0usize..4, 0usize..300], 0..20)
}

/// Cuts `stream` into pieces of these lengths, the last one as long as it takes.
fn cut<'a>(mut stream: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for length in lengths {
        let (now, later) = stream.split_at((*length).min(stream.len()));
        pieces.push(now);
        stream = later;
    }
    pieces.push(stream);
    pieces
}

fn same_in_cuts(end: End, stream: &[u8], lengths: &[usize]) -> Result<crate::delivery::Outcome, TestCaseError> {
    let whole = end.deliver([stream]);
    prop_assert_eq!(&end.deliver(cut(stream, lengths)), &whole, "cut into {:?}", lengths);
    prop_assert_eq!(&end.deliver(stream.chunks(1)), &whole, "byte by byte");
    Ok(whole)
}

fn agrees_with_the_model(end: End, frames: &[Frame], lengths: &[usize]) -> Result<(), TestCaseError> {
    let outcome = same_in_cuts(end, &wire::stream(frames), lengths)?;
    prop_assert_eq!(outcome, predict(end, BOUNDS, frames));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn frames_of_any_kind((end, frames) in end().prop_flat_map(|end| (Just(end), vec(any_frame(end.role), 0..6))), cuts in cuts()) {
        agrees_with_the_model(end, &frames, &cuts)?;
    }

    #[test]
    fn conversations((end, frames) in end().prop_flat_map(|end| (Just(end), conversation(end.role))), cuts in cuts()) {
        agrees_with_the_model(end, &frames, &cuts)?;
    }

    #[test]
    fn a_conversation_with_one_foreign_frame_in_it(
        (end, mut frames, foreign) in end().prop_flat_map(|end| (Just(end), conversation(end.role), any_frame(end.role))),
        at: prop::sample::Index,
        cuts in cuts(),
    ) {
        frames.insert(at.index(frames.len() + 1), foreign);
        agrees_with_the_model(end, &frames, &cuts)?;
    }

    #[test]
    fn bytes_of_any_kind(end in end(), stream: Vec<u8>, cuts in cuts()) {
        same_in_cuts(end, &stream, &cuts)?;
    }

    /// What has come is reported no later than it can be, and never taken back: a stream that breaks off anywhere
    /// gives the first of the events of the whole.
    #[test]
    fn a_stream_that_breaks_off((end, frames) in end().prop_flat_map(|end| (Just(end), conversation(end.role))), at: prop::sample::Index) {
        let stream = wire::stream(&frames);
        let broken_off = end.deliver([&stream[..at.index(stream.len() + 1)]]).events;
        let arrived = (0..=frames.len()).rev().find(|count| wire::stream(&frames[..*count]).len() <= at.index(stream.len() + 1)).unwrap();
        prop_assert_eq!(broken_off, predict(end, BOUNDS, &frames[..arrived]).events);
    }
}

/// Short streams, delivered whole, byte by byte and in two pieces for every cut there is.
#[test]
fn every_single_cut_of_short_conversations() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for role in [Role::Server, Role::Client] {
        let end = End { role, limits: BOUNDS.limits() };
        let mut checked = 0;
        while checked < 40 {
            let frames = conversation(role).new_tree(&mut runner).unwrap().current();
            let stream = wire::stream(&frames);
            if (1..300).contains(&stream.len()) {
                end.check(&stream, &predict(end, BOUNDS, &frames));
                checked += 1;
            }
        }
    }
}
