//! What to change so that what was refused is let in.

/// A setting that would have let in what was refused.
///
/// A library has a method of that name and a command a flag: whoever runs the server says how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hint<'a> {
    /// Its name, such as `allow-origin` or `max-head`.
    pub setting: &'static str,
    /// What it would have to be, such as `https://app.example` or `*`: printable text without quotes, of bounded
    /// length, and for the rest whatever a client has sent. `None` for any number that is large enough.
    pub value: Option<&'a str>,
}

impl<'a> Hint<'a> {
    /// A setting that would have to be something else.
    #[must_use]
    pub const fn new(setting: &'static str, value: Option<&'a str>) -> Self {
        Self { setting, value }
    }
}

/// How a [`Hint`] is written where a server runs.
pub type Hints = fn(Hint<'_>) -> String;
