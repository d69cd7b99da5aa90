//! Secrets of files: read once, compared in constant time, and shown to nobody.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq as _;

use crate::args::UsageError;

/// The longest key, in bytes: it has to fit into the head of a request.
const LONGEST: usize = 4096;

/// The shortest key of HS256, in bytes: that of its hash
/// ([RFC 7518 section 3.2](https://www.rfc-editor.org/rfc/rfc7518#section-3.2)).
const SHORTEST_OF_HS256: usize = 32;

/// A key, and the file that it is of, which is never served. Neither a log nor an error shows the key.
#[derive(Clone, PartialEq)]
pub(crate) struct Secret {
    file: PathBuf,
    key: Vec<u8>,
}

impl Secret {
    /// A key that a client sends as the token of an `Authorization`.
    pub(crate) fn bearer(file: &Path) -> Result<Self, UsageError> {
        let key = read(file)?;
        let key = line(&key);
        if key.is_empty() {
            return Err(wrong(file, "it is empty"));
        }
        if !key.iter().all(u8::is_ascii_graphic) {
            return Err(wrong(file, "a key is one line of ASCII letters, digits and signs, without spaces"));
        }
        Ok(Self { file: file.to_owned(), key: key.to_owned() })
    }

    /// A key of HS256: text, or any bytes.
    pub(crate) fn of_hs256(file: &Path) -> Result<Self, UsageError> {
        let bytes = read(file)?;
        // Bytes that are no text may end in what would end a line.
        let key = if is_text(&bytes) { line(&bytes) } else { &bytes };
        if key.len() < SHORTEST_OF_HS256 {
            let length = key.len();
            return Err(wrong(file, &format!("{length} bytes, where HS256 needs {SHORTEST_OF_HS256} or more")));
        }
        // Whoever knows a public key could sign with it.
        if key.starts_with(b"-----BEGIN") {
            return Err(wrong(file, "PEM, where HS256 needs a secret that both sides have"));
        }
        if is_text(key) && key.contains(&b'\n') {
            return Err(wrong(file, "text of several lines: a key is one line, or bytes that are no text"));
        }
        Ok(Self { file: file.to_owned(), key: key.to_owned() })
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Whether this is the key, in a time that tells nothing but its length.
    pub(crate) fn is(&self, key: &str) -> bool {
        self.key.ct_eq(key.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("file", &self.file).finish_non_exhaustive()
    }
}

fn read(file: &Path) -> Result<Vec<u8>, UsageError> {
    let mut key = Vec::new();
    let read = File::open(file).and_then(|opened| opened.take(LONGEST as u64 + 1).read_to_end(&mut key));
    match read {
        Err(error) => Err(wrong(file, &error.to_string())),
        Ok(length) if length > LONGEST => Err(wrong(file, &format!("more than {LONGEST} bytes"))),
        Ok(_) => Ok(key),
    }
}

/// Whether it has been written with an editor.
fn is_text(bytes: &[u8]) -> bool {
    let is_letter = |letter: char| !letter.is_control() || matches!(letter, '\r' | '\n');
    std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(is_letter))
}

/// A line without its end.
fn line(text: &[u8]) -> &[u8] {
    let line = text.strip_suffix(b"\n").unwrap_or(text);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn wrong(file: &Path, why: &str) -> UsageError {
    UsageError(format!("no key in {}: {why}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_lines() {
        let check = |text: &str, expected: &str| assert_eq!(line(text.as_bytes()), expected.as_bytes());
        check("key", "key");
        check("key\n", "key");
        check("key\r\n", "key");
        check("key\n\n", "key\n");
        check("\n", "");
        check("", "");
    }

    #[test]
    fn nothing_is_shown() {
        let secret = Secret { file: "a.key".into(), key: b"s3cret".to_vec() };
        assert_eq!(format!("{secret:?}"), "Secret { file: \"a.key\", .. }");
        assert!(secret.is("s3cret") && !secret.is("s3creT") && !secret.is("s3cre") && !secret.is(""));
    }
}
