//! The line being typed on a terminal: bytes come in, lines and the row that shows them come out. Here is no terminal.
//!
//! One row is all that it takes, in which a line that is longer moves. So what is printed above it needs to know
//! nothing but how to erase a row, and a terminal that changes its width breaks nothing.

mod history;
mod keys;
mod line;

pub(super) use history::{History, path};
use keys::{Key, Keys};
use line::{Line, Shown};

pub(super) struct Editor {
    keys: Keys,
    line: Line,
    history: History,
    /// How many lines ago the one that is shown was entered, and what had been typed before that.
    ago: Option<usize>,
    draft: String,
    killed: String,
    search: Option<Search>,
    /// The longest line, in bytes.
    limit: usize,
    /// Something was left out for it, and nothing but characters have come since.
    is_full: bool,
    columns: usize,
    has_colours: bool,
}

/// The longest text that is searched for, in bytes.
const LONGEST_SEARCH: usize = 100;

/// A search of the history, from the newest line on.
#[derive(Default)]
struct Search {
    text: String,
    found: Option<usize>,
    /// What had been typed before.
    before: String,
}

/// What was done with the line.
#[derive(Debug, PartialEq)]
pub(super) enum Done {
    Entered(String),
    /// There is no more to come.
    Ended,
    /// The screen is to be empty but for the line.
    Cleared,
    /// The line is as long as it may be, and what follows is left out.
    Full,
}

impl Editor {
    pub(super) fn new(history: History, limit: usize, columns: usize, has_colours: bool) -> Self {
        Self {
            keys: Keys::default(),
            line: Line::default(),
            history,
            ago: None,
            draft: String::new(),
            killed: String::new(),
            search: None,
            limit,
            is_full: false,
            columns,
            has_colours,
        }
    }

    pub(super) fn set_columns(&mut self, columns: usize) {
        self.columns = columns;
    }

    /// Whether the middle of a paste is still to come.
    pub(super) fn is_pasting(&self) -> bool {
        self.keys.is_pasting()
    }

    /// What was typed and not entered.
    pub(super) fn unfinished(&self) -> &str {
        self.line.text()
    }

    /// Takes what was typed, and tells what became of it.
    pub(super) fn push(&mut self, bytes: &[u8], mut tell: impl FnMut(Done)) {
        for byte in bytes {
            let mut key = self.keys.push(*byte);
            while let Some(typed) = key {
                self.handle(typed).into_iter().for_each(&mut tell);
                key = self.keys.next();
            }
        }
    }

    /// What the row shows, with the cursor in its place, from the first column of an empty row on.
    pub(super) fn row(&self) -> String {
        let (prompt, width) = match &self.search {
            Some(search) => {
                let mut query = Line::default();
                query.set(search.text.clone());
                let shown = query.shown(self.columns / 2);
                let failed = if search.found.is_none() && !search.text.is_empty() { "not " } else { "" };
                (format!("({failed}found '{}') ", shown.text), shown.cursor + "(found '') ".len() + failed.len())
            }
            None if self.has_colours => ("\x1b[32m>\x1b[0m ".to_owned(), 2),
            None => ("> ".to_owned(), 2),
        };
        // A row that overflows cannot be erased.
        let (prompt, width) = if width < self.columns { (prompt, width) } else { (String::new(), 0) };
        let Shown { text, cursor } = self.line.shown(self.columns.saturating_sub(width));
        match width + cursor {
            // It would be taken for 1.
            0 => format!("{prompt}{text}\r"),
            column => format!("{prompt}{text}\r\x1b[{column}C"),
        }
    }

    fn handle(&mut self, key: Key) -> Option<Done> {
        if self.search.is_some() && self.searches(key) {
            return None;
        }
        self.is_full &= matches!(key, Key::Char(_));
        match key {
            Key::Char(character) => return self.insert(character.encode_utf8(&mut [0; 4])),
            Key::Enter => return Some(Done::Entered(self.enter())),
            Key::EndOrDelete if self.line.text().is_empty() => return Some(Done::Ended),
            Key::Clear => return Some(Done::Cleared),
            Key::Search => self.search = Some(Search { before: self.line.text().to_owned(), ..Search::default() }),
            Key::Up => self.older(),
            Key::Down => self.newer(),
            Key::Yank => return self.insert(&self.killed.clone()),
            Key::Cancel => {}
            Key::KillToStart => self.killed = self.line.kill_to_start(),
            Key::KillToEnd => self.killed = self.line.kill_to_end(),
            Key::KillWordLeft => self.killed = self.line.kill_word_left(),
            Key::KillWordRight => self.killed = self.line.kill_word_right(),
            Key::Backspace => self.line.backspace(),
            Key::Delete | Key::EndOrDelete => self.line.delete(),
            Key::Left => self.line.left(),
            Key::Right => self.line.right(),
            Key::WordLeft => self.line.word_left(),
            Key::WordRight => self.line.word_right(),
            Key::Home => self.line.home(),
            Key::End => self.line.end(),
        }
        None
    }

    /// What would be longer than a message may be is not taken, nor what follows it: that would be another text.
    fn insert(&mut self, text: &str) -> Option<Done> {
        if self.is_full || self.line.text().len() + text.len() > self.limit {
            return (!std::mem::replace(&mut self.is_full, true)).then_some(Done::Full);
        }
        self.line.insert_text(text);
        None
    }

    fn enter(&mut self) -> String {
        let line = self.line.take();
        (self.ago, self.search) = (None, None);
        self.draft.clear();
        self.history.add(&line);
        line
    }

