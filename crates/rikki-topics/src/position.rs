//! Where in a topic something is: an epoch and an offset.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::str::FromStr;
use std::time::Duration;

/// A stretch of a topic's history in which nothing was lost but by its bounds: another one means that it was.
///
/// It is written in 16 hexadecimal digits, and says nothing but whether it is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// One that there has not been.
    pub(crate) fn random() -> Self {
        Self(RandomState::new().hash_one(()))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A place in a topic: behind the message that has it, and before the next one.
///
/// It is written as `EPOCH:OFFSET`, which is what [`FromStr`] reads. Offsets rise within an epoch and may leave out
/// numbers, so that one minus another says nothing.
///
/// ```
/// use rikki_topics::Position;
///
/// let position: Position = "00c0ffee00c0ffee:42".parse()?;
/// assert_eq!((position.offset, position.to_string()), (42, "00c0ffee00c0ffee:42".to_owned()));
/// # Ok::<(), rikki_topics::BadPosition>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "a position is these two")]
pub struct Position {
    /// In which history.
    pub epoch: Epoch,
    /// Where in it; 0 is before everything.
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.offset)
    }
}

/// This is no position: it is 16 hexadecimal digits, a colon and a decimal number, such as `00c0ffee00c0ffee:42`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadPosition;

impl fmt::Display for BadPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a position is EPOCH:OFFSET, as in 00c0ffee00c0ffee:42")
    }
}

impl std::error::Error for BadPosition {}

impl FromStr for Position {
    type Err = BadPosition;

    fn from_str(text: &str) -> Result<Self, BadPosition> {
        let (epoch, offset) = text.split_once(':').ok_or(BadPosition)?;
        // Numbers may have a sign where Rust reads them.
        let is_hex = epoch.len() == 16 && epoch.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_hex || !offset.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadPosition);
        }
        let epoch = u64::from_str_radix(epoch, 16).map_err(|_| BadPosition)?;
        let offset = offset.parse().map_err(|_| BadPosition)?;
        Ok(Self { epoch: Epoch(epoch), offset })
    }
}

/// From where on a subscriber gets the messages of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum From {
    /// Those that come from now on.
    Now,
    /// So many of the last ones too, as far as there is history.
    Last(usize),
    /// Those that are at most so old too, as far as there is history.
    Since(Duration),
    /// Those behind a position: a resume, which says whether all of them were still there.
    After(Position),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read() {
        for (epoch, offset) in [(0, 0), (u64::MAX, u64::MAX), (1, 20)] {
            let position = Position { epoch: Epoch(epoch), offset };
            assert_eq!(position.to_string().parse(), Ok(position));
        }
        for bad in [
            "",
            ":",
            "1",
            "1:1",
            "00c0ffee00c0ffee",
            "00c0ffee00c0ffee:",
            "00c0ffee00c0ffee:-1",
            "00c0ffee00c0ffee:+1",
            "00c0ffee00c0ffee:1x",
            "00c0ffee00c0ffee: 1",
            "00c0ffee00c0ffee:1:1",
            "00C0FFEE00C0FFEE:1",
            "+0c0ffee00c0ffee:1",
            "00c0ffee00c0ffee0:1",
            "00c0ffee00c0ffee:18446744073709551616",
            "\u{662}0c0ffee00c0ffe:1",
        ] {
            assert_eq!(bad.parse::<Position>(), Err(BadPosition), "{bad:?}");
        }
    }
}
