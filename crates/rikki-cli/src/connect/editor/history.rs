//! Lines that were entered, in this run and in those before it.
//!
//! They are kept in a file of the user's alone, of a bounded length. What begins with a space is not remembered at all,
//! and what looks like a secret not beyond the end.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// How many lines are remembered, and how many bytes of them.
const MOST: usize = 1000;
const MOST_BYTES: usize = 1 << 20;

/// The longest line that is remembered, in bytes.
const LONGEST: usize = 16 * 1024;

/// What is in lines that are not written to disk, in lower case: names of secrets.
const SECRETS: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "authorization",
    "bearer",
    "credential",
    "api_key",
    "api-key",
    "apikey",
    "private_key",
    "private-key",
    "cookie",
];

/// How a JSON web token begins: with the base64 of `{"`.
const JWT: &str = "eyJ";

#[derive(Debug, Default)]
pub(in crate::connect) struct History {
    lines: VecDeque<String>,
    bytes: usize,
    /// Where they are kept, if they are.
    path: Option<PathBuf>,
}

impl History {
    /// What is in the file at `path`, which is made if there is none. Where that fails lines are remembered until the
    /// end, and the error says why.
    pub(in crate::connect) fn load(path: PathBuf) -> (Self, Option<io::Error>) {
        let mut history = Self::default();
        match history.read(&path) {
            Ok(()) => (Self { path: Some(path), ..history }, None),
            Err(error) => (history, Some(error)),
        }
    }

    /// The line that was entered so many lines ago, 0 for the last one.
    pub(super) fn ago(&self, count: usize) -> Option<&str> {
        self.lines.iter().rev().nth(count).map(String::as_str)
    }

    /// The newest line that has `text` in it, from so many lines ago on.
    pub(super) fn find(&self, text: &str, from: usize) -> Option<usize> {
        let mut lines = self.lines.iter().rev().enumerate().skip(from);
        lines.find(|(_, line)| line.contains(text)).map(|(count, _)| count)
    }

    /// Remembers a line.
    pub(super) fn add(&mut self, line: &str) {
        if line.trim().is_empty() || line.starts_with(' ') || line.len() > LONGEST || self.ago(0) == Some(line) {
            return;
        }
        self.push(line.to_owned());
        if is_secret(line) {
            return;
        }
        // A disk that is full is no reason to say something for each line.
        if let Some(path) = &self.path
            && let Ok(mut file) = open(path)
        {
            let _ = file.write_all(format!("{}\n", escaped(line)).as_bytes());
        }
    }

    fn push(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > MOST || self.bytes > MOST_BYTES {
            self.bytes -= self.lines.pop_front().map_or(self.bytes, |line| line.len());
        }
    }

    fn read(&mut self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut file = open(path)?;
        let length = file.metadata()?.len();
        // Its end, from the first whole line on.
        let skipped = length.saturating_sub(2 * MOST_BYTES as u64);
        file.seek(SeekFrom::Start(skipped))?;
        let mut bytes = Vec::new();
        file.take(4 * MOST_BYTES as u64).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let whole = if skipped > 0 { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &text };
        let lines: Vec<&str> = whole.lines().collect();
        for line in lines.iter().filter(|line| line.len() <= 2 * LONGEST) {
            self.push(unescaped(line));
        }
        if lines.len() > 2 * MOST || length > 2 * MOST_BYTES as u64 {
            self.write(path)?;
        }
        Ok(())
    }

