//! The contents of small files that are asked for often, so that they are not read each time.
//!
//! An entry counts only for a file that was opened and looked at for the very request, and that is in the same state as
//! when it was read: an edit shows at once. What may be opened is decided elsewhere, each time anew.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use rikki_limits::{Budget, Count, Share};

use super::conditional::Validators;
use super::digest::Digest;
use super::encoding::Coding;
use super::facts::Facts;

/// The longest content that is kept, in bytes: two blocks. For longer ones, sending takes so much time that reading
/// hardly counts, and each would push out many.
pub(super) const MAX_CONTENT: usize = 256 * 1024;

/// What an entry takes beside its name and content, in bytes, rounded up: places in the map and in the queue, the
/// facts, the list of variants, the owner of the content and the fields that it is sent with.
const OVERHEAD: usize = 768;

/// The variant that is the file as it is.
const PLAIN: &str = "";

/// Contents of files, by path and variant.
///
/// A variant is the name of a content coding, or nothing for the file as it is.
pub(super) struct Cache {
    /// In bytes. Until they are sent, contents that are no longer in the cache count too: slow readers could hold any
    /// number.
    budget: Arc<Budget>,
    /// How often something was found, and how often not.
    looks: Arc<[Count; 2]>,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_path: HashMap<Arc<OsStr>, Entry>,
    /// Each path of the map once. The clock algorithm: the first one is evicted, unless it has been used meanwhile.
    clock: VecDeque<Arc<OsStr>>,
}

/// What is kept of one state of a file.
struct Entry {
    facts: Facts,
    used: bool,
    variants: Vec<(&'static str, Arc<Kept>)>,
}

impl Entry {
    fn is_being_sent(&self) -> bool {
        self.variants.iter().any(|(_, content)| Arc::strong_count(content) > 1)
    }
}

impl Cache {
    /// With a bound in bytes; 0 keeps nothing.
    pub(super) fn new(limit: usize) -> Self {
        let budget = Arc::new(Budget::new("file-cache", limit));
        Self { budget, looks: Arc::default(), entries: Mutex::default() }
    }

    /// One in the place of another, whose content counts as long as somebody is sent it.
    pub(super) fn in_place_of(before: &Self, limit: usize) -> Self {
        before.budget.set_most(limit);
        let (budget, looks) = (Arc::clone(&before.budget), Arc::clone(&before.looks));
        Self { budget, looks, entries: Mutex::default() }
    }

    pub(super) fn looks(&self) -> &Arc<[Count; 2]> {
        &self.looks
    }

    pub(super) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// The content of the file at `path`, if it is kept and the file is as it was then.
    pub(super) fn get(&self, path: &Path, variant: &str, facts: &Facts) -> Option<Bytes> {
        self.find(path, variant, facts).map(|kept| Bytes::from_owner(Sent(kept)))
    }

    /// The content of the file itself.
    pub(super) fn plain(&self, path: &Path, facts: &Facts) -> Option<Arc<Kept>> {
        self.find(path, PLAIN, facts).filter(|kept| kept.digest.is_some())
    }

    fn find(&self, path: &Path, variant: &str, facts: &Facts) -> Option<Arc<Kept>> {
        if self.budget.most() == 0 {
            return None;
        }
        let found = self.look_up(path, variant, facts);
        let [hits, misses] = &*self.looks;
        if found.is_some() {
            hits.up()
        } else {
            misses.up()
        }
        found
    }

    fn look_up(&self, path: &Path, variant: &str, facts: &Facts) -> Option<Arc<Kept>> {
        let mut entries = self.lock();
        let entry = entries.by_path.get_mut(path.as_os_str()).filter(|entry| entry.facts == *facts)?;
        let (_, content) = entry.variants.iter().find(|(name, _)| *name == variant)?;
        let content = Arc::clone(content);
        entry.used = true;
        Some(content)
    }

    /// Keeps what was made of the file at `path` when it was as `facts` say. Gives back the same content; what is
    /// handed out of it counts as long as it is held.
    pub(super) fn insert(&self, path: &Path, variant: &'static str, facts: &Facts, content: Bytes) -> Bytes {
        match self.room(path, facts, content.len()) {
            Some(room) => room.keep(variant, content, None),
            None => content,
        }
    }