    fn older(&mut self) {
        let ago = self.ago.map_or(0, |ago| ago + 1);
        let Some(line) = self.history.ago(ago).map(str::to_owned) else { return };
        if self.ago.is_none() {
            self.draft = self.line.take();
        }
        self.ago = Some(ago);
        self.line.set(line);
    }

    fn newer(&mut self) {
        let Some(ago) = self.ago else { return };
        self.ago = ago.checked_sub(1);
        let line = match self.ago {
            Some(ago) => self.history.ago(ago).unwrap_or_default().to_owned(),
            None => std::mem::take(&mut self.draft),
        };
        self.line.set(line);
    }

    /// Whether a key belongs to the search; one that does not ends it, with what was found as the line.
    fn searches(&mut self, key: Key) -> bool {
        let Some(search) = &mut self.search else { return false };
        let from = match key {
            // Each one is a search: of a paste there would be no end.
            Key::Char(_) if search.text.len() >= LONGEST_SEARCH => return true,
            Key::Char(character) => {
                search.text.push(character);
                0
            }
            Key::Backspace => {
                search.text.pop();
                0
            }
            Key::Search => search.found.map_or(0, |found| found + 1),
            Key::Cancel => {
                let before = std::mem::take(&mut search.before);
                self.search = None;
                self.line.set(before);
                return true;
            }
            _ => {
                self.search = None;
                return false;
            }
        };
        let found = if search.text.is_empty() { None } else { self.history.find(&search.text, from) };
        search.found = found.or(search.found.filter(|_| key == Key::Search));
        if let Some(line) = search.found.and_then(|found| self.history.ago(found)) {
            self.line.set(line.to_owned());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was entered, and what the row shows then.
    fn typed(history: &[&str], bytes: &[u8], columns: usize) -> (Vec<Done>, String) {
        let mut remembered = History::default();
        history.iter().for_each(|line| remembered.add(line));
        let mut editor = Editor::new(remembered, 12, columns, false);
        let mut done = Vec::new();
        editor.push(bytes, |what| done.push(what));
        (done, editor.row())
    }

    fn entered(line: &str) -> Done {
        Done::Entered(line.to_owned())
    }

    #[test]
    fn lines_are_edited_and_entered() {
        let check = |bytes: &[u8], expected: &[Done], row: &str| {
            let actual = typed(&["old", "older \u{1b}"], bytes, 40);
            assert_eq!(actual, (Vec::from_iter(expected.iter().map(copy)), row.to_owned()), "{}", bytes.escape_ascii());
        };
        check(b"", &[], "> \r\x1b[2C");
        check(b"abc\x1b[D\x1b[D\x7fx\r", &[entered("xbc")], "> \r\x1b[2C");
        check(b"one\rtwo\n", &[entered("one"), entered("two")], "> \r\x1b[2C");
        check(b"\x1b[200~a\nb\x1b[201~", &[], "> a\u{240a}b\r\x1b[5C");
        check(b"a b\x17\x19\x19", &[], "> a bb\r\x1b[6C");
        check(b"\x04", &[Done::Ended], "> \r\x1b[2C");
        check(b"a\x01\x04\x04", &[Done::Ended], "> \r\x1b[2C");
        check(b"a\x0c", &[Done::Cleared], "> a\r\x1b[3C");
        // As long as a message may be.
        check(b"1234567890123456\r", &[Done::Full, entered("123456789012")], "> \r\x1b[2C");
        check("12345678901é2\r".as_bytes(), &[Done::Full, entered("12345678901")], "> \r\x1b[2C");
        check("12345678901é\x7f02\r".as_bytes(), &[Done::Full, entered("123456789002")], "> \r\x1b[2C");
        // The history, with what had been typed at its end.
        check(b"new\x1b[A\x1b[A\x1b[A", &[], "> old\r\x1b[5C");
        check(b"new\x1b[A\x1b[A\x1b[B\x1b[B\x1b[B", &[], "> new\r\x1b[5C");
        check(b"\x1b[A", &[], "> older \u{241b}\r\x1b[9C");
        check(b"\x12old", &[], "(found 'old') older \u{241b}\r\x1b[21C");
        check(b"\x12old\x12\r", &[entered("old")], "> \r\x1b[2C");
        check(b"\x12x", &[], "(not found 'x') \r\x1b[16C");
        check(b"new\x12old\x07", &[], "> new\r\x1b[5C");
        check(b"\x12old\x12\x1b[D!", &[], "> ol!d\r\x1b[5C");
    }

    #[test]
    fn a_narrow_terminal_shows_what_fits() {
        for columns in 0..8 {
            let (_, row) = typed(&[], b"123456789", columns);
            assert!(row.starts_with("> ") || columns < 3, "{row:?}");
            let (_, search) = typed(&["123456789"], b"\x12123456789x", 3 * columns);
            for (row, columns) in [(row, columns), (search, 3 * columns)] {
                assert!(row.split('\r').next().unwrap().chars().count() <= columns, "{columns}: {row:?}");
            }
        }
        let (_, row) = typed(&[], &[b"\x12".as_slice(), &[b'x'; 1000]].concat(), 4000);
        assert_eq!(row.matches('x').count(), LONGEST_SEARCH);
    }

    fn copy(done: &Done) -> Done {
        match done {
            Done::Entered(line) => Done::Entered(line.clone()),
            Done::Ended => Done::Ended,
            Done::Cleared => Done::Cleared,
            Done::Full => Done::Full,
        }
    }
}
