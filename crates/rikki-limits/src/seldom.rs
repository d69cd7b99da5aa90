//! Log lines about what a peer may repeat as often as it likes: one a second of each kind, with a count of the rest.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often there is a line of a kind.
const EVERY: Duration = Duration::from_secs(1);

/// Log lines of several kinds `K`, of which there are few: one a second of each, with a count of the rest.
///
/// It is a `static`, so that it is one for all connections.
///
/// ```
/// use rikki_limits::Seldom;
///
/// static LINES: Seldom = Seldom::new();
/// if let Some(left_out) = LINES.turn(()) {
///     println!("request refused, {left_out:?} more were left out");
/// }
/// ```
#[derive(Debug)]
pub struct Seldom<K = ()>(Mutex<Vec<Lines<K>>>);

#[derive(Debug)]
struct Lines<K> {
    kind: K,
    last: Instant,
    left_out: u64,
}

/// How many lines were left out since the last one, if any were: a field of the line, which is not there without.
pub type LeftOut = Option<u64>;

impl<K> Default for Seldom<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> Seldom<K> {
    /// Lines of which none has been logged yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<K: PartialEq> Seldom<K> {
    /// Whether a line of the kind is due, or is counted and left out. Of the last ones the number is never said; what
    /// is refused has a counter.
    pub fn turn(&self, kind: K) -> Option<LeftOut> {
        self.turn_at(kind, Instant::now())
    }

    fn turn_at(&self, kind: K, now: Instant) -> Option<LeftOut> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(lines) = all.iter_mut().find(|lines| lines.kind == kind) else {
            all.push(Lines { kind, last: now, left_out: 0 });
            return Some(None);
        };
        if now.saturating_duration_since(lines.last) < EVERY {
            lines.left_out += 1;
            return None;
        }
        lines.last = now;
        Some(Some(std::mem::take(&mut lines.left_out)).filter(|left_out| *left_out > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_of_each_kind() {
        let seldom = Seldom::new();
        let start = Instant::now();
        let check = |kind: char, ms: u64, expected: Option<LeftOut>| {
            assert_eq!(seldom.turn_at(kind, start + Duration::from_millis(ms)), expected, "{kind} after {ms} ms");
        };
        check('a', 0, Some(None));
        check('a', 1, None);
        check('b', 2, Some(None));
        check('a', 999, None);
        check('a', 1000, Some(Some(2)));
        check('b', 1001, None);
        check('a', 1999, None);
        check('a', 5000, Some(Some(1)));
        check('a', 6000, Some(None));
    }
}
