//! Any stream, cut anywhere, gives the events, the error and the answers that the model predicts.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::delivery::{End, Outcome, Role};
use crate::model::{Bounds, predict};
use crate::strategies::{any_frame, conversation};
use crate::wire::{self, Frame};

/// Small enough that random streams go past them now and then.
const BOUNDS: Bounds = Bounds { message: 120, fragments: 4 };

fn end() -> impl Strategy<Value = End> {
    select(vec![Role::Server, Role::Client]).prop_map(|role| End { role, limits: BOUNDS.limits() })
}

/// One end, and what comes from its peer.
fn talk<S: Strategy<Value = Vec<Frame>>>(from_peer: impl Fn(Role) -> S) -> impl Strategy<Value = (End, Vec<Frame>)> {
    end().prop_flat_map(move |end| (Just(end), from_peer(end.role)))
}

fn anything(role: Role) -> impl Strategy<Value = Vec<Frame>> {
    vec(any_frame(role), 0..6)
}

/// A conversation with one frame in it that does not belong there.
fn disturbed(role: Role) -> impl Strategy<Value = Vec<Frame>> {
    (conversation(role), any_frame(role), any::<Index>()).prop_map(|(mut frames, foreign, at)| {
        frames.insert(at.index(frames.len() + 1), foreign);
        frames
    })
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

fn same_in_cuts(end: End, stream: &[u8], lengths: &[usize]) -> Result<Outcome, TestCaseError> {
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
    fn frames_of_any_kind((end, frames) in talk(anything), cuts in cuts()) {
        agrees_with_the_model(end, &frames, &cuts)?;
    }

    #[test]
    fn conversations((end, frames) in talk(conversation), cuts in cuts()) {
        agrees_with_the_model(end, &frames, &cuts)?;
    }

    #[test]
    fn a_conversation_with_one_foreign_frame_in_it((end, frames) in talk(disturbed), cuts in cuts()) {
        agrees_with_the_model(end, &frames, &cuts)?;
    }

    #[test]
    fn bytes_of_any_kind(end in end(), stream: Vec<u8>, cuts in cuts()) {
        same_in_cuts(end, &stream, &cuts)?;
    }

    /// What has come is reported at once: a stream that breaks off gives the events of the frames that are whole.
    #[test]
    fn a_stream_that_breaks_off((end, frames) in talk(conversation), at: Index) {
        let stream = wire::stream(&frames);
        let at = at.index(stream.len() + 1);
        let whole = (0..=frames.len()).rev().find(|count| wire::stream(&frames[..*count]).len() <= at).unwrap();
        prop_assert_eq!(end.deliver([&stream[..at]]).events, predict(end, BOUNDS, &frames[..whole]).events);
    }
}

/// Short conversations, delivered whole, byte by byte and in two pieces for every cut there is.
#[test]
fn every_single_cut_of_short_streams() {
    let mut runner = TestRunner::deterministic();
    let mut checked = 0;
    while checked < 80 {
        let (end, frames) = talk(disturbed).new_tree(&mut runner).unwrap().current();
        let stream = wire::stream(&frames);
        if stream.len() < 300 {
            end.check(&stream, &predict(end, BOUNDS, &frames));
            checked += 1;
        }
    }
}
