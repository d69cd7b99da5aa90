//! The latest warnings and errors of a log.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// How many are kept.
const KEPT: usize = 100;

/// How many letters of one are.
const LETTERS: usize = 500;

/// The latest 100 warnings of a log, for `/status`: whoever writes the log hands them over. A clone has the same.
///
/// Memory: at most 400 KiB, where each letter takes four bytes.
#[derive(Clone, Debug, Default)]
pub struct Warnings(Arc<Mutex<VecDeque<Warning>>>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Warning {
    /// When it was logged, in milliseconds of Unix time.
    pub time_ms: u64,
    /// `warn` or `error`.
    pub level: &'static str,
    /// What it is about, such as `rikki::server`.
    pub target: String,
    /// What it says, at most 500 letters of it.
    pub text: String,
}

impl Warnings {
    /// One more, logged now. The oldest gives way.
    pub fn add(&self, level: tracing::Level, target: &str, text: &str) {
        let level = if level == tracing::Level::ERROR { "error" } else { "warn" };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let warning = Warning {
            time_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            level,
            target: cut(target),
            text: cut(text),
        };
        let mut warnings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.len() >= KEPT {
            warnings.pop_front();
        }
        warnings.push_back(warning);
    }

    /// All that are kept, the latest first.
    #[must_use]
    pub fn latest(&self) -> Vec<Warning> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }
}

fn cut(text: &str) -> String {
    let end = text.char_indices().nth(LETTERS).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_give_way() {
        let warnings = Warnings::default();
        for number in 0..KEPT + 7 {
            warnings.add(tracing::Level::WARN, "test", &format!("{number} {}", "ü".repeat(LETTERS)));
        }
        let latest = warnings.latest();
        assert_eq!((latest.len(), latest[0].level), (KEPT, "warn"));
        assert!(latest[0].text.starts_with("106 ü") && latest[KEPT - 1].text.starts_with("7 ü"), "{latest:?}");
        assert!(latest.iter().all(|warning| warning.text.chars().count() == LETTERS));
    }
}
