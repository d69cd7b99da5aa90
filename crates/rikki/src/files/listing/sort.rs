//! The order of a listing, as its links ask for it: `?sort=size&order=desc`.

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

/// An order of entries; by name and ascending unless told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sort {
    pub(super) column: Column,
    pub(super) descending: bool,
}

impl Sort {
    /// What a query asks for. Whatever is no order is passed over, as the query of a file is.
    pub(super) fn from_query(query: &str) -> Self {
        let mut sort = Self { column: Column::Name, descending: false };
        for pair in query.split('&') {
            match pair.split_once('=') {
                Some(("sort", key)) => {
                    sort.column = Column::ALL.into_iter().find(|column| column.key() == key).unwrap_or(sort.column);
                }
                Some(("order", order)) => sort.descending = order == "desc",
                _ => {}
            }
        }
        sort
    }

    /// The order that the head of `column` leads to: the other way round if it is this one, or else what is looked for
    /// most often, which is the largest and the latest.
    pub(super) fn next(self, column: Column) -> Self {
        let descending = if self.column == column { !self.descending } else { column != Column::Name };
        Self { column, descending }
    }

    /// As a query. Leads back to the same order.
    pub(super) fn query(self) -> String {
        format!("?sort={}&order={}", self.column.key(), if self.descending { "desc" } else { "asc" })
    }

    /// Folders come first in every order, and have no size; what is equal is in the order of names.
    pub(super) fn apply(self, entries: &mut [Entry]) {
        entries.sort_by_cached_key(|entry| (entry.name.to_string_lossy().to_lowercase(), entry.name.clone()));
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

/// What sorting takes for an entry, in bytes: its name in small letters, which may be longer, and as it is; and their
/// places in two lists.
pub(super) fn memory(entry: &Entry) -> usize {
    4 * entry.name.len() + 2 * size_of::<(String, OsString, usize)>()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn queries() {
        let check = |query: &str, column: Column, descending: bool| {
            let sort = Sort::from_query(query);
            assert_eq!(sort, Sort { column, descending }, "{query:?}");
            assert_eq!(Sort::from_query(&sort.query()[1..]), sort, "{query:?}");
        };
        check("", Column::Name, false);
        check("sort=name", Column::Name, false);
        check("sort=name&order=desc", Column::Name, true);
        check("order=desc&sort=size", Column::Size, true);
        check("utm=1&sort=modified&order=asc", Column::Modified, false);
        check("sort=inode&order=random", Column::Name, false);
        check("sort&order", Column::Name, false);
        check("sort=size&sort=<script>", Column::Size, false);
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
            Sort::from_query(query).apply(&mut entries);
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
