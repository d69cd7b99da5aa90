//! The listing of a folder: what it shows, in which order, and whether as a page or as JSON.
//!
//! What is listed is what can be fetched: names that [`super::path`] refuses, hidden and denied files, links that lead
//! out of the root and whatever is neither file nor folder are left out. `making` has a folder read once for all who
//! ask at the same time; `body` writes the rows as they are sent, and `memory` bounds what all of them hold.

mod body;
mod json;
mod making;
mod memory;
pub(super) mod page;
mod sort;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use cap_std::fs::{Dir, DirEntry};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LINK, VARY};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::Shared;
use super::accept::Preference;
use super::answer::Ask;
use super::compress::Compressed;
use super::conditional::http_time;
use super::encoding::Coding;
use super::open::{Folder, RENEWALS};
use super::path::{self, RequestPath};
use super::waits::Wanted;

use self::body::{Form, ListingBody};
use self::memory::{Charge, Sending};
use self::sort::View;

pub(super) use self::making::Listings;
pub(super) use self::memory::ListingMemory;

/// How many entries are on a page: about 3 MB, and 20 MB if all names are as long and odd as they can be.
const MAX_ENTRIES: usize = 10_000;

/// How many entries of a folder are read to find those of a page.
const MAX_READ: usize = 1_000_000;

/// Says to a program that there are more entries than those of the JSON, of which `Link` has the next ones.
const TRUNCATED: HeaderName = HeaderName::from_static("listing-truncated");

/// Lists the folder below `root` that `ask` has led to, as it would have it.
///
/// # Errors
///
/// The status to answer with.
pub(super) async fn listing(shared: &Arc<Shared>, ask: &Ask, root: Arc<Folder>) -> Result<Response<Body>, StatusCode> {
    let (Ask { place, headers, .. }, RequestPath { relative, .. }) = (ask, ask.path()?);
    let view = View::from_query(place.query().unwrap_or_default());
    let as_json = Preference::of(headers, "application", "json") > Preference::of(headers, "text", "html");
    let listing = Listings::get(shared, root, relative, &view).await?;
    let (form, media_type) = match as_json {
        true => (Form::json(), "application/json"),
        false => (Form::page(&listing, relative, place.path(), &view), "text/html; charset=utf-8"),
    };
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::POLICY));
    // https://www.rfc-editor.org/rfc/rfc9110#section-12.5.5
    headers.insert(VARY, ACCEPT.into());
    headers.append(VARY, ACCEPT_ENCODING.into());
    if listing.is_part() {
        headers.insert(TRUNCATED, listing.len.into());
    }
    if listing.has_next(&view)
        && let Ok(next) = HeaderValue::try_from(format!("<{}>; rel=\"next\"", view.query(view.page + 1)))
    {
        // https://www.rfc-editor.org/rfc/rfc8288#section-3
        headers.insert(LINK, next);
    }
    let coding = Coding::accepted(&ask.headers).next().filter(|_| listing.len >= COMPRESSED);
    let body = Body::new(ListingBody::new(listing, form, Arc::clone(&shared.gave_up)));
    *response.body_mut() = match coding.and_then(|coding| Some((coding, shared.compression()?))) {
        Some((coding, permit)) => {
            response.headers_mut().insert(CONTENT_ENCODING, coding.header());
            Body::new(Compressed::new(body, None, coding, permit, None))
        }
        None => body,
    };
    Ok(response)
}

/// From how many entries on a listing is compressed.
const COMPRESSED: usize = 20;

/// What a folder held, as far as it was asked for.
struct Listing {
    entries: Sending,
    /// How many of them there are.
    len: usize,
    /// How many there are on all pages.
    total: usize,
    /// What the files among these have together, in bytes.
    size: u64,
    /// Whether there were more than are read.
    cut: bool,
}

struct Entry {
    name: OsString,
    is_folder: bool,
    /// In bytes.
    size: u64,
    modified: Option<SystemTime>,
}