    /// Room for a content of `length` bytes, if it may be kept: others are evicted for it.
    pub(super) fn room<'c>(&'c self, path: &'c Path, facts: &'c Facts, length: usize) -> Option<Room<'c>> {
        let size = self.size(path, facts, length)?;
        let mut entries = self.lock();
        let share = loop {
            match self.budget.take(size) {
                Some(share) => break share,
                None if !entries.evict() => return None,
                None => {}
            }
        };
        Some(Room { cache: self, path, facts: *facts, share })
    }

    /// Whether a content of `length` bytes may be kept at all.
    pub(super) fn may_keep(&self, path: &Path, facts: &Facts, length: usize) -> bool {
        self.size(path, facts, length).is_some()
    }

    /// What a content of `length` bytes takes in the cache, if it may be kept.
    fn size(&self, path: &Path, facts: &Facts, length: usize) -> Option<usize> {
        let size = length + path.as_os_str().len() + OVERHEAD;
        (length <= MAX_CONTENT && size <= self.budget.most() && facts.are_settled()).then_some(size)
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// Whether there was anything to evict. What is still being sent stays: it would count all the same.
    fn evict(&mut self) -> bool {
        // The second time round, none is left that counts as used.
        for _ in 0..2 * self.clock.len() {
            let Some(path) = self.clock.pop_front() else { return false };
            match self.by_path.get_mut(&path) {
                Some(entry) if entry.used || entry.is_being_sent() => {
                    entry.used = false;
                    self.clock.push_back(path);
                }
                _ => return self.by_path.remove(&path).is_some(),
            }
        }
        false
    }
}

/// Room in the cache for one content.
pub(super) struct Room<'c> {
    cache: &'c Cache,
    path: &'c Path,
    facts: Facts,
    share: Share,
}

impl Room<'_> {
    /// Keeps the content of the file itself, and gives it back to be sent.
    pub(super) fn keep_plain(self, content: Bytes, digest: Digest) -> Bytes {
        self.keep(PLAIN, content, Some(digest))
    }

    fn keep(self, variant: &'static str, content: Bytes, digest: Option<Digest>) -> Bytes {
        let Self { cache, path, facts, share } = self;
        let content = Arc::new(Kept { content, digest, validators: OnceLock::new(), _share: share });
        let mut entries = cache.lock();
        let Entries { by_path, clock } = &mut *entries;
        let entry = match by_path.get_mut(path.as_os_str()) {
            Some(entry) => entry,
            None => {
                let path: Arc<OsStr> = path.as_os_str().into();
                clock.push_back(Arc::clone(&path));
                by_path.entry(path).or_insert(Entry { facts, used: false, variants: Vec::with_capacity(1) })
            }
        };
        if entry.facts != facts {
            entry.facts = facts;
            entry.variants.clear();
        }
        entry.variants.retain(|(name, _)| *name != variant);
        entry.variants.push((variant, Arc::clone(&content)));
        drop(entries);
        Bytes::from_owner(Sent(content))
    }
}

/// The content of an entry, which counts until nobody holds it.
pub(super) struct Kept {
    content: Bytes,
    /// The digest of the file itself, which is not that of its content in a coding.
    digest: Option<Digest>,
    /// What it was sent with, in this coding, once that does not change any more.
    validators: OnceLock<(Option<Coding>, Validators)>,
    _share: Share,
}

impl Kept {
    /// All of it, to be sent.
    pub(super) fn content(self: Arc<Self>) -> Bytes {
        Bytes::from_owner(Sent(self))
    }

    pub(super) fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The validators that were made for the content as one in this coding, or are made now.
    pub(super) fn validators(&self, coding: Option<Coding>, make: impl FnOnce() -> Validators) -> Validators {
        match self.validators.get() {
            Some((of, validators)) if *of == coding => validators.clone(),
            known => {
                let made = make();
                if known.is_none() && made.are_lasting() {
                    // Another thread may have been first.
                    let _ = self.validators.set((coding, made.clone()));
                }
                made
            }
        }
    }
}

