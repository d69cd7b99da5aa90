//! The cases, one file for each topic.

mod resets;

use crate::case::Case;

/// All of them, in the order in which they run.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    [resets::CASES].into_iter().flatten()
}
