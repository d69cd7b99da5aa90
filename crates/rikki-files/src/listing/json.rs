//! A listing for programs: an array of objects, one for each entry.

use std::fmt::{self, Display, Write};

use super::{Entry, iso_time};
use crate::path;

/// What is before the first entry, between two, and behind the last:
/// `[{"name": "a.txt", "type": "file", "size": 2, "modified": "1994-11-06T08:49:37Z"}]`.
pub(super) const START: &str = "[\n";
pub(super) const BETWEEN: &str = ",\n";
pub(super) const END: &str = "\n]\n";

/// A folder has the type `directory` and no size (`null`). In a name that is not UTF-8, what is broken is replaced by
/// U+FFFD; the entry then has a member `path` too, its name as it stands in a URL.
impl Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_folder { "directory" } else { "file" };
        write!(f, "{{\"name\": \"{}\"", Escaped(&self.name.to_string_lossy()))?;
        if self.name.to_str().is_none() {
            write!(f, ", \"path\": \"{}\"", path::encode(self.name.as_encoded_bytes()))?;
        }
        write!(f, ", \"type\": \"{kind}\", \"size\": ")?;
        if self.is_folder {
            f.write_str("null")?;
        } else {
            write!(f, "{}", self.size)?;
        }
        match self.modified {
            Some(time) => write!(f, ", \"modified\": \"{}\"}}", iso_time(time)),
            None => f.write_str(", \"modified\": null}"),
        }
    }
}

/// The content of a JSON string: <https://www.rfc-editor.org/rfc/rfc8259#section-7>
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                // All of them are below U+00A0.
                control if control.is_control() => write!(f, "\\u{:04x}", u32::from(control))?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn entries() {
        let file = Entry {
            name: "a \"b\" ä\u{85}\u{1}".into(),
            is_folder: false,
            size: u64::MAX,
            modified: Some(SystemTime::UNIX_EPOCH),
        };
        let folder = Entry { name: "sub".into(), is_folder: true, size: 4096, modified: None };
        assert_eq!(
            file.to_string(),
            "{\"name\": \"a \\\"b\\\" ä\\u0085\\u0001\", \"type\": \"file\", \"size\": 18446744073709551615, \
             \"modified\": \"1970-01-01T00:00:00Z\"}"
        );
        let expected = "{\"name\": \"sub\", \"type\": \"directory\", \"size\": null, \"modified\": null}";
        assert_eq!(folder.to_string(), expected);
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_not_utf8_has_its_path_too() {
        let name = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff.txt");
        let entry = Entry { name: std::ffi::OsStr::to_owned(name), is_folder: false, size: 1, modified: None };
        let expected = "{\"name\": \"\u{fffd}.txt\", \"path\": \"%FF.txt\", \"type\": \"file\", \"size\": 1, \
                        \"modified\": null}";
        assert_eq!(entry.to_string(), expected);
    }
}
