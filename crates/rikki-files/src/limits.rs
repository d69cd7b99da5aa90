//! How much of a machine the files of a folder may take.

use std::sync::Arc;
use std::time::Duration;

use rikki_limits::{BadLimit, Limit};

use super::Files;

/// The size of a file that no file has: nothing is compressed from there on.
pub(super) const NEVER: u64 = u64::MAX;

rikki_limits::limits! {
    /// The limits of a folder. A budget that is not set is a part of the server's.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Limits, setters of Files by with_limits;

    pub(super) cache: Option<usize> {
        name: "file-cache", unit: SizeOrZero, default: "32MiB",
        meaning: "Memory for small files",
        detail: ", shared by the folders, or for each if it is set; 0 keeps none",
        /// A file of at most 256 KiB is kept when it is sent whole, unless it has changed within the last two seconds.
        /// It is still opened and looked at for each request, so that an edit shows at once; what a program writes
        /// through a memory map shows when the system has noticed. The names and the bookkeeping count too, and so does
        /// what is no longer kept while it is still being sent.
        setter: cache(usize),
    }
    pub(super) read_memory: Option<usize> {
        name: "read-memory", unit: SizeOrZero, default: "64MiB",
        meaning: "Memory for sending files",
        detail: " and listings: what is read and not sent yet, three quarters for either, shared by the folders, or \
                 for each if it is set; beyond it files are read 4 KiB at a time, listings are cut of which \
                 least is taken, and a connection or HTTP/2 stream holds at most 64 KiB",
        /// Files may have three quarters of it, and listings too, so that neither leaves the other nothing.
        ///
        /// What is read 4 KiB at a time does not count: no response waits for others. The server of this crate takes at
        /// most 64 KiB ahead of what the client takes, and the block that exceeds them.
        ///
        /// What is known of the entries of a listing counts from when it is read, beyond 64 KiB; the page is written as
        /// it is sent. Where there is no room for the next listing, the ones that are being sent give way, first the
        /// one of which nothing was taken for longest: its response ends with an error, and its connection is cut. To
        /// one that takes more than half of what listings may have, only those give way of which nothing was taken for
        /// 5 s. A listing is answered with 503 if those that remain, and those that are being made, leave no room for
        /// it; one alone may be of any length.
        setter: read_memory(usize),
    }
    pub(super) max_open: Option<usize> {
        name: "max-open", unit: Count, default: ["what the system lets it open, less connections"],
        meaning: "Most files open while they are sent", detail: ", for each folder; more get 503",
        /// In the library, by default a quarter of the descriptors that the process may have when this is made, on
        /// Unix, and any number elsewhere. Who is answered with 503 is told `Retry-After`.
        ///
        /// That is for files which do not fit into the cache, see [`Files::cache`], and into one block. A connection of
        /// HTTP/2 can have a hundred of them: so many that the process had none left could accept nobody.
        setter: max_open(usize),
    }
    pub(super) max_waiting: usize {
        name: "max-waiting", unit: Count, default: "1024",
        meaning: "Most requests that wait for a disk", detail: ", for each folder; more get 503",
        /// Who is answered with 503 is told `Retry-After`. A request takes little while it waits, and gives its place
        /// up as soon as its client does. The disk is asked for 16 of them at a time. One listing is made for all who
        /// ask for it at the same time.
        setter: max_waiting(usize),
    }
    pub(super) disk_timeout: Duration {
        name: "disk-timeout", unit: Time, default: "20s",
        meaning: "Longest wait for a disk", detail: ", then 503",
        /// What was sent in part is cut short then. What hangs, such as a read from a server that is gone, holds one of
        /// the 16 until the system ends it: none of another folder.
        setter: disk_timeout(Duration),
    }
    // What is smaller fits into one packet as it is.
    pub(super) compress_above: u64 {
        name: "compress-files-above", unit: SizeOrZero, default: "1KiB",
        meaning: "Smallest file to compress", detail: " while it is sent",
    }
    pub(super) max_compressions: Option<usize> {
        name: "max-compressions", unit: CountOrZero, default: "16",
        meaning: "Most files compressed at a time",
        detail: ", with up to 13 MiB for each, shared by the folders, or for each if it is set; others are sent as \
                 they are",
        /// 0 is for none. Each takes so much while it lasts, which is as long as its client takes: 13 MiB with brotli,
        /// 3 with zstd, 1 with gzip.
        setter: max_compressions(usize),
    }
}

