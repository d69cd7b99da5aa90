//! Bytes of a terminal into keys, as xterm and its kin send them
//! (<https://invisible-island.net/xterm/ctlseqs/ctlseqs.html>).

use std::mem;

/// What was typed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Backspace,
    Delete,
    /// Deletes, or ends where there is nothing to delete.
    EndOrDelete,
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Up,
    Down,
    KillWordLeft,
    KillWordRight,
    KillToStart,
    KillToEnd,
    Yank,
    Search,
    Cancel,
    Clear,
}

/// The longest sequence that is looked at, in bytes.
const LONGEST: usize = 32;

/// Takes bytes and gives keys; holds one unfinished sequence or character.
#[derive(Default)]
pub(super) struct Keys {
    state: State,
    /// What has come of a sequence, or of a character.
    partial: Vec<u8>,
    is_pasting: bool,
    /// Line ends of a paste that nothing has followed yet: those at its end belong to no text.
    ends: usize,
    after_return: bool,
    /// What is given out once `ends` have been.
    waiting: Option<char>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    Ground,
    Escape,
    /// `ESC [`
    Control,
    /// `ESC O`
    Single,
}

impl Keys {
    /// Whether a paste has begun and not ended.
    pub(super) fn is_pasting(&self) -> bool {
        self.is_pasting
    }

    /// Takes a byte; [`next`](Self::next) gives what it leads to.
    pub(super) fn push(&mut self, byte: u8) -> Option<Key> {
        match mem::take(&mut self.state) {
            State::Ground if byte == 0x1b => {
                // Half a character ends here.
                self.partial.clear();
                self.state = State::Escape;
            }
            State::Ground if self.is_pasting => self.paste(byte),
            State::Ground if byte < 0x20 || byte == 0x7f => {
                self.partial.clear();
                return control(byte);
            }
            State::Ground => return self.character(byte).map(Key::Char),
            State::Escape => match byte {
                b'[' => self.state = State::Control,
                b'O' => self.state = State::Single,
                0x1b => self.state = State::Escape,
                _ if self.is_pasting => {}
                _ => return with_alt(byte),
            },
            State::Single => return if self.is_pasting { None } else { moving(byte) },
            State::Control if (0x40..=0x7e).contains(&byte) => {
                let parameters = mem::take(&mut self.partial);
                return self.sequence(&parameters, byte);
            }
            State::Control => {
                self.state = State::Control;
                if self.partial.len() < LONGEST {
                    self.partial.push(byte);
                }
            }
        }
        self.next()
    }

    /// What else the last byte has led to, until there is nothing.
    pub(super) fn next(&mut self) -> Option<Key> {
        self.waiting?;
        if self.ends > 0 {
            self.ends -= 1;
            return Some(Key::Char('\n'));
        }
        self.waiting.take().map(Key::Char)
    }

    fn paste(&mut self, byte: u8) {
        match byte {
            b'\n' if mem::take(&mut self.after_return) => {}
            b'\r' | b'\n' => {
                self.ends += 1;
                self.after_return = byte == b'\r';
            }
            _ => {
                self.after_return = false;
                self.waiting = self.character(byte);
            }
        }
    }

    /// A character of UTF-8 once it is whole; what is none is left out.
    fn character(&mut self, byte: u8) -> Option<char> {
        self.partial.push(byte);
        match std::str::from_utf8(&self.partial) {
            Ok(text) => {
                let character = text.chars().next();
                self.partial.clear();
                character
            }
            Err(error) if error.error_len().is_none() => None,
            Err(_) => {
                let is_first = self.partial.len() == 1;
                self.partial.clear();
                // It may be the beginning of the next one.
                if is_first { None } else { self.character(byte) }
            }
        }
    }

