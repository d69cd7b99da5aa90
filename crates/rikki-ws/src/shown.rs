//! Texts that somebody else has a part in, such as those of errors: as much of them as there is room for.

use std::fmt::{self, Display, Write as _};

/// How much of the text of an error is logged, in bytes.
pub(crate) const LOGGED: usize = 400;

/// The beginning of what is shown, of at most so many bytes: no more of it is made.
pub(crate) fn beginning(shown: &dyn Display, most: usize) -> String {
    let mut room = Room { text: String::new(), most };
    // It fails when it is full.
    let _ = write!(room, "{shown}");
    room.text
}

struct Room {
    text: String,
    most: usize,
}

impl fmt::Write for Room {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let mut end = piece.len().min(self.most - self.text.len());
        while !piece.is_char_boundary(end) {
            end -= 1;
        }
        self.text.push_str(piece.get(..end).unwrap_or_default());
        if end < piece.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_there_is_room_for() {
        let check = |text: &str, most: usize, expected: &str| assert_eq!(beginning(&text, most), expected);
        check("", 3, "");
        check("abc", 3, "abc");
        check("abcd", 3, "abc");
        check("abü", 3, "ab");
        check("äöü", 4, "äö");
        // What would be behind it is not made.
        struct Endless;
        impl Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("and so on, ")?;
                }
            }
        }
        assert_eq!(beginning(&Endless, 12), "and so on, a");
    }
}
