//! Names of topics, and patterns of them: judged here and nowhere else.

use std::fmt;

/// The longest name, in bytes: also that of a channel of Centrifugo.
const LONGEST: usize = 255;

/// Why this is no name of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadName {
    /// It is empty.
    Empty,
    /// It has more than 255 bytes.
    TooLong {
        /// How many it has.
        length: usize,
    },
    /// It has a control character, which a log or a terminal would act on.
    Control,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the name of a topic is empty"),
            Self::TooLong { length } => write!(f, "the name of a topic has {length} bytes, at most {LONGEST} may be"),
            Self::Control => f.write_str("the name of a topic has a control character"),
        }
    }
}

impl std::error::Error for BadName {}

/// Whether a topic may have this name: 1 to 255 bytes of UTF-8 without control characters.
pub(crate) fn judge(name: &str) -> Result<(), BadName> {
    match name.len() {
        0 => Err(BadName::Empty),
        length if length > LONGEST => Err(BadName::TooLong { length }),
        _ if name.chars().any(char::is_control) => Err(BadName::Control),
        _ => Ok(()),
    }
}

/// The topics that a configuration is for: one by its name, or all below a prefix. For brokers that tell topics apart as
/// [`TopicsConfig::topic`](crate::TopicsConfig::topic) does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// A name; one that ends in `*` stands for all names that begin with what is in front of it and go on.
    ///
    /// # Errors
    ///
    /// [`BadName`], if no topic could have the name.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        judge(text)?;
        Ok(Self(text.to_owned()))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How well it fits a name, the greatest best: a name before any prefix, and a longer prefix before a shorter one.
    /// `None` if it does not.
    #[must_use]
    pub fn fit(&self, name: &str) -> Option<usize> {
        match self.0.strip_suffix('*') {
            Some(prefix) => (name.len() > prefix.len() && name.starts_with(prefix)).then_some(prefix.len()),
            None => (self.0 == name).then_some(usize::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |name: &str, expected| assert_eq!(judge(name), expected, "{name:?}");
        check("chat", Ok(()));
        check("räume/küche 🦡", Ok(()));
        check(&"x".repeat(255), Ok(()));
        check("", Err(BadName::Empty));
        check(&"x".repeat(256), Err(BadName::TooLong { length: 256 }));
        check(&"ü".repeat(128), Err(BadName::TooLong { length: 256 }));
        for control in ["a\nb", "\0", "tab\t", "\u{7f}", "\u{85}"] {
            check(control, Err(BadName::Control));
        }
    }

    #[test]
    fn patterns() {
        let check = |pattern: &str, name: &str, expected| {
            assert_eq!(Pattern::parse(pattern).unwrap().fit(name), expected, "{pattern} {name}");
        };
        check("chat", "chat", Some(usize::MAX));
        check("chat", "chats", None);
        check("chat/*", "chat/a", Some(5));
        check("chat/*", "chat/a/b", Some(5));
        check("chat/*", "chat/", None);
        check("chat/*", "chat", None);
        check("*", "anything", Some(0));
        assert_eq!(Pattern::parse(""), Err(BadName::Empty));
    }
}
