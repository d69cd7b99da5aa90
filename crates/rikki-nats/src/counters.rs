//! What is counted of one stream.

use rikki_limits::Count;

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) topics: Count,
    pub(crate) catching_up: Count,
    pub(crate) catch_ups: Count,
    pub(crate) gaps: Count,
    pub(crate) acknowledged: Count,
    pub(crate) retried: Count,
    pub(crate) unknown: Count,
    pub(crate) refused: Count,
}

/// One more, as long as this is kept.
#[derive(Debug)]
pub(crate) struct Counted<'a>(&'a Count);

impl<'a> Counted<'a> {
    pub(crate) fn new(count: &'a Count) -> Self {
        count.up();
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.down();
    }
}
