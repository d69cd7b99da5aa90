//! The listing of a folder: what it shows, in which order, and whether as a page or as JSON.
//!
//! What is listed is what can be fetched: names that [`super::path`] refuses, hidden and denied files, links that lead
//! out of the root and whatever is neither file nor folder are left out.

mod json;
mod page;
mod sort;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use axum::body::Body;
use cap_std::fs::{Dir, DirEntry};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY};
use http::{HeaderName, HeaderValue, Response};

use super::Shared;
use super::accept::Preference;
use super::answer::Ask;
use super::conditional::http_time;
use super::open::{Denials, Folder};
use super::path;

use self::sort::Sort;

/// How many entries of a folder are read: about 3 MB of page, and 20 MB if all names are as long and odd as they can be.
const MAX_ENTRIES: usize = 10_000;

/// Says to a program that there are more entries than those of the JSON.
const TRUNCATED: HeaderName = HeaderName::from_static("listing-truncated");

/// Lists `folder`, which `relative` has led to below `root`, as `ask` would have it. Blocks.
pub(super) fn listing(
    shared: &Shared,
    root: &Folder,
    folder: &Dir,
    relative: &Path,
    ask: &Ask,
) -> io::Result<Response<Body>> {
    let Ask { place, headers, .. } = ask;
    let sort = Sort::from_query(place.query().unwrap_or_default());
    let mut listing = Listing::read(shared, root, folder, relative)?;
    sort.apply(&mut listing.entries);
    let as_json = Preference::of(headers, "application", "json") > Preference::of(headers, "text", "html");
    let (content, media_type) = match as_json {
        true => (json::json(&listing.entries), "application/json"),
        false => (page::page(&listing, relative, place.path(), sort), "text/html; charset=utf-8"),
    };
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::POLICY));
    headers.insert(CONTENT_LENGTH, content.len().into());
    // https://www.rfc-editor.org/rfc/rfc9110#section-12.5.5
    headers.insert(VARY, ACCEPT.into());
    if listing.cut {
        headers.insert(TRUNCATED, MAX_ENTRIES.into());
    }
    *response.body_mut() = shared.root.blocks().count(content.into_bytes())?.into();
    Ok(response)
}

struct Listing {
    entries: Vec<Entry>,
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
    fn read(shared: &Shared, root: &Folder, folder: &Dir, relative: &Path) -> io::Result<Self> {
        let denials = shared.root.denials();
        let mut dir = folder.entries()?;
        let mut entries = Vec::new();
        for entry in dir.by_ref().take(MAX_ENTRIES) {
            entries.extend(visible(shared, root, &denials, relative, &entry?));
        }
        Ok(Self { entries, cut: dir.next().is_some() })
    }
}

fn visible(shared: &Shared, root: &Folder, denials: &Denials, relative: &Path, entry: &DirEntry) -> Option<Entry> {
    let name = entry.file_name();
    path::check_name(name.as_encoded_bytes(), shared.root.hidden()).ok()?;
    let metadata = entry.metadata().ok()?;
    // A link counts as what it leads to, if it may be followed there.
    let metadata =
        if metadata.is_symlink() { shared.root.metadata(root, &relative.join(&name)).ok()? } else { metadata };
    let servable = metadata.is_dir() || (metadata.is_file() && !denials.covers(&metadata));
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
    use std::time::Duration;

    use super::*;

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
