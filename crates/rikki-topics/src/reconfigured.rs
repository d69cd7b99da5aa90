//! What comes of changing what topics are like while they are used.

/// What [`Topics::reconfigure`](crate::Topics::reconfigure) could not change at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "it says what has not changed"]
#[non_exhaustive]
pub struct Reconfigured {
    /// Patterns of which topics live that are not wholly as the configuration has them, each once: what they keep is
    /// their [presence](crate::TopicConfig::presence), until they are forgotten, or all of their messages where there is
    /// no memory to keep the [latest of each key](crate::TopicConfig::latest_by_key). New topics of the pattern have it
    /// all.
    pub kept: Vec<String>,
}

impl Reconfigured {
    /// A topic of this pattern is not wholly as it should be.
    pub(crate) fn keep(&mut self, pattern: &str) {
        if !self.kept.iter().any(|kept| kept == pattern) {
            self.kept.push(pattern.to_owned());
        }
    }
}
