//! Bytes, as they are read from stdin, into lines of text.

use std::{fmt, mem};

/// Takes chunks of bytes and gives lines; holds at most one chunk and one line.
pub(super) struct Lines {
    limit: usize,
    chunk: Vec<u8>,
    /// Where in the chunk the next line begins, or goes on.
    start: usize,
    /// The beginning of the line, from earlier chunks.
    partial: Vec<u8>,
    /// How many lines were found.
    count: u64,
}

/// Why a line cannot be sent.
#[derive(Debug, PartialEq)]
pub(super) enum LineError {
    /// It is longer than `limit` bytes.
    TooLong { line: u64, limit: usize },
    /// It is not UTF-8, and a text message must be
    /// ([RFC 6455 section 5.6](https://www.rfc-editor.org/rfc/rfc6455#section-5.6)).
    NotUtf8 { line: u64 },
}

impl Lines {
    /// Lines of at most `limit` bytes, the end of the line not counted.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, chunk: Vec::new(), start: 0, partial: Vec::new(), count: 0 }
    }

    /// Takes the next chunk, when [`next_line`](Self::next_line) has nothing more to give.
    pub(super) fn push(&mut self, chunk: Vec<u8>) {
        debug_assert!(self.chunk.is_empty(), "a chunk was still in use");
        self.chunk = chunk;
        self.start = 0;
    }

    /// The next whole line, without its end (LF or CRLF); `None` if there is none without another chunk.
    pub(super) fn next_line(&mut self) -> Option<Result<String, LineError>> {
        let rest = self.chunk.get(self.start..).unwrap_or_default();
        let Some(length) = rest.iter().position(|byte| *byte == b'\n') else {
            self.partial.extend_from_slice(rest);
            self.chunk = Vec::new();
            // Said at once: the end may be 10 GB away. A CR may be a part of it.
            let length = self.partial.len() - usize::from(self.partial.ends_with(b"\r"));
            if length <= self.limit {
                return None;
            }
            let line = mem::take(&mut self.partial);
            return Some(self.line(line, length));
        };
        let mut line = mem::take(&mut self.partial);
        line.extend_from_slice(&rest[..length]);
        self.start += length + 1;
        if line.ends_with(b"\r") {
            line.pop();
        }
        let length = line.len();
        Some(self.line(line, length))
    }

    /// What came after the last end of a line, when no more is to come.
    pub(super) fn last_line(&mut self) -> Option<Result<String, LineError>> {
        let line = mem::take(&mut self.partial);
        let length = line.len();
        (length > 0).then(|| self.line(line, length))
    }

    fn line(&mut self, line: Vec<u8>, length: usize) -> Result<String, LineError> {
        self.count += 1;
        if length > self.limit {
            return Err(LineError::TooLong { line: self.count, limit: self.limit });
        }
        String::from_utf8(line).map_err(|_| LineError::NotUtf8 { line: self.count })
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { line, limit } => {
                write!(f, "line {line} of stdin is longer than {limit} bytes: see --max-message and --binary")
            }
            Self::NotUtf8 { line } => write!(f, "line {line} of stdin is not UTF-8, as text must be: see --binary"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 5;

    /// All lines of the input, whole and cut into chunks of every size, up to the first error.
    #[track_caller]
    fn check(input: &[u8], expected: &[Result<&str, LineError>]) {
        for size in 1..=input.len().max(1) {
            let mut lines = Lines::new(LIMIT);
            let mut found = Vec::new();
            for chunk in input.chunks(size) {
                lines.push(chunk.to_vec());
                found.extend(std::iter::from_fn(|| lines.next_line()));
                if found.last().is_some_and(Result::is_err) {
                    break;
                }
            }
            found.extend(lines.last_line());
            // Nobody asks for more after an error.
            let end = found.iter().position(Result::is_err).map_or(found.len(), |place| place + 1);
            let found: Vec<_> = found[..end].iter().map(|line| line.as_deref()).collect();
            let expected: Vec<_> = expected.iter().map(|line| line.as_ref().copied()).collect();
            assert_eq!(found, expected, "{:?} in chunks of {size}", input.escape_ascii().to_string());
        }
    }

    #[test]
    fn lines() {
        let too_long = |line| Err(LineError::TooLong { line, limit: LIMIT });
        let not_utf8 = |line| Err(LineError::NotUtf8 { line });
        check(b"", &[]);
        check(b"\n", &[Ok("")]);
        check(b"a\nb\n", &[Ok("a"), Ok("b")]);
        check(b"a\r\n\r\nb", &[Ok("a"), Ok(""), Ok("b")]);
        check(b"a\rb\n\rc\n", &[Ok("a\rb"), Ok("\rc")]);
        // A CR without LF ends no line, and without an end nothing is taken off.
        check(b"a\r", &[Ok("a\r")]);
        check(b"a\r\r\n", &[Ok("a\r")]);
        check("é€\n😀".as_bytes(), &[Ok("é€"), Ok("😀")]);
        check(b"12345\n12345\r\n12345", &[Ok("12345"), Ok("12345"), Ok("12345")]);
        check(b"12345\n123456\n", &[Ok("12345"), too_long(2)]);
        check(b"123456\r\n", &[too_long(1)]);
        check(b"123456", &[too_long(1)]);
        check(b"12345\r", &[too_long(1)]);
        check(b"\n1234567890", &[Ok(""), too_long(2)]);
        check(b"a\n\xff\nb\n", &[Ok("a"), not_utf8(2)]);
        check(b"\xf0\x9f\n\x98\x80", &[not_utf8(1)]);
        check(b"a\n\xc3", &[Ok("a"), not_utf8(2)]);
    }

    #[test]
    fn a_line_without_an_end_is_given_up_early() {
        let mut lines = Lines::new(LIMIT);
        lines.push(vec![b'x'; LIMIT]);
        assert_eq!(lines.next_line(), None);
        lines.push(vec![b'x']);
        assert_eq!(lines.next_line(), Some(Err(LineError::TooLong { line: 1, limit: LIMIT })));
    }
}
