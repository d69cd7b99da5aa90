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

    /// As a text in which nothing is escaped, for those who escape texts themselves; what is not UTF-8 is U+FFFD.
    #[must_use]
    pub fn to_text(self) -> String {
        let mut text = String::from_utf8_lossy(self.shown()).into_owned();
        text.push_str(self.end());
        text
    }

    fn shown(&self) -> &'a [u8] {
        self.0.get(..SHOWN).unwrap_or(self.0)
    }

    fn end(&self) -> &'static str {
        if self.0.len() > SHOWN { "..." } else { "" }
    }
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.shown().utf8_chunks() {
            write!(f, "{}{}", chunk.valid().escape_debug(), chunk.invalid().escape_ascii())?;
        }
        f.write_str(self.end())
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
        assert_eq!(Excerpt::of(b"\"\x1b\xff").to_text(), "\"\u{1b}\u{fffd}");
        assert_eq!(Excerpt::of(&[b'x'; 201]).to_text(), format!("{}...", "x".repeat(200)));
    }
}
