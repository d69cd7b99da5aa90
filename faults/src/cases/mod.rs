//! The cases, one file for each topic.

mod descriptors;
mod floods;
mod heads;
mod http2;
mod panics;
mod resets;
mod signals;
mod slow_readers;
mod soak;

use crate::case::Case;

/// All of them, in the order in which they run.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    [signals::CASES, descriptors::CASES, slow_readers::CASES, resets::CASES, panics::CASES, floods::CASES, heads::CASES, http2::CASES, soak::CASES].into_iter().flatten()
}