impl Listing {
    /// Reads and sorts. Blocks.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::OutOfMemory`] if there is no memory for it now; and when nobody wants it any more.
    fn read(
        shared: &Shared,
        root: &Folder,
        folder: &Dir,
        relative: &Path,
        view: &View,
        wanted: &Wanted,
    ) -> io::Result<Self> {
        for _ in 0..RENEWALS {
            let before = shared.root.denials();
            let listing = Self::read_once(shared, root, folder, relative, view, wanted)?;
            if shared.root.denials() == before {
                return Ok(listing);
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    fn read_once(
        shared: &Shared,
        root: &Folder,
        folder: &Dir,
        relative: &Path,
        view: &View,
        wanted: &Wanted,
    ) -> io::Result<Self> {
        let mut dir = folder.entries()?;
        let mut entries = Vec::new();
        // One for all of it: two would take each other for somebody else's.
        let mut charge = Charge::new(shared.root.listing_memory());
        let filter = view.filter.to_lowercase();
        let wanted_entries = view.page * MAX_ENTRIES;
        let mounted =
            shared.options.mounted.iter().filter(|path| is_in(path, relative)).filter_map(|path| path.file_name());
        let mounted: Vec<_> = mounted.map(OsStr::to_owned).collect();
        for name in mounted.iter().filter(|name| is_shown(shared, name, &filter)) {
            entries.push(Entry { name: name.clone(), is_folder: true, size: 0, modified: None });
        }
        let (mut total, mut size) = (entries.len(), 0u64);
        for entry in dir.by_ref().take(MAX_READ) {
            wanted.check()?;
            let entry = entry?;
            // What is mounted stands in the place of what is there.
            if mounted.contains(&entry.file_name()) {
                continue;
            }
            let Some(entry) = visible(shared, root, relative, &filter, &entry) else { continue };
            total += 1;
            size = size.saturating_add(if entry.is_folder { 0 } else { entry.size });
            // Before it is kept.
            charge.grow(entry.memory() + sort::memory(&entry))?;
            entries.push(entry);
            if entries.len() == 2 * wanted_entries {
                view.sort.apply(&mut entries);
                entries.truncate(wanted_entries);
                charge.shrink_to(entries.iter().map(|entry| entry.memory() + sort::memory(entry)).sum());
            }
        }
        wanted.check()?;
        view.sort.apply(&mut entries);
        entries.truncate(wanted_entries);
        drop(entries.drain(..entries.len().min(wanted_entries - MAX_ENTRIES)));
        charge.shrink_to(entries.iter().map(Entry::memory).sum());
        Ok(Self { len: entries.len(), entries: charge.keep(entries), total, size, cut: dir.next().is_some() })
    }

    /// Whether there are entries that are not in it.
    fn is_part(&self) -> bool {
        self.cut || self.total > self.len
    }

    /// Whether there is a page behind the one of `view`.
    fn has_next(&self, view: &View) -> bool {
        view.may_go_on() && self.total > view.page * MAX_ENTRIES
    }
}

impl Entry {
    /// In bytes; a list that grows takes up to twice its length.
    fn memory(&self) -> usize {
        2 * size_of::<Self>() + self.name.len()
    }
}

/// Whether a path leads to an entry of a folder.
fn is_in(path: &Path, folder: &Path) -> bool {
    path.parent() == Some(if folder == Path::new(".") { Path::new("") } else { folder })
}

/// Whether a name may be listed, and is asked for.
fn is_shown(shared: &Shared, name: &OsStr, filter: &str) -> bool {
    path::check_name(name.as_encoded_bytes(), shared.root.hidden()).is_ok()
        && (filter.is_empty() || name.to_string_lossy().to_lowercase().contains(filter))
}

fn visible(shared: &Shared, root: &Folder, relative: &Path, filter: &str, entry: &DirEntry) -> Option<Entry> {
    let name = Some(entry.file_name()).filter(|name| is_shown(shared, name, filter))?;
    let metadata = entry.metadata().ok()?;
    // A link counts as what it leads to, if it may be followed there.
    let metadata =
        if metadata.is_symlink() { shared.root.metadata(root, &relative.join(&name)).ok()? } else { metadata };
    let servable = (metadata.is_dir() || metadata.is_file()) && !shared.root.denies(&metadata);
    servable.then(|| Entry {
        name,
        is_folder: metadata.is_dir(),
        size: metadata.len(),
        modified: metadata.modified().ok().map(|time| http_time(time.into_std())),
    })
}

/// A time that [`http_time`] has bounded as ISO 8601 has it: `1994-11-06T08:49:37Z`.
fn iso_time(time: SystemTime) -> String {
    // "Sun, 06 Nov 1994 08:49:37 GMT"
    let date = httpdate::fmt_http_date(time);
    let mut words = date.split(' ').skip(1);
    let mut word = || words.next().unwrap_or_default();
    let (day, month, year, clock) = (word(), word(), word(), word());
    let month = "JanFebMarAprMayJunJulAugSepOctNovDec".find(month).unwrap_or_default() / 3 + 1;
    format!("{year}-{month:02}-{day}T{clock}Z")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::time::Duration;

    use super::*;
    use crate::Files;
    use crate::open::Look;
    use crate::wait::Wait;

    /// What reading a folder of 1,000 entries comes to, beside so many bytes that something else holds.
    fn read(read_memory: usize, other: usize, wanted: bool) -> Result<usize, io::ErrorKind> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("rikki-listing-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        for index in 0..1000 {
            std::fs::create_dir(path.join(format!("{index}-{}", "'".repeat(200)))).unwrap();
        }
        let files = Files::new(&path).unwrap().read_memory(read_memory);
        let folder = Dir::open_ambient_dir(&path, cap_std::ambient_authority()).unwrap();
        let root = files.shared.root.folder(Wait::Yes, Look::Now).unwrap();
        let mut charge = Charge::new(files.shared.root.listing_memory());
        charge.grow(other).unwrap();
        let view = View::from_query("");
        let read = Listing::read(&files.shared, &root, &folder, Path::new("."), &view, &Wanted::new(wanted));
        std::fs::remove_dir_all(path).unwrap();
        read.map(|listing| listing.len).map_err(|error| error.kind())
    }

    #[test]
    fn what_is_read_counts_before_it_is_there() {
        assert_eq!(read(4 << 20, 100_000, true), Ok(1000));
        assert_eq!(read(500_000, 100_000, true), Err(io::ErrorKind::OutOfMemory));
    }

    #[test]
    fn one_alone_may_be_of_any_length() {
        assert_eq!(read(100_000, 0, true), Ok(1000));
    }

    #[test]
    fn nothing_is_read_for_nobody() {
        assert_eq!(read(4 << 20, 100_000, false), Err(io::ErrorKind::ConnectionAborted));
    }

    #[test]
    fn iso_times() {
        let check = |seconds: u64, expected: &str| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(iso_time(http_time(time)), expected);
        };
        check(0, "1970-01-01T00:00:00Z");
        check(784_111_777, "1994-11-06T08:49:37Z");
        check(1_709_210_096, "2024-02-29T12:34:56Z");
        check(1_735_689_599, "2024-12-31T23:59:59Z");
        check(u64::MAX >> 2, "9999-12-31T23:59:59Z");
    }
}
