//! The line being typed: its text, a cursor in it, and the part of it that a row shows.

use unicode_width::UnicodeWidthChar as _;

use crate::connect::shown::is_bidirectional;

#[derive(Debug, Default)]
pub(super) struct Line {
    text: String,
    /// Where the cursor is, in bytes.
    cursor: usize,
}

/// Part of a line, and the column of the cursor in it.
#[derive(Debug, PartialEq)]
pub(super) struct Shown {
    pub(super) text: String,
    pub(super) cursor: usize,
}

/// Stands for what of a line is left out.
const MORE: char = '…';

impl Line {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Takes the text out.
    pub(super) fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    /// Replaces the text, with the cursor at its end.
    pub(super) fn set(&mut self, text: String) {
        self.cursor = text.len();
        self.text = text;
    }

    pub(super) fn insert_text(&mut self, text: &str) {
        self.text.insert_str(self.cursor, text);
        self.cursor += text.len();
    }

    pub(super) fn left(&mut self) {
        self.cursor = self.before();
    }

    pub(super) fn right(&mut self) {
        self.cursor = self.after();
    }

    pub(super) fn word_left(&mut self) {
        self.cursor = self.word_before();
    }

    pub(super) fn word_right(&mut self) {
        self.cursor = self.word_after();
    }

    pub(super) fn home(&mut self) {
        self.cursor = 0;
    }

    pub(super) fn end(&mut self) {
        self.cursor = self.text.len();
    }

    pub(super) fn backspace(&mut self) {
        let start = self.before();
        self.remove(start, self.cursor);
    }

    pub(super) fn delete(&mut self) {
        let end = self.after();
        self.remove(self.cursor, end);
    }

    pub(super) fn kill_to_start(&mut self) -> String {
        self.remove(0, self.cursor)
    }

    pub(super) fn kill_to_end(&mut self) -> String {
        self.remove(self.cursor, self.text.len())
    }

    pub(super) fn kill_word_left(&mut self) -> String {
        let start = self.word_before();
        self.remove(start, self.cursor)
    }

    pub(super) fn kill_word_right(&mut self) -> String {
        let end = self.word_after();
        self.remove(self.cursor, end)
    }

    fn remove(&mut self, start: usize, end: usize) -> String {
        self.cursor = start;
        self.text.drain(start..end).collect()
    }

    fn halves(&self) -> (&str, &str) {
        self.text.split_at(self.cursor)
    }

    /// What has no width belongs to the character before it.
    fn before(&self) -> usize {
        let found = self.halves().0.char_indices().rev().find(|(_, character)| width(*character) > 0);
        found.map_or(0, |(start, _)| start)
    }

    fn after(&self) -> usize {
        let mut rest = self.halves().1.char_indices().skip(1);
        let next = rest.find(|(_, character)| width(*character) > 0);
        next.map_or(self.text.len(), |(start, _)| self.cursor + start)
    }

    fn word_before(&self) -> usize {
        let before = self.halves().0;
        let word = before.trim_end_matches(|letter: char| !letter.is_alphanumeric());
        word.trim_end_matches(char::is_alphanumeric).len()
    }

    fn word_after(&self) -> usize {
        let after = self.halves().1;
        let word = after.trim_start_matches(|letter: char| !letter.is_alphanumeric());
        self.text.len() - word.trim_start_matches(char::is_alphanumeric).len()
    }

    /// What of it is shown in a row of so many columns, of which the last stays free for the cursor. It looks at no
    /// more of the line than is shown.
    pub(super) fn shown(&self, columns: usize) -> Shown {
        let room = columns.saturating_sub(1);
        let (before, after) = self.halves();
        // A quarter is for what follows the cursor.
        let following = fit(after.chars(), room);
        let for_following = if following.is_whole { following.width.min(room / 4) } else { room / 4 };
        let mut leading = fit(before.chars().rev(), room - for_following);
        if !leading.is_whole {
            leading = fit(before.chars().rev(), (room - for_following).saturating_sub(1));
        }
        let lead = usize::from(!leading.is_whole && room > 0);
        let left = room.saturating_sub(leading.width + lead);
        let mut following = fit(after.chars(), left);
        if !following.is_whole {
            following = fit(after.chars(), left.saturating_sub(1));
        }
        let mut text = String::new();
        text.extend((lead > 0).then_some(MORE));
        text.extend(leading.characters.iter().rev());
        text.extend(&following.characters);
        text.extend((!following.is_whole && left > 0).then_some(MORE));
        Shown { text, cursor: leading.width + lead }
    }
}

