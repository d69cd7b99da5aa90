//! What a query asks for of a listing: `?sort=-size&page=2&filter=log`, as its buttons and links have it.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use std::ffi::OsString;

use super::Entry;

/// What a listing is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Column {
    Name,
    Size,
    Modified,
}

impl Column {
    pub(super) const ALL: [Self; 3] = [Self::Name, Self::Size, Self::Modified];

    /// In a query.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Size => "size",
            Self::Modified => "modified",
        }
    }
}

/// The most pages that there are: what is on the last of them is found among all that come before it.
const MAX_PAGES: usize = 10;

/// The longest filter, in characters: as long as a name can be.
const MAX_FILTER: usize = 255;

/// What is shown of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct View {
    pub(super) sort: Sort,
    /// From 1.
    pub(super) page: usize,
    /// What names contain, as it was typed.
    pub(super) filter: String,
}

impl View {
    /// What a query asks for. Whatever is no part of it is passed over, as the query of a file is.
    pub(super) fn from_query(query: &str) -> Self {
        let mut view = Self { sort: Sort { column: Column::Name, descending: false }, page: 1, filter: String::new() };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "sort" => view.sort = Sort::from_value(value).unwrap_or(view.sort),
                "order" => view.sort.descending = value == "desc",
                "page" => view.page = value.parse().unwrap_or(1).clamp(1, MAX_PAGES),
                // As forms send it: https://url.spec.whatwg.org/#concept-urlencoded-parser
                "filter" => {
                    let value = value.replace('+', " ");
                    let value = percent_decode_str(&value).decode_utf8_lossy();
                    view.filter = value.trim().chars().take(MAX_FILTER).collect();
                }
                _ => {}
            }
        }
        view
    }

    /// The query of another page in this order.
    pub(super) fn query(&self, page: usize) -> String {
        let mut query = format!("?sort={}&page={page}", self.sort.value());
        if !self.filter.is_empty() {
            query.push_str("&filter=");
            query.extend(utf8_percent_encode(&self.filter, NON_ALPHANUMERIC));
        }
        query
    }

    /// Whether there may be a page behind this one.
    pub(super) fn may_go_on(&self) -> bool {
        self.page < MAX_PAGES
    }
}

/// An order of entries; by name and ascending unless told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sort {
    pub(super) column: Column,
    pub(super) descending: bool,
}

impl Sort {
    /// A column, with a minus in front if it descends.
    fn from_value(value: &str) -> Option<Self> {
        let (key, descending) = value.strip_prefix('-').map_or((value, false), |key| (key, true));
        let column = Column::ALL.into_iter().find(|column| column.key() == key)?;
        Some(Self { column, descending })
    }

    pub(super) fn value(self) -> String {
        format!("{}{}", if self.descending { "-" } else { "" }, self.column.key())
    }

    /// The order that the head of `column` leads to: the other way round if it is this one, or else what is looked for
    /// most often, which is the largest and the latest.
    pub(super) fn next(self, column: Column) -> Self {
        let descending = if self.column == column { !self.descending } else { column != Column::Name };
        Self { column, descending }
    }

    /// Folders come first in every order, and have no size; what is equal is in the order of names.
    pub(super) fn apply(self, entries: &mut [Entry]) {
        entries.sort_by_cached_key(|entry| (natural(&entry.name.to_string_lossy()), entry.name.clone()));
        let size = |entry: &Entry| if entry.is_folder { 0 } else { entry.size };
        entries.sort_by(|a, b| {
            let (a, b) = if self.descending { (b, a) } else { (a, b) };
            match self.column {
                Column::Name => std::cmp::Ordering::Equal,
                Column::Size => size(a).cmp(&size(b)),
                Column::Modified => a.modified.cmp(&b.modified),
            }
        });
        if self.column == Column::Name && self.descending {
            entries.reverse();
        }
        entries.sort_by_key(|entry| !entry.is_folder);
    }
}