    /// Replaces the file by what is remembered.
    fn write(&self, path: &Path) -> io::Result<()> {
        // A link that leads there stays.
        let path = &fs::canonicalize(path)?;
        let new = path.with_extension(format!("new-{}", std::process::id()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        let text: String = self.lines.iter().map(|line| format!("{}\n", escaped(line))).collect();
        let written = file.write_all(text.as_bytes()).and_then(|()| fs::rename(&new, path));
        written.inspect_err(|_| drop(fs::remove_file(&new)))
    }
}

/// Where a user's history is: below the folder for state
/// (<https://specifications.freedesktop.org/basedir-spec/latest/>).
pub(in crate::connect) fn path(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    // "All paths set in these environment variables must be absolute. If an implementation encounters a relative path
    // in any of these variables it should consider the path invalid and ignore it."
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("rikki").join("connect-history"))
}

/// For reading and appending, by its owner alone.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

fn is_secret(line: &str) -> bool {
    let lower = line.to_lowercase();
    line.contains(JWT) || SECRETS.iter().any(|secret| lower.contains(secret))
}

/// A line of the file: what was pasted may have ends of lines in it.
fn escaped(line: &str) -> String {
    line.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")
}

fn unescaped(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("rikki-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn load(path: &Path) -> History {
        let (history, error) = History::load(path.to_owned());
        assert!(error.is_none(), "{error:?}");
        history
    }

    #[test]
    fn lines_are_kept_for_their_owner_and_secrets_are_not() {
        let folder = Folder::new("history");
        let path = folder.0.join("rikki/connect-history");
        let mut history = load(&path);
        for line in ["one", "one", " spaced", "", "two\nlines\\n", "{\"password\": 1}", "Bearer x", "a eyJhbGciOi"] {
            history.add(line);
        }
        history.add(&"x".repeat(LONGEST + 1));
        assert_eq!(history.lines, ["one", "two\nlines\\n", "{\"password\": 1}", "Bearer x", "a eyJhbGciOi"]);
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\\nlines\\\\n\n");
        // One that others could read is theirs no longer.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let history = load(&path);
        assert_eq!(
            (history.lines.iter().map(String::as_str).collect::<Vec<_>>(), mode(&path)),
            (vec!["one", "two\nlines\\n"], 0o600)
        );
        assert_eq!((history.ago(0), history.ago(2)), (Some("two\nlines\\n"), None));
        assert_eq!((history.find("o", 0), history.find("o", 1), history.find("x", 0)), (Some(0), Some(1), None));
    }

    #[test]
    fn it_is_bounded() {
        let folder = Folder::new("bounded");
        fs::create_dir_all(&folder.0).unwrap();
        let path = folder.0.join("connect-history");
        let lines: String = (0..2 * MOST + 1).map(|number| format!("line {number}\n")).collect();
        fs::write(&path, lines).unwrap();
        let link = folder.0.join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let history = load(&link);
        assert_eq!((history.lines.len(), history.ago(0)), (MOST, Some("line 2000")));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), MOST);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(mode(&path), 0o600);
        fs::write(&path, format!("{}\n", "y".repeat(LONGEST)).repeat(200)).unwrap();
        let history = load(&path);
        assert!(history.bytes <= MOST_BYTES && history.lines.len() == MOST_BYTES / LONGEST, "{}", history.bytes);
        assert!(fs::metadata(&path).unwrap().len() <= 2 * MOST_BYTES as u64);
    }

    #[test]
    fn what_is_no_file_keeps_nothing() {
        let folder = Folder::new("no-file");
        fs::create_dir_all(folder.0.join("connect-history")).unwrap();
        let (mut history, error) = History::load(folder.0.join("connect-history"));
        history.add("one");
        assert!(error.is_some() && history.ago(0) == Some("one"));
        let (_, error) = History::load(PathBuf::from("/dev/null"));
        assert_eq!(error.map(|error| error.to_string()).as_deref(), Some("it is no file"));
    }

    #[test]
    fn where_it_is() {
        let check = |variables: &[(&str, &str)], expected: Option<&str>| {
            let found = path(|name| Some(variables.iter().find(|(known, _)| *known == name)?.1.into()));
            assert_eq!(found.as_deref(), expected.map(Path::new), "{variables:?}");
        };
        check(&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")], Some("/s/rikki/connect-history"));
        check(&[("XDG_STATE_HOME", "s"), ("HOME", "/h")], Some("/h/.local/state/rikki/connect-history"));
        check(&[("HOME", "")], None);
        check(&[], None);
    }
}
