//! What topics are like, by the patterns of their names; and what has been counted of each pattern.

use std::sync::Arc;

use crate::config::{TopicConfig, TopicsConfig};
use crate::name::Pattern;
use crate::shared::Rules;

/// The patterns of one configuration.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rules: Vec<(Pattern, Arc<Rules>)>,
    others: Option<Arc<Rules>>,
    /// Those of configurations before, of which topics live.
    gone: Vec<Arc<Rules>>,
}

impl Table {
    /// What a topic of this name is like: as the pattern has it that fits best.
    pub(crate) fn fit(&self, name: &str) -> Option<&Arc<Rules>> {
        let fits = self.rules.iter().filter_map(|(pattern, rules)| Some((pattern.fit(name)?, rules)));
        fits.max_by_key(|(fit, _)| *fit).map(|(_, rules)| rules).or(self.others.as_ref())
    }

    /// Each pattern, with the topics that no pattern fits behind them, and then those that are gone and have topics.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Rules>> {
        let gone = self.gone.iter().filter(|rules| rules.counts.topics.get() > 0);
        self.rules.iter().map(|(_, rules)| rules).chain(&self.others).chain(gone)
    }

    /// The patterns of another configuration: one that there was goes on counting, and is the same if nothing of it
    /// has changed.
    pub(crate) fn renewed(&self, config: &TopicsConfig) -> Self {
        let mut known: Vec<_> =
            self.rules.iter().map(|(_, rules)| rules).chain(&self.others).chain(&self.gone).collect();
        let mut rules_of = |pattern: &str, config: &TopicConfig| {
            let place = known.iter().position(|rules| rules.pattern == pattern);
            match place.map(|place| known.remove(place)) {
                Some(rules) if rules.config == *config => rules.clone(),
                Some(rules) => Rules::new(pattern, config, rules.counts.clone()),
                None => Rules::new(pattern, config, Arc::default()),
            }
        };
        let rules = config.topics.iter();
        let rules = rules.map(|(pattern, topic)| (pattern.clone(), rules_of(pattern.as_str(), topic))).collect();
        let others = config.others.as_ref().map(|topic| rules_of("*", topic));
        Self { rules, others, gone: known.into_iter().cloned().collect() }
    }

    /// Forgets the patterns that are gone and have no topics any more. What they have counted is logged: it is told
    /// nowhere else from now on.
    pub(crate) fn forget_gone(&mut self) {
        let is_over = |rules: &mut Arc<Rules>| rules.counts.topics.get() == 0;
        for rules in self.gone.extract_if(.., is_over) {
            let counters = rules.counts.read(&rules.pattern);
            tracing::info!(target: "rikki::topics", ?counters, "a pattern of topics is gone");
        }
    }
}
