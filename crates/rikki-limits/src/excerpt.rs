//! What somebody else has written, fit for a log line, an error or a terminal.

use std::fmt;

/// How much is shown, in bytes.
const SHOWN: usize = 200;

/// Text of a peer as it may be shown: 200 bytes of it, with control characters, quotes and what is not UTF-8 escaped.
#[derive(Clone, Copy, Debug)]
pub struct Excerpt<'a>(&'a [u8]);

impl<'a> Excerpt<'a> {
    /// What is to be shown of `text`.
    pub fn of(text: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self(text.as_ref())
    }
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..SHOWN).unwrap_or(self.0);
        for chunk in shown.utf8_chunks() {
            write!(f, "{}{}", chunk.valid().escape_debug(), chunk.invalid().escape_ascii())?;
        }
        f.write_str(if shown.len() < self.0.len() { "..." } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_a_terminal_as_it_is_but_plain_text() {
        let check = |text: &[u8], expected: &str| assert_eq!(Excerpt::of(text).to_string(), expected);
        check(b"", "");
        check("Grüße".as_bytes(), "Grüße");
        check(b"a \"b\"\r\n\x1b[2J\x7f", "a \\\"b\\\"\\r\\n\\u{1b}[2J\\u{7f}");
        check(b"\xff\x9b31m", "\\xff\\x9b31m");
        check("\u{9b}31m".as_bytes(), "\\u{9b}31m");
        check(&[b'x'; 200], &"x".repeat(200));
        check(&[b'x'; 201], &format!("{}...", "x".repeat(200)));
    }
}