    fn sequence(&mut self, parameters: &[u8], last: u8) -> Option<Key> {
        match (parameters, last) {
            (b"200", b'~') => self.is_pasting = true,
            (b"201", b'~') => {
                self.is_pasting = false;
                (self.ends, self.after_return) = (0, false);
            }
            _ if self.is_pasting => {}
            (b"1;5" | b"1;3" | b"5", b'C') => return Some(Key::WordRight),
            (b"1;5" | b"1;3" | b"5", b'D') => return Some(Key::WordLeft),
            (b"" | b"1", _) if last != b'~' => return moving(last),
            (b"1" | b"7", b'~') => return Some(Key::Home),
            (b"4" | b"8", b'~') => return Some(Key::End),
            (b"3", b'~') => return Some(Key::Delete),
            (b"3;5" | b"3;3", b'~') => return Some(Key::KillWordRight),
            _ => {}
        }
        None
    }
}

fn control(byte: u8) -> Option<Key> {
    Some(match byte {
        b'\r' | b'\n' => Key::Enter,
        b'\t' => Key::Char('\t'),
        0x7f | 0x08 => Key::Backspace,
        // Ctrl and a letter.
        0x01 => Key::Home,
        0x02 => Key::Left,
        0x04 => Key::EndOrDelete,
        0x05 => Key::End,
        0x06 => Key::Right,
        0x07 => Key::Cancel,
        0x0b => Key::KillToEnd,
        0x0c => Key::Clear,
        0x0e => Key::Down,
        0x10 => Key::Up,
        0x12 => Key::Search,
        0x15 => Key::KillToStart,
        0x17 => Key::KillWordLeft,
        0x19 => Key::Yank,
        _ => return None,
    })
}

fn with_alt(byte: u8) -> Option<Key> {
    Some(match byte {
        b'b' => Key::WordLeft,
        b'f' => Key::WordRight,
        b'd' => Key::KillWordRight,
        0x7f | 0x08 => Key::KillWordLeft,
        _ => return None,
    })
}

fn moving(last: u8) -> Option<Key> {
    Some(match last {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut keys = Keys::default();
        let mut all = Vec::new();
        for byte in bytes {
            all.extend(keys.push(*byte));
            all.extend(std::iter::from_fn(|| keys.next()));
        }
        all
    }

    fn text(text: &str) -> Vec<Key> {
        text.chars().map(Key::Char).collect()
    }

    #[test]
    fn what_terminals_send() {
        let check = |bytes: &[u8], expected: &[Key]| assert_eq!(keys(bytes), expected, "{}", bytes.escape_ascii());
        check("aé😀".as_bytes(), &text("aé😀"));
        check(b"\r", &[Key::Enter]);
        check(b"\n", &[Key::Enter]);
        check(b"\x7f\x08", &[Key::Backspace, Key::Backspace]);
        check(b"\x1b[A\x1bOA\x1b[1A", &[Key::Up; 3]);
        check(b"\x1b[H\x1b[1~\x1b[7~\x1bOH\x01", &[Key::Home; 5]);
        check(b"\x1b[1;5D\x1b[1;3D\x1bb", &[Key::WordLeft; 3]);
        check(b"\x1b[3~\x04", &[Key::Delete, Key::EndOrDelete]);
        // What is unknown is nothing, as a whole.
        check(b"\x1b[15~\x1b[<0;1;1Mx\x1bzy", &text("xy"));
        check(&[b"\x1b[".as_slice(), &[b'1'; 100], b"~x"].concat(), &text("x"));
        check(b"\x1b\x1b[A", &[Key::Up]);
        // Half a character, and one that is none.
        check(b"\xc3a\xff\xe2\x82", &text("a"));
        check(b"\xe2\x82\xc3\xa9", &text("\u{e9}"));
        check(b"\xc3\r\xa9\xe2\x1b[A", &[Key::Enter, Key::Up]);
    }

    #[test]
    fn a_paste_is_text() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(keys(bytes), text(expected), "{}", bytes.escape_ascii());
        check(b"\x1b[200~a\rb\r\nc\n\nd\x1b[201~", "a\nb\nc\n\nd");
        check(b"\x1b[200~a\r\n\x1b[201~b", "ab");
        check(b"\x1b[200~\x03\x04\x1b[Aa\x1b[201~", "\x03\x04a");
        check("\x1b[200~é\n😀\x1b[201~".as_bytes(), "é\n😀");
    }
}
