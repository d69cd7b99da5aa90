//! Which siblings of files were not there a moment ago, so that not each request opens them in vain.
//!
//! What is sent is still opened and judged for each request. That a sibling is not there has the plain file sent in its
//! place, and for no longer than [`PERIOD`].

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::encoding::Coding;

/// How long what was not there counts as that: a sibling that appears is seen after this time at the latest.
pub(super) const PERIOD: Duration = Duration::from_millis(500);

/// Of how many files this is remembered: about 256 KiB of them.
const REMEMBERED: usize = 2048;

/// When siblings were not there, by the plain file.
#[derive(Default)]
pub(super) struct Absences {
    /// With keys that nobody knows, so that nobody finds two paths of one hash.
    hashes: RandomState,
    missed: Mutex<HashMap<u64, Missed>>,
}

/// When the sibling in each coding was not there last.
type Missed = [Option<Instant>; Coding::ALL.len()];

/// Those of one file, as of the moment when a request looks.
pub(super) struct Absent {
    file: u64,
    missed: Missed,
    now: Instant,
}

impl Absences {
    /// What is known of the siblings of the file at `path`.
    pub(super) fn of(&self, path: &Path) -> Absent {
        self.at(path, Instant::now())
    }

    fn at(&self, path: &Path, now: Instant) -> Absent {
        let file = self.hashes.hash_one(path.as_os_str());
        Absent { file, missed: self.lock().get(&file).copied().unwrap_or_default(), now }
    }

    /// Remembers that one was not there, when it was looked for after `absent` was asked for.
    pub(super) fn add(&self, absent: &Absent, coding: Coding) {
        let mut missed = self.lock();
        if missed.len() >= REMEMBERED && !missed.contains_key(&absent.file) {
            // Looking again costs less than keeping an order.
            missed.clear();
        }
        if let Some(last) = missed.entry(absent.file).or_default().get_mut(coding as usize) {
            *last = Some(absent.now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Missed>> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Absent {
    /// Whether the one in this coding need not be looked for.
    pub(super) fn has(&self, coding: Coding) -> bool {
        let missed = self.missed.get(coding as usize).copied().flatten();
        missed.is_some_and(|missed| self.now.saturating_duration_since(missed) < PERIOD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_there_counts_for_a_moment() {
        let (absences, start) = (Absences::default(), Instant::now());
        let at = |path: &str, after: Duration| absences.at(Path::new(path), start + after);
        let check = |path: &str, after: Duration, expected: &[Coding]| {
            let absent = at(path, after);
            let missed: Vec<_> = Coding::ALL.into_iter().filter(|coding| absent.has(*coding)).collect();
            assert_eq!(missed, expected, "{path} after {after:?}");
        };
        check("a", Duration::ZERO, &[]);
        absences.add(&at("a", Duration::ZERO), Coding::Zstd);
        absences.add(&at("a", PERIOD / 2), Coding::Gzip);
        check("a", PERIOD / 2, &[Coding::Zstd, Coding::Gzip]);
        check("a", PERIOD, &[Coding::Gzip]);
        check("a", PERIOD + PERIOD / 2, &[]);
        check("b", PERIOD / 2, &[]);
        // It counts from when it was looked for, however often it is asked for.
        check("a", PERIOD + PERIOD / 4, &[Coding::Gzip]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let absences = Absences::default();
        for file in 0..10 * REMEMBERED {
            let path = file.to_string();
            absences.add(&absences.of(path.as_ref()), Coding::Brotli);
            assert!(absences.of(path.as_ref()).has(Coding::Brotli));
            assert!(absences.lock().len() <= REMEMBERED);
        }
    }
}