impl Files {
    /// The limits of a folder, which [`set`](Self::set) sets by name.
    pub fn limits() -> impl Iterator<Item = &'static Limit> {
        Limits::LIMITS.iter()
    }

    /// Sets a limit by its name, as a person writes it: `max-waiting` to `100`, `disk-timeout` to `30s`.
    ///
    /// # Errors
    ///
    /// [`BadLimit`], if there is no limit of this name or this is no value for it.
    pub fn set(self, name: &str, text: &str) -> Result<Self, BadLimit> {
        let mut limits = self.shared.limits.clone();
        match limits.set_limit(name, text)? {
            true => Ok(self.with_limits(|all| *all = limits)),
            false => Err(BadLimit::Unknown(name.to_owned())),
        }
    }

    /// Compresses files of at least this size, in bytes, while they are sent; `None` turns it off.
    ///
    /// This is for text and the like, and for clients that accept `br`, `zstd` or `gzip`. A request for a range gets
    /// the plain file, since how long a compressed one becomes is not known before; for the same reason it has no
    /// `Content-Length`, unless it is in the cache: results of up to 256 KiB are kept, see [`Files::cache`]. Its `ETag`
    /// is weak.
    ///
    /// Compressing is done on the blocking pool, for as many responses at a time as [`Files::max_compressions`] says.
    /// Files hold nothing that the client has sent, so that their length tells nobody a secret (BREACH).
    pub fn compress_above(self, bytes: impl Into<Option<u64>>) -> Self {
        let bytes = bytes.into().unwrap_or(NEVER);
        self.with_limits(|limits| limits.compress_above = bytes)
    }

    /// Takes this much for reading and for the cache, in bytes, and so many compressions, where no budget has been set:
    /// its part of what a server has for all folders.
    #[doc(hidden)]
    pub fn share(&mut self, reading: usize, cache: usize, compressions: usize) {
        let shared = Arc::make_mut(&mut self.shared);
        let Limits { cache: own_cache, read_memory, max_compressions, .. } = shared.limits;
        if read_memory.is_none() {
            shared.root.set_read_memory(reading);
        }
        if own_cache.is_none() {
            shared.root.set_cache(cache);
        }
        if max_compressions.is_none() {
            shared.set_compressions(compressions);
        }
    }

    /// Denies what another folder has denied: a key that was there stays secret, wherever it is now.
    #[doc(hidden)]
    pub fn keep_denied(&mut self, before: &Self) {
        Arc::make_mut(&mut self.shared).root.keep_denied(&before.shared.root);
    }

    /// Takes the place of a folder that was served before: what that one still sends, or waits for, counts here too.
    /// Where a number of places has changed, those of before are given up one by one beside the new ones.
    #[doc(hidden)]
    pub fn succeed(&mut self, before: &Self) {
        let (shared, before) = (Arc::make_mut(&mut self.shared), &before.shared);
        let limits = shared.limits.clone().within_limits();
        shared.root.succeed(&before.root, &limits);
        if limits.max_open == before.limits.max_open {
            shared.root.keep_places(&before.root);
        }
        if shared.compressing == before.compressing {
            shared.compressions = Arc::clone(&before.compressions);
        }
    }

    /// Whether each limit can be what it has been set to.
    #[doc(hidden)]
    pub fn check_limits(&self) -> Result<(), BadLimit> {
        self.shared.limits.check_limits()
    }

    /// Clones go on sharing what is not changed.
    fn with_limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        let shared = Arc::make_mut(&mut self.shared);
        let before = shared.limits.clone();
        change(&mut shared.limits);
        let Limits { cache, read_memory, max_open, max_waiting, disk_timeout, max_compressions, .. } =
            shared.limits.clone().within_limits();
        if let Some(bytes) = cache.filter(|_| cache != before.cache) {
            shared.root.set_cache(bytes);
        }
        if let Some(bytes) = read_memory.filter(|_| read_memory != before.read_memory) {
            shared.root.set_read_memory(bytes);
        }
        if let Some(files) = max_open.filter(|_| max_open != before.max_open) {
            shared.root.set_places(files);
        }
        if (max_waiting, disk_timeout) != (before.max_waiting, before.disk_timeout) {
            shared.root.set_waits(max_waiting, disk_timeout);
        }
        if let Some(responses) = max_compressions.filter(|_| max_compressions != before.max_compressions) {
            shared.set_compressions(responses);
        }
        self
    }
}
