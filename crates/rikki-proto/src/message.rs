//! Messages, borrowed or shared.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use bytestring::ByteString;

use crate::frame::Opcode;

/// A whole message: text or binary, borrowed from where it was read or shared.
///
/// A message that arrives whole in one read borrows from that read; one that was put together from pieces owns its
/// payload. Sending either needs no second UTF-8 check, and sending a large shared one no copy.
///
/// ```
/// use rikki_proto::Message;
///
/// let borrowed = Message::from("hello");
/// let owned: Message<'static> = borrowed.into_owned(); // now cheap to clone
/// assert_eq!(owned, Message::from(String::from("hello")));
/// assert_ne!(owned, Message::from(b"hello")); // text and binary are different messages
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "section 5.6 knows these two kinds of data and no others")]
pub enum Message<'a> {
    /// Text, known to be UTF-8.
    Text(Text<'a>),
    /// Bytes, of which only the applications know the meaning.
    Binary(Binary<'a>),
}

impl Message<'_> {
    /// The payload, whichever kind it is.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(binary) => binary,
        }
    }

    /// The text, or `None` if the message is binary.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// Makes the message its own, no longer borrowed from a read: copies the payload unless it is shared already.
    #[must_use]
    pub fn into_owned(self) -> Message<'static> {
        match self {
            Self::Text(text) => Message::Text(text.into_owned()),
            Self::Binary(binary) => Message::Binary(binary.into_owned()),
        }
    }

    /// The payload, shared: copied if it is borrowed.
    pub(crate) fn to_bytes(&self) -> Bytes {
        match self.clone().into_parts() {
            (_, Ok(borrowed)) => Bytes::copy_from_slice(borrowed),
            (_, Err(shared)) => shared,
        }
    }

    pub(crate) fn opcode(&self) -> Opcode {
        match self {
            Self::Text(_) => Opcode::Text,
            Self::Binary(_) => Opcode::Binary,
        }
    }
}

impl<'a> Message<'a> {
    /// What kind it is, and its payload as it is: borrowed or shared.
    #[inline]
    pub(crate) fn into_parts(self) -> (Opcode, Result<&'a [u8], Bytes>) {
        match self {
            Self::Text(Text(TextRepr::Borrowed(text))) => (Opcode::Text, Ok(text.as_bytes())),
            Self::Text(Text(TextRepr::Shared(text))) => (Opcode::Text, Err(text.into_bytes())),
            Self::Binary(Binary(BinaryRepr::Borrowed(bytes))) => (Opcode::Binary, Ok(bytes)),
            Self::Binary(Binary(BinaryRepr::Shared(bytes))) => (Opcode::Binary, Err(bytes)),
        }
    }
}

/// The text of a message: dereferences to `str`.
#[derive(Clone)]
pub struct Text<'a>(TextRepr<'a>);

#[derive(Clone)]
enum TextRepr<'a> {
    Borrowed(&'a str),
    Shared(ByteString),
}

/// The bytes of a message: dereferences to `[u8]`.
#[derive(Clone)]
pub struct Binary<'a>(BinaryRepr<'a>);

#[derive(Clone)]
enum BinaryRepr<'a> {
    Borrowed(&'a [u8]),
    Shared(Bytes),
}

impl<'a> Text<'a> {
    /// Makes the text its own, no longer borrowed; copies it unless it is shared already.
    #[must_use]
    pub fn into_owned(self) -> Text<'static> {
        match self.0 {
            TextRepr::Borrowed(text) => Text(TextRepr::Shared(text.into())),
            TextRepr::Shared(text) => Text(TextRepr::Shared(text)),
        }
    }

    /// The bytes of the text, shared where the text is.
    #[must_use]
    pub fn into_binary(self) -> Binary<'a> {
        match self.0 {
            TextRepr::Borrowed(text) => Binary(BinaryRepr::Borrowed(text.as_bytes())),
            TextRepr::Shared(text) => Binary(BinaryRepr::Shared(text.into_bytes())),
        }
    }
}

impl<'a> Binary<'a> {
    /// Makes the bytes its own, no longer borrowed; copies them unless they are shared already.
    #[must_use]
    pub fn into_owned(self) -> Binary<'static> {
        Binary(BinaryRepr::Shared(self.into_bytes()))
    }

    /// The bytes, shared; copies them if they are borrowed.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            BinaryRepr::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            BinaryRepr::Shared(bytes) => bytes,
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            TextRepr::Borrowed(text) => text,
            TextRepr::Shared(text) => text,
        }
    }
}

impl Deref for Binary<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            BinaryRepr::Borrowed(bytes) => bytes,
            BinaryRepr::Shared(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Debug for Binary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl PartialEq for Binary<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text<'_> {}
impl Eq for Binary<'_> {}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(TextRepr::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(TextRepr::Shared(text.into()))
    }
}

/// Shares them, where they are UTF-8.
impl TryFrom<Bytes> for Text<'_> {
    type Error = std::str::Utf8Error;

    fn try_from(bytes: Bytes) -> Result<Self, Self::Error> {
        ByteString::try_from(bytes).map(|text| Self(TextRepr::Shared(text)))
    }
}

impl<'a> From<&'a [u8]> for Binary<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(BinaryRepr::Borrowed(bytes))
    }
}

impl From<Vec<u8>> for Binary<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self(BinaryRepr::Shared(bytes.into()))
    }
}

impl From<Bytes> for Binary<'_> {
    fn from(bytes: Bytes) -> Self {
        Self(BinaryRepr::Shared(bytes))
    }
}

impl<'a> From<Text<'a>> for Message<'a> {
    fn from(text: Text<'a>) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<Binary<'a>> for Message<'a> {
    fn from(binary: Binary<'a>) -> Self {
        Self::Binary(binary)
    }
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Message<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(bytes.into())
    }
}

impl<'a> From<&'a String> for Message<'a> {
    fn from(text: &'a String) -> Self {
        text.as_str().into()
    }
}

impl<'a> From<Cow<'a, str>> for Message<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Message<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

/// Copies them, since they stay nowhere.
impl<const N: usize> From<[u8; N]> for Message<'_> {
    fn from(bytes: [u8; N]) -> Self {
        Vec::from(bytes).into()
    }
}

impl From<Vec<u8>> for Message<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

impl From<Bytes> for Message<'_> {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_can_be_made_of() {
        let (text, bytes) = (Message::from("abc"), Message::from(&[1, 2, 3][..]));
        for made in
            [Message::from(&String::from("abc")), Cow::Borrowed("abc").into(), Cow::from("abc".to_owned()).into()]
        {
            assert_eq!(made, text);
        }
        for made in [Message::from([1, 2, 3]), (&[1, 2, 3]).into(), vec![1, 2, 3].into()] {
            assert_eq!(made, bytes);
        }
        // Nothing is copied that need not be.
        let owned = "abc".to_owned();
        let place = owned.as_ptr();
        assert_eq!(Message::from(&owned).as_bytes().as_ptr(), place);
        assert_eq!(Message::from(Cow::from(owned)).as_bytes().as_ptr(), place);
    }
}
