//! What every broker has to hold to: the same tests for each, with a checker that is tested first.
//!
//! A broker's own tests include this module by its path, and call [`holds`] with topics of theirs.

mod checker;
mod random;

pub(crate) use checker::{Fault, Log, check};
pub(crate) use random::{Work, config};
use random::{ops, run};

use proptest::test_runner::{Config, TestRunner};
use rikki_topics::{Topics, TopicsConfig};

/// Runs random publishes, subscribers, pauses, policies and resumes against topics made by `make`, and checks every
/// subscriber's log.
pub(crate) fn holds(make: impl Fn(TopicsConfig) -> Topics) {
    holds_with(make, Work::All);
}

/// The same where not everything can be tried.
pub(crate) fn holds_with(make: impl Fn(TopicsConfig) -> Topics, work: Work) {
    holds_in(300, make, work);
}

/// The same with so many lists of steps.
pub(crate) fn holds_in(cases: u32, make: impl Fn(TopicsConfig) -> Topics, work: Work) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let result = runner.run(&ops(), |ops| {
        run(&make(config()), &ops, work)
            .map_err(|fault| proptest::test_runner::TestCaseError::fail(format!("{fault:?}")))
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