/// Content of the cache on its way to a client.
struct Sent(Arc<Kept>);

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        &self.0.content
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    /// The facts of a file that has long not changed.
    fn facts(inode: u64) -> Facts {
        Facts { inode, changed: Some(SystemTime::UNIX_EPOCH), ..Facts::default() }
    }

    fn content(length: usize) -> Bytes {
        vec![7; length].into()
    }

    fn insert(cache: &Cache, name: &str, variant: &'static str, facts: &Facts, length: usize) {
        drop(cache.insert(Path::new(name), variant, facts, content(length)));
    }

    fn has(cache: &Cache, name: &str, variant: &str, facts: &Facts) -> bool {
        cache.get(Path::new(name), variant, facts).is_some()
    }

    fn held(cache: &Cache) -> usize {
        cache.budget.used()
    }

    #[test]
    fn an_entry_counts_for_one_state_of_a_file() {
        let cache = Cache::new(100_000);
        insert(&cache, "a", "", &facts(1), 10);
        insert(&cache, "a", "br", &facts(1), 5);
        assert!(has(&cache, "a", "", &facts(1)) && has(&cache, "a", "br", &facts(1)));
        assert!(!has(&cache, "a", "gzip", &facts(1)) && !has(&cache, "b", "", &facts(1)));
        assert!(!has(&cache, "a", "", &facts(2)));
        // Another state takes the place of all variants.
        insert(&cache, "a", "", &facts(2), 10);
        assert!(has(&cache, "a", "", &facts(2)) && !has(&cache, "a", "", &facts(1)));
        assert!(!has(&cache, "a", "br", &facts(2)) && !has(&cache, "a", "br", &facts(1)));
        assert_eq!(held(&cache), 10 + 1 + OVERHEAD);
    }

    #[test]
    fn what_is_not_kept() {
        let cache = Cache::new(10 * MAX_CONTENT);
        let fresh = Facts { changed: Some(SystemTime::now()), ..facts(1) };
        let future = Facts { changed: Some(SystemTime::now() + Duration::from_secs(3600)), ..facts(1) };
        for (facts, length) in [(fresh, 1), (future, 1), (Facts::default(), 1), (facts(1), MAX_CONTENT + 1)] {
            insert(&cache, "a", "", &facts, length);
            assert!(!has(&cache, "a", "", &facts), "{facts:?} {length}");
        }
        insert(&cache, "a", "", &facts(1), MAX_CONTENT);
        assert!(has(&cache, "a", "", &facts(1)));
        let off = Cache::new(0);
        insert(&off, "a", "", &facts(1), 1);
        assert!(!has(&off, "a", "", &facts(1)));
    }

    #[test]
    fn the_bound_holds_and_what_is_used_stays() {
        let limit = 20 * (1000 + OVERHEAD);
        let cache = Cache::new(limit);
        for index in 0..1000 {
            insert(&cache, &index.to_string(), "", &facts(index), 1000);
            assert!(held(&cache) <= limit, "{} bytes", held(&cache));
            assert!(has(&cache, "0", "", &facts(0)), "used before each eviction");
        }
        let kept = (0..1000).filter(|index| has(&cache, &index.to_string(), "", &facts(*index))).count();
        assert!((15..=20).contains(&kept), "{kept} entries");
        let entries = cache.lock();
        assert_eq!((entries.by_path.len(), entries.clock.len()), (kept, kept));
    }

    /// Slow readers hold what they are sent, whether or not it is still kept.
    #[test]
    fn what_is_being_sent_counts() {
        let limit = 4 * (1000 + OVERHEAD);
        let cache = Cache::new(limit);
        let mut sending = Vec::new();
        for index in 0..100 {
            let name = index.to_string();
            sending.extend(
                cache.room(Path::new(&name), &facts(index), 1000).map(|room| room.keep("", content(1000), None)),
            );
            assert!(held(&cache) <= limit);
        }
        assert_eq!(sending.len(), 3);
        // None of them is evicted in vain for what finds no room.
        assert!((0..3).all(|index| has(&cache, &index.to_string(), "", &facts(index))));
        drop(sending);
        insert(&cache, "new", "", &facts(1), 1000);
        assert!(has(&cache, "new", "", &facts(1)));
    }
}