/// As many characters as have room.
struct Fit {
    characters: Vec<char>,
    width: usize,
    /// Whether all have.
    is_whole: bool,
}

fn fit(characters: impl Iterator<Item = char>, room: usize) -> Fit {
    let mut fit = Fit { characters: Vec::new(), width: 0, is_whole: true };
    for character in characters {
        let width = width(character);
        // Of marks upon marks there is no end.
        if fit.width + width > room || fit.characters.len() > 4 * room {
            fit.is_whole = false;
            break;
        }
        fit.width += width;
        fit.characters.push(visible(character));
    }
    fit
}

/// How many columns it takes.
fn width(character: char) -> usize {
    visible(character).width().unwrap_or(0)
}

/// A picture of what has none, or would do something to the terminal.
fn visible(character: char) -> char {
    match character {
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(character)).unwrap_or('?'),
        '\x7f' => '\u{2421}',
        _ if character.is_control() || is_bidirectional(character) => char::REPLACEMENT_CHARACTER,
        _ => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line with its cursor at the bar.
    fn line(text: &str) -> Line {
        let (before, after) = text.split_once('|').unwrap();
        Line { text: format!("{before}{after}"), cursor: before.len() }
    }

    #[test]
    fn changes() {
        let check = |text: &str, change: fn(&mut Line), expected: &str| {
            let mut line = line(text);
            change(&mut line);
            let (before, after) = line.halves();
            assert_eq!(format!("{before}|{after}"), expected, "{text}");
        };
        check("a|c", |line| line.insert_text("b b"), "ab b|c");
        check("😀|b", Line::backspace, "|b");
        check("|b", Line::backspace, "|b");
        check("a|😀b", Line::delete, "a|b");
        check("a|", Line::delete, "a|");
        // With its accent.
        check("xe\u{301}|", Line::backspace, "x|");
        check("xe\u{301}|", Line::left, "x|e\u{301}");
        check("x|e\u{301}y", Line::right, "xe\u{301}|y");
        check("|", Line::left, "|");
        check("a|", Line::right, "a|");
        check("one two, |", Line::word_left, "one |two, ");
        check("one| two, ", Line::word_right, "one two|, ");
        check("one two|", |line| drop(line.kill_word_left()), "one |");
        check("one| two three", |line| drop(line.kill_word_right()), "one| three");
        check("one| two", |line| assert_eq!(line.kill_to_end(), " two"), "one|");
        check("one| two", |line| assert_eq!(line.kill_to_start(), "one"), "| two");
    }

    #[test]
    fn what_a_row_shows() {
        let check = |text: &str, columns: usize, expected: &str, cursor: usize| {
            let shown = line(text).shown(columns);
            assert_eq!((shown.text.as_str(), shown.cursor), (expected, cursor), "{text} in {columns}");
        };
        check("hello|", 10, "hello", 5);
        check("|hello", 10, "hello", 0);
        check("123456789|", 10, "123456789", 9);
        check("1234567890|", 10, "…34567890", 9);
        check("|1234567890", 10, "12345678…", 0);
        check("1234567890|1234567890", 10, "…5678901…", 7);
        // Two columns each.
        check("日本語日本語|", 10, "…語日本語", 9);
        check("a\nb\u{1b}[2J\u{202e}\u{9b}|", 20, "a␊b␛[2J\u{fffd}\u{fffd}", 9);
        for columns in 0..3 {
            let Shown { cursor, .. } = line("12345|6789").shown(columns);
            assert!(cursor <= columns, "{columns}: {cursor}");
        }
    }

    #[test]
    fn a_row_never_overflows() {
        let text: String = "a日e\u{301}😀\n".repeat(40);
        for cursor in text.char_indices().map(|(index, _)| index) {
            for columns in [1, 2, 3, 7, 20, 80] {
                let shown = Line { text: text.clone(), cursor }.shown(columns);
                let wide: usize = shown.text.chars().map(width).sum();
                assert!(wide <= columns && shown.cursor <= wide, "{cursor} in {columns}: {shown:?}");
            }
        }
    }
}
