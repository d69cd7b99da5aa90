//! Elements of `Forwarded` ([RFC 7239 section 4](https://www.rfc-editor.org/rfc/rfc7239#section-4)), the last first.

use std::borrow::Cow;

use http::HeaderValue;

/// What one proxy says of a request.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Element<'h> {
    pub(super) node: Option<Cow<'h, str>>,
    pub(super) host: Option<Cow<'h, str>>,
    pub(super) proto: Option<Cow<'h, str>>,
}

impl<'h> Element<'h> {
    /// The elements of all lines, up to the first that is none. An empty one is none either, though lists may have such:
    /// nobody knows what is missing there.
    pub(super) fn from_right(lines: impl DoubleEndedIterator<Item = &'h HeaderValue>) -> impl Iterator<Item = Self> {
        let texts = lines.rev().flat_map(|line| Split { rest: Some(line.as_bytes()) });
        texts.map_while(|text| Self::read(str::from_utf8(text?).ok()?))
    }

    fn read(text: &'h str) -> Option<Self> {
        let mut element = Self::default();
        let mut rest = text.trim_matches(BLANK);
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            // Pairs may be missing between two semicolons.
            if let Some(behind) = rest.strip_prefix(';') {
                rest = behind.trim_start_matches(BLANK);
                continue;
            }
            let (name, behind) = rest.split_once('=')?;
            let (value, behind) = value(behind)?;
            let place = match name {
                _ if name.eq_ignore_ascii_case("for") => Some(&mut element.node),
                _ if name.eq_ignore_ascii_case("host") => Some(&mut element.host),
                _ if name.eq_ignore_ascii_case("proto") => Some(&mut element.proto),
                _ if is_token(name) => None,
                _ => return None,
            };
            if let Some(place) = place
                && place.replace(value).is_some()
            {
                // "Each parameter MUST NOT occur more than once".
                return None;
            }
            rest = behind.trim_start_matches(BLANK);
            if !rest.is_empty() && !rest.starts_with(';') {
                return None;
            }
        }
        Some(element)
    }
}

const BLANK: [char; 2] = [' ', '\t'];

/// A token or a quoted string, and what is behind it.
fn value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
        let (token, behind) = text.split_at_checked(end)?;
        return is_token(token).then_some((Cow::Borrowed(token), behind));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((Cow::Owned(value), quoted.get(at + 1..)?)),
            '\\' => value.push(chars.next()?.1),
            _ => value.push(char),
        }
    }
    None
}

/// <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2>
fn is_token(text: &str) -> bool {
    let of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(of_token)
}

/// Cuts a line at the commas outside of quotes, from its end on. The last is `None` if it is in the middle of a quote.
struct Split<'h> {
    rest: Option<&'h [u8]>,
}

impl<'h> Iterator for Split<'h> {
    type Item = Option<&'h [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        let mut is_quoted = false;
        for (at, byte) in rest.iter().enumerate().rev() {
            match byte {
                // Behind an odd number of backslashes it is a part of the string.
                b'"' if is_quoted && is_escaped(rest.get(..at).unwrap_or_default()) => {}
                b'"' => is_quoted = !is_quoted,
                b',' if !is_quoted => {
                    self.rest = rest.get(..at);
                    return Some(rest.get(at + 1..));
                }
                _ => {}
            }
        }
        Some((!is_quoted).then_some(rest))
    }
}

fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}