/// What a name is sorted by: small letters, and numbers by their value, so that `f2` comes before `f10`.
///
/// A number is a zero, how many digits there are without leading zeros, and these: so it compares as one, and with
/// everything else as a digit.
fn natural(name: &str) -> Box<str> {
    let mut key = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        if first.is_ascii_digit() {
            let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
            let (number, behind) = rest.split_at(end);
            let digits = number.trim_start_matches('0');
            // No name has so many that there would be none.
            let count = u32::try_from(digits.len()).ok().and_then(char::from_u32).unwrap_or(char::MAX);
            key.extend(['0', count]);
            key.push_str(digits);
            rest = behind;
        } else {
            key.extend(first.to_lowercase());
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    key.into()
}

/// What sorting takes for an entry, in bytes: [what it is sorted by](natural), which may be longer than its name, and
/// that; and their places in two lists.
pub(super) fn memory(entry: &Entry) -> usize {
    4 * entry.name.len() + 2 * size_of::<(Box<str>, OsString, usize)>()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn queries() {
        let check = |query: &str, sort: &str, page: usize, filter: &str| {
            let view = View::from_query(query);
            assert_eq!((&*view.sort.value(), view.page, &*view.filter), (sort, page, filter), "{query:?}");
            assert_eq!(View::from_query(&view.query(view.page)[1..]), view, "{query:?}");
        };
        check("", "name", 1, "");
        check("sort=name", "name", 1, "");
        check("sort=-name", "-name", 1, "");
        check("sort=name&order=desc", "-name", 1, "");
        check("sort=size&order=desc&page=3", "-size", 3, "");
        check("utm=1&sort=modified&order=asc", "modified", 1, "");
        check("sort=inode&order=random", "name", 1, "");
        check("sort&order", "name", 1, "");
        check("sort=size&sort=<script>&page=x", "size", 1, "");
        check("page=0", "name", 1, "");
        check("page=18446744073709551616", "name", 1, "");
        check("page=99", "name", 10, "");
        check("filter=a%2Bb+c%26%22%3C&sort=-size", "-size", 1, "a+b c&\"<");
        check("filter=%ff+", "name", 1, "\u{fffd}");
        check(&format!("filter={}", "ä".repeat(300)), "name", 1, &"ä".repeat(255));
    }

    #[test]
    fn numbers_are_sorted_by_their_value() {
        let check = |sorted: &[&str]| {
            let mut names: Vec<_> = sorted.iter().rev().copied().collect();
            names.sort_by_cached_key(|name| (natural(name), name.to_string()));
            assert_eq!(names, sorted);
        };
        check(&["f1", "f2", "f10", "f100"]);
        check(&["1", "007", "7", "8", "10"]);
        check(&["a 2.txt", "a 10.txt", "a-1.txt", "ab"]);
        check(&["0", "00", "v1.9.12", "v1.10.2", "v1.10.10"]);
        check(&["!", "1", "18446744073709551616", "99999999999999999999", "A", "b", "ß", "\u{661}"]);
        for name in ["1a".repeat(127), "\u{130}".repeat(100), "0".repeat(255), "9".repeat(255)] {
            assert!(natural(&name).len() <= 3 * name.len(), "what memory() counts: {name}");
        }
    }

    #[test]
    fn orders() {
        let entry = |name: &str, is_folder: bool, size: u64, seconds: u64| Entry {
            name: name.into(),
            is_folder,
            size,
            modified: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
        };
        let check = |query: &str, expected: [&str; 6]| {
            let mut entries = [
                entry("b", false, 2, 30),
                entry("D", false, 1, 10),
                entry("a", false, 2, 20),
                entry("c", false, 3, 10),
                entry("Z", true, 4096, 40),
                entry("y", true, 9, 50),
            ];
            View::from_query(query).sort.apply(&mut entries);
            assert_eq!(entries.map(|entry| entry.name), expected, "{query}");
        };
        check("", ["y", "Z", "a", "b", "c", "D"]);
        check("sort=name&order=desc", ["Z", "y", "D", "c", "b", "a"]);
        check("sort=size", ["y", "Z", "D", "a", "b", "c"]);
        check("sort=size&order=desc", ["y", "Z", "c", "a", "b", "D"]);
        check("sort=modified", ["Z", "y", "c", "D", "a", "b"]);
        check("sort=modified&order=desc", ["y", "Z", "b", "a", "c", "D"]);
    }
}
